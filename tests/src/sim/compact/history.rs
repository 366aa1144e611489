//! Random histories: objects land and are rekeyed by twins and slow invocations, while other invocations compact, sweep
//! and clean up the table, and queries read it; calls fail and invocations are killed, all from one seed. Then
//! everything is repeated without faults, and every row must exist once, with nothing left over.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use fastrand::Rng;
use futures::future::join_all;
use jiff::SignedDuration;
use lakewright_core::location::Location;
use lakewright_jobs::{
    compact::{Item, Step, StepRequest, StepStatus},
    rekey::SourceObject,
};
use lakewright_model::{Death, Fault, FaultCounts, FaultRates, Plan, Settings, virtual_time};
use tokio::task::{JoinHandle, spawn_local};

use super::{
    mutant::Mutant,
    reader::Reader,
    world::{End, GRACE, LONGEST_INVOCATION, Setup, World},
};
use crate::sim::{
    Violation,
    source::{Shape, Source},
};

/// How long faults are injected, in milliseconds.
const STORM: u64 = 75 * 60_000;

/// How many invocations compact at once.
const COMPACTORS: usize = 2;

/// The most steps that follow each other.
const STEPS: usize = 12;

/// How often everything is repeated before a history counts as one that never ends.
const ROUNDS: usize = 40;

/// One seed's history.
#[derive(Debug)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// The first invariant that did not hold, if any.
    pub violation: Option<Violation>,
    /// The number of faults by kind.
    pub injected: FaultCounts,
    /// The number of invocations.
    pub invocations: u32,
    /// How often a partition was pointed at another directory.
    pub moves: u64,
    /// Files that were deleted.
    pub deletions: u64,
    /// A digest, which is equal for equal histories.
    pub digest: [u8; 32],
    /// The events, one per line.
    pub lines: Vec<String>,
}

/// Runs the history of a seed.
pub fn run(seed: u64, mutant: Option<Mutant>) -> Run {
    virtual_time(async move {
        let mut rng = Rng::with_seed(seed ^ 0x00c0_3bac_da7a_1a4e);
        let setup = Setup {
            settings: Settings {
                page: rng.usize(2..6),
                versioned: rng.bool(),
                opaque_etags: rng.bool(),
                encrypted_only: true,
                ..Settings::default()
            },
            rates: FaultRates::draw(&mut rng),
            one_file: rng.bool(),
            routed: seed.is_multiple_of(3),
            mutant,
        };
        let theatre = Arc::new(Theatre {
            world: World::new(rng.u64(..), setup),
            stormy: AtomicBool::new(true),
            landed: Mutex::default(),
        });
        theatre.play(&mut rng).await;
        let world = &theatre.world;
        let checker = world.checker();
        let (violation, moves, deletions) = (
            checker.violation().cloned(),
            checker.moves,
            checker.deletions,
        );
        drop(checker);
        world.cloud.with(|state| Run {
            seed,
            violation,
            injected: state.injected.clone(),
            invocations: world.invocations(),
            moves,
            deletions,
            digest: state.history.digest(),
            lines: state
                .history
                .entries()
                .iter()
                .map(ToString::to_string)
                .collect(),
        })
    })
}

struct Theatre {
    world: Arc<World>,
    stormy: AtomicBool,
    landed: Mutex<Vec<SourceObject>>,
}

impl Theatre {
    fn landed(&self) -> MutexGuard<'_, Vec<SourceObject>> {
        self.landed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to two of the objects that landed last.
    fn recent(&self, rng: &mut Rng) -> Vec<SourceObject> {
        let landed = self.landed();
        let mut recent = landed.iter().rev().take(4).cloned().collect::<Vec<_>>();
        drop(landed);
        rng.shuffle(&mut recent);
        recent.truncate(rng.usize(0..3));
        recent
    }

    fn is_stormy(&self) -> bool {
        self.stormy.load(Ordering::Relaxed) && !self.world.failed()
    }

    async fn play(self: &Arc<Self>, rng: &mut Rng) {
        let mut actors: Vec<JoinHandle<()>> = Vec::new();
        for _ in 0..COMPACTORS {
            actors.push(spawn_local(Arc::clone(self).compact(rng.fork())));
        }
        for pace in [1_000, 90_000] {
            actors.push(spawn_local(Arc::clone(self).read(pace, rng.fork())));
        }
        let landed = self.land(rng, &mut actors).await;
        self.stormy.store(false, Ordering::Relaxed);
        for actor in join_all(actors).await {
            if let Err(error) = actor {
                self.world.fail(format!("panicked: {error}"));
            }
        }
        self.world
            .cloud
            .with(|state| state.rates = FaultRates::default());
        self.settle(&landed).await;
    }

