//! All crash points of one job: each of its invocations is killed before and after each of its calls, or paused before
//! each of them until everything else is done.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use fastrand::Rng;
use jiff::SignedDuration;
use lakewright_jobs::split::{PlanRequest, Task};
use lakewright_model::{Answer, Death, FaultRates, Plan, Settings, virtual_time};
use lakewright_ports::Clock;
use tokio::task::spawn_local;

use super::{
    mutant::Mutant,
    table::{Form, Keys, Table},
    world::{End, LIMIT, QUEUE, Setup, World},
};
use crate::sim::Violation;

/// The runs and the first violation.
#[derive(Debug, Default)]
pub struct Report {
    /// The number of crash points.
    pub points: u64,
    /// The first violation, and where the crash was.
    pub violation: Option<(String, Violation)>,
}

/// A result whose job's crash points are enumerated.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What it covers.
    pub name: &'static str,
    form: Form,
    keys: Keys,
    rows: usize,
    /// Whether a row's key is taken by another object, so that the run fails.
    occupied: bool,
}

/// The cases.
pub const CASES: &[Case] = &[
    Case {
        name: "three chunks",
        form: Form::Query,
        keys: Keys::ByRow,
        rows: 6,
        occupied: false,
    },
    Case {
        name: "rows that share keys, in two compressed objects",
        form: Form::Unload,
        keys: Keys::KeepLast,
        rows: 6,
        occupied: false,
    },
    Case {
        name: "a key that is taken",
        form: Form::Uri,
        keys: Keys::ById,
        rows: 4,
        occupied: true,
    },
    Case {
        name: "no rows",
        form: Form::Query,
        keys: Keys::ByRow,
        rows: 0,
        occupied: false,
    },
];

/// What happens to one invocation of the job, counted from 0: the planner, then each message's.
#[derive(Debug, Clone, Copy)]
enum Crash {
    Dies(usize, Death, bool),
    Pauses(usize, u64),
}

/// Enumerates the crash points of a case.
pub fn enumerate(case: &Case, mutant: Option<Mutant>) -> Report {
    let mut report = Report::default();
    let calls = attempt(case, mutant, None, &mut report);
    for (invocation, calls) in calls.into_iter().enumerate() {
        for call in 1..=calls {
            for death in [Death::Before(call), Death::After(call)] {
                for loses in [false, true] {
                    let crash = Crash::Dies(invocation, death, loses);
                    attempt(case, mutant, Some(crash), &mut report);
                }
            }
            attempt(
                case,
                mutant,
                Some(Crash::Pauses(invocation, call)),
                &mut report,
            );
        }
    }
    report
}

/// One history. Returns the calls of each invocation.
fn attempt(
    case: &Case,
    mutant: Option<Mutant>,
    crash: Option<Crash>,
    report: &mut Report,
) -> Vec<u64> {
    if report.violation.is_some() {
        return Vec::new();
    }
    report.points += 1;
    virtual_time(async {
        let mut rng = Rng::with_seed(7);
        let setup = Setup {
            settings: Settings {
                page: 2,
                encrypted_only: true,
                ..Settings::default()
            },
            rates: FaultRates::default(),
            table: Table::draw(case.form, case.keys, case.rows, &mut rng),
            mutant,
        };
        let world = World::new(rng.u64(..), &setup);
        if case.occupied {
            world.occupy("u/i1.json");
        }
        let mut stage = Stage {
            world: Arc::clone(&world),
            crash,
            calls: Vec::new(),
            paused: Vec::new(),
        };
        stage.run("t-0").await;
        stage.expect("t-0", !case.occupied);
        if case.occupied {
            world.vacate();
            stage.run("t-1").await;
            stage.expect("t-1", true);
        }
        for paused in std::mem::take(&mut stage.paused) {
            if let Err(error) = paused.await {
                world.fail(format!("panicked: {error}"));
            }
        }
        world.finish();
        let violation = world.checker().violation().cloned();
        let what = format!("{}: {crash:?}", case.name);
        report.violation = violation.map(|violation| (what, violation));
        stage.calls
    })
}

