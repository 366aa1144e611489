//! All crash points of every step: killed before and after each of its calls, and paused before each of them until just
//! before its deadline, while a twin does the work and compaction continues as fast as it is allowed to.

use std::sync::Arc;

use fastrand::Rng;
use jiff::SignedDuration;
use lakewright_core::location::Location;
use lakewright_jobs::{
    compact::{Item, Step, StepRequest},
    rekey::SourceObject,
};
use lakewright_model::{Death, FaultRates, Plan, Settings, virtual_time};
use lakewright_ports::Clock;
use tokio::task::spawn_local;

use super::{
    mutant::Mutant,
    world::{End, GRACE, LIMIT, LONGEST_INVOCATION, Role, Setup, World},
};
use crate::sim::{
    Violation,
    source::{Shape, Source},
};

/// The result of the crash points.
#[derive(Debug)]
pub struct Report {
    /// The number of crash points.
    pub points: u64,
    /// The first one at which an invariant did not hold, and which.
    pub violation: Option<(String, Violation)>,
}

const ROLES: [Role; 7] = [
    Role::Rekey,
    Role::Plan,
    Role::Merge,
    Role::Publish,
    Role::Sweep,
    Role::Delete,
    Role::Abandon,
];

/// The calls before which a writer and a publisher are paused: all that they make in this scene, and one more.
const RACE: &[u64] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
];

/// The calls before which an abandoning invocation is paused: its first ones, and one more.
const ABANDONER: &[u64] = &[1, 2, 3, 4, 5, 6, 7, 8];

/// What happens to the victim at its `n`th call.
#[derive(Debug, Clone, Copy)]
enum Blow {
    DiesBefore(u64),
    DiesAfter(u64),
    SleepsBefore(u64),
}

/// Tries every crash point, and every race of a writer and a publisher.
pub fn enumerate(mutant: Option<Mutant>) -> Report {
    let mut points = 0;
    let report = |points, place: String, violation| Report {
        points,
        violation: Some((place, violation)),
    };
    for role in ROLES {
        let (calls, violation) = play(role, None, mutant);
        if let Some(violation) = violation {
            return report(points, format!("{role:?}, undisturbed"), violation);
        }
        for call in 1..=calls {
            for blow in [Blow::DiesBefore, Blow::DiesAfter, Blow::SleepsBefore] {
                let blow = blow(call);
                points += 1;
                if let (_, Some(violation)) = play(role, Some(blow), mutant) {
                    return report(points, format!("{role:?} {blow:?}"), violation);
                }
            }
        }
    }
    for writer in RACE {
        for publisher in RACE {
            points += 1;
            if let Some(violation) = race(*writer, *publisher, mutant) {
                let place = format!("rekey at call {writer}, publish at call {publisher}");
                return report(points, place, violation);
            }
        }
    }
    for publisher in RACE {
        for abandoner in ABANDONER {
            for publisher_first in [true, false] {
                points += 1;
                if let Some(violation) = abandon(*publisher, *abandoner, publisher_first, mutant) {
                    let place = format!("publish at call {publisher}, abandon at call {abandoner}");
                    return report(points, place, violation);
                }
            }
        }
    }
    Report {
        points,
        violation: None,
    }
}

/// A publisher and an invocation that abandons its plan are both paused before one of their calls.
fn abandon(
    publisher: u64,
    abandoner: u64,
    publisher_first: bool,
    mutant: Option<Mutant>,
) -> Option<Violation> {
    virtual_time(async move {
        let stage = Arc::new(Stage::new(mutant));
        if let Err(message) = stage.abandon(publisher, abandoner, publisher_first).await {
            stage.world.fail(message);
        }
        let checker = stage.world.checker();
        checker.violation().cloned()
    })
}

