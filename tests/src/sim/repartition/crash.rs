//! Every crash point of two runs, one after the other: each of their invocations killed before and after each of its calls,
//! or paused before each of them until everything else of its run is done.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use lakewright_jobs::{
    ports::Clock,
    repartition::{CommitRequest, PlanReport, TaskRequest},
};
use tokio::task::spawn_local;

use super::{
    mutant::Mutant,
    scene::Scene,
    world::{End, LIMIT, World},
};
use crate::{
    model::{Death, FaultRates, Plan},
    sim::Violation,
    virtual_time,
};

/// How often a step is tried before the run is taken for one that never ends.
const TRIES: usize = 3;

/// What was run, and what did not hold.
#[derive(Debug, Default)]
pub struct Report {
    /// Crash points run.
    pub points: u64,
    /// The first violation, and where the crash was.
    pub violation: Option<(String, Violation)>,
}

/// What befalls one invocation, counted from 0.
#[derive(Debug, Clone, Copy)]
enum Crash {
    Dies(usize, Death, bool),
    Pauses(usize, u64),
}

/// Enumerates the crash points of a scene.
pub fn enumerate(scene: Scene, mutant: Option<Mutant>) -> Report {
    let mut report = Report::default();
    let calls = attempt(scene, mutant, None, &mut report);
    for (invocation, calls) in calls.into_iter().enumerate() {
        for call in 1..=calls {
            for death in [Death::Before(call), Death::After(call)] {
                for loses in [false, true] {
                    let crash = Crash::Dies(invocation, death, loses);
                    attempt(scene, mutant, Some(crash), &mut report);
                }
            }
            let crash = Crash::Pauses(invocation, call);
            attempt(scene, mutant, Some(crash), &mut report);
        }
    }
    report
}

/// One history. Returns the calls of each invocation.
fn attempt(
    scene: Scene,
    mutant: Option<Mutant>,
    crash: Option<Crash>,
    report: &mut Report,
) -> Vec<u64> {
    if report.violation.is_some() {
        return Vec::new();
    }
    report.points += 1;
    virtual_time(async {
        let world = World::new(7, scene, FaultRates::default(), mutant);
        let mut stage = Stage {
            world: Arc::clone(&world),
            crash,
            calls: Vec::new(),
        };
        for run in 0..2 {
            if !world.failed() {
                stage.run(run).await;
            }
        }
        let violation = world.checker().violation().cloned();
        let what = format!("{scene:?}: {crash:?}");
        report.violation = violation.map(|violation| (what, violation));
        stage.calls
    })
}

struct Stage {
    world: Arc<World>,
    crash: Option<Crash>,
    calls: Vec<u64>,
}

/// One piece of work.
#[derive(Debug, Clone)]
pub(super) enum Work {
    Plan,
    Write(TaskRequest),
    Commit(CommitRequest),
}

/// How an invocation ended that was answered.
pub(super) enum Answer {
    Plan(Box<PlanReport>),
    Done,
}

impl Stage {
    /// One run: the planner, each task in turn, the commit.
    async fn run(&mut self, run: u64) {
        self.world.begin(run);
        let mut paused = Vec::new();
        if let Some(Answer::Plan(plan)) = self.step(Work::Plan, &mut paused).await {
            for task in plan.prepare.iter().chain(&plan.tasks) {
                self.step(Work::Write(task.clone()), &mut paused).await;
            }
            let commit = CommitRequest { plan: plan.plan };
            self.step(Work::Commit(commit), &mut paused).await;
        }
        for paused in paused {
            if let Err(error) = paused.await {
                self.world.fail(format!("panicked: {error}"));
            }
        }
        self.world.end();
    }

    /// One invocation, and again until it is answered.
    async fn step(
        &mut self,
        work: Work,
        paused: &mut Vec<tokio::task::JoinHandle<()>>,
    ) -> Option<Answer> {
        let index = self.calls.len();
        let plan = match self.crash {
            Some(Crash::Dies(at, death, loses_in_flight)) if at == index => Plan {
                death: Some(death),
                loses_in_flight,
                ..Plan::default()
            },
            Some(Crash::Pauses(at, call)) if at == index => {
                let (world, work) = (Arc::clone(&self.world), work.clone());
                // A planner that comes when its run is over begins another one, and rightly so.
                let until = match work {
                    Work::Plan => world.cloud.clock.now() + SignedDuration::from_millis(400),
                    _ => world.deadline() - SignedDuration::from_secs(20),
                };
                let plan = Plan {
                    sleep: Some((call, until)),
                    ..Plan::default()
                };
                paused.push(spawn_local(async move {
                    let _ = invoke(&world, &work, plan).await;
                }));
                Plan::default()
            }
            _ => Plan::default(),
        };
        let (answer, calls) = invoke(&self.world, &work, plan).await;
        self.calls.push(calls);
        let mut last = match answer {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        for _ in 0..TRIES {
            // What the dead one had under way arrives first.
            let limit = Duration::try_from(LIMIT).unwrap_or_default();
            self.world.cloud.clock.sleep(limit).await;
            match invoke(&self.world, &work, Plan::default()).await {
                (Ok(answer), _) => return Some(answer),
                (Err(error), _) => last = error,
            }
        }
        self.world
            .fail(format!("P3: {work:?} never succeeds: {last}"));
        None
    }
}

/// What was answered, or why nothing good was, and the calls that it made.
pub(super) async fn invoke(
    world: &World,
    work: &Work,
    plan: Plan,
) -> (Result<Answer, String>, u64) {
    match work {
        Work::Plan => {
            let (end, client) = world.plan(plan).await;
            let answer = answered(end).map(|report| Answer::Plan(Box::new(report)));
            (answer, client.calls())
        }
        Work::Write(request) => {
            let (end, client) = world.write(request, plan).await;
            (answered(end).map(|_| Answer::Done), client.calls())
        }
        Work::Commit(request) => {
            let (end, client) = world.commit(request, plan).await;
            (answered(end).map(|_| Answer::Done), client.calls())
        }
    }
}

fn answered<T>(end: End<T>) -> Result<T, String> {
    match end {
        End::Answered(Ok(answer)) => Ok(answer),
        End::Answered(Err(error)) => Err(error.to_string()),
        End::Died => Err("it died".to_owned()),
    }
}
