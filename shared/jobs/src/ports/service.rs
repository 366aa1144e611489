/// The kind of failure of a call to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceErrorKind {
    /// The same call may succeed later.
    Retryable,
    /// The function's role lacks a permission.
    AccessDenied,
    /// Anything else.
    Other,
}
