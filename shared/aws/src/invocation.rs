//! Runs the work items of one invocation, several at once. Each may fail alone, and all end before the deadline.

use std::{any::Any, future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use jiff::Timestamp;
use lakewright_core::shown::words;
use lakewright_jobs::Failure;
use lakewright_ports::Clock;
use lambda_runtime::Context;
use thiserror::Error;
use tokio::task::JoinSet;

/// How one work item ended.
#[derive(Debug)]
pub struct Done<T, E> {
    /// Its result.
    pub outcome: Result<T, WorkError<E>>,
    /// How long it took.
    pub duration: Duration,
}

/// Why one work item has no result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WorkError<E> {
    /// It failed.
    #[error(transparent)]
    Failed(#[from] E),
    /// It panicked.
    #[error("it panicked: {}", words(.0))]
    Panicked(String),
    /// The invocation's time ran out.
    #[error("the invocation's time was over before it was done")]
    OutOfTime,
}

impl<E: Failure + 'static> Failure for WorkError<E> {
    fn name(&self) -> &'static str {
        match self {
            Self::Failed(error) => error.name(),
            Self::Panicked(_) => "Panicked",
            Self::OutOfTime => "Deadline",
        }
    }
}

/// The deadlines of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// No work starts after this.
    pub work: Timestamp,
    /// No call of a service starts after this. It is later than `work`, so that what was done can still be written down.
    pub calls: Timestamp,
    /// Work in progress is cancelled, so that the function can report it before Lambda kills it.
    pub stop: Timestamp,
}

/// The least time to keep for the last calls and the answer.
const MIN_MARGIN: Duration = Duration::from_secs(2);

impl Deadlines {
    /// The deadlines of the invocation that `context` belongs to.
    pub(crate) fn of(context: &Context, now: Timestamp) -> Self {
        let killed_at = i64::try_from(context.deadline)
            .ok()
            .and_then(|at| Timestamp::from_millisecond(at).ok())
            // Local runtimes such as `cargo lambda watch` send a fixed instant in 1970 and kill no function.
            .filter(|at| *at > now)
            .unwrap_or(Timestamp::MAX);
        Self::before(killed_at, now)
    }

    /// The deadlines of an invocation that Lambda kills at `killed_at`. They keep a twentieth of the remaining time,
    /// and at least two seconds.
    pub fn before(killed_at: Timestamp, now: Timestamp) -> Self {
        let margin = (until(killed_at, now) / 20).max(MIN_MARGIN);
        let back = |duration| killed_at.checked_sub(duration).unwrap_or(Timestamp::MIN);
        Self {
            work: back(margin),
            calls: back(margin / 2),
            stop: back(margin / 4),
        }
    }
}

/// The time until `instant`; zero if it is past.
pub(crate) fn until(instant: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_until(instant)).unwrap_or_default()
}

