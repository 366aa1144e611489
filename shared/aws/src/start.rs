//! How every function starts.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use lakewright_core::config::Config;
use lakewright_jobs::{
    ports::Clock,
    retry::{RetryPolicy, Retrying},
};
use tracing::error;

use crate::{
    config::{LoadError, load},
    s3::S3Store,
    sdk::chain,
    settings::ConfigSource,
};

/// Of the ten seconds that Lambda gives a function to start.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
const START_TIME: Duration = Duration::from_secs(8);

/// Reads the configuration within the time that a function has to start.
pub(crate) async fn config(
    source: &ConfigSource,
    store: &S3Store,
    clock: &Arc<dyn Clock>,
) -> Result<Config, LoadError> {
    let now = clock.now();
    let deadline = now.checked_add(START_TIME).unwrap_or(now);
    let store = retrying(store, clock, deadline, now);
    let config = load(source, &store).await;
    config.inspect_err(|failure| error!(error = chain(failure), "no start"))
}

/// S3 behind the retries of one invocation.
pub(crate) fn retrying(
    store: &S3Store,
    clock: &Arc<dyn Clock>,
    deadline: Timestamp,
    now: Timestamp,
) -> Retrying<S3Store> {
    let (store, clock) = (store.clone(), Arc::clone(clock));
    Retrying::new(store, clock, deadline, seed(now), RetryPolicy::S3)
}

/// For the jitter of retries, which is to differ between concurrent invocations.
pub(crate) fn seed(now: Timestamp) -> u64 {
    now.subsec_nanosecond().unsigned_abs().into()
}