struct Stage {
    world: Arc<World>,
    crash: Option<Crash>,
    calls: Vec<u64>,
    paused: Vec<tokio::task::JoinHandle<()>>,
}

/// One task.
#[derive(Clone)]
enum Work {
    Plan(PlanRequest),
    Rows(Task, bool),
}

impl Stage {
    /// One run: the planner, then each message in turn.
    async fn run(&mut self, token: &str) {
        let request = self.world.request(token);
        self.step(Work::Plan(request)).await;
        let mut rng = Rng::with_seed(1);
        loop {
            let now = self.world.cloud.clock.now();
            let received = self.world.cloud.with(|state| {
                let (received, ..) = state.sqs.receive(QUEUE, 10, now, 0.0, &mut rng);
                received
            });
            let mut waiting = VecDeque::new();
            for message in received {
                self.world
                    .cloud
                    .with(|state| state.sqs.delete(QUEUE, message.id));
                match serde_json::from_str::<Task>(&message.body) {
                    Ok(task) => waiting.push_back(task),
                    Err(error) => self.world.fail(format!("no message: {error}")),
                }
            }
            if waiting.is_empty() {
                return;
            }
            // In order, unlike the queue.
            waiting.make_contiguous().sort_by_key(|task| task.chunk);
            for task in waiting {
                self.step(Work::Rows(task, false)).await;
            }
        }
    }

    /// Repeats an invocation until it answers.
    async fn step(&mut self, work: Work) {
        let index = self.calls.len();
        let plan = match self.crash {
            Some(Crash::Dies(at, death, loses_in_flight)) if at == index => Plan {
                death: Some(death),
                loses_in_flight,
                ..Plan::default()
            },
            Some(Crash::Pauses(at, call)) if at == index => {
                let (world, work) = (Arc::clone(&self.world), work.clone());
                let until = world.deadline() - SignedDuration::from_secs(20);
                let plan = Plan {
                    sleep: Some((call, until)),
                    ..Plan::default()
                };
                self.paused.push(spawn_local(async move {
                    invoke(&world, &work, plan).await;
                }));
                Plan::default()
            }
            _ => Plan::default(),
        };
        let (answered, calls) = invoke(&self.world, &work, plan).await;
        self.calls.push(calls);
        if answered {
            return;
        }
        // The requests of the dead invocation arrive first, because the retry waits for the visibility timeout.
        let limit = Duration::try_from(LIMIT).unwrap_or_default();
        self.world.cloud.clock.sleep(limit).await;
        let again = match work {
            Work::Rows(task, _) => Work::Rows(task, true),
            plan @ Work::Plan(_) => plan,
        };
        let (answered, _) = invoke(&self.world, &again, Plan::default()).await;
        if !answered {
            self.world.fail("S4: the retry was not answered".to_owned());
        }
    }

    fn expect(&self, token: &str, success: bool) {
        let answer = self
            .world
            .cloud
            .with(|state| state.step_functions.answer(token).cloned());
        let fits = match &answer {
            Some(Answer::Success(_)) => success,
            Some(Answer::Failure(error, _)) => !success && error == "Lakewright.KeyTaken",
            None => false,
        };
        if !fits {
            self.world.fail(format!("S4: {token} was told {answer:?}"));
        }
    }
}

/// Whether it was answered, and the calls that it made.
async fn invoke(world: &World, work: &Work, plan: Plan) -> (bool, u64) {
    match work {
        Work::Plan(request) => {
            let (end, client) = world.plan(request, 0, plan).await;
            (matches!(end, End::Answered(Ok(_))), client.calls())
        }
        Work::Rows(task, resumed) => {
            let (end, client) = world.rows(task, *resumed, plan).await;
            (matches!(end, End::Answered(Ok(_))), client.calls())
        }
    }
}
