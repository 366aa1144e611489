//! Retries calls to Athena and Step Functions.

use std::time::Duration;

use futures::future::BoxFuture;

use crate::ports::Clock;

/// The most attempts of one call.
const ATTEMPTS: u32 = 6;

/// Makes a call, and retries it while its error is retryable.
pub(super) async fn retried<'a, T, E>(
    clock: &dyn Clock,
    may_pass: fn(&E) -> bool,
    call: impl Fn() -> BoxFuture<'a, Result<T, E>> + Send,
) -> Result<T, E> {
    for attempt in 1..ATTEMPTS {
        match call().await {
            Err(error) if may_pass(&error) => {
                clock.sleep(Duration::from_millis(100 << attempt)).await;
            }
            answer => return answer,
        }
    }
    call().await
}
