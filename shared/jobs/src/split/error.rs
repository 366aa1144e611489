use lakewright_core::{location::Location, split::Dropped};
use thiserror::Error;

use crate::{
    Failure,
    document::DocumentError,
    ports::{CallbackError, QueriesError, QueueError, StoreError, StoreErrorKind},
};

/// The step of split in which something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading or writing the ledger.
    Ledger,
    /// Reading the result.
    Read,
    /// Writing rows.
    Write,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ledger => "ledger",
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

/// Why a request or a chunk failed. After any of these the same call may be made again: it goes on from what stands.
#[derive(Debug, Error)]
pub enum SplitError {
    /// The store failed.
    #[error("{stage}: {source}")]
    Store {
        /// In which step.
        stage: Stage,
        /// What it said.
        source: StoreError,
    },
    /// Athena failed.
    #[error(transparent)]
    Queries(#[from] QueriesError),
    /// The queue failed.
    #[error("enqueue: {0}")]
    Queue(#[from] QueueError),
    /// The queue keeps refusing a message.
    #[error("enqueue: the queue does not take {body}: {code}")]
    Refused {
        /// The message.
        body: String,
        /// The queue's error code.
        code: String,
    },
    /// Who waits could not be told.
    #[error(transparent)]
    Callback(#[from] CallbackError),
    /// The request means nothing.
    #[error("request: {0}")]
    BadRequest(String),
    /// There is no such query.
    #[error("Athena has no query {0}, or has forgotten it (it keeps them for 45 days)")]
    QueryMissing(String),
    /// The query runs.
    #[error("query {0} is not finished: wait until it has succeeded")]
    QueryUnfinished(String),
    /// The query has no result.
    #[error("query {id} {state}: {reason}")]
    QueryFailed {
        /// Its id.
        id: String,
        /// `failed` or `was cancelled`.
        state: &'static str,
        /// In Athena's words.
        reason: String,
    },
    /// The result is in Athena's own storage.
    #[error(
        "the result of query {0} is in Athena's managed storage, where it cannot be read in parts: give the workgroup, or the query, an output location in S3"
    )]
    ManagedResult(String),
    /// The query has no rows as its result.
    #[error("the result of query {id} is no table of rows ({output}): run a SELECT or an UNLOAD")]
    NoRows {
        /// The query.
        id: String,
        /// Where Athena put its output.
        output: String,
    },
    /// The result lies where the job may not read.
    #[error("{0} is in none of the job's `sources`")]
    SourceNotAllowed(Location),
    /// An object of the result is gone, or not the one that was planned.
    #[error(
        "read: {0} is not the object that the plan was made of: it was deleted or replaced. Run the query again"
    )]
    SourceChanged(Location),
    /// An object of the result cannot be read.
    #[error("read: {location}: {message}")]
    Unreadable {
        /// The object.
        location: Location,
        /// What is wrong, and where.
        message: String,
    },
    /// The job names a column that the result lacks.
    #[error("the result has no column `{column}`: it has {columns}")]
    UnknownColumn {
        /// In `key` or `template`.
        column: String,
        /// Those of the result.
        columns: String,
    },
    /// Two columns of the result have one name.
    #[error("the result has two columns named `{0}`: tell them apart by AS in the query")]
    DuplicateColumn(String),
    /// A row is not what the result's form demands, or has no name.
    #[error("row {row}: {message}")]
    BadRow {
        /// Its number.
        row: u64,
        /// What is wrong with it.
        message: String,
    },
    /// Different rows have one key.
    #[error(
        "rows {} and {} have the key {key} and are different ({collisions} such in all): nothing was written. Name more columns in `key`, or choose with `on_collision`",
        first.kept, first.row
    )]
    KeyCollision {
        /// Two of them.
        first: Dropped,
        /// Their key.
        key: String,
        /// How many rows share a key with a different row of a lower number.
        collisions: u64,
    },
    /// The keys of all rows need more memory than there is.
    #[error("plan: {0}")]
    TooManyKeys(#[from] lakewright_core::split::TooManyKeys),
    /// Something else stands where a row is to stand.
    #[error(
        "write: {taken} of the chunk's keys have another object, the first is {first} for row {row}: none was overwritten"
    )]
    KeyTaken {
        /// The first.
        first: Location,
        /// Its row.
        row: u64,
        /// How many.
        taken: u64,
    },
    /// An object stood, and a moment later did not.
    #[error(
        "write: {0} vanished while it was written; nothing may be deleted before the job is done"
    )]
    Vanished(Location),
    /// It would cost more than the job may without a word.
    #[error(
        "the job would make {puts} PUT requests, for {usd} USD, and its max_puts is {max_puts}: nothing was written. Send the request again with \"confirm\": true"
    )]
    ConfirmationNeeded {
        /// The requests.
        puts: u64,
        /// Their price.
        usd: String,
        /// The limit.
        max_puts: u32,
    },
    /// There is no such job.
    #[error("there is no plan at {0}")]
    PlanMissing(Location),
    /// A ledger entry is not what this code writes.
    #[error("ledger: {location}: {message}")]
    LedgerDocument {
        /// The entry.
        location: Location,
        /// What is wrong.
        message: String,
    },
    /// A task of this invocation ended without an answer.
    #[error("read: a task ended early: {0}")]
    Task(String),
    /// The deadline is too near to go on.
    #[error("the invocation's deadline came before it was done")]
    Deadline,
}

impl From<DocumentError> for SplitError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Store(error) => Self::store(Stage::Ledger, error),
            DocumentError::Json { location, message } => Self::LedgerDocument { location, message },
        }
    }
}

impl SplitError {
    /// A failure of the store in a step.
    pub(super) fn store(stage: Stage, source: StoreError) -> Self {
        if source.kind == StoreErrorKind::Deadline {
            return Self::Deadline;
        }
        Self::Store { stage, source }
    }

    /// Whether the same chunk can never succeed, so that trying again is of no use.
    pub(super) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::SourceChanged(_)
                | Self::Unreadable { .. }
                | Self::BadRow { .. }
                | Self::KeyTaken { .. }
        )
    }
}

impl Failure for SplitError {
    fn name(&self) -> &'static str {
        match self {
            Self::Store { .. } => "StoreFailed",
            Self::Queries(_) => "AthenaFailed",
            Self::Queue(_) | Self::Refused { .. } => "QueueFailed",
            Self::Callback(_) => "CallbackFailed",
            Self::BadRequest(_) => "BadRequest",
            Self::QueryMissing(_) => "QueryMissing",
            Self::QueryUnfinished(_) => "QueryUnfinished",
            Self::QueryFailed { .. } => "QueryFailed",
            Self::ManagedResult(_) => "ManagedResult",
            Self::NoRows { .. } => "NoRows",
            Self::SourceNotAllowed(_) => "SourceNotAllowed",
            Self::SourceChanged(_) => "SourceChanged",
            Self::Unreadable { .. } => "Unreadable",
            Self::UnknownColumn { .. } => "UnknownColumn",
            Self::DuplicateColumn(_) => "DuplicateColumn",
            Self::BadRow { .. } => "BadRow",
            Self::KeyCollision { .. } => "KeyCollision",
            Self::TooManyKeys(_) => "TooManyKeys",
            Self::KeyTaken { .. } => "KeyTaken",
            Self::Vanished(_) => "OutputVanished",
            Self::ConfirmationNeeded { .. } => "ConfirmationNeeded",
            Self::PlanMissing(_) => "PlanMissing",
            Self::LedgerDocument { .. } => "LedgerUnreadable",
            Self::Task(_) => "TaskFailed",
            Self::Deadline => "Deadline",
        }
    }
}
