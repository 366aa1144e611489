/// Why a job, or a piece of its work, has no result.
pub trait Failure: std::error::Error {
    /// A stable name of the kind of failure, for logs, metrics and Step Functions' `Retry` and `Catch`.
    /// docs/OPERATIONS.md says what to do about each.
    fn name(&self) -> &'static str;
}
