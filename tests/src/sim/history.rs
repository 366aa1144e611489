//! Random histories: objects land, events are lost, duplicated, delivered late and in ever other company, objects vanish
//! while they are read and some come back, invocations are killed, and calls fail, all from one seed. Then everything is
//! retried to its end, and delivered once more days later.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use futures::future::join_all;
use lakewright_core::location::Location;
use lakewright_jobs::rekey::{Delivered, SourceObject};
use lakewright_model::{
    Client, Death, Fault, FaultCounts, FaultRates, Plan, Received, Settings, virtual_time,
};
use lakewright_ports::{Clock, StoreErrorKind};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_local};

use super::{
    checker::Violation,
    mutant::Mutant,
    reader::Reader,
    source::{Shape, Source},
    world::{End, LIMIT, SMALL_MEMORY, STRICT, Setup, World},
};

const QUEUE: &str = "https://sqs/rekey";
const DEAD_LETTERS: &str = "https://sqs/rekey-dead";
const POLLERS: usize = 3;

/// How long faults are injected, in seconds.
const STORM: u64 = 900;

/// How long a poller waits between two receives from an empty queue, in milliseconds.
const SHORTEST_IDLE: u64 = 500;
const LONGEST_IDLE: u64 = 4 * 3_600_000;

/// How often dead letters are redriven and the sweep runs before a source counts as lost.
const ROUNDS: usize = 8;

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
    pub invocations: u64,
    /// The number of objects that landed.
    pub sources: usize,
    /// A digest, which is equal for equal histories.
    pub digest: [u8; 32],
    /// The events, one per line.
    pub lines: Vec<String>,
}

/// What lands in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// A few small objects, some of which are removed or replaced.
    Small,
    /// One object that requires multipart uploads.
    Large,
}

