use std::{collections::BTreeMap, fmt};

use fastrand::Rng;

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A call took seconds instead of milliseconds.
    Slow,
    /// 503 without effect; a throttled call at Glue and SQS.
    SlowDown,
    /// 500 without effect.
    InternalBefore,
    /// 500 after the effect.
    InternalAfter,
    /// The connection failed before the effect.
    ResetBefore,
    /// The connection failed after the effect.
    ResetAfter,
    /// The connection failed, and the request took effect long after the client saw the failure.
    LandsLate,
    /// The body of the answer was cut short.
    Truncated,
    /// 409: another conditional write of the key was under way.
    Conflict,
    /// A batch delete did not delete a key.
    DeleteKey,
    /// Glue refused a part of a batch, or left keys unprocessed.
    PartialBatch,
    /// SQS did not take a part of a batch.
    SendFailure,
    /// The invocation died before a call was sent.
    KilledBefore,
    /// The invocation died after a call took effect and before its answer came.
    KilledAfter,
    /// A request of a dead invocation never arrived.
    LostInFlight,
    /// The invocation was ended at its time limit.
    TimedOut,
    /// An invocation slept between two calls until just before its deadline.
    SleptToDeadline,
    /// Two invocations of one event at once.
    Twin,
    /// Three invocations of one event at once.
    Triplet,
    /// An event was never sent.
    LostEvent,
    /// A message was delivered again although it had been received.
    DuplicateDelivery,
    /// A message went to the dead-letter queue.
    DeadLetter,
    /// An event was delivered again days later.
    LateRedelivery,
    /// A source object was removed soon after it had landed.
    SourceRemoved,
    /// A source object was replaced by another soon after it had landed.
    SourceReplaced,
    /// A source object that had been removed was put back.
    SourceBack,
    /// An invocation died of what it read.
    Poisoned,
    /// One message named several objects.
    ManyInOne,
    /// A message was received so often that its batch was dissolved.
    Dissolved,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The probability of each fault, for each call, key or event.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "each field is the rate of the Fault of its name"
)]
pub struct FaultRates {
    pub slow: f64,
    pub slow_down: f64,
    pub internal_before: f64,
    pub internal_after: f64,
    pub reset_before: f64,
    pub reset_after: f64,
    pub lands_late: f64,
    pub truncated: f64,
    /// For a conditional write during which another one of the same key was in progress.
    pub conflict: f64,
    pub delete_key: f64,
    pub partial_batch: f64,
    pub send_failure: f64,
    pub duplicate_delivery: f64,
}

impl FaultRates {
    /// Draws rates from a seed: each kind of fault is absent, rare or frequent, so that some histories have mostly one
    /// kind and others many.
    pub fn draw(rng: &mut Rng) -> Self {
        let mut rate = |frequent: f64| match rng.u8(0..4) {
            0 | 1 => 0.0,
            2 => frequent / 5.0,
            _ => frequent,
        };
        Self {
            slow: rate(0.1),
            slow_down: rate(0.2),
            internal_before: rate(0.1),
            internal_after: rate(0.1),
            reset_before: rate(0.1),
            reset_after: rate(0.2),
            lands_late: rate(0.05),
            truncated: rate(0.1),
            conflict: rate(1.0),
            delete_key: rate(0.2),
            partial_batch: rate(0.3),
            send_failure: rate(0.2),
            duplicate_delivery: rate(0.3),
        }
    }

    /// The fault of a call, if any.
    pub(super) fn fate(&self, rng: &mut Rng) -> Option<Fault> {
        let mut draw = rng.f64();
        for (rate, fault) in [
            (self.slow_down, Fault::SlowDown),
            (self.internal_before, Fault::InternalBefore),
            (self.internal_after, Fault::InternalAfter),
            (self.reset_before, Fault::ResetBefore),
            (self.reset_after, Fault::ResetAfter),
            (self.lands_late, Fault::LandsLate),
            (self.truncated, Fault::Truncated),
        ] {
            if draw < rate {
                return Some(fault);
            }
            draw -= rate;
        }
        None
    }
}

/// The number of faults of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultCounts(pub BTreeMap<Fault, u64>);

impl FaultCounts {
    /// Counts one.
    pub fn add(&mut self, fault: Fault) {
        *self.0.entry(fault).or_default() += 1;
    }

    /// Adds another history's counts.
    pub fn merge(&mut self, other: &Self) {
        for (fault, count) in &other.0 {
            *self.0.entry(*fault).or_default() += count;
        }
    }
}

impl fmt::Display for FaultCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (fault, count)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{fault} {count}")?;
        }
        Ok(())
    }
}