    /// Objects land during the faults; each event is delivered once or several times, some of them late.
    async fn land(
        self: &Arc<Self>,
        rng: &mut Rng,
        actors: &mut Vec<JoinHandle<()>>,
    ) -> Vec<SourceObject> {
        let count = rng.u64(8..18);
        let mut landed = Vec::new();
        for index in 0..count {
            self.world.pause(rng.u64(0..2 * STORM / count)).await;
            let location = Location::new("landing", format!("sim/2026/05/01/00/s{index}"));
            let shape = Shape {
                rows: rng.usize(1..5),
                hours: 1 + usize::from(rng.u8(0..4) == 0),
                broken: 0,
                concatenated: true,
                gzip: false,
                padding: 0,
                new_fields: false,
                flaw: None,
                routed: false,
            };
            let source = Source::generate(location, &format!("s{index}"), shape, rng);
            let source = self.world.land(&source);
            landed.push(source.clone());
            self.landed().push(source.clone());
            let twins = rng.usize(1..4);
            if twins > 1 {
                self.world.cloud.count(Fault::Twin);
            }
            for _ in 0..twins {
                let deliver = Arc::clone(self).deliver(source.clone(), rng.fork());
                actors.push(spawn_local(deliver));
            }
        }
        landed
    }

    /// Delivers an event until it is answered.
    async fn deliver(self: Arc<Self>, source: SourceObject, mut rng: Rng) {
        let longest = [2_000, 60_000, 900_000][rng.usize(0..3)];
        self.world.pause(rng.u64(0..longest)).await;
        while self.is_stormy() {
            let plan = self.draw_plan(&mut rng);
            // The batches overlap: each has some of the objects that landed shortly before, which others deliver too.
            let mut together = vec![source.clone()];
            together.extend(
                self.recent(&mut rng)
                    .into_iter()
                    .filter(|other| *other != source),
            );
            let (end, _) = self.world.rekey(&together, plan).await;
            if matches!(end, End::Answered(Ok(()))) {
                return;
            }
            self.world.pause(rng.u64(1_000..400_000)).await;
        }
    }

    async fn read(self: Arc<Self>, pace: u64, mut rng: Rng) {
        let mut reader = Reader::new(&self.world);
        while self.is_stormy() {
            self.world.pause(rng.u64(1_000..240_000)).await;
            if let Err(message) = reader.query(pace, &mut rng).await {
                self.world.fail(message);
            }
        }
    }

    /// A schedule that plans and executes the plan.
    async fn compact(self: Arc<Self>, mut rng: Rng) {
        while self.is_stormy() {
            self.world.pause(rng.u64(1_000..150_000)).await;
            let plan = self.draw_plan(&mut rng);
            let (end, _) = self.world.plan(plan).await;
            let End::Answered(Ok(report)) = end else {
                continue;
            };
            let mut items = Vec::new();
            for item in report.tasks {
                items.push(spawn_local(Arc::clone(&self).work_off(item, rng.fork())));
            }
            if rng.bool() {
                for item in join_all(items).await {
                    if let Err(error) = item {
                        self.world.fail(format!("panicked: {error}"));
                    }
                }
            }
        }
    }

    /// The state machine's child execution for one partition. A later run continues what it leaves unfinished.
    async fn work_off(self: Arc<Self>, item: Item, mut rng: Rng) {
        for task in &item.merges {
            let times = [0, 1, 1, 1, 1, 2][rng.usize(0..6)];
            let twins = (0..times).map(|_| self.world.merge(task, self.draw_plan(&mut rng)));
            join_all(twins.collect::<Vec<_>>()).await;
        }
        let mut request = StepRequest {
            plan: item.plan,
            partition: item.partition,
            step: item.step,
        };
        if request.step == Step::Publish && rng.u8(0..8) == 0 {
            request.step = Step::Abandon;
        }
        for _ in 0..STEPS {
            if !self.is_stormy() {
                return;
            }
            if rng.u8(0..4) == 0 {
                self.world.cloud.count(Fault::Twin);
                spawn_local(Arc::clone(&self).twin(request.clone(), rng.fork()));
            }
            let plan = self.draw_plan(&mut rng);
            let (end, _) = self.world.step(&request, plan).await;
            let End::Answered(Ok(report)) = end else {
                if rng.bool() {
                    return;
                }
                self.world.pause(rng.u64(1_000..60_000)).await;
                continue;
            };
            let Some(next) = report.next else {
                return;
            };
            if rng.u8(0..3) == 0 {
                return;
            }
            request = next;
            let wait = report.wait_seconds * 1_000;
            // Some do not wait as long as they should.
            let wait = if rng.bool() { wait } else { rng.u64(0..=wait) };
            self.world.pause(wait).await;
        }
    }

