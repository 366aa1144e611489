use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use fastrand::Rng;
use jiff::Timestamp;
use lakewright_core::location::Location;
use lakewright_ports::{Clock, Precondition};

use super::{
    athena::ModelAthena,
    clock::SimClock,
    fault::{Fault, FaultCounts, FaultRates},
    glue::ModelGlue,
    history::{Entry, History},
    s3::{Change, ModelS3, Settings},
    secrets::ModelSecrets,
    sqs::ModelSqs,
    step_functions::ModelStepFunctions,
};

/// Is called after each effect, and so sees every state that a reader could see.
pub trait Observer: Send {
    /// Something took effect at `now`: `changes` to objects, or any change in the catalog.
    fn step(&mut self, now: Timestamp, changes: &[Change], s3: &ModelS3, glue: &ModelGlue);
}

/// The services, with one seed and one virtual clock.
///
/// All randomness comes from the seed, and everything runs on one thread in virtual time, so a seed determines the
/// history.
pub struct Cloud {
    /// The clock of all clients and services.
    pub clock: SimClock,
    state: Mutex<State>,
}

/// The state of the services.
pub struct State {
    /// Objects.
    pub s3: ModelS3,
    /// Tables and partitions.
    pub glue: ModelGlue,
    /// Messages.
    pub sqs: ModelSqs,
    /// Queries.
    pub athena: ModelAthena,
    /// Secrets.
    pub secrets: ModelSecrets,
    /// State machines that wait for a callback.
    pub step_functions: ModelStepFunctions,
    /// The random number generator.
    pub rng: Rng,
    /// The current fault rates.
    pub rates: FaultRates,
    /// The number of injected faults.
    pub injected: FaultCounts,
    /// The recorded history.
    pub history: History,
    observer: Option<Box<dyn Observer>>,
}

impl Cloud {
    /// An empty cloud. Must be called within a runtime whose clock is paused.
    pub fn new(seed: u64, settings: Settings, rates: FaultRates) -> Arc<Self> {
        Arc::new(Self {
            clock: SimClock::start(),
            state: Mutex::new(State {
                s3: ModelS3::new(settings),
                glue: ModelGlue::default(),
                sqs: ModelSqs::default(),
                athena: ModelAthena::default(),
                secrets: ModelSecrets::default(),
                step_functions: ModelStepFunctions::default(),
                rng: Rng::with_seed(seed),
                rates,
                injected: FaultCounts::default(),
                history: History::default(),
                observer: None,
            }),
        })
    }

    /// Reads or changes the state of the services directly, without calls and faults. The observer is not called.
    pub fn with<T>(&self, action: impl FnOnce(&mut State) -> T) -> T {
        action(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes an object directly; the observer is not called. Returns its `ETag`.
    pub fn place(&self, location: &Location, bytes: Bytes) -> String {
        let now = self.clock.now();
        self.with(|state| {
            let written = state.s3.put(now, location, bytes, &Precondition::None);
            state.s3.take_changes();
            written.map(|written| written.etag).unwrap_or_default()
        })
    }

    /// Removes an object directly; the observer is not called.
    pub fn remove(&self, location: &Location) {
        self.with(|state| {
            // One key is always within the limit.
            let _ = state
                .s3
                .delete(&location.bucket, std::slice::from_ref(&location.key));
            state.s3.take_changes();
        });
    }

    /// Sets the observer.
    pub fn watch(&self, observer: Box<dyn Observer>) {
        self.with(|state| state.observer = Some(observer));
    }

    /// Records something that is not a client's call.
    pub fn note(&self, operation: &'static str, target: &str, outcome: &str) {
        let at = self.clock.now();
        self.with(|state| {
            state.history.push(Entry {
                at,
                client: 0,
                call: 0,
                operation,
                target: target.to_owned(),
                outcome: outcome.to_owned(),
            });
        });
    }

    /// Counts a fault that does not belong to a call.
    pub fn count(&self, fault: Fault) {
        self.with(|state| state.injected.add(fault));
    }
}

impl State {
    /// The latency of a request or of an answer: milliseconds, sometimes seconds.
    pub(super) fn latency(&mut self) -> Duration {
        if self.rng.f64() < self.rates.slow {
            self.injected.add(Fault::Slow);
            Duration::from_millis(self.rng.u64(500..20_000))
        } else {
            Duration::from_millis(self.rng.u64(1..30))
        }
    }

    /// Applies an effect and calls the observer.
    pub(super) fn apply<T>(&mut self, now: Timestamp, effect: impl FnOnce(&mut Self) -> T) -> T {
        let result = effect(self);
        let changes = self.s3.take_changes();
        if let Some(observer) = &mut self.observer {
            observer.step(now, &changes, &self.s3, &self.glue);
        }
        result
    }
}
