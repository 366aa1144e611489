/// The kind of failure of a call to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceErrorKind {
    /// The same call may succeed later.
    Retryable,
    /// The function's role lacks a permission.
    AccessDenied,
    /// The invocation's deadline is too near to start the call.
    Deadline,
    /// Anything else.
    Other,
}
