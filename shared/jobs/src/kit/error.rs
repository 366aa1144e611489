//! Why a job, or a piece of its work, has no result: one type for all jobs.

use std::{error::Error, fmt, io};

use arrow::error::ArrowError;
use lakewright_core::{
    encode::EncodeError,
    location::Location,
    repartition::{RouteError, ShapeError},
    split::TooManyKeys,
};

use crate::ports::{
    CallbackError, CatalogError, CatalogErrorKind, QueriesError, QueueError, StoreError,
    StoreErrorKind,
};

/// Why something has no result, under a stable name.
pub trait Failure: Error {
    /// A stable name of the kind of failure, for logs, metrics and Step Functions' `Retry` and `Catch`.
    /// docs/OPERATIONS.md says what to do about each.
    fn name(&self) -> &'static str;
}

/// The step of a job in which something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading or writing the ledger.
    Ledger,
    /// Reading the source.
    Read,
    /// Keeping rows in the store until the whole source is read.
    Spool,
    /// Writing the outputs.
    Write,
    /// Comparing what is stored with what was written.
    Verify,
    /// Registering partitions in the catalog.
    Register,
    /// Removing objects that are replaced.
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

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What kind of failure it is. A kind is its own name: `StoreFailed` is `Lakewright.StoreFailed` in Step
        /// Functions, and `StoreFailed` in logs and metrics. docs/OPERATIONS.md says what to do about each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorKind { $($(#[$doc])* $name,)* }

        impl ErrorKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

kinds! {
    // Services.
    /// S3 failed.
    StoreFailed,
    /// Glue failed.
    CatalogFailed,
    /// Athena failed.
    AthenaFailed,
    /// SQS failed, or keeps refusing a message.
    QueueFailed,
    /// Step Functions was not told.
    CallbackFailed,
    /// The invocation's deadline is too near to go on.
    Deadline,
    /// A temporary file failed.
    ScratchFailed,
    /// A file or a batch of columns could not be encoded.
    EncodeFailed,
    /// A task of this invocation ended without an answer.
    TaskFailed,

    // Requests, tables and partitions.
    /// The request cannot be carried out as it is.
    BadRequest,
    /// The table does not exist.
    TableMissing,
    /// The table cannot be compacted by swapping its partitions.
    TableUnsuited,
    /// The table's partition keys are not the job's `partition_by`.
    PartitionKeysDiffer,
    /// The table or its configuration cannot be used.
    SchemaUnusable,
    /// A row's value cannot be the value of a partition.
    BadPartition,
    /// The partition is not in the catalog.
    PartitionMissing,
    /// The catalog has the partition in another place.
    PartitionElsewhere,
    /// The catalog refused a partition.
    PartitionRefused,
    /// A row or an object touches more partitions than the limit allows.
    TooManyPartitions,

    // Sources.
    /// An object cannot be decompressed, framed or parsed.
    Unreadable,
    /// More bytes come out of the compression than `limits.compression_ratio` allows.
    CompressionRatioExceeded,
    /// A record is longer than `limits.record_size`.
    RecordTooLong,
    /// A Parquet footer is larger than `limits.parquet_footer`.
    ParquetFooterTooLarge,
    /// A Parquet row group is larger than `limits.parquet_row_group`.
    ParquetRowGroupTooLarge,
    /// The job's policy refuses a record, or a record does not fit its columns.
    RecordRefused,
    /// There is nothing under the source's prefix.
    NothingToRead,
    /// A source object was deleted or replaced between its plan and its commit.
    SourceLost,
    /// A source object was deleted or replaced after the plan was made.
    SourceChanged,
    /// The result lies outside the job's `sources`.
    SourceNotAllowed,

    // Queries and their results.
    /// Athena has no such query.
    QueryMissing,
    /// The query has not finished.
    QueryUnfinished,
    /// The query failed or was cancelled.
    QueryFailed,
    /// The result is in Athena's managed storage.
    ManagedResult,
    /// The result is not a table of rows.
    NoRows,
    /// The job names a column that the result lacks.
    UnknownColumn,
    /// Two columns of the result have the same name.
    DuplicateColumn,
    /// A row does not have the form of the result, or has no name.
    BadRow,
    /// Different rows have the same key.
    KeyCollision,
    /// The keys of all rows need more memory than the function has.
    TooManyKeys,
    /// Another object has the key of a row.
    KeyTaken,
    /// The job would make more PUT requests than its `max_puts`.
    ConfirmationNeeded,

    // Plans and ledgers.
    /// There is no such plan.
    PlanMissing,
    /// The existing plan names other outputs than this code makes from the plan's own settings.
    PlanDiffers,
    /// The plan was given up.
    Withdrawn,
    /// A ledger entry cannot be read or written, or vanished.
    LedgerUnreadable,
    /// The run is committed, and a task that is not done wants to write.
    RunOver,
    /// Not all tasks are done.
    TasksMissing,

    // Outputs.
    /// An output was there, and a moment later was not.
    OutputVanished,
    /// `mode = "fail"`, and there is data under the target.
    TargetNotEmpty,
    /// The stored outputs are not what the tasks wrote.
    OutputsDiffer,
    /// Replaced objects were not removed.
    NotRemoved,

    // Compaction.
    /// Files cannot be merged into one.
    Unmergeable,
    /// The partition cannot be compacted as it is.
    Unsuited,
    /// A file that a plan merges was replaced or deleted.
    InputChanged,
    /// A merged file does not exist yet.
    NotMerged,
    /// A file has other rows than its plan says.
    RowsDiffer,
    /// A file in an old directory has rows that are nowhere else.
    Stray,
    /// A file of an abandoned plan has rows that are nowhere else.
    OnlyCopy,
    /// Objects were not deleted.
    NotDeleted,
}

