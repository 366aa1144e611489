use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// The current time, and waiting.
///
/// Use it only for waiting, deadlines and reports. The commit protocols compare S3's own times (`Last-Modified` and
/// `Date`), never this clock's.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Returns once `duration` has passed.
    async fn sleep(&self, duration: Duration);
}
