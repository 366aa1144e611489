use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use fastrand::Rng;
use jiff::Timestamp;

use super::{RetryPolicy, pacer::Pacer};
use crate::ports::Clock;

/// The deadline has passed, or is too near for the next step.
#[derive(Debug)]
pub(super) struct TooLate;

/// Why a failed call is not retried.
#[derive(Debug)]
pub(super) enum GiveUp {
    /// It reached the policy's limit of attempts.
    Exhausted,
    /// The next attempt would start after the deadline.
    TooLate,
}

/// The state that the calls of one invocation to one service share: the deadline, the rate, and the jitter.
pub(super) struct Patience {
    clock: Arc<dyn Clock>,
    start: Timestamp,
    deadline: Timestamp,
    policy: RetryPolicy,
    pacer: Mutex<Pacer>,
    jitter: Mutex<Rng>,
}

/// The attempts of one call.
pub(super) struct Attempts(ExponentialBackoff);

impl Patience {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        deadline: Timestamp,
        seed: u64,
        policy: RetryPolicy,
    ) -> Self {
        Self {
            start: clock.now(),
            clock,
            deadline,
            policy,
            pacer: Mutex::new(Pacer::new(policy.rate)),
            jitter: Mutex::new(Rng::with_seed(seed)),
        }
    }

    pub(super) fn attempts(&self) -> Attempts {
        Attempts(
            ExponentialBuilder::new()
                .with_min_delay(self.policy.first_delay)
                .with_max_delay(self.policy.longest_delay)
                .with_max_times(self.policy.attempts.saturating_sub(1))
                .build(),
        )
    }

    /// Makes one attempt when its slot comes, and cancels it at the deadline. Also returns when it was sent.
    pub(super) async fn attempt<T>(
        &self,
        call: impl Future<Output = T>,
    ) -> Result<(T, Duration), TooLate> {
        let wait = lock(&self.pacer).reserve(self.now());
        if !wait.is_zero() {
            self.sleep(wait).await?;
        }
        let left = self.left();
        if left.is_zero() {
            return Err(TooLate);
        }
        let sent = self.now();
        tokio::select! {
            biased;
            answer = call => Ok((answer, sent)),
            () = self.clock.sleep(left) => Err(TooLate),
        }
    }

    /// Waits before the next attempt: a random fraction of an exponentially growing delay ("full jitter").
    pub(super) async fn pause(&self, attempts: &mut Attempts) -> Result<(), GiveUp> {
        let longest = attempts.0.next().ok_or(GiveUp::Exhausted)?;
        let delay = longest.mul_f64(lock(&self.jitter).f64());
        self.sleep(delay).await.map_err(|TooLate| GiveUp::TooLate)
    }

    /// The service throttled a request.
    pub(super) fn refused(&self, sent: Duration) {
        lock(&self.pacer).refused(sent, self.now());
    }

    pub(super) fn succeeded(&self) {
        lock(&self.pacer).succeeded();
    }

    async fn sleep(&self, wait: Duration) -> Result<(), TooLate> {
        if wait >= self.left() {
            return Err(TooLate);
        }
        self.clock.sleep(wait).await;
        Ok(())
    }

    fn now(&self) -> Duration {
        unsigned(self.clock.now().duration_since(self.start))
    }

    fn left(&self) -> Duration {
        unsigned(self.clock.now().duration_until(self.deadline))
    }
}

/// Zero for a negative duration: a clock may be set back, a deadline may have passed.
fn unsigned(duration: jiff::SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}

/// Ignores poisoning: the guarded values stay valid even if a holder panics.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
