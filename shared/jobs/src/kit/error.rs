//! The error type of all jobs.

use std::{error::Error, fmt, io, sync::Arc};

use arrow::error::ArrowError;
use lakewright_core::{
    catalog::TableName,
    encode::EncodeError,
    location::Location,
    repartition::{RouteError, ShapeError},
    split::TooManyKeys,
};
use lakewright_ports::{
    CallbackError, CallbackErrorKind, CatalogError, CatalogErrorKind, QueriesError, QueueError,
    SecretsError, ServiceErrorKind, StoreError, StoreErrorKind,
};

use super::ErrorKind;

/// A failure with a stable name.
pub trait Failure: Error {
    /// The stable name of the kind of failure, for logs, metrics and Step Functions' `Retry` and `Catch`.
    /// docs/OPERATIONS.md explains each name.
    fn name(&self) -> &'static str;
}

/// The step of a job in which something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading or writing the ledger.
    Ledger,
    /// Reading the source.
    Read,
    /// Spooling rows to the store until the whole source is read.
    Spool,
    /// Writing the outputs.
    Write,
    /// Comparing what is stored with what was written.
    Verify,
    /// Registering partitions in the catalog.
    Register,
    /// Removing replaced objects.
    Remove,
    /// Sending messages.
    Enqueue,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ledger => "ledger",
            Self::Read => "read",
            Self::Spool => "spool",
            Self::Write => "write",
            Self::Verify => "verify",
            Self::Register => "register",
            Self::Remove => "remove",
            Self::Enqueue => "enqueue",
        })
    }
}