/// Why a job, or a piece of its work, has no result. After any of these the same call may be made again: it goes on
/// from what is stored, and nothing is lost, because sources are only read.
///
/// It prints as `stage: s3://bucket/key at offset: what is wrong`, as far as these are known.
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
    /// A failure of this kind. `message`: what is wrong, and what can be done about it.
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

    /// The same failure, in this step of the job.
    #[must_use]
    pub fn during(mut self, stage: Stage) -> Self {
        self.0.stage = Some(stage);
        self
    }

    /// The same failure, of this object.
    #[must_use]
    pub fn of(mut self, location: impl Into<Location>) -> Self {
        self.0.location = Some(location.into());
        self
    }

    /// The same failure, of this version of the object: its `ETag` or its version id.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.0.version = Some(version.into());
        self
    }

    /// The same failure, at this place of the object: a byte of its decompressed content; of a Parquet file, a row.
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

    /// The deadline is too near to go on.
    pub fn deadline() -> Self {
        let message = "the invocation's deadline came before the work was done";
        Self::new(ErrorKind::Deadline, message)
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

    /// A ledger entry that was there, and a moment later was not.
    pub fn entry_vanished(location: impl Into<Location>) -> Self {
        let what = "it vanished while it was read; nothing of the ledger may be deleted by hand";
        Self::entry(location, what)
    }

    /// There is no such plan.
    pub fn plan_missing(location: impl Into<Location>) -> Self {
        let location = location.into();
        let message = format!("there is no plan at {location}");
        Self::new(ErrorKind::PlanMissing, message)
    }

    /// A task of this invocation that ended without an answer.
    pub fn task(stage: Stage, what: impl fmt::Display) -> Self {
        let message = format!("a task ended early: {what}");
        Self::new(ErrorKind::TaskFailed, message).during(stage)
    }

    /// What kind of failure it is.
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

    /// What the store answered, where it is the store that failed.
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
        // The message is the cause's own, so the chain goes on behind it.
        self.0.cause.as_deref().and_then(Error::source)
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
            _ => Self::caused_by(ErrorKind::StoreFailed, error),
        }
    }
}

impl From<CatalogError> for JobError {
    fn from(error: CatalogError) -> Self {
        match error.kind {
            CatalogErrorKind::Deadline => Self::deadline(),
            _ => Self::caused_by(ErrorKind::CatalogFailed, error),
        }
    }
}

impl From<QueriesError> for JobError {
    fn from(error: QueriesError) -> Self {
        Self::caused_by(ErrorKind::AthenaFailed, error)
    }
}

impl From<QueueError> for JobError {
    fn from(error: QueueError) -> Self {
        Self::caused_by(ErrorKind::QueueFailed, error).during(Stage::Enqueue)
    }
}

impl From<CallbackError> for JobError {
    fn from(error: CallbackError) -> Self {
        Self::caused_by(ErrorKind::CallbackFailed, error)
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
}