/// Runs one work item until it ends or `stop` is reached.
///
/// # Errors
/// The item's own error, its panic, or the end of the time.
pub async fn run_one<T, E>(
    clock: &dyn Clock,
    stop: Timestamp,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, WorkError<E>> {
    tokio::select! {
        biased;
        outcome = AssertUnwindSafe(work).catch_unwind() => ended(outcome),
        () = clock.sleep(until(stop, clock.now())) => Err(WorkError::OutOfTime),
    }
}

/// Converts a panic into an error.
fn ended<T, E>(outcome: Result<Result<T, E>, Box<dyn Any + Send>>) -> Result<T, WorkError<E>> {
    match outcome {
        Ok(result) => result.map_err(WorkError::Failed),
        Err(panic) => Err(WorkError::Panicked(panic_message(&*panic).to_owned())),
    }
}

/// Runs `work` for each input, at most `at_once` at a time, until all end or `stop` is reached. Returns one entry for
/// each input, in order.
pub async fn run<I, T, E, F, W>(
    clock: Arc<dyn Clock>,
    stop: Timestamp,
    at_once: usize,
    inputs: Vec<I>,
    work: F,
) -> Vec<Done<T, E>>
where
    I: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    F: Fn(I) -> W + Clone + Send + 'static,
    W: Future<Output = Result<T, E>> + Send,
{
    let begun = clock.now();
    let mut done: Vec<Option<Done<T, E>>> = Vec::new();
    done.resize_with(inputs.len(), || None);
    let mut waiting = inputs.into_iter().enumerate();
    let mut running = JoinSet::new();
    let mut time_is_over = clock.sleep(until(stop, begun));
    loop {
        while running.len() < at_once.max(1)
            && let Some((index, input)) = waiting.next()
        {
            let (work, clock) = (work.clone(), Arc::clone(&clock));
            running.spawn(async move {
                let begun = clock.now();
                let outcome = AssertUnwindSafe(async move { work(input).await })
                    .catch_unwind()
                    .await;
                (
                    index,
                    Done {
                        outcome: ended(outcome),
                        duration: until(clock.now(), begun),
                    },
                )
            });
        }
        tokio::select! {
            biased;
            joined = running.join_next() => match joined {
                Some(Ok((index, end))) => {
                    if let Some(slot) = done.get_mut(index) {
                        *slot = Some(end);
                    }
                }
                // Only an aborted task returns this, and no task is aborted before this function ends.
                Some(Err(_)) => {}
                None => break,
            },
            () = &mut time_is_over => break,
        }
    }
    // Dropping the set cancels the remaining tasks at their next await.
    drop(running);
    let spent = until(clock.now(), begun);
    let out_of_time = || Done {
        outcome: Err(WorkError::OutOfTime),
        duration: spent,
    };
    done.into_iter()
        .map(|end| end.unwrap_or_else(out_of_time))
        .collect()
}

/// The message of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use async_trait::async_trait;
    use tokio::sync::Barrier;

    use super::*;

    /// A clock that does not advance: waiting ends at once or never.
    struct Stopped {
        waiting_ends: bool,
    }

    #[async_trait]
    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }

        async fn sleep(&self, _: Duration) {
            if !self.waiting_ends {
                std::future::pending::<()>().await;
            }
        }
    }

    fn clock(waiting_ends: bool) -> Arc<dyn Clock> {
        Arc::new(Stopped { waiting_ends })
    }

    fn outcomes<T, E>(done: Vec<Done<T, E>>) -> Vec<Result<T, WorkError<E>>> {
        done.into_iter().map(|done| done.outcome).collect()
    }

    #[test]
    fn deadlines_keep_a_margin() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (killed_at, work, calls, stop) in [
            (900, 855_000, 877_500, 888_750),
            (30, 28_000, 29_000, 29_500),
            (1, -1_000, 0, 500),
        ] {
            let milliseconds = |at| Timestamp::from_millisecond(at).unwrap();
            let expected = Deadlines {
                work: milliseconds(work),
                calls: milliseconds(calls),
                stop: milliseconds(stop),
            };
            assert_eq!(
                Deadlines::before(at(killed_at), at(0)),
                expected,
                "{killed_at}"
            );
        }
    }

    #[tokio::test]
    async fn each_piece_fails_alone_and_keeps_its_place() {
        let work = |input: u32| async move {
            match input {
                1 => Err("refused"),
                2 => panic!("piece {input}"),
                _ => Ok(input),
            }
        };
        let done = run(clock(false), Timestamp::MAX, 2, vec![0, 1, 2, 3], work).await;
        let expected = [
            Ok(0),
            Err(WorkError::Failed("refused")),
            Err(WorkError::Panicked("piece 2".to_owned())),
            Ok(3),
        ];
        assert_eq!(outcomes(done), expected);
    }

    #[tokio::test]
    async fn one_piece_ends_in_each_way() {
        let done = |input: u32| async move {
            match input {
                1 => Err("refused"),
                2 => panic!("piece {input}"),
                3 => std::future::pending().await,
                _ => Ok(input),
            }
        };
        for (input, expected) in [
            (0, Ok(0)),
            (1, Err(WorkError::Failed("refused"))),
            (2, Err(WorkError::Panicked("piece 2".to_owned()))),
            (3, Err(WorkError::OutOfTime)),
        ] {
            let found = run_one(&*clock(true), Timestamp::MIN, done(input)).await;
            assert_eq!(found, expected);
        }
    }

    #[tokio::test]
    async fn what_is_not_done_in_time_is_answered_for() {
        let work = |input: u32| async move {
            if input == 1 {
                std::future::pending::<()>().await;
            }
            Ok::<_, Infallible>(input)
        };
        // Item 0 is not awaited: when the time is already over, only a future that never ends is certain not to be
        // done.
        let done = run(clock(true), Timestamp::MIN, 1, vec![1, 2], work).await;
        assert_eq!(
            outcomes(done),
            [Err(WorkError::OutOfTime), Err(WorkError::OutOfTime)]
        );
    }

    #[tokio::test]
    async fn as_many_run_at_once_as_are_allowed() {
        let (running, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let barrier = Arc::new(Barrier::new(3));
        let seen = Arc::clone(&peak);
        let work = move |()| {
            let (running, peak, barrier) = (
                Arc::clone(&running),
                Arc::clone(&seen),
                Arc::clone(&barrier),
            );
            async move {
                peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                barrier.wait().await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Infallible>(())
            }
        };
        let done = run(clock(false), Timestamp::MAX, 3, vec![(); 9], work).await;
        assert!(outcomes(done).iter().all(Result::is_ok));
        assert_eq!(peak.load(Ordering::SeqCst), 3);
    }
}
