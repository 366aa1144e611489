use async_trait::async_trait;
use thiserror::Error;

/// State machines that wait for a task, each known by a task token.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token>
#[async_trait]
pub trait Callback: Send + Sync {
    /// The task is done; `output` is its result, as JSON.
    ///
    /// # Errors
    /// When the call failed; nobody may be waiting any more ([`CallbackErrorKind::Gone`]).
    async fn succeed(&self, token: &str, output: &str) -> Result<(), CallbackError>;

    /// The task failed: by an `error`'s name, for `Catch`, and its `cause`.
    ///
    /// # Errors
    /// As [`Callback::succeed`].
    async fn fail(&self, token: &str, error: &str, cause: &str) -> Result<(), CallbackError>;

    /// The task goes on.
    ///
    /// # Errors
    /// As [`Callback::succeed`].
    async fn heartbeat(&self, token: &str) -> Result<(), CallbackError>;
}

/// What kind of failure a callback met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackErrorKind {
    /// Nobody waits for this token any more: it was answered before, or has timed out.
    Gone,
    /// The same call may succeed later.
    Retryable,
    /// The function's role lacks a permission.
    AccessDenied,
    /// Anything else.
    Other,
}

/// A callback that failed.
#[derive(Debug, Clone, Error)]
#[error("Step Functions {operation}: {message}")]
pub struct CallbackError {
    /// What kind of failure it is.
    pub kind: CallbackErrorKind,
    /// The service's operation, such as `SendTaskSuccess`.
    pub operation: &'static str,
    /// What the service or the network said.
    pub message: String,
}
