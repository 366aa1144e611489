//! Sends messages to a queue, and retries those that it rejects.

use std::time::Duration;

use super::{ErrorKind, JobError, Stage};
use crate::ports::{Clock, Queue, SendFailure, ServiceErrorKind};

/// How often a rejected message is sent again.
const SEND_ATTEMPTS: u32 = 6;

/// Sends at most [`MAX_SEND_BATCH`](crate::ports::MAX_SEND_BATCH) bodies. A message is sent twice if it was accepted
/// but the answer was lost.
pub(crate) async fn send(
    queue: &dyn Queue,
    clock: &dyn Clock,
    queue_url: &str,
    mut waiting: Vec<String>,
) -> Result<(), JobError> {
    let mut attempt = 0;
    loop {
        let failures = match queue.send(queue_url, &waiting).await {
            Ok(failures) => failures,
            Err(error) if error.kind == ServiceErrorKind::Retryable && attempt < SEND_ATTEMPTS => {
                (0..waiting.len()).map(unanswered).collect()
            }
            Err(error) => return Err(JobError::from(error)),
        };
        if failures.is_empty() {
            return Ok(());
        }
        attempt += 1;
        let last = attempt > SEND_ATTEMPTS;
        let refused = |failure: &&SendFailure| last || failure.sender_fault;
        if let Some(failure) = failures.iter().find(refused)
            && let Some(body) = waiting.get(failure.index)
        {
            return Err(JobError::new(
                ErrorKind::QueueFailed,
                format!("the queue does not take {}: {}", body, failure.code),
            )
            .during(Stage::Enqueue));
        }
        waiting = failures
            .iter()
            .filter_map(|failure| waiting.get(failure.index).cloned())
            .collect();
        clock.sleep(Duration::from_millis(100 << attempt)).await;
    }
}

fn unanswered(index: usize) -> SendFailure {
    SendFailure {
        index,
        code: "NoAnswer".to_owned(),
        sender_fault: false,
    }
}
