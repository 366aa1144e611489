//! Sends messages to a queue.

use lakewright_ports::Queue;

use super::{ErrorKind, JobError, Stage};

/// Sends at most [`MAX_SEND_BATCH`](lakewright_ports::MAX_SEND_BATCH) bodies, or fails with the first that the queue
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
