//! Sends messages to a queue.

use super::{ErrorKind, JobError, Stage};
use crate::ports::Queue;

/// Sends at most [`MAX_SEND_BATCH`](crate::ports::MAX_SEND_BATCH) bodies, or fails with the first that the queue
/// rejects.
pub(crate) async fn send(
    queue: &dyn Queue,
    queue_url: &str,
    bodies: Vec<String>,
) -> Result<(), JobError> {
    let failures = queue.send(queue_url, &bodies).await?;
    let Some(failure) = failures.first() else {
        return Ok(());
    };
    let body = bodies
        .get(failure.index)
        .map_or("a message", String::as_str);
    Err(JobError::new(
        ErrorKind::QueueFailed,
        format!("the queue does not take {}: {}", body, failure.code),
    )
    .during(Stage::Enqueue))
}
