use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use super::ServiceErrorKind;

/// The most messages in one `SendMessageBatch`.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
pub const MAX_SEND_BATCH: usize = 10;

/// The most bytes in one message, and in all messages of one `SendMessageBatch` together.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
pub const MAX_SEND_BYTES: usize = 1 << 20;

/// A queue of messages with at-least-once delivery, in any order.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends at most [`MAX_SEND_BATCH`] bodies ([`MAX_SEND_BYTES`] together) to the queue at `queue_url`.
    ///
    /// Returns the rejected ones by their index in `bodies`; the others were accepted.
    ///
    /// # Errors
    /// The whole call failed; some of the bodies may have been accepted nevertheless.
    async fn send(
        &self,
        queue_url: &str,
        bodies: &[String],
    ) -> Result<Vec<SendFailure>, QueueError>;
}

/// The most messages in one `ChangeMessageVisibilityBatch`.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibilityBatch.html>
pub const MAX_HIDE_BATCH: usize = 10;

/// A received message that is to stay hidden for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// The handle of this receipt.
    pub receipt: String,
    /// For how long, from now on.
    pub wait: Duration,
}

/// The messages that a queue has handed over.
#[async_trait]
pub trait Received: Send + Sync {
    /// Has messages of the queue of this ARN delivered again after their waits, in place of the queue's own timeout, where that
    /// is sooner. Returns how many the queue rejected.
    ///
    /// # Errors
    /// The whole call failed.
    async fn hide(&self, queue_arn: &str, messages: &[Hidden]) -> Result<usize, QueueError>;
}

/// A message of a batch that the queue rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendFailure {
    /// Its index in the batch.
    pub index: usize,
    /// The service's error code.
    pub code: String,
    /// Whether sending the same body again will always fail.
    pub sender_fault: bool,
}

/// A call to the queue that failed as a whole.
#[derive(Debug, Clone, Error)]
#[error("SQS {operation} on {queue_url}: {message}")]
pub struct QueueError {
    /// The service's operation, such as `SendMessageBatch`.
    pub operation: &'static str,
    /// The queue: its URL or its ARN.
    pub queue_url: String,
    /// The kind of failure.
    pub kind: ServiceErrorKind,
    /// The message of the service or the network.
    pub message: String,
}
