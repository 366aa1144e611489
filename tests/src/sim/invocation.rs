//! The common parts of all simulations: invocations with a time limit, and observers.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use lakewright_model::{Change, Client, Cloud, Fault, ModelGlue, ModelS3, Observer};
use lakewright_ports::Clock;

/// The lifetime of an invocation, after which Lambda kills it.
pub(super) const LIMIT: SignedDuration = SignedDuration::from_secs(120);

/// How long before its end an invocation stops by itself.
const MARGIN: SignedDuration = SignedDuration::from_secs(5);

/// How an invocation ended.
#[derive(Debug)]
pub(super) enum End<T> {
    Answered(T),
    /// Killed, by its plan or at its time limit.
    Died,
}

/// When an invocation that begins now must stop.
pub(super) fn deadline(cloud: &Cloud) -> Timestamp {
    cloud.clock.now() + (LIMIT - MARGIN)
}

/// When the work of an invocation with this deadline of its calls ends, so that what was done can still be noted.
pub(super) fn end_of_work(deadline: Timestamp) -> Timestamp {
    deadline - MARGIN
}

/// Waits until an invocation answers, dies by the plan of its client, or runs out of time. Its client is dead then.
pub(super) async fn ended<T>(
    cloud: &Cloud,
    client: &Client,
    answer: impl Future<Output = T>,
) -> End<T> {
    let limit = Duration::try_from(LIMIT).unwrap_or_default();
    let end = tokio::select! {
        biased;
        () = client.died() => End::Died,
        answer = answer => End::Answered(answer),
        () = cloud.clock.sleep(limit) => {
            cloud.count(Fault::TimedOut);
            End::Died
        }
    };
    client.kill();
    end
}

/// An observer that is shared with the test.
pub(super) struct Watched<T>(Arc<Mutex<T>>);

impl<T> Watched<T> {
    pub(super) fn new(observer: T) -> Self {
        Self(Arc::new(Mutex::new(observer)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Observer> Observer for Watched<T> {
    fn step(&mut self, now: Timestamp, changes: &[Change], s3: &ModelS3, glue: &ModelGlue) {
        self.lock().step(now, changes, s3, glue);
    }
}