    /// Runs the same step again, at the same time or somewhat later.
    async fn twin(self: Arc<Self>, request: StepRequest, mut rng: Rng) {
        let longest = [100, 5_000, 600_000][rng.usize(0..3)];
        self.world.pause(rng.u64(0..longest)).await;
        let plan = self.draw_plan(&mut rng);
        self.world.step(&request, plan).await;
    }

    fn draw_plan(&self, rng: &mut Rng) -> Plan {
        let mut plan = Plan::default();
        let call = rng.u64(1..24);
        plan.loses_in_flight = rng.bool();
        match rng.u8(0..10) {
            0 => plan.death = Some(Death::Before(call)),
            1 => plan.death = Some(Death::After(call)),
            2 | 3 => {
                let early = SignedDuration::from_millis(rng.i64(1..20_000));
                plan.sleep = Some((call, self.world.deadline() - early));
            }
            _ => {}
        }
        plan
    }

    /// Repeats everything until there is nothing left to do.
    async fn settle(&self, landed: &[SourceObject]) {
        let wait = |duration: SignedDuration| {
            let seconds = u64::try_from(duration.as_secs()).unwrap_or_default();
            self.world.pause(seconds * 1_000 + 2_000)
        };
        for _ in 0..ROUNDS {
            wait(LONGEST_INVOCATION).await;
            for source in landed {
                if self.world.failed() {
                    return;
                }
                if self.world.checker().is_committed(source) {
                    continue;
                }
                let source = std::slice::from_ref(source);
                let (end, _) = self.world.rekey(source, Plan::default()).await;
                if let End::Answered(Err(error)) = end {
                    self.world
                        .fail(format!("R5: rekey fails in fair weather: {error}"));
                }
            }
            wait(GRACE).await;
            match self.compact_calmly().await {
                Err(message) => self.world.fail(message),
                Ok(0) => {
                    let now = lakewright_ports::Clock::now(&self.world.cloud.clock);
                    self.world.checker().finish(now);
                    return;
                }
                Ok(_) => {}
            }
            if self.world.failed() {
                return;
            }
        }
        self.world
            .fail("C4: compaction never comes to an end".to_owned());
    }

    /// Plans once and executes the plan. Returns the number of tasks.
    async fn compact_calmly(&self) -> Result<usize, String> {
        let (end, _) = self.world.plan(Plan::default()).await;
        let report = match end {
            End::Answered(Ok(report)) => report,
            End::Answered(Err(error)) => {
                return Err(format!("C4: planning fails in fair weather: {error}"));
            }
            End::Died => return Err("C4: planning died in fair weather".to_owned()),
        };
        if let Some(refusal) = report.refused.first() {
            return Err(format!("C4: refused in fair weather: {refusal:?}"));
        }
        for item in &report.tasks {
            self.finish(item)
                .await
                .map_err(|message| format!("C4: {} of {message}", item.plan))?;
        }
        Ok(report.tasks.len())
    }

    async fn finish(&self, item: &Item) -> Result<(), String> {
        for task in &item.merges {
            let (end, _) = self.world.merge(task, Plan::default()).await;
            if let End::Answered(Err(error)) = end {
                return Err(format!("merging fails in fair weather: {error}"));
            }
        }
        let mut request = StepRequest {
            plan: item.plan.clone(),
            partition: item.partition.clone(),
            step: item.step,
        };
        for _ in 0..STEPS {
            let (end, _) = self.world.step(&request, Plan::default()).await;
            let report = match end {
                End::Answered(Ok(report)) => report,
                End::Answered(Err(error)) => {
                    return Err(format!("{:?} fails in fair weather: {error}", request.step));
                }
                End::Died => return Err(format!("{:?} died in fair weather", request.step)),
            };
            if report.status == StepStatus::Superseded {
                return Err(format!("{:?} is superseded in fair weather", request.step));
            }
            let Some(next) = report.next else {
                return Ok(());
            };
            request = next;
            self.world.pause(report.wait_seconds * 1_000).await;
        }
        Err("its steps never end".to_owned())
    }
}
