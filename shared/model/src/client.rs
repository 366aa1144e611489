use std::{
    collections::VecDeque,
    future::pending,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use lakewright_core::{catalog::TableName, location::Location};
use lakewright_ports::{Clock, UploadId};
use tokio::sync::{Notify, oneshot};

use super::{
    cloud::{Cloud, State},
    fault::Fault,
    history::Entry,
};

/// When an invocation dies, counted in its calls from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Death {
    /// The call is never sent.
    Before(u64),
    /// The call takes effect, its answer never arrives.
    After(u64),
}

/// What happens to a client.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// When it dies.
    pub death: Option<Death>,
    /// Whether its requests that are in flight when it dies are lost. Otherwise they arrive.
    pub loses_in_flight: bool,
    /// Before this call it sleeps until this time.
    pub sleep: Option<(u64, Timestamp)>,
    /// Whether no other faults are injected.
    pub immune: bool,
    /// The faults of its first calls, in order, in place of those from the cloud's seed.
    pub script: VecDeque<Option<Fault>>,
}

/// One invocation's connection to the cloud: the ports `Store`, `Catalog`, `Queue`, `Queries`,
/// `Secrets` and `Callback`.
///
/// Clones are the same client. Once it is dead, none of its calls returns.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    cloud: Arc<Cloud>,
    id: u32,
    plan: Plan,
    script: Mutex<VecDeque<Option<Fault>>>,
    calls: AtomicU64,
    dead: AtomicBool,
    death: Notify,
}

/// A call, as the network and the history see it.
pub(super) struct Request {
    pub(super) operation: &'static str,
    pub(super) about: About,
    /// The key that is written under a condition.
    pub(super) conditional: Option<Location>,
    /// The upload that a 409 makes void.
    pub(super) voids: Option<UploadId>,
    /// Whether the answer has a body, which may be cut short.
    pub(super) has_body: bool,
}

#[derive(Debug, Clone)]
pub(super) enum About {
    Object(Location),
    Table(TableName),
    Queue(String),
    /// A query of Athena.
    Query(String),
    /// A secret.
    Secret(String),
    /// A task token of Step Functions.
    Token(String),
}

/// An error that a fault can make.
pub(super) trait Failure: Send + 'static {
    fn of(fault: Fault, operation: &'static str, about: &About) -> Self;
    fn describe(&self) -> String;
}

impl Client {
    /// Connects client `id` to the cloud.
    pub fn new(cloud: Arc<Cloud>, id: u32, plan: Plan) -> Self {
        Self {
            inner: Arc::new(Inner {
                cloud,
                id,
                script: Mutex::new(plan.script.clone()),
                plan,
                calls: AtomicU64::new(0),
                dead: AtomicBool::new(false),
                death: Notify::new(),
            }),
        }
    }

    /// How many calls it has begun.
    pub fn calls(&self) -> u64 {
        self.inner.calls.load(Ordering::Relaxed)
    }

    /// Returns once the client has died as its plan says.
    pub async fn died(&self) {
        self.inner.death.notified().await;
    }

    /// Ends the client now.
    pub fn kill(&self) {
        self.inner.dead.store(true, Ordering::Relaxed);
    }

    /// Ends the client, as something that it reads would.
    pub fn poison(&self) {
        self.die(Fault::Poisoned);
    }

    fn die(&self, fault: Fault) {
        self.inner.cloud.count(fault);
        self.kill();
        self.inner.death.notify_one();
    }

    fn is_dead(&self) -> bool {
        self.inner.dead.load(Ordering::Relaxed)
    }

