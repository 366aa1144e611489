//! Random histories: one or two state machines run a job while calls fail, invocations are killed and messages are
//! duplicated; one chunk may never succeed, a key may be taken, and the job may be cancelled. Whatever the result, a
//! last run without faults must succeed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use futures::future::join_all;
use jiff::SignedDuration;
use lakewright_jobs::split::Task;
use lakewright_model::{
    Answer, Death, Fault, FaultCounts, FaultRates, Plan, Settings, virtual_time,
};
use lakewright_ports::Clock;
use tokio::task::{JoinHandle, spawn_local};

use super::{
    mutant::Mutant,
    table::{Form, Keys, Table},
    world::{DEAD_LETTERS, End, QUEUE, Setup, World},
};
use crate::sim::Violation;

const POLLERS: usize = 3;

/// How long faults are injected, in seconds.
const STORM: u64 = 900;

/// How long a state machine waits for an answer before its run counts as one that hangs: a multiple of a message's four
/// receives and those from the dead-letter queue, each a visibility timeout apart.
const PATIENCE: SignedDuration = SignedDuration::from_hours(6);

/// How often a state machine tries to start a run.
const ATTEMPTS: usize = 12;

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
    /// How the runs during the faults ended: the errors' names, or `Success`.
    pub endings: Vec<String>,
    /// A digest, which is equal for equal histories.
    pub digest: [u8; 32],
    /// The events, one per line.
    pub lines: Vec<String>,
}

/// The world with its queues and pollers.
struct Theatre {
    world: Arc<World>,
    stormy: AtomicBool,
    over: AtomicBool,
    /// The chunk whose invocations all die during the faults.
    poisoned: Option<u32>,
}

