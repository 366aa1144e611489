use std::io;

use arrow::error::ArrowError;
use lakewright_core::{
    catalog::{TableError, TableName},
    encode::EncodeError,
    location::Location,
    repartition::{RouteError, ShapeError},
};
use thiserror::Error;

use crate::{
    Failure,
    document::DocumentError,
    ports::{CatalogError, CatalogErrorKind, StoreError, StoreErrorKind},
    rekey::RekeyError,
    work::{Stage, WorkError},
};

/// Why a step of a run failed. After any of these it may be made again: it goes on from what stands. What stood under the
/// target before the run is whole as long as the run is not committed.
#[derive(Debug, Error)]
pub enum RepartitionError {
    /// The store failed.
    #[error("{stage}: {source}")]
    Store {
        /// In which step.
        stage: Stage,
        /// What it said.
        source: StoreError,
    },
    /// The catalog failed.
    #[error("catalog: {0}")]
    Catalog(CatalogError),
    /// A partition was not registered.
    #[error(transparent)]
    Register(Box<RekeyError>),
    /// A table does not exist.
    #[error("table {0} does not exist")]
    TableMissing(TableName),
    /// The source's table cannot be read.
    #[error("table {table}: {error}")]
    Reading {
        /// The table.
        table: TableName,
        /// What is wrong with it.
        error: TableError,
    },
    /// What is asked for does not fit what is there.
    #[error("{0}")]
    Unfit(String),
    /// The columns that are asked for cannot be written.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// There is no object under the source's prefix.
    #[error("there is no object under {0}: what would replace the target is nothing")]
    NothingToRead(Location),
    /// `mode = "fail"`, and there is data under the target.
    #[error("mode = \"fail\": {objects} objects stand under the target, the first is {first}")]
    TargetNotEmpty {
        /// The first of them.
        first: Location,
        /// How many.
        objects: usize,
    },
    /// An object of the source was deleted or replaced after the run was planned.
    #[error("{0} was deleted or replaced after it was planned: plan the job again")]
    SourceChanged(Location),
    /// An object cannot be read.
    #[error("read: {location}: {message}")]
    Unreadable {
        /// The object.
        location: Location,
        /// What is wrong, and where.
        message: String,
    },
    /// A record does not fit its columns.
    #[error("{location} at {offset}: {message}")]
    RecordRefused {
        /// The object.
        location: Location,
        /// The record's offset in the decompressed bytes; of a Parquet file, its row.
        offset: u64,
        /// What is wrong with it.
        message: String,
    },
    /// A row has no partition.
    #[error(transparent)]
    Route(RouteError),
    /// No plan stands where one should.
    #[error("there is no plan at {0}")]
    PlanMissing(Location),
    /// The request names no task of the plan.
    #[error("the plan has no such task: {0}")]
    NoSuchTask(String),
    /// The run was given up, because its sources changed.
    #[error(
        "the run of {0} was given up, because an object of its source was deleted or replaced: plan the job again"
    )]
    Withdrawn(Location),
    /// The run is committed, and a task of it that is said not to be done wants to write.
    #[error("the run of {0} is committed: nothing more is written of it")]
    RunOver(Location),
    /// Tasks that are not done.
    #[error(
        "{missing} of {tasks} tasks are not done, the first is {first}: run them, then commit again"
    )]
    TasksMissing {
        /// How many.
        missing: usize,
        /// Of how many.
        tasks: usize,
        /// The first of them.
        first: usize,
    },
    /// What stands is not what the tasks wrote.
    #[error("verify: {location} {difference}; nothing was committed and nothing removed")]
    Differs {
        /// A file, or the directory of an output.
        location: Location,
        /// How it differs.
        difference: Difference,
    },
    /// A ledger entry cannot be read or written as JSON, or vanished.
    #[error("ledger: {location}: {message}")]
    LedgerDocument {
        /// The entry.
        location: Location,
        /// What is wrong.
        message: String,
    },
    /// Objects that are to be removed are not.
    #[error("remove: {location}: {message}")]
    NotRemoved {
        /// The first of them.
        location: Location,
        /// What the store said.
        message: String,
    },
    /// A temporary file failed.
    #[error("scratch file: {0}")]
    Scratch(#[from] io::Error),
    /// A file could not be encoded.
    #[error("encode: {0}")]
    Encode(#[from] EncodeError),
    /// A batch of columns could not be handled.
    #[error("columns: {0}")]
    Arrow(#[from] ArrowError),
    /// A task of this invocation ended without an answer.
    #[error("{stage}: a task ended early: {message}")]
    Task {
        /// In which step.
        stage: Stage,
        /// How.
        message: String,
    },
    /// The deadline is too near to go on.
    #[error("the invocation's deadline came before the end")]
    Deadline,
}

/// How what stands differs from what was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Difference {
    /// A file that does not stand.
    #[error("was written and does not stand")]
    Missing,
    /// A file of another size, in bytes.
    #[error("has {found} bytes, and {written} were written")]
    Size {
        /// What stands.
        found: u64,
        /// What was written.
        written: u64,
    },
    /// An object of another `ETag`: somebody has put it in the file's place.
    #[error("has the ETag {found}, and what was written has {written}")]
    Etag {
        /// What stands.
        found: String,
        /// What was written.
        written: String,
    },
    /// A file that was taken away or replaced while it was looked at.
    #[error("was taken away or replaced just now")]
    Changed,
    /// A file whose footer cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// A file of other columns.
    #[error("has the columns {found:?}, and {written:?} were to be written")]
    Columns {
        /// What stands, by its footer.
        found: Vec<String>,
        /// What the plan says.
        written: Vec<String>,
    },
    /// A file of another number of rows.
    #[error("has {found} rows by its footer, and {written} were written")]
    Rows {
        /// What stands, by its footer.
        found: u64,
        /// What the task says.
        written: u64,
    },
    /// An output that has not all rows, or has some of them twice.
    #[error("has files of {found} rows, and {read} were read")]
    Sum {
        /// In its files.
        found: u64,
        /// Of the source.
        read: u64,
    },
}

impl RepartitionError {
    /// A failure of the store in a step.
    pub(super) fn store(stage: Stage, source: StoreError) -> Self {
        if source.kind == StoreErrorKind::Deadline {
            return Self::Deadline;
        }
        Self::Store { stage, source }
    }

    /// A failure to read an object of the plan.
    pub(super) fn read(location: &Location, error: WorkError) -> Self {
        match error {
            WorkError::Store { source, .. } if is_changed(source.kind) => {
                Self::SourceChanged(location.clone())
            }
            other => other.into(),
        }
    }
}

/// Whether the object that was read is not the one that was planned.
fn is_changed(kind: StoreErrorKind) -> bool {
    matches!(
        kind,
        StoreErrorKind::NotFound
            | StoreErrorKind::PreconditionFailed
            | StoreErrorKind::InvalidRange
    )
}

impl From<RouteError> for RepartitionError {
    fn from(error: RouteError) -> Self {
        Self::Route(error)
    }
}

impl From<WorkError> for RepartitionError {
    fn from(error: WorkError) -> Self {
        match error {
            WorkError::Store { stage, source } => Self::store(stage, source),
            WorkError::Scratch(error) => Self::Scratch(error),
            WorkError::Arrow(error) => Self::Arrow(error),
            WorkError::Schema(message) => Self::Unfit(message),
            WorkError::Task { stage, message } => Self::Task { stage, message },
            WorkError::Deadline => Self::Deadline,
        }
    }
}

impl From<CatalogError> for RepartitionError {
    fn from(error: CatalogError) -> Self {
        if error.kind == CatalogErrorKind::Deadline {
            return Self::Deadline;
        }
        Self::Catalog(error)
    }
}

impl From<DocumentError> for RepartitionError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Store(error) => Self::store(Stage::Ledger, error),
            DocumentError::Json { location, message } => Self::LedgerDocument { location, message },
        }
    }
}