    /// Sends a request, applies it at the service, and returns the answer, with faults as the plan or the seed says.
    pub(super) async fn exchange<T, E>(
        &self,
        request: Request,
        effect: impl FnOnce(&mut State, Timestamp) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Failure,
    {
        if self.is_dead() {
            pending::<()>().await;
        }
        let inner = &self.inner;
        let call = inner.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some((before, until)) = inner.plan.sleep
            && before == call
        {
            inner.cloud.count(Fault::SleptToDeadline);
            let left = inner.cloud.clock.now().duration_until(until);
            inner
                .cloud
                .clock
                .sleep(Duration::try_from(left).unwrap_or_default())
                .await;
        }
        if inner.plan.death == Some(Death::Before(call)) {
            self.record(call, &request, "killed before it was sent".to_owned());
            self.die(Fault::KilledBefore);
        }
        if self.is_dead() {
            pending::<()>().await;
        }
        let scripted = inner
            .script
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        let (fate, legs) = inner.cloud.with(|state| {
            let drawn = state.rates.fate(&mut state.rng);
            let fate = scripted
                .unwrap_or(drawn.filter(|_| !inner.plan.immune))
                .filter(|fault| *fault != Fault::Truncated || request.has_body);
            if let Some(fault) = fate {
                state.injected.add(fault);
            }
            (fate, [state.latency(), state.latency(), state.latency()])
        });
        // The request is independent of its sender: it arrives even if the sender is dead by then.
        let (answer, answered) = oneshot::channel();
        tokio::spawn(
            self.clone()
                .travel(call, request, fate, legs, effect, answer),
        );
        match answered.await {
            Ok(answer) => answer,
            Err(_) => pending().await,
        }
    }

    async fn travel<T, E>(
        self,
        call: u64,
        request: Request,
        fate: Option<Fault>,
        [there, within, back]: [Duration; 3],
        effect: impl FnOnce(&mut State, Timestamp) -> Result<T, E> + Send + 'static,
        answer: oneshot::Sender<Result<T, E>>,
    ) where
        E: Failure,
    {
        let cloud = &self.inner.cloud;
        let injected = |fault| Err(E::of(fault, request.operation, &request.about));
        cloud.clock.sleep(there).await;
        if self.is_dead() && self.inner.plan.loses_in_flight {
            cloud.count(Fault::LostInFlight);
            self.record(call, &request, "lost in flight".to_owned());
            return;
        }
        let mut answer = Some(answer);
        match fate {
            Some(fault @ (Fault::SlowDown | Fault::InternalBefore | Fault::ResetBefore)) => {
                self.record(call, &request, format!("{fault}"));
                cloud.clock.sleep(back).await;
                // A caller that has given up does not receive it.
                let _ = answer.take().map(|answer| answer.send(injected(fault)));
                return;
            }
            Some(Fault::LandsLate) => {
                self.record(call, &request, "under way, reported as failed".to_owned());
                let _ = answer
                    .take()
                    .map(|answer| answer.send(injected(Fault::LandsLate)));
                let late = cloud.with(|state| state.rng.u64(1_000..40_000));
                cloud.clock.sleep(Duration::from_millis(late)).await;
            }
            _ => {}
        }
        let conditional = request.conditional.as_ref().map(|location| {
            let write = cloud.with(|state| state.s3.begin_conditional(location));
            (location, write)
        });
        cloud.clock.sleep(within).await;
        let now = cloud.clock.now();
        let result = cloud.with(|state| {
            let contested = conditional
                .is_some_and(|(location, write)| state.s3.end_conditional(location, write));
            if contested && state.rng.f64() < state.rates.conflict {
                state.injected.add(Fault::Conflict);
                if let Some(upload) = &request.voids {
                    state.s3.abort_multipart(upload);
                }
                injected(Fault::Conflict)
            } else {
                state.apply(now, |state| effect(state, now))
            }
        });
        let outcome = match &result {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.describe(),
        };
        let told =
            if let Some(fault @ (Fault::InternalAfter | Fault::ResetAfter | Fault::Truncated)) =
                fate
            {
                self.record(call, &request, format!("{outcome}, told {fault}"));
                injected(fault)
            } else {
                self.record(call, &request, outcome);
                result
            };
        if self.inner.plan.death == Some(Death::After(call)) {
            self.die(Fault::KilledAfter);
            return;
        }
        cloud.clock.sleep(back).await;
        let _ = answer.take().map(|answer| answer.send(told));
    }

    fn record(&self, call: u64, request: &Request, outcome: String) {
        let at = self.inner.cloud.clock.now();
        let target = match &request.about {
            About::Object(location) => location.to_string(),
            About::Table(table) => table.to_string(),
            About::Queue(name) | About::Query(name) | About::Secret(name) | About::Token(name) => {
                name.clone()
            }
        };
        self.inner.cloud.with(|state| {
            state.history.push(Entry {
                at,
                client: self.inner.id,
                call,
                operation: request.operation,
                target,
                outcome,
            });
        });
    }
}