/// Why a job, or a part of its work, failed. After any of these the same call may be made again: it resumes from what
/// is stored, and nothing is lost, because sources are only read.
///
/// It prints as `stage: s3://bucket/key at offset: message`, with the parts that are known.
pub struct JobError(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    stage: Option<Stage>,
    location: Option<Location>,
    version: Option<String>,
    offset: Option<u64>,
    message: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl JobError {
    /// Creates a failure of this kind. `message`: what is wrong, and what to do about it.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            stage: None,
            location: None,
            version: None,
            offset: None,
            message: message.into(),
            cause: None,
        }))
    }

    /// Adds the step of the job.
    #[must_use]
    pub fn during(mut self, stage: Stage) -> Self {
        self.0.stage = Some(stage);
        self
    }

    /// Adds the object.
    #[must_use]
    pub fn of(mut self, location: impl Into<Location>) -> Self {
        self.0.location = Some(location.into());
        self
    }

    /// Adds the version of the object: its `ETag` or its version id.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.0.version = Some(version.into());
        self
    }

    /// Adds the position in the object: a byte of its decompressed content; for a Parquet file, a row.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.0.offset = Some(offset);
        self
    }

    fn caused_by(kind: ErrorKind, cause: impl Error + Send + Sync + 'static) -> Self {
        let mut error = Self::new(kind, cause.to_string());
        error.0.cause = Some(Box::new(cause));
        error
    }

    /// A failure of the store in a step.
    pub fn store(stage: Stage, error: StoreError) -> Self {
        let error = Self::from(error);
        match error.kind() {
            ErrorKind::Deadline => error,
            _ => error.during(stage),
        }
    }

    /// A failure of a service. `failed`: its kind, unless it is one that all services share.
    fn service(
        kind: ServiceErrorKind,
        failed: ErrorKind,
        error: impl Error + Send + Sync + 'static,
    ) -> Self {
        match kind {
            ServiceErrorKind::Deadline => Self::deadline(),
            ServiceErrorKind::AccessDenied => Self::caused_by(ErrorKind::AccessDenied, error),
            ServiceErrorKind::Retryable | ServiceErrorKind::Other => Self::caused_by(failed, error),
        }
    }

    /// The deadline is too near to continue.
    pub fn deadline() -> Self {
        let message = "the invocation's deadline came before the work was done";
        Self::new(ErrorKind::Deadline, message)
    }

    /// One piece of the work needs more time than an invocation has. `what`: the piece, and what to change.
    pub fn timeout_too_short(what: impl fmt::Display) -> Self {
        let message =
            format!("{what}. Unless a service was slow, the next attempt will end in the same way");
        Self::new(ErrorKind::TimeoutTooShort, message)
    }

    /// An object that cannot be decompressed, framed or parsed.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "most callers pass an error that they own"
    )]
    pub fn unreadable(location: impl Into<Location>, what: impl ToString) -> Self {
        Self::new(ErrorKind::Unreadable, what.to_string())
            .during(Stage::Read)
            .of(location)
    }

    /// A ledger entry that cannot be read or written.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "most callers pass an error that they own"
    )]
    pub fn entry(location: impl Into<Location>, what: impl ToString) -> Self {
        Self::new(ErrorKind::LedgerUnreadable, what.to_string())
            .during(Stage::Ledger)
            .of(location)
    }

    /// A ledger entry that disappeared between two reads.
    pub fn entry_vanished(location: impl Into<Location>) -> Self {
        let what = "it disappeared while it was read: nothing in the ledger may be deleted by hand";
        Self::entry(location, what)
    }

    /// The plan does not exist.
    pub fn plan_missing(location: impl Into<Location>) -> Self {
        let location = location.into();
        let message = format!("there is no plan at {location}");
        Self::new(ErrorKind::PlanMissing, message)
    }

    /// A table that a job needs is not in the catalog.
    pub fn table_missing(name: &TableName) -> Self {
        Self::new(
            ErrorKind::TableMissing,
            format!("table {name} does not exist"),
        )
    }

    /// A task of this invocation that ended without a result.
    pub fn task(stage: Stage, what: impl fmt::Display) -> Self {
        let message = format!("a task ended early: {what}");
        Self::new(ErrorKind::TaskFailed, message).during(stage)
    }

    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The stable name of its kind.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// The step in which it happened.
    pub fn stage(&self) -> Option<Stage> {
        self.0.stage
    }

    /// The object that it is about.
    pub fn location(&self) -> Option<&Location> {
        self.0.location.as_ref()
    }

    /// Whether the object itself is at fault: every attempt fails until the object, or the job's limits and policies,
    /// change.
    pub fn is_of_the_object(&self) -> bool {
        match self.kind() {
            ErrorKind::Unreadable
            | ErrorKind::CompressionRatioExceeded
            | ErrorKind::RecordTooLong
            | ErrorKind::ParquetFooterTooLarge
            | ErrorKind::ParquetRowGroupTooLarge
            | ErrorKind::OrcFooterTooLarge
            | ErrorKind::OrcStripeTooLarge
            | ErrorKind::RecordRefused
            | ErrorKind::BadPartition
            | ErrorKind::TooManyPartitions
            | ErrorKind::EncodeFailed => true,
            // A reader panicked.
            ErrorKind::TaskFailed => self.stage() == Some(Stage::Read),
            _ => false,
        }
    }

    /// Whether a read of one version of an object failed because that version is gone: the object was deleted or
    /// replaced.
    pub fn is_of_a_changed_object(&self) -> bool {
        matches!(
            self.store_kind(),
            Some(
                StoreErrorKind::NotFound
                    | StoreErrorKind::PreconditionFailed
                    | StoreErrorKind::InvalidRange
            )
        )
    }

    /// The kind of the store's error, if the store failed.
    pub fn store_kind(&self) -> Option<StoreErrorKind> {
        let cause = self.0.cause.as_deref()?;
        Some(cause.downcast_ref::<StoreError>()?.kind)
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stage) = self.0.stage {
            write!(f, "{stage}: ")?;
        }
        if let Some(location) = &self.0.location {
            write!(f, "{location}")?;
            if let Some(version) = &self.0.version {
                write!(f, " version {version}")?;
            }
            if let Some(offset) = self.0.offset {
                write!(f, " at {offset}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.0.kind.name())
    }
}

impl Error for JobError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The message is that of the cause, so the chain continues with the cause's source.
        self.0.cause.as_deref().and_then(Error::source)
    }
}

impl<F: Failure> Failure for Arc<F> {
    fn name(&self) -> &'static str {
        F::name(self)
    }
}

impl Failure for JobError {
    fn name(&self) -> &'static str {
        self.kind().name()
    }
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        match error.kind {
            StoreErrorKind::Deadline => Self::deadline(),
            StoreErrorKind::AccessDenied => Self::caused_by(ErrorKind::AccessDenied, error),
            _ => Self::caused_by(ErrorKind::StoreFailed, error),
        }
    }
}

impl From<CatalogError> for JobError {
    fn from(error: CatalogError) -> Self {
        match error.kind {
            CatalogErrorKind::Deadline => Self::deadline(),
            CatalogErrorKind::AccessDenied => Self::caused_by(ErrorKind::AccessDenied, error),
            _ => Self::caused_by(ErrorKind::CatalogFailed, error),
        }
    }
}