/// Runs a compaction in which the first invocation of a role is killed or paused. Returns how many calls it made.
fn play(role: Role, blow: Option<Blow>, mutant: Option<Mutant>) -> (u64, Option<Violation>) {
    virtual_time(async move {
        let stage = Arc::new(Stage::new(mutant));
        let calls = match stage.play(role, blow).await {
            Ok(calls) => calls,
            Err(message) => {
                stage.world.fail(message);
                0
            }
        };
        let violation = stage.world.checker().violation().cloned();
        (calls, violation)
    })
}

/// A writer is paused before one of its calls, and continues while a publisher is paused before one of its calls.
fn race(writer: u64, publisher: u64, mutant: Option<Mutant>) -> Option<Violation> {
    virtual_time(async move {
        let stage = Arc::new(Stage::new(mutant));
        if let Err(message) = stage.race(writer, publisher).await {
            stage.world.fail(message);
        }
        let checker = stage.world.checker();
        checker.violation().cloned()
    })
}

struct Stage {
    world: Arc<World>,
    rng: std::sync::Mutex<Rng>,
}

impl Stage {
    fn new(mutant: Option<Mutant>) -> Self {
        let setup = Setup {
            settings: Settings {
                page: 4,
                encrypted_only: true,
                ..Settings::default()
            },
            rates: FaultRates::default(),
            one_file: true,
            routed: false,
            mutant,
        };
        Self {
            world: World::new(1, setup),
            rng: Rng::with_seed(1).into(),
        }
    }

    async fn race(self: &Arc<Self>, writer: u64, publisher: u64) -> Result<(), String> {
        for name in ["a", "b", "c"] {
            self.rekey(&self.land(name)).await?;
        }
        self.wait(LONGEST_INVOCATION).await;
        let item = self.planned().await?;
        self.merge(&item).await?;
        let asleep = |call, seconds| Plan {
            sleep: Some((
                call,
                self.world.cloud.clock.now() + SignedDuration::from_secs(seconds),
            )),
            ..Plan::default()
        };
        let (source, plan) = (self.land("f"), asleep(writer, 30));
        let stage = Arc::clone(self);
        let writing = spawn_local(async move { stage.world.rekey(&[source], plan).await.1 });
        self.world.pause(10_000).await;
        let request = StepRequest {
            plan: item.plan,
            partition: item.partition,
            step: Step::Publish,
        };
        self.world.step(&request, asleep(publisher, 60)).await;
        writing
            .await
            .map_err(|error| format!("panicked: {error}"))?;
        self.settle().await
    }

    async fn abandon(
        self: &Arc<Self>,
        publisher: u64,
        abandoner: u64,
        publisher_first: bool,
    ) -> Result<(), String> {
        for name in ["a", "b", "c", "f"] {
            self.rekey(&self.land(name)).await?;
        }
        self.wait(LONGEST_INVOCATION).await;
        let item = self.planned().await?;
        self.merge(&item).await?;
        let request = |step| StepRequest {
            plan: item.plan.clone(),
            partition: item.partition.clone(),
            step,
        };
        let both = [
            (request(Step::Publish), publisher),
            (request(Step::Abandon), abandoner),
        ];
        let [first, second] = both;
        let (first, second) = if publisher_first {
            (first, second)
        } else {
            (second, first)
        };
        let asleep = |call, seconds| Plan {
            sleep: Some((
                call,
                self.world.cloud.clock.now() + SignedDuration::from_secs(seconds),
            )),
            ..Plan::default()
        };
        let (stage, plan) = (Arc::clone(self), asleep(first.1, 30));
        let one = spawn_local(async move { stage.world.step(&first.0, plan).await.1 });
        self.world.pause(10_000).await;
        self.world.step(&second.0, asleep(second.1, 60)).await;
        one.await.map_err(|error| format!("panicked: {error}"))?;
        self.settle().await
    }

    async fn wait(&self, duration: SignedDuration) {
        let seconds = u64::try_from(duration.as_secs()).unwrap_or_default();
        self.world.pause(seconds * 1_000 + 2_000).await;
    }