impl Failure for RepartitionError {
    fn name(&self) -> &'static str {
        match self {
            Self::Store { .. } => "StoreFailed",
            Self::Catalog(_) => "CatalogFailed",
            Self::Register(error) => error.name(),
            Self::TableMissing(_) => "TableMissing",
            Self::Reading { .. } | Self::Unfit(_) | Self::Shape(_) => "SchemaUnusable",
            Self::NothingToRead(_) => "NothingToRead",
            Self::TargetNotEmpty { .. } => "TargetNotEmpty",
            Self::SourceChanged(_) => "SourceChanged",
            Self::Unreadable { .. } => "Unreadable",
            Self::RecordRefused { .. } => "RecordRefused",
            Self::Route(RouteError::TooMany(_)) => "TooManyPartitions",
            Self::Route(_) => "BadPartition",
            Self::PlanMissing(_) => "PlanMissing",
            Self::NoSuchTask(_) => "BadRequest",
            Self::Withdrawn(_) => "Withdrawn",
            Self::RunOver(_) => "RunOver",
            Self::TasksMissing { .. } => "TasksMissing",
            Self::Differs { .. } => "OutputsDiffer",
            Self::LedgerDocument { .. } => "LedgerUnreadable",
            Self::NotRemoved { .. } => "NotRemoved",
            Self::Scratch(_) => "ScratchFailed",
            Self::Encode(_) | Self::Arrow(_) => "EncodeFailed",
            Self::Task { .. } => "TaskFailed",
            Self::Deadline => "Deadline",
        }
    }
}