impl From<QueriesError> for JobError {
    fn from(error: QueriesError) -> Self {
        Self::service(error.kind, ErrorKind::AthenaFailed, error)
    }
}

impl From<QueueError> for JobError {
    fn from(error: QueueError) -> Self {
        Self::service(error.kind, ErrorKind::QueueFailed, error).during(Stage::Enqueue)
    }
}

impl From<SecretsError> for JobError {
    fn from(error: SecretsError) -> Self {
        Self::service(error.kind, ErrorKind::SecretFailed, error)
    }
}

impl From<CallbackError> for JobError {
    fn from(error: CallbackError) -> Self {
        match error.kind {
            CallbackErrorKind::Deadline => Self::deadline(),
            CallbackErrorKind::AccessDenied => Self::caused_by(ErrorKind::AccessDenied, error),
            _ => Self::caused_by(ErrorKind::CallbackFailed, error),
        }
    }
}

impl From<io::Error> for JobError {
    fn from(error: io::Error) -> Self {
        Self::new(ErrorKind::ScratchFailed, format!("scratch file: {error}"))
    }
}

impl From<ArrowError> for JobError {
    fn from(error: ArrowError) -> Self {
        Self::new(ErrorKind::EncodeFailed, format!("columns: {error}"))
    }
}

impl From<EncodeError> for JobError {
    fn from(error: EncodeError) -> Self {
        Self::new(ErrorKind::EncodeFailed, format!("encode: {error}"))
    }
}

impl From<ShapeError> for JobError {
    fn from(error: ShapeError) -> Self {
        Self::new(ErrorKind::SchemaUnusable, error.to_string())
    }
}

impl From<RouteError> for JobError {
    fn from(error: RouteError) -> Self {
        let kind = match error {
            RouteError::TooMany(_) => ErrorKind::TooManyPartitions,
            _ => ErrorKind::BadPartition,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<TooManyKeys> for JobError {
    fn from(error: TooManyKeys) -> Self {
        Self::new(ErrorKind::TooManyKeys, format!("plan: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_the_step_the_object_and_the_place() {
        let here = || Location::new("lake", "in/a.json");
        let table = [
            (
                JobError::new(ErrorKind::Unsuited, "it is empty"),
                "it is empty",
            ),
            (
                JobError::unreadable(here(), "no JSON"),
                "read: s3://lake/in/a.json: no JSON",
            ),
            (
                JobError::new(ErrorKind::RecordRefused, "no number")
                    .of(here())
                    .version("\"e1\"")
                    .at(17),
                "s3://lake/in/a.json version \"e1\" at 17: no number",
            ),
        ];
        for (error, text) in table {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn the_deadline_of_a_port_is_the_deadline_of_the_job() {
        let error = StoreError {
            kind: StoreErrorKind::Deadline,
            operation: "GetObject",
            location: Location::new("lake", "in/a.json"),
            message: String::new(),
        };
        assert_eq!(
            JobError::store(Stage::Read, error).kind(),
            ErrorKind::Deadline
        );
    }

    #[test]
    fn a_denied_call_is_access_denied_whichever_service_denied_it() {
        let message = String::new;
        let denied = [
            JobError::store(
                Stage::Read,
                StoreError {
                    kind: StoreErrorKind::AccessDenied,
                    operation: "GetObject",
                    location: Location::new("lake", "in/a.json"),
                    message: message(),
                },
            ),
            JobError::from(CatalogError {
                kind: CatalogErrorKind::AccessDenied,
                operation: "GetTable",
                table: "a.b".parse().unwrap(),
                message: message(),
            }),
            JobError::from(QueueError {
                operation: "SendMessageBatch",
                queue_url: message(),
                kind: ServiceErrorKind::AccessDenied,
                message: message(),
            }),
            JobError::from(QueriesError {
                operation: "GetQueryExecution",
                query: message(),
                kind: ServiceErrorKind::AccessDenied,
                message: message(),
            }),
            JobError::from(SecretsError {
                operation: "GetSecretValue",
                name: "secretsmanager:a".parse().unwrap(),
                kind: ServiceErrorKind::AccessDenied,
                message: message(),
            }),
            JobError::from(CallbackError {
                kind: CallbackErrorKind::AccessDenied,
                operation: "SendTaskSuccess",
                message: message(),
            }),
        ];
        for error in denied {
            assert_eq!(error.name(), "AccessDenied", "{error}");
        }
    }
}