    fn land(&self, name: &str) -> SourceObject {
        let shape = Shape {
            rows: 2,
            hours: 1,
            broken: 0,
            concatenated: true,
            gzip: false,
            padding: 0,
            new_fields: false,
            flaw: None,
            routed: false,
        };
        let location = Location::new("landing", format!("sim/2026/05/01/00/{name}"));
        let mut rng = self
            .rng
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        self.world
            .land(&Source::generate(location, name, shape, &mut rng))
    }

    async fn rekey(&self, source: &SourceObject) -> Result<(), String> {
        let sources = std::slice::from_ref(source);
        match self.world.rekey(sources, Plan::default()).await.0 {
            End::Answered(Ok(())) => Ok(()),
            end => Err(format!("R5: rekey of {}: {end:?}", source.location)),
        }
    }

    async fn play(self: &Arc<Self>, role: Role, blow: Option<Blow>) -> Result<u64, String> {
        for name in ["a", "b", "c"] {
            self.rekey(&self.land(name)).await?;
        }
        // These will be settled soon after the first generation is planned.
        self.world.pause(60_000).await;
        for name in ["d", "e"] {
            self.rekey(&self.land(name)).await?;
        }
        self.world.pause(182_000).await;
        let writer = self.land("f");
        let victim = match role {
            Role::Plan => Victim::Plan,
            Role::Rekey => {
                self.merge(&self.planned().await?).await?;
                Victim::Rekey(writer)
            }
            Role::Merge => Victim::Merge(self.planned().await?),
            Role::Publish | Role::Sweep | Role::Delete | Role::Abandon => {
                Victim::Step(self.led_up_to(role).await?)
            }
        };
        let plan = match blow {
            None => Plan::default(),
            Some(Blow::DiesBefore(call)) => Plan {
                death: Some(Death::Before(call)),
                ..Plan::default()
            },
            Some(Blow::DiesAfter(call)) => Plan {
                death: Some(Death::After(call)),
                ..Plan::default()
            },
            Some(Blow::SleepsBefore(call)) => Plan {
                sleep: Some((call, self.world.deadline() - SignedDuration::from_secs(1))),
                ..Plan::default()
            },
        };
        let is_asleep = plan.sleep.is_some();
        let stage = Arc::clone(self);
        let victim = spawn_local(async move { victim.act(&stage.world, plan).await });
        if is_asleep {
            self.world.pause(2_000).await;
            self.hurry().await?;
        }
        let calls = victim.await.map_err(|error| format!("panicked: {error}"))?;
        self.settle().await?;
        Ok(calls)
    }

    /// The one partition's item of a new plan.
    async fn planned(&self) -> Result<Item, String> {
        let items = self.plan().await?;
        let item = items.into_iter().next();
        item.ok_or_else(|| "C4: nothing is planned".to_owned())
    }

    /// The step of a role, when everything before it is done and it is due.
    async fn led_up_to(&self, role: Role) -> Result<StepRequest, String> {
        let item = self.planned().await?;
        self.merge(&item).await?;
        let request = |step| StepRequest {
            plan: item.plan.clone(),
            partition: item.partition.clone(),
            step,
        };
        if role == Role::Publish {
            self.carried(&request(Step::Publish)).await;
            return Ok(request(Step::Publish));
        }
        if role == Role::Abandon {
            self.carried(&request(Step::Publish)).await;
            return Ok(request(Step::Abandon));
        }
        self.step(&request(Step::Publish)).await?;
        self.wait(LONGEST_INVOCATION).await;
        if role == Role::Sweep {
            return Ok(request(Step::Sweep));
        }
        self.step(&request(Step::Sweep)).await?;
        self.wait(GRACE).await;
        Ok(request(Step::Delete))
    }

    /// Publishers die just before the swap until all is carried; then time passes until the carried files are settled.
    async fn carried(&self, request: &StepRequest) {
        let generations = Location::new("lake", "sim.generations/");
        for call in 1.. {
            let plan = Plan {
                death: Some(Death::Before(call)),
                ..Plan::default()
            };
            self.world.step(request, plan).await;
            // The merged file, and the two files that are not merged.
            if self.world.checker().existing(&generations) >= 3 {
                break;
            }
        }
        self.wait(LONGEST_INVOCATION).await;
    }

