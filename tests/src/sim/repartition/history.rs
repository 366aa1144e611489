//! Random histories: three consecutive runs, with fault rates from the seed, twins and killed invocations.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use futures::future::join_all;
use lakewright_jobs::repartition::{CommitRequest, TaskRequest};
use lakewright_model::{Death, Fault, FaultCounts, FaultRates, Plan, virtual_time};
use lakewright_ports::Clock;

use super::{
    crash::{Answer, Work, invoke},
    mutant::Mutant,
    scene::Scene,
    world::{LIMIT, World},
};
use crate::sim::Violation;

/// How often a step is tried before the run counts as one that never ends.
const TRIES: usize = 30;

/// The runs and the first violation.
#[derive(Debug)]
pub struct Run {
    /// The first violation.
    pub violation: Option<Violation>,
    /// The number of faults by kind.
    pub injected: FaultCounts,
}

/// One history.
pub fn run(seed: u64, mutant: Option<Mutant>) -> Run {
    virtual_time(async {
        let mut rng = Rng::with_seed(seed);
        let scene = Scene::ALL
            .get(rng.usize(..Scene::ALL.len()))
            .copied()
            .unwrap_or(Scene::ByColumn);
        let rates = FaultRates::draw(&mut rng);
        let world = World::new(rng.u64(..), scene, rates, mutant);
        for run in 0..3 {
            if world.failed() {
                break;
            }
            world.begin(run);
            let whole = whole(&world, &mut rng).await;
            // The requests of dead invocations that are still in flight arrive.
            let limit = Duration::try_from(LIMIT * 2).unwrap_or_default();
            world.cloud.clock.sleep(limit).await;
            if whole.is_some() {
                world.end();
            }
        }
        Run {
            violation: world.checker().violation().cloned(),
            injected: world.cloud.with(|state| state.injected.clone()),
        }
    })
}

/// A whole run.
async fn whole(world: &Arc<World>, rng: &mut Rng) -> Option<()> {
    let Answer::Plan(plan) = step(world, &Work::Plan, rng).await? else {
        return None;
    };
    for list in [&plan.prepare, &plan.tasks] {
        let mut list: Vec<TaskRequest> = list.clone();
        rng.shuffle(&mut list);
        for task in list {
            step(world, &Work::Write(task), rng).await?;
        }
    }
    let commit = CommitRequest { plan: plan.plan };
    step(world, &Work::Commit(commit), rng).await.map(drop)
}

/// Runs a step, by one or several invocations at once, until one has answered and all have ended.
async fn step(world: &Arc<World>, work: &Work, rng: &mut Rng) -> Option<Answer> {
    let mut last = String::new();
    for _ in 0..TRIES {
        let twins = if rng.u8(..4) == 0 { 2 } else { 1 };
        if twins > 1 {
            world.cloud.count(Fault::Twin);
        }
        let plans = (0..twins).map(|_| {
            let call = rng.u64(1..20);
            let death = match rng.u8(..6) {
                0 => Some(Death::Before(call)),
                1 => Some(Death::After(call)),
                _ => None,
            };
            Plan {
                death,
                loses_in_flight: rng.bool(),
                ..Plan::default()
            }
        });
        let plans = plans.collect::<Vec<_>>();
        let answers = join_all(plans.into_iter().map(|plan| invoke(world, work, plan))).await;
        let mut good = None;
        for (answer, _) in answers {
            match answer {
                Ok(answer) => good = good.or(Some(answer)),
                Err(error) => last = error,
            }
        }
        if good.is_some() {
            return good;
        }
        if world.failed() {
            return None;
        }
    }
    world.fail(format!("P3: {work:?} never succeeds: {last}"));
    None
}
