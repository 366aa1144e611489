use async_trait::async_trait;
use thiserror::Error;

use super::ServiceErrorKind;

/// The most messages that one `SendMessageBatch` takes.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
pub const MAX_SEND_BATCH: usize = 10;

/// A queue of messages: at least once, in any order.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends at most [`MAX_SEND_BATCH`] bodies (1 MiB together) to the queue at `queue_url`.
    ///
    /// Returns those that the queue did not take, by their index in `bodies`; the rest were taken.
    ///
    /// # Errors
    /// When the whole call failed; any of the bodies may have been taken all the same.
    async fn send(
        &self,
        queue_url: &str,
        bodies: &[String],
    ) -> Result<Vec<SendFailure>, QueueError>;
}

/// One message of a batch that the queue did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendFailure {
    /// Its index in the batch.
    pub index: usize,
    /// The service's error code.
    pub code: String,
    /// Whether sending the same body again can never succeed.
    pub sender_fault: bool,
}

/// A call to the queue that failed as a whole.
#[derive(Debug, Clone, Error)]
#[error("SQS {operation} on {queue_url}: {message}")]
pub struct QueueError {
    /// The service's operation, such as `SendMessageBatch`.
    pub operation: &'static str,
    /// The queue.
    pub queue_url: String,
    /// What kind of failure it is.
    pub kind: ServiceErrorKind,
    /// What the service or the network said.
    pub message: String,
}
