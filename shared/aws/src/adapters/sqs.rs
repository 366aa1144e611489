//! The Queue port on SQS.

use async_trait::async_trait;
use aws_sdk_sqs::{Client, types::SendMessageBatchRequestEntry};
use lakewright_jobs::ports::{Queue, QueueError, SendFailure, ServiceErrorKind};

use super::failure::Failure;

const SEND: &str = "SendMessageBatch";
/// What a role has to be granted for it.
const ACTION: &str = "sqs:SendMessage";

/// Queues of one account and region.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: Client,
}

impl SqsQueue {
    /// Wraps a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(
        &self,
        queue_url: &str,
        bodies: &[String],
    ) -> Result<Vec<SendFailure>, QueueError> {
        let error = |kind, message| QueueError {
            operation: SEND,
            queue_url: queue_url.to_owned(),
            kind,
            message,
        };
        if bodies.is_empty() {
            return Ok(Vec::new());
        }
        let mut request = self.client.send_message_batch().queue_url(queue_url);
        for (index, body) in bodies.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(body)
                .build()
                .map_err(|missing| error(ServiceErrorKind::Other, missing.to_string()))?;
            request = request.entries(entry);
        }
        let answer = request.send().await.map_err(|failed| {
            let failure = Failure::of(&failed);
            error(failure.kind(), failure.message_with(ACTION))
        })?;
        answer
            .failed()
            .iter()
            .map(|failed| {
                let index = failed.id().parse().map_err(|_| {
                    error(
                        ServiceErrorKind::Retryable,
                        format!("the answer names an unknown entry `{}`", failed.id()),
                    )
                })?;
                Ok(SendFailure {
                    index,
                    code: failed.code().to_owned(),
                    sender_fault: failed.sender_fault(),
                })
            })
            .collect()
    }
}
