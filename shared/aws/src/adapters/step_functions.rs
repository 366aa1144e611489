//! The Callback port on Step Functions.

use async_trait::async_trait;
use aws_sdk_sfn::Client;
use aws_smithy_runtime_api::{client::result::SdkError, http::Response};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use lakewright_ports::{Callback, CallbackError, CallbackErrorKind, ServiceErrorKind};

use super::failure::Failure;

/// State machines of one account and region.
#[derive(Debug, Clone)]
pub struct StepFunctionsCallback {
    client: Client,
}

impl StepFunctionsCallback {
    /// Wraps a client whose retries are off.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

fn failed<E>(operation: &'static str, error: &SdkError<E, Response>) -> CallbackError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let failure = Failure::of(error);
    CallbackError {
        kind: kind_of(&failure),
        operation,
        message: failure.message_with(&format!("states:{operation}")),
    }
}

/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html>
fn kind_of(failure: &Failure) -> CallbackErrorKind {
    match failure.code.as_deref() {
        Some("TaskTimedOut" | "TaskDoesNotExist" | "InvalidToken") => CallbackErrorKind::Gone,
        _ => match failure.kind() {
            ServiceErrorKind::AccessDenied => CallbackErrorKind::AccessDenied,
            ServiceErrorKind::Retryable => CallbackErrorKind::Retryable,
            ServiceErrorKind::Deadline => CallbackErrorKind::Deadline,
            ServiceErrorKind::Other => CallbackErrorKind::Other,
        },
    }
}

#[async_trait]
impl Callback for StepFunctionsCallback {
    async fn succeed(&self, token: &str, output: &str) -> Result<(), CallbackError> {
        let request = self
            .client
            .send_task_success()
            .task_token(token)
            .output(output);
        let sent = request.send().await;
        sent.map(drop)
            .map_err(|error| failed("SendTaskSuccess", &error))
    }

    async fn fail(&self, token: &str, error: &str, cause: &str) -> Result<(), CallbackError> {
        let request = self.client.send_task_failure().task_token(token);
        let sent = request.error(error).cause(cause).send().await;
        sent.map(drop)
            .map_err(|error| failed("SendTaskFailure", &error))
    }

    async fn heartbeat(&self, token: &str) -> Result<(), CallbackError> {
        let sent = self
            .client
            .send_task_heartbeat()
            .task_token(token)
            .send()
            .await;
        sent.map(drop)
            .map_err(|error| failed("SendTaskHeartbeat", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::failure::Reached;

    #[test]
    fn kinds() {
        use CallbackErrorKind::{AccessDenied, Gone, Other, Retryable};
        for (status, code, kind) in [
            (400, Some("TaskTimedOut"), Gone),
            (400, Some("TaskDoesNotExist"), Gone),
            (400, Some("InvalidToken"), Gone),
            (400, Some("ThrottlingException"), Retryable),
            (503, None, Retryable),
            (400, Some("InvalidOutput"), Other),
            (403, Some("AccessDeniedException"), AccessDenied),
        ] {
            let failure = Failure {
                reached: Reached::Answer(status),
                code: code.map(str::to_owned),
                message: String::new(),
            };
            assert_eq!(kind_of(&failure), kind, "{status} {code:?}");
        }
    }
}
