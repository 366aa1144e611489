use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use fastrand::Rng;
use futures::future::BoxFuture;
use jiff::Timestamp;
use lakewright_ports::Clock;

use super::{RetryPolicy, pacer::Pacer};

/// What follows from a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same call would fail again.
    Final,
    /// The same call may succeed later.
    Passing,
    /// The service throttled the call: it may succeed later, and all calls become less frequent.
    Throttled,
}

/// A failed call, or one failed item of a batch.
pub(super) trait Failing {
    /// Whether to retry it.
    fn verdict(&self) -> Verdict;
}

/// The deadline has passed, or is too near for the next step.
#[derive(Debug)]
struct TooLate;

/// Why a failed call is not retried.
#[derive(Debug)]
enum GiveUp {
    /// It reached the policy's limit of attempts.
    Exhausted,
    /// The next attempt would start after the deadline.
    TooLate,
}

/// How the calls of one invocation to one service are retried. They share the deadline, the rate, and the jitter.
pub struct Backoff {
    clock: Arc<dyn Clock>,
    start: Timestamp,
    deadline: Timestamp,
    policy: RetryPolicy,
    pacer: Mutex<Pacer>,
    /// Held by the call that waits for the next slot. The others reserve theirs afterwards, at the rate of that moment.
    turn: tokio::sync::Mutex<()>,
    jitter: Mutex<Rng>,
}

/// The attempts of one call.
struct Attempts(ExponentialBackoff);

impl Backoff {
    /// For one invocation. No call starts at or after `deadline`; `seed` determines the jitter.
    pub fn new(clock: Arc<dyn Clock>, deadline: Timestamp, seed: u64, policy: RetryPolicy) -> Self {
        Self {
            start: clock.now(),
            clock,
            deadline,
            policy,
            pacer: Mutex::new(Pacer::new(policy.rate)),
            turn: tokio::sync::Mutex::default(),
            jitter: Mutex::new(Rng::with_seed(seed)),
        }
    }

    /// Makes a call until it succeeds, its error is final, or the attempts are used up. At the deadline it returns
    /// `too_late`.
    pub(super) async fn call<'a, T, E>(
        &self,
        call: impl Fn() -> BoxFuture<'a, Result<T, E>> + Send,
        mut verdict: impl FnMut(&E) -> Verdict + Send,
        too_late: impl Fn() -> E + Send,
    ) -> Result<T, E> {
        let mut attempts = self.attempts();
        loop {
            let (answer, sent) = self.attempt(call()).await.map_err(|TooLate| too_late())?;
            let verdict = answer.as_ref().err().map(&mut verdict);
            match verdict {
                Some(Verdict::Throttled) => lock(&self.pacer).refused(sent, self.now()),
                Some(Verdict::Passing) => {}
                // A final error, such as a missing object, is an answer too: the service is not overloaded.
                None | Some(Verdict::Final) => lock(&self.pacer).answered(),
            }
            let error = match answer {
                Err(error) if verdict != Some(Verdict::Final) => error,
                answer => return answer,
            };
            match self.pause(&mut attempts).await {
                Ok(()) => {}
                Err(GiveUp::Exhausted) => return Err(error),
                Err(GiveUp::TooLate) => return Err(too_late()),
            }
        }
    }

    /// Makes a call for a batch of items, and repeats it for the items that failed and may succeed later. Returns the
    /// failures that remain. `is_of`: whether a failure is that of an item.
    pub(super) async fn batch<'a, I, F, E>(
        &self,
        mut items: Vec<I>,
        call: impl Fn(Vec<I>) -> BoxFuture<'a, Result<Vec<F>, E>> + Send + Sync,
        is_of: impl Fn(&F, &I) -> bool + Send,
        too_late: impl Fn() -> E + Send + Sync,
    ) -> Result<Vec<F>, E>
    where
        I: Clone + Send + Sync,
        F: Failing + Send,
        E: Failing + Send,
    {
        let mut attempts = self.attempts();
        let mut failures = Vec::new();
        loop {
            let sent = self.now();
            let answer = self
                .call(|| call(items.clone()), E::verdict, &too_late)
                .await?;
            let (lasting, passing): (Vec<_>, Vec<_>) = answer
                .into_iter()
                .partition(|failure| failure.verdict() == Verdict::Final);
            failures.extend(lasting);
            if passing.is_empty() {
                return Ok(failures);
            }
            if passing
                .iter()
                .any(|failure| failure.verdict() == Verdict::Throttled)
            {
                lock(&self.pacer).refused(sent, self.now());
            }
            match self.pause(&mut attempts).await {
                Ok(()) => items.retain(|item| passing.iter().any(|failure| is_of(failure, item))),
                Err(GiveUp::Exhausted) => {
                    failures.extend(passing);
                    return Ok(failures);
                }
                Err(GiveUp::TooLate) => return Err(too_late()),
            }
        }
    }

    fn attempts(&self) -> Attempts {
        Attempts(
            ExponentialBuilder::new()
                .with_min_delay(self.policy.first_delay)
                .with_max_delay(self.policy.longest_delay)
                .with_max_times(self.policy.attempts.saturating_sub(1))
                .build(),
        )
    }

    /// Makes one attempt when its slot comes, and cancels it at the deadline. Also returns when it was sent.
    async fn attempt<T>(&self, call: impl Future<Output = T>) -> Result<(T, Duration), TooLate> {
        let left = self.left();
        if left.is_zero() {
            return Err(TooLate);
        }
        let in_turn = async {
            self.wait_for_slot().await?;
            let sent = self.now();
            Ok((call.await, sent))
        };
        tokio::select! {
            biased;
            answer = in_turn => answer,
            () = self.clock.sleep(left) => Err(TooLate),
        }
    }

    async fn wait_for_slot(&self) -> Result<(), TooLate> {
        let _turn = self.turn.lock().await;
        let wait = lock(&self.pacer).reserve(self.now());
        if !wait.is_zero() {
            self.sleep(wait).await?;
        }
        Ok(())
    }

    /// Waits before the next attempt: a random fraction of an exponentially growing delay ("full jitter").
    async fn pause(&self, attempts: &mut Attempts) -> Result<(), GiveUp> {
        let longest = attempts.0.next().ok_or(GiveUp::Exhausted)?;
        let delay = longest.mul_f64(lock(&self.jitter).f64());
        self.sleep(delay).await.map_err(|TooLate| GiveUp::TooLate)
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
