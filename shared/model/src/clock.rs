use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lakewright_ports::Clock;
use tokio::time::Instant;

/// The start of virtual time: 2026-05-01T00:00:00Z.
const EPOCH: Timestamp = Timestamp::constant(1_777_593_600, 0);

/// Tokio's paused clock, used as the time of S3 and of all clients. It advances only when nothing else can happen.
#[derive(Debug, Clone, Copy)]
pub struct SimClock {
    start: Instant,
}

impl SimClock {
    /// Begins at a fixed time. The runtime must have its clock paused.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let elapsed = jiff::SignedDuration::try_from(self.start.elapsed());
        EPOCH + elapsed.unwrap_or(jiff::SignedDuration::MAX)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the simulation's Clock port"
    )]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
