use async_trait::async_trait;
use thiserror::Error;

/// State machines that wait for a task, each identified by a task token.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token>
#[async_trait]
pub trait Callback: Send + Sync {
    /// The task is done; `output` is its result, as JSON.
    ///
    /// # Errors
    /// The call failed; the state machine may no longer be waiting ([`CallbackErrorKind::Gone`]).
    async fn succeed(&self, token: &str, output: &str) -> Result<(), CallbackError>;

    /// The task failed, with the name of an `error`, for `Catch`, and its `cause`.
    ///
    /// # Errors
    /// As [`Callback::succeed`].
    async fn fail(&self, token: &str, error: &str, cause: &str) -> Result<(), CallbackError>;

    /// The task is in progress.
    ///
    /// # Errors
    /// As [`Callback::succeed`].
    async fn heartbeat(&self, token: &str) -> Result<(), CallbackError>;
}

/// The kind of failure of a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackErrorKind {
    /// The token is no longer valid: it was answered before, or has timed out.
    Gone,
    /// The same call may succeed later.
    Retryable,
    /// The function's role lacks a permission.
    AccessDenied,
    /// The invocation's deadline is too near to start the call.
    Deadline,
    /// Anything else.
    Other,
}

/// A callback that failed.
#[derive(Debug, Clone, Error)]
#[error("Step Functions {operation}: {message}")]
pub struct CallbackError {
    /// The kind of failure.
    pub kind: CallbackErrorKind,
    /// The service's operation, such as `SendTaskSuccess`.
    pub operation: &'static str,
    /// The message of the service or the network.
    pub message: String,
}