/// Runs the history of a seed.
pub fn run(seed: u64, scale: Scale, mutant: Option<Mutant>) -> Run {
    virtual_time(async move {
        let mut rng = Rng::with_seed(seed ^ 0x005e_ed0f_da7a_1a4e);
        let world_seed = rng.u64(..);
        let mut setup = draw_setup(&mut rng, scale, mutant);
        let is_of_columns = mutant.is_some_and(Mutant::is_of_columns);
        setup.table |= is_of_columns;
        setup.routed &= !is_of_columns;
        setup.adds = setup.table && !setup.routed && (is_of_columns || seed.is_multiple_of(3));
        let world = World::new(world_seed, setup);
        let theatre = Arc::new(Theatre {
            world,
            stormy: AtomicBool::new(true),
            over: AtomicBool::new(false),
        });
        let sources = theatre.play(scale, &mut rng).await;
        theatre.over.store(true, Ordering::Relaxed);
        let world = &theatre.world;
        let invocations = u64::from(world.invocations());
        let violation = world.checker().violation().cloned();
        world.cloud.with(|state| Run {
            seed,
            violation,
            injected: state.injected.clone(),
            invocations,
            sources,
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

fn draw_setup(rng: &mut Rng, scale: Scale, mutant: Option<Mutant>) -> Setup {
    Setup {
        settings: Settings {
            page: rng.usize(2..6),
            versioned: rng.bool(),
            opaque_etags: rng.bool(),
            completed_again: if rng.bool() {
                StoreErrorKind::NotFound
            } else {
                StoreErrorKind::PreconditionFailed
            },
            encrypted_only: true,
            ..Settings::default()
        },
        rates: FaultRates::draw(rng),
        table: rng.bool(),
        adds: false,
        memory: match scale {
            // With none, every batch of rows is spooled.
            Scale::Small if rng.bool() => 0,
            Scale::Small => 64 << 20,
            Scale::Large => SMALL_MEMORY,
        },
        scratch: if rng.bool() { 0 } else { u64::MAX },
        file_size: match scale {
            Scale::Small => 200,
            Scale::Large => 4_000_000,
        },
        routed: rng.u8(0..4) == 0,
        mutant,
    }
}

/// The world with its queue, its pollers and its readers.
struct Theatre {
    world: Arc<World>,
    stormy: AtomicBool,
    over: AtomicBool,
}

impl Theatre {
    async fn play(self: &Arc<Self>, scale: Scale, rng: &mut Rng) -> usize {
        let cloud = &self.world.cloud;
        let visibility = Duration::try_from(LIMIT * 2).unwrap_or_default();
        cloud.with(|state| {
            state.sqs.create(DEAD_LETTERS, visibility, None);
            let redrive = Some((4, DEAD_LETTERS));
            state.sqs.create(QUEUE, visibility, redrive);
        });
        let pollers: Vec<JoinHandle<()>> = (0..POLLERS)
            .map(|_| spawn_local(Arc::clone(self).poll(rng.fork())))
            .collect();
        let reader = spawn_local(Arc::clone(self).read(rng.fork()));
        let landed = match scale {
            Scale::Small => self.land_some(rng).await,
            Scale::Large => {
                let source = self.land("large", Shape::LARGE, rng);
                let beside = self.land("beside", Shape::draw(rng), rng);
                self.announce(&source, rng);
                self.announce(&beside, rng);
                vec![source, beside]
            }
        };
        self.calm().await;
        self.retry_all(&landed).await;
        cloud.with(|state| {
            // The effects of the faults are over by now.
            state.rates = FaultRates::default();
        });
        self.redeliver_days_later(&landed, rng).await;
        self.over.store(true, Ordering::Relaxed);
        for result in join_all(pollers.into_iter().chain([reader])).await {
            if let Err(error) = result {
                self.fail(format!("panicked: {error}"));
            }
        }
        let now = cloud.clock.now();
        self.world.checker().finish(now);
        landed.len()
    }

    fn fail(&self, message: String) {
        let now = self.world.cloud.clock.now();
        self.world.checker().fail(now, message);
    }

    fn failed(&self) -> bool {
        self.world.checker().violation().is_some()
    }

    /// Objects land over time, often several at once; some of them are removed or replaced soon after.
    async fn land_some(self: &Arc<Self>, rng: &mut Rng) -> Vec<SourceObject> {
        let mut landed: Vec<SourceObject> = Vec::new();
        let mut together = Vec::new();
        for index in 0..rng.usize(2..8) {
            if rng.bool() {
                pause(&self.world, rng.u64(0..60_000)).await;
            }
            let name = format!("s{index}");
            let source = self.land(&name, Shape::draw(rng), rng);
            landed.push(source.clone());
            if rng.u8(0..4) == 0 {
                together.push(source.clone());
            } else {
                self.announce(&source, rng);
            }
            if rng.u8(0..12) == 0 {
                pause(&self.world, rng.u64(0..20_000)).await;
                self.world.cloud.count(Fault::SourceReplaced);
                self.world.checker().lose(&source);
                let other = self.land(&name, Shape::draw(rng), rng);
                self.announce(&other, rng);
                landed.push(other);
            }
            if rng.u8(0..6) == 0 {
                self.send(&std::mem::take(&mut together));
            }
        }
        self.send(&together);
        landed
    }

    /// Somebody removes an object while it is processed, and some of them put it back.
    async fn meddle(self: Arc<Self>, source: SourceObject, mut rng: Rng) {
        let longest = [300, 3_000][rng.usize(0..2)];
        pause(&self.world, rng.u64(0..longest)).await;
        if let Some(bytes) = self.world.remove(&source)
            && rng.bool()
        {
            let longest = [300, 3_000, 400_000][rng.usize(0..3)];
            pause(&self.world, rng.u64(0..longest)).await;
            if !self.over.load(Ordering::Relaxed) && self.world.put_back(&source, bytes) {
                self.send(&[source]);
            }
        }
    }

    fn land(&self, name: &str, shape: Shape, rng: &mut Rng) -> SourceObject {
        let location = Location::new("landing", format!("sim/2026/05/01/00/{name}"));
        let ids = format!("{name}-{:04x}", rng.u16(..));
        self.world
            .land(Source::generate(location, &ids, self.shape(shape), rng))
    }

    /// Most events are sent.
    fn announce(&self, source: &SourceObject, rng: &mut Rng) {
        let cloud = &self.world.cloud;
        let times = match rng.u8(0..10) {
            0 => {
                cloud.count(Fault::LostEvent);
                0
            }
            1 | 2 => {
                cloud.count(Fault::Twin);
                2
            }
            3 => {
                cloud.count(Fault::Triplet);
                3
            }
            _ => 1,
        };
        for _ in 0..times {
            let mut named = source.clone();
            if rng.u8(0..12) == 0 {
                named.etag = None;
            }
            named.size = named.size.filter(|_| rng.bool());
            self.send(&[named]);
        }
    }

    /// Sends a message that names these objects.
    fn send(&self, sources: &[SourceObject]) {
        let now = self.world.cloud.clock.now();
        let body = match sources {
            [] => return,
            [source] => json!({
                "bucket": source.location.bucket,
                "key": source.location.key,
                "etag": source.etag,
                "size": source.size,
            }),
            several => {
                self.world.cloud.count(Fault::ManyInOne);
                let objects = several.iter().map(|source| {
                    json!({
                        "Bucket": source.location.bucket,
                        "Key": source.location.key,
                        "Etag": source.etag,
                        "Size": source.size,
                    })
                });
                json!({ "objects": objects.collect::<Vec<_>>() })
            }
        };
        let body = body.to_string();
        self.world
            .cloud
            .with(|state| state.sqs.send(QUEUE, body, now));
    }

    /// Waits until the time of faults is over, and ends it.
    async fn calm(&self) {
        for _ in 0..STORM / 10 {
            pause(&self.world, 10_000).await;
            if self.world.cloud.with(|state| state.sqs.is_empty(QUEUE)) || self.failed() {
                break;
            }
        }
        self.stormy.store(false, Ordering::Relaxed);
        self.world.cloud.with(|state| {
            // Requests are still slow and fail, but no more than retries can handle.
            state.rates = FaultRates {
                reset_after: 0.05,
                slow_down: 0.05,
                send_failure: 0.2,
                ..FaultRates::default()
            };
        });
    }

    /// Redrives dead letters and sweeps objects without a commit, until there is nothing left to do.
    async fn retry_all(&self, landed: &[SourceObject]) {
        let cloud = &self.world.cloud;
        for _ in 0..ROUNDS {
            self.drain().await;
            let is_settled = |source: &SourceObject| self.world.checker().is_settled(source);
            if self.failed() || landed.iter().all(is_settled) {
                return;
            }
            let now = cloud.clock.now();
            cloud.with(|state| state.sqs.redrive(DEAD_LETTERS, QUEUE, now));
            // A sweep that fails runs again in the next round.
            let swept = self.world.sweep(QUEUE).await;
            cloud.note("sweep", QUEUE, &format!("{swept:?}"));
        }
    }

    /// Waits until the queue is empty.
    async fn drain(&self) {
        while !self.failed() && !self.world.cloud.with(|state| state.sqs.is_empty(QUEUE)) {
            pause(&self.world, 60_000).await;
        }
    }

    /// Delivers every event once more after a compaction has merged some files: no row may come back.
    async fn redeliver_days_later(&self, landed: &[SourceObject], rng: &mut Rng) {
        if self.failed() {
            return;
        }
        pause(&self.world, 3 * 24 * 3_600_000).await;
        self.compact(rng);
        for source in landed {
            self.world.cloud.count(Fault::LateRedelivery);
            self.send(std::slice::from_ref(source));
        }
        self.drain().await;
    }

    fn shape(&self, shape: Shape) -> Shape {
        Shape {
            routed: self.world.is_routed(),
            new_fields: shape.new_fields || self.world.adds(),
            ..shape
        }
    }

    /// Moves some files to another name, as if merged: of batches that are committed, because compact merges no others.
    fn compact(&self, rng: &mut Rng) {
        let target = Location::new("lake", "sim/year=");
        let files: Vec<_> = self.world.cloud.with(|state| {
            let below = state.s3.below(&target);
            let is_committed = |location: &Location| {
                let name = location.key.rsplit('/').next().unwrap_or_default();
                let bid = name.split('-').next().unwrap_or_default();
                let commit = format!("sim/_lakewright/commit/{bid}");
                state.s3.object(&Location::new("lake", commit)).is_some()
            };
            below
                .map(|(location, object)| {
                    let is_committed = is_committed(location);
                    (location.clone(), object.bytes.clone(), is_committed)
                })
                .collect()
        });
        for (location, bytes, is_committed) in files {
            if rng.bool() && is_committed {
                let merged = Location::new("lake", format!("{}-merged", location.key));
                self.world.checker().fold(&location.key, &merged.key);
                self.world.cloud.place(&merged, bytes);
                self.world.cloud.remove(&location);
            }
        }
    }

    /// An event source mapping: receives messages, invokes the function, and deletes the messages that it answers.
    async fn poll(self: Arc<Self>, mut rng: Rng) {
        let cloud = Arc::clone(&self.world.cloud);
        let mut idle = SHORTEST_IDLE;
        while !self.over.load(Ordering::Relaxed) && !self.failed() {
            let most = rng.usize(1..8);
            let now = cloud.clock.now();
            let received = cloud.with(|state| {
                let rate = if self.stormy.load(Ordering::Relaxed) {
                    state.rates.duplicate_delivery
                } else {
                    0.0
                };
                let (received, again, dead) = state.sqs.receive(QUEUE, most, now, rate, &mut rng);
                for _ in 0..again {
                    state.injected.add(Fault::DuplicateDelivery);
                }
                for _ in 0..dead {
                    state.injected.add(Fault::DeadLetter);
                }
                received
            });
            if received.is_empty() {
                pause(&self.world, rng.u64(idle / 2..idle)).await;
                let stormy = self.stormy.load(Ordering::Relaxed);
                let longest = if stormy { 8_000 } else { LONGEST_IDLE };
                idle = (idle * 2).min(longest);
            } else {
                idle = SHORTEST_IDLE;
                self.deliver(&received, &mut rng).await;
            }
        }
    }

    async fn deliver(self: &Arc<Self>, received: &[Received], rng: &mut Rng) {
        let mut objects: Vec<Delivered> = Vec::new();
        for message in received {
            if message.receives > 2 {
                self.world.cloud.count(Fault::Dissolved);
            }
            let named = sources(&message.body).into_iter();
            objects.extend(named.map(|object| Delivered {
                object,
                receives: message.receives,
                just_landed: message.receives == 1,
            }));
        }
        let stormy = self.stormy.load(Ordering::Relaxed);
        if stormy
            && rng.u8(0..12) == 0
            && let Some(victim) = rng.choice(&objects)
        {
            spawn_local(Arc::clone(self).meddle(victim.object.clone(), rng.fork()));
        }
        // In fair weather, no deployment refuses what another one takes.
        let deployment = rng.usize(0..if stormy { STRICT + 1 } else { STRICT });
        let plan = self.draw_plan(rng);
        let began = self.world.cloud.clock.now();
        let (end, _) = self.world.invoke(&objects, deployment, plan).await;
        let End::Answered(answers) = end else {
            return;
        };
        let cloud = &self.world.cloud;
        let fair = !stormy && cloud.with(|state| state.rates == FaultRates::default());
        let mut answers = objects.iter().zip(answers);
        for message in received {
            let named = sources(&message.body).len();
            let mut done = true;
            for (delivered, answer) in answers.by_ref().take(named) {
                done &= answer.is_ok();
                let now = cloud.clock.now();
                let mut checker = self.world.checker();
                checker.answered([began, now], &delivered.object, &answer, fair);
            }
            if done {
                cloud.with(|state| state.sqs.delete(QUEUE, message.id));
            }
        }
    }

    fn draw_plan(&self, rng: &mut Rng) -> Plan {
        let mut plan = Plan::default();
        if !self.stormy.load(Ordering::Relaxed) {
            return plan;
        }
        let call = rng.u64(1..60);
        plan.loses_in_flight = rng.bool();
        match rng.u8(0..10) {
            0 | 1 => plan.death = Some(Death::Before(call)),
            2 | 3 => plan.death = Some(Death::After(call)),
            4 => {
                let early = jiff::SignedDuration::from_millis(rng.i64(1..3_000));
                plan.sleep = Some((call, self.world.deadline() - early));
            }
            _ => {}
        }
        plan
    }

    /// A reader of the table, while it is written.
    async fn read(self: Arc<Self>, mut rng: Rng) {
        let plan = Plan {
            immune: true,
            ..Plan::default()
        };
        let client: Client = self.world.client(plan);
        let mut reader = Reader::new(client, Location::new("lake", "sim/"));
        while self.stormy.load(Ordering::Relaxed) && !self.failed() {
            pause(&self.world, rng.u64(1_000..60_000)).await;
            if let Err(message) = reader.pass().await {
                self.fail(message);
            }
        }
    }
}

/// The objects in a message: from a notification, or from the sweep.
fn sources(body: &str) -> Vec<SourceObject> {
    let Ok(body) = serde_json::from_str::<Value>(body) else {
        return Vec::new();
    };
    let named = |object: &Value, [bucket, key, etag, size]: [&str; 4]| {
        Some(SourceObject {
            location: Location::new(object[bucket].as_str()?, object[key].as_str()?),
            etag: object[etag].as_str().map(str::to_owned),
            size: object[size].as_u64(),
        })
    };
    let listed = ["Bucket", "Key", "Etag", "Size"];
    match body["objects"].as_array() {
        Some(objects) => objects
            .iter()
            .filter_map(|object| named(object, listed))
            .collect(),
        None => named(&body, ["bucket", "key", "etag", "size"])
            .or_else(|| named(&body, listed))
            .into_iter()
            .collect(),
    }
}

async fn pause(world: &World, milliseconds: u64) {
    let clock = world.cloud.clock;
    clock.sleep(Duration::from_millis(milliseconds)).await;
}
