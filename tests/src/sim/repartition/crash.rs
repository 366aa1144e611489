//! All crash points of two consecutive runs: each of their invocations is killed before and after each of its calls, or
//! paused before each of them until everything else of its run is done, or until the next run is over.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::SignedDuration;
use lakewright_jobs::repartition::{CommitRequest, PlanReport, TaskRequest};
use lakewright_model::{Death, FaultRates, Plan, virtual_time};
use lakewright_ports::Clock;
use tokio::task::{JoinHandle, spawn_local};

use super::{
    mutant::Mutant,
    scene::Scene,
    world::{End, LIMIT, World},
};
use crate::sim::Violation;

/// How often a step is tried before the run counts as one that never ends.
const TRIES: usize = 3;

/// When a twin that slept through the next run wakes: long after it, and before the twin's own time is over.
const LATE: SignedDuration = SignedDuration::from_secs(60);

/// The longest time until it sleeps.
const ASLEEP: SignedDuration = SignedDuration::from_secs(10);

/// Runs, one after the other.
const RUNS: u64 = 2;

/// The runs and the first violation.
#[derive(Debug, Default)]
pub struct Report {
    /// Crash points run.
    pub points: u64,
    /// Files that were brought back by an invocation that was suspended on their PUT until the next run was over.
    pub brought_back: u64,
    /// The first violation, and where the crash was.
    pub violation: Option<(String, Violation)>,
}

/// What happens to one invocation, counted from 0.
#[derive(Debug, Clone, Copy)]
enum Crash {
    Dies(usize, Death, bool),
    Pauses(usize, u64),
    /// A twin pauses before a call, until the next run is over.
    Wakes(usize, u64),
    /// A file of this run is replaced before its commit.
    Replaced(u64),
}

/// Enumerates the crash points of a scene.
pub fn enumerate(scene: Scene, mutant: Option<Mutant>) -> Report {
    let mut report = Report::default();
    let invocations = attempt(scene, mutant, None, &mut report);
    for run in 0..RUNS {
        attempt(scene, mutant, Some(Crash::Replaced(run)), &mut report);
    }
    for (index, invocation) in invocations.into_iter().enumerate() {
        for call in 1..=invocation.calls {
            for death in [Death::Before(call), Death::After(call)] {
                for loses in [false, true] {
                    let crash = Crash::Dies(index, death, loses);
                    attempt(scene, mutant, Some(crash), &mut report);
                }
            }
            let crash = Crash::Pauses(index, call);
            attempt(scene, mutant, Some(crash), &mut report);
            if !invocation.writes {
                continue;
            }
            let crash = Some(Crash::Wakes(index, call));
            if invocation.creates.contains(&call) {
                // It was checked that the run is not over, and only this request is left.
                let mut hole = Report::default();
                attempt(scene, mutant, crash, &mut hole);
                report.points += 1;
                report.brought_back += u64::from(hole.violation.is_some());
            } else {
                attempt(scene, mutant, crash, &mut report);
            }
        }
    }
    report
}

/// One history. Returns its invocations.
fn attempt(
    scene: Scene,
    mutant: Option<Mutant>,
    crash: Option<Crash>,
    report: &mut Report,
) -> Vec<Invocation> {
    if report.violation.is_some() {
        return Vec::new();
    }
    report.points += 1;
    virtual_time(async {
        let world = World::new(7, scene, FaultRates::default(), mutant);
        let mut stage = Stage {
            world: Arc::clone(&world),
            crash,
            invocations: Vec::new(),
            late: Vec::new(),
        };
        for run in 0..RUNS {
            if !world.failed() {
                stage.run(run).await;
            }
        }
        let violation = world.checker().violation().cloned();
        let what = format!("{scene:?}: {crash:?}");
        report.violation = violation.map(|violation| (what, violation));
        stage.invocations
    })
}

/// An invocation that was observed from start to end.
struct Invocation {
    calls: u64,
    /// Whether it does a task, or prepares one, in a run that is not the last.
    writes: bool,
    /// The calls that create files.
    creates: BTreeSet<u64>,
}

struct Stage {
    world: Arc<World>,
    crash: Option<Crash>,
    invocations: Vec<Invocation>,
    /// Those that wake when the last run is over.
    late: Vec<JoinHandle<()>>,
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
        let is_last = run + 1 == RUNS;
        let mut paused = Vec::new();
        if let Some(Answer::Plan(plan)) = self.step(Work::Plan, is_last, &mut paused).await {
            for task in plan.prepare.iter().chain(&plan.tasks) {
                let work = Work::Write(task.clone());
                self.step(work, is_last, &mut paused).await;
            }
            let commit = Work::Commit(CommitRequest { plan: plan.plan });
            if matches!(self.crash, Some(Crash::Replaced(of)) if of == run) {
                self.replaced(&commit).await;
            }
            self.step(commit, is_last, &mut paused).await;
        }
        if is_last {
            paused.append(&mut self.late);
        }
        for paused in paused {
            if let Err(error) = paused.await {
                self.world.fail(format!("panicked: {error}"));
            }
        }
        self.world.end();
    }

    /// The commit over a file that somebody has replaced by an object of its size, and has put back then.
    async fn replaced(&self, commit: &Work) {
        let Some(restore) = self.world.replace_a_file() else {
            return self.world.fail("P3: the run has no file".to_owned());
        };
        if let (Ok(_), _) = invoke(&self.world, commit, Plan::default()).await {
            let what = "P2: a file that was replaced is committed";
            self.world.fail(what.to_owned());
        }
        restore();
    }

    /// One invocation, and again until it is answered.
    async fn step(
        &mut self,
        work: Work,
        is_last: bool,
        paused: &mut Vec<JoinHandle<()>>,
    ) -> Option<Answer> {
        let index = self.invocations.len();
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
            Some(Crash::Wakes(at, call)) if at == index => {
                let (world, work) = (Arc::clone(&self.world), work.clone());
                let plan = Plan {
                    sleep: Some((call, world.cloud.clock.now() + LATE)),
                    ..Plan::default()
                };
                self.late.push(spawn_local(async move {
                    let _ = invoke(&world, &work, plan).await;
                }));
                // It is alone until it sleeps, so that its calls are those that were seen.
                let limit = Duration::try_from(ASLEEP).unwrap_or_default();
                self.world.cloud.clock.sleep(limit).await;
                Plan::default()
            }
            _ => Plan::default(),
        };
        let begun = self.world.cloud.with(|state| state.history.entries().len());
        let (answer, calls) = invoke(&self.world, &work, plan).await;
        self.invocations.push(Invocation {
            calls,
            writes: matches!(work, Work::Write(_)) && !is_last,
            creates: self.world.created_since(begun),
        });
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

/// The answer or the error, and the calls that it made.
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