/// Runs the history of a seed.
pub fn run(seed: u64, mutant: Option<Mutant>) -> Run {
    virtual_time(async move {
        let mut rng = Rng::with_seed(seed ^ 0x0051_17f0_da7a_1a4e);
        let world = World::new(rng.u64(..), &draw_setup(&mut rng, mutant));
        let theatre = Arc::new(Theatre {
            world,
            stormy: AtomicBool::new(true),
            over: AtomicBool::new(false),
            poisoned: (rng.u8(0..4) == 0).then(|| rng.u32(0..3)),
        });
        let endings = theatre.play(&mut rng).await;
        let world = &theatre.world;
        let violation = world.checker().violation().cloned();
        world.cloud.with(|state| Run {
            seed,
            violation,
            injected: state.injected.clone(),
            invocations: world.invocations(),
            endings,
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

fn draw_setup(rng: &mut Rng, mutant: Option<Mutant>) -> Setup {
    let form = [Form::Query, Form::Query, Form::Uri, Form::Unload][rng.usize(0..4)];
    let keys = [Keys::ByRow, Keys::ById, Keys::KeepFirst, Keys::KeepLast][rng.usize(0..4)];
    let rows = rng.usize(0..12);
    Setup {
        settings: Settings {
            page: rng.usize(2..6),
            versioned: rng.bool(),
            opaque_etags: rng.bool(),
            encrypted_only: true,
            ..Settings::default()
        },
        rates: FaultRates::draw(rng),
        table: Table::draw(form, keys, rows, rng),
        mutant,
    }
}

impl Theatre {
    async fn play(self: &Arc<Self>, rng: &mut Rng) -> Vec<String> {
        let world = &self.world;
        let mut pollers: Vec<JoinHandle<()>> = (0..POLLERS)
            .map(|_| spawn_local(Arc::clone(self).poll(QUEUE, rng.fork())))
            .collect();
        pollers.push(spawn_local(Arc::clone(self).poll(DEAD_LETTERS, rng.fork())));
        pollers.push(spawn_local(Arc::clone(self).calm()));
        if rng.u8(0..5) == 0 {
            world.occupy(if rng.bool() { "u/i1.json" } else { "q-1/1" });
        }
        let mut runs = vec![spawn_local(Arc::clone(self).run_once("t-0", rng.fork()))];
        if rng.u8(0..4) == 0 {
            world.cloud.count(Fault::Twin);
            runs.push(spawn_local(Arc::clone(self).run_once("t-1", rng.fork())));
        }
        if rng.u8(0..5) == 0 {
            pause(world, rng.u64(0..120_000)).await;
            world.cancel().await;
        }
        let mut endings = Vec::new();
        for run in runs {
            match run.await {
                Ok(ending) => endings.push(ending),
                Err(error) => world.fail(format!("panicked: {error}")),
            }
        }
        self.stormy.store(false, Ordering::Relaxed);
        world
            .cloud
            .with(|state| state.rates = FaultRates::default());
        world.vacate();
        let ending = Arc::clone(self).run_once("t-last", rng.fork()).await;
        if ending != "Success" {
            world.fail(format!("S4: the last run ended with {ending}"));
        }
        // Messages that are left in the queues change nothing, and are used up.
        let until = world.cloud.clock.now() + PATIENCE;
        while !self.failed() && !self.is_quiet() {
            if world.cloud.clock.now() > until {
                world.fail("S4: a message comes back for ever".to_owned());
            }
            pause(world, 60_000).await;
        }
        self.over.store(true, Ordering::Relaxed);
        for result in join_all(pollers).await {
            if let Err(error) = result {
                world.fail(format!("panicked: {error}"));
            }
        }
        world.finish();
        endings
    }

    fn failed(&self) -> bool {
        self.world.failed()
    }

    fn is_quiet(&self) -> bool {
        let sqs = |url| self.world.cloud.with(|state| state.sqs.is_empty(url));
        sqs(QUEUE) && sqs(DEAD_LETTERS)
    }

    fn is_stormy(&self) -> bool {
        self.stormy.load(Ordering::Relaxed)
    }

    /// Ends the faults after a while: calls still fail, but no more than retries can handle.
    async fn calm(self: Arc<Self>) {
        pause(&self.world, STORM * 1_000).await;
        if self.is_stormy() {
            self.world.cloud.with(|state| {
                state.rates = FaultRates {
                    reset_after: 0.05,
                    slow_down: 0.05,
                    send_failure: 0.2,
                    ..FaultRates::default()
                };
            });
        }
    }

    /// A state machine: starts a run and waits for its end. Returns how it ended.
    async fn run_once(self: Arc<Self>, token: &str, mut rng: Rng) -> String {
        let world = &self.world;
        let request = world.request(token);
        let mut begun = false;
        for _ in 0..ATTEMPTS {
            let plan = self.draw_plan(&mut rng);
            let deployment = rng.usize(0..2);
            let (end, _) = world.plan(&request, deployment, plan).await;
            if matches!(end, End::Answered(Ok(_))) {
                begun = true;
                break;
            }
            pause(world, rng.u64(1_000..200_000)).await;
        }
        if !begun {
            return "NotBegun".to_owned();
        }
        let until = world.cloud.clock.now() + PATIENCE;
        loop {
            let answer = world
                .cloud
                .with(|state| state.step_functions.answer(token).cloned());
            match answer {
                Some(Answer::Success(_)) if !world.checker().succeeded() => {
                    world.fail(format!("S1: {token} was told of a success that is none"));
                }
                Some(Answer::Success(_)) => return "Success".to_owned(),
                Some(Answer::Failure(error, _)) => return error,
                None => {}
            }
            if self.failed() {
                return "Violation".to_owned();
            }
            if world.cloud.clock.now() > until {
                world.fail(format!("S4: {token} waits for {PATIENCE:#}"));
            }
            pause(world, 30_000).await;
        }
    }

    /// An event source mapping: receives messages, invokes the function, and deletes the messages that it answers.
    async fn poll(self: Arc<Self>, queue: &'static str, mut rng: Rng) {
        let cloud = Arc::clone(&self.world.cloud);
        while !self.over.load(Ordering::Relaxed) && !self.failed() {
            let now = cloud.clock.now();
            let received = cloud.with(|state| {
                let rate = if self.is_stormy() {
                    state.rates.duplicate_delivery
                } else {
                    0.0
                };
                let (received, again, dead) = state.sqs.receive(queue, 1, now, rate, &mut rng);
                for _ in 0..again {
                    state.injected.add(Fault::DuplicateDelivery);
                }
                for _ in 0..dead {
                    state.injected.add(Fault::DeadLetter);
                }
                received
            });
            let Some(message) = received.into_iter().next() else {
                let longest = if self.is_stormy() { 8_000 } else { 60_000 };
                pause(&self.world, rng.u64(500..longest)).await;
                continue;
            };
            let task: Task = match serde_json::from_str(&message.body) {
                Ok(task) => task,
                Err(error) => {
                    self.world.fail(format!("a message that is none: {error}"));
                    return;
                }
            };
            let mut plan = self.draw_plan(&mut rng);
            if self.is_stormy() && self.poisoned == Some(task.chunk) && queue == QUEUE {
                plan = Plan {
                    death: Some(Death::Before(rng.u64(1..4))),
                    ..Plan::default()
                };
            }
            let resumed = message.receives > 1;
            let (end, _) = if queue == QUEUE {
                self.world.rows(&task, resumed, plan).await
            } else {
                self.world.abandon(&task, plan).await
            };
            if let End::Answered(Ok(_)) = end {
                cloud.with(|state| state.sqs.delete(queue, message.id));
            }
        }
    }

    fn draw_plan(&self, rng: &mut Rng) -> Plan {
        let mut plan = Plan::default();
        if !self.is_stormy() {
            return plan;
        }
        let call = rng.u64(1..24);
        plan.loses_in_flight = rng.bool();
        match rng.u8(0..12) {
            0 | 1 => plan.death = Some(Death::Before(call)),
            2 | 3 => plan.death = Some(Death::After(call)),
            4 => {
                let early = SignedDuration::from_millis(rng.i64(1..3_000));
                plan.sleep = Some((call, self.world.deadline() - early));
            }
            _ => {}
        }
        plan
    }
}

async fn pause(world: &World, milliseconds: u64) {
    world
        .cloud
        .clock
        .sleep(Duration::from_millis(milliseconds))
        .await;
}