    /// Does everything that is allowed, at once, for the lifetime of an invocation, while objects continue to land.
    async fn hurry(&self) -> Result<(), String> {
        let over = self.world.cloud.clock.now() + LIMIT;
        let mut landed = 0;
        while self.world.cloud.clock.now() < over {
            for item in self.plan().await? {
                self.merge(&item).await?;
                let mut request = StepRequest {
                    plan: item.plan,
                    partition: item.partition,
                    step: item.step,
                };
                // As if no step had to wait.
                for _ in 0..3 {
                    let (end, _) = self.world.step(&request, Plan::default()).await;
                    match end {
                        End::Answered(Ok(report)) => match report.next {
                            Some(next) => request = next,
                            None => break,
                        },
                        _ => break,
                    }
                }
            }
            let source = self.land(&format!("l{landed}"));
            landed += 1;
            self.rekey(&source).await?;
            self.world.pause(5_000).await;
        }
        Ok(())
    }

    /// Repeats everything until there is nothing left to do.
    async fn settle(&self) -> Result<(), String> {
        self.rekey(&Self::landed("f")).await?;
        for _ in 0..20 {
            self.wait(LONGEST_INVOCATION).await;
            self.wait(GRACE).await;
            let items = self.plan().await?;
            if items.is_empty() {
                let now = self.world.cloud.clock.now();
                self.world.checker().finish(now);
                return Ok(());
            }
            for item in items {
                self.merge(&item).await?;
                let mut request = StepRequest {
                    plan: item.plan,
                    partition: item.partition,
                    step: item.step,
                };
                while let Some((next, seconds)) = self.step(&request).await? {
                    request = next;
                    self.world.pause(seconds * 1_000).await;
                }
            }
        }
        Err("C4: compaction never comes to an end".to_owned())
    }

    /// An object that landed before, as a sweep would name it.
    fn landed(name: &str) -> SourceObject {
        SourceObject {
            location: Location::new("landing", format!("sim/2026/05/01/00/{name}")),
            etag: None,
            size: None,
        }
    }

    async fn plan(&self) -> Result<Vec<Item>, String> {
        match self.world.plan(Plan::default()).await.0 {
            End::Answered(Ok(report)) if report.refused.is_empty() => Ok(report.tasks),
            end => Err(format!("C4: planning: {end:?}")),
        }
    }

    async fn merge(&self, item: &Item) -> Result<(), String> {
        for task in &item.merges {
            match self.world.merge(task, Plan::default()).await.0 {
                End::Answered(Ok(_)) => {}
                end => return Err(format!("C4: merging: {end:?}")),
            }
        }
        Ok(())
    }

    async fn step(&self, request: &StepRequest) -> Result<Option<(StepRequest, u64)>, String> {
        match self.world.step(request, Plan::default()).await.0 {
            End::Answered(Ok(report)) => Ok(report.next.map(|next| (next, report.wait_seconds))),
            end => Err(format!("C4: {:?}: {end:?}", request.step)),
        }
    }
}

/// The invocation that is killed or paused.
enum Victim {
    Rekey(SourceObject),
    Plan,
    Merge(Item),
    Step(StepRequest),
}

impl Victim {
    /// Returns how many calls it made.
    async fn act(&self, world: &World, plan: Plan) -> u64 {
        match self {
            Self::Rekey(source) => world
                .rekey(std::slice::from_ref(source), plan)
                .await
                .1
                .calls(),
            Self::Plan => world.plan(plan).await.1.calls(),
            Self::Merge(item) => match item.merges.first() {
                Some(task) => world.merge(task, plan).await.1.calls(),
                None => 0,
            },
            Self::Step(request) => world.step(request, plan).await.1.calls(),
        }
    }
}
