//! Retries, rate limits and deadlines, as wrappers around the [ports](lakewright_ports).
//!
//! One wrapper serves one invocation: its calls share a deadline and a request rate. The rate is halved when the
//! service throttles, and recovers within seconds when it answers again.

mod backoff;
mod catalog;
mod pacer;
mod service;
mod store;

use std::time::Duration;

pub use backoff::Backoff;
pub use catalog::RetryingCatalog;
pub use service::RetryingService;
pub use store::Retrying;

/// How often and how fast calls are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// The most attempts of one call, including the first one.
    pub attempts: usize,
    /// The longest delay before the second attempt; it doubles with each further one.
    pub first_delay: Duration,
    /// The upper limit of the delay.
    pub longest_delay: Duration,
    /// The most requests per second.
    pub rate: f64,
}

impl RetryPolicy {
    /// For S3: a prefix supports 3,500 writes and 5,500 reads per second before it answers with 503.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html>
    pub const S3: Self = Self {
        attempts: 10,
        first_delay: Duration::from_millis(50),
        longest_delay: Duration::from_secs(20),
        rate: 5_500.0,
    };

    /// For Glue, whose calls are few, large, and throttled for the whole account.
    pub const GLUE: Self = Self {
        attempts: 12,
        first_delay: Duration::from_millis(200),
        longest_delay: Duration::from_secs(20),
        rate: 50.0,
    };

    /// For SQS, whose standard queues have no limit that one invocation could reach.
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
    pub const SQS: Self = Self {
        rate: 1_000.0,
        ..Self::GLUE
    };

    /// For Athena, whose calls are few.
    /// <https://docs.aws.amazon.com/athena/latest/ug/service-limits.html>
    pub const ATHENA: Self = Self::GLUE;

    /// For Step Functions' callbacks, which are throttled for the whole account.
    /// <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>
    pub const STEP_FUNCTIONS: Self = Self::GLUE;

    /// For Secrets Manager and the Parameter Store, whose calls are few.
    /// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>
    pub const SECRETS: Self = Self::GLUE;
}
