//! The Queue port on SQS.

use async_trait::async_trait;
use aws_sdk_sqs::{
    Client,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, QueueAttributeName, SendMessageBatchRequestEntry,
    },
};
use lakewright_ports::{
    Hidden, MAX_HIDE_BATCH, Queue, QueueError, Received, SendFailure, ServiceErrorKind,
};

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

const GET_URL: &str = "GetQueueUrl";
const GET_ATTRIBUTES: &str = "GetQueueAttributes";
const HIDE: &str = "ChangeMessageVisibilityBatch";
/// What a role has to be granted for it.
const HIDE_ACTION: &str = "sqs:ChangeMessageVisibility";

#[async_trait]
impl Received for SqsQueue {
    async fn hide(&self, queue_arn: &str, messages: &[Hidden]) -> Result<usize, QueueError> {
        let error = |operation, kind, message| QueueError {
            operation,
            queue_url: queue_arn.to_owned(),
            kind,
            message,
        };
        // arn:aws:sqs:region:account:name
        let mut parts = queue_arn.rsplit(':');
        let (name, account) = (parts.next(), parts.next());
        let url = self.client.get_queue_url();
        let url = url
            .set_queue_name(name.map(str::to_owned))
            .set_queue_owner_aws_account_id(account.map(str::to_owned));
        let url = url.send().await.map_err(|failed| {
            let failure = Failure::of(&failed);
            error(
                GET_URL,
                failure.kind(),
                failure.message_with("sqs:GetQueueUrl"),
            )
        })?;
        let url = url.queue_url.unwrap_or_default();
        let own = self
            .client
            .get_queue_attributes()
            .queue_url(&url)
            .attribute_names(QueueAttributeName::VisibilityTimeout);
        let own = own.send().await.map_err(|failed| {
            let failure = Failure::of(&failed);
            error(
                GET_ATTRIBUTES,
                failure.kind(),
                failure.message_with("sqs:GetQueueAttributes"),
            )
        })?;
        let own = own.attributes();
        let own = own.and_then(|all| all.get(&QueueAttributeName::VisibilityTimeout));
        let own = own.and_then(|seconds| seconds.parse::<u64>().ok());
        let sooner = |message: &&Hidden| own.is_none_or(|own| message.wait.as_secs() < own);
        let sooner = messages.iter().filter(sooner).collect::<Vec<_>>();
        let mut rejected = 0;
        for messages in sooner.chunks(MAX_HIDE_BATCH) {
            let mut request = self.client.change_message_visibility_batch();
            request = request.queue_url(&url);
            for (index, message) in messages.iter().enumerate() {
                let seconds = i32::try_from(message.wait.as_secs()).unwrap_or(i32::MAX);
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(&message.receipt)
                    .visibility_timeout(seconds)
                    .build()
                    .map_err(|missing| error(HIDE, ServiceErrorKind::Other, missing.to_string()))?;
                request = request.entries(entry);
            }
            let answer = request.send().await.map_err(|failed| {
                let failure = Failure::of(&failed);
                error(HIDE, failure.kind(), failure.message_with(HIDE_ACTION))
            })?;
            rejected += answer.failed().len();
        }
        Ok(rejected)
    }
}
