use lakewright_core::{catalog::TableName, location::Location};
use thiserror::Error;

use crate::{
    Failure,
    document::DocumentError,
    ports::{CatalogError, CatalogErrorKind, StoreError, StoreErrorKind},
};

/// Why a request has no answer. Nothing is lost, and the same request may be made again: it goes on from what stands.
#[derive(Debug, Error)]
pub enum CompactError {
    /// The store failed.
    #[error("{0}")]
    Store(StoreError),
    /// The catalog failed.
    #[error("{0}")]
    Catalog(CatalogError),
    /// The request means nothing.
    #[error("{0}")]
    BadRequest(String),
    /// The table does not exist.
    #[error("table {0} does not exist")]
    TableMissing(TableName),
    /// The table cannot be compacted by swapping its partitions.
    #[error("table {table}: {reason}")]
    TableUnsuited {
        /// The table.
        table: TableName,
        /// Why, and what can be done.
        reason: String,
    },
    /// The partition is not in the catalog.
    #[error("partition {partition} of {table} is not in the catalog any more")]
    PartitionMissing {
        /// The table.
        table: TableName,
        /// The partition's path.
        partition: String,
    },
    /// The catalog has the partition in another place than compact put it.
    #[error(
        "partition {partition} lies at {location} in the catalog, but should be at {expected}: nobody else may move partitions of a compacted table"
    )]
    PartitionElsewhere {
        /// The partition's path.
        partition: String,
        /// Where the catalog has it.
        location: String,
        /// Where it should be.
        expected: Box<Location>,
    },
    /// The catalog refused to move a partition.
    #[error("partition {partition}: {message}")]
    PartitionRefused {
        /// The partition's path.
        partition: String,
        /// What the catalog said.
        message: String,
    },
    /// A file is no Parquet file, or broken.
    #[error("{location}: {message}")]
    Unreadable {
        /// The file.
        location: Location,
        /// What is wrong with it.
        message: String,
    },
    /// Files cannot be merged into one.
    #[error("{0}")]
    Unmergeable(String),
    /// The partition cannot be compacted as it is.
    #[error("{0}")]
    Unsuited(String),
    /// A file that a plan merges was replaced or deleted.
    #[error(
        "{location} was replaced or deleted after it was planned: nobody may change the files of a compacted table"
    )]
    InputChanged {
        /// The file.
        location: Location,
    },
    /// A merged file does not stand yet.
    #[error("{location} does not stand: run compact-merge with task {task} of {plan} first")]
    NotMerged {
        /// The file.
        location: Location,
        /// The plan.
        plan: Box<Location>,
        /// Which of its files.
        task: usize,
    },
    /// A file has other rows than its plan says.
    #[error("{location} has {rows} rows, its plan says {expected}")]
    RowsDiffer {
        /// The file.
        location: Location,
        /// Its rows.
        rows: u64,
        /// As planned.
        expected: u64,
    },
    /// A file in an old directory whose rows stand nowhere else.
    #[error(
        "{location} is in a directory that its partition has left, and its rows stand nowhere else: its writer does not follow the partition's state. Nothing was deleted; move it to the partition's directory by hand"
    )]
    Stray {
        /// The file.
        location: Location,
    },
    /// A file that was made for a plan which is given up, some of whose rows stand nowhere else.
    #[error(
        "{location} was made for a plan that is given up, and what it was made of does not stand any more. Nothing was deleted; move it to the partition's directory by hand"
    )]
    OnlyCopy {
        /// The file.
        location: Location,
    },
    /// A plan does not stand.
    #[error("there is no plan at {0}")]
    PlanMissing(Location),
    /// A ledger entry cannot be read or written as JSON.
    #[error("ledger: {location}: {message}")]
    LedgerDocument {
        /// The entry.
        location: Location,
        /// What is wrong.
        message: String,
    },
    /// Keys were not deleted.
    #[error("{failed} objects were not deleted; the first is {first}: {message}")]
    NotDeleted {
        /// How many.
        failed: usize,
        /// The first.
        first: Location,
        /// What the store said about it.
        message: String,
    },
    /// A task of this invocation ended without an answer.
    #[error("a task ended early: {0}")]
    Task(String),
    /// The deadline is too near to go on.
    #[error("the invocation's deadline came before it was done")]
    Deadline,
}

impl CompactError {
    /// Whether it is about one partition, so that others can go on.
    pub(super) fn is_of_a_partition(&self) -> bool {
        matches!(
            self,
            Self::PartitionElsewhere { .. }
                | Self::PartitionMissing { .. }
                | Self::Unreadable { .. }
                | Self::Unmergeable(_)
                | Self::Unsuited(_)
                | Self::InputChanged { .. }
                | Self::LedgerDocument { .. }
                | Self::PlanMissing(_)
        )
    }
}

impl From<StoreError> for CompactError {
    fn from(error: StoreError) -> Self {
        if error.kind == StoreErrorKind::Deadline {
            return Self::Deadline;
        }
        Self::Store(error)
    }
}

impl From<CatalogError> for CompactError {
    fn from(error: CatalogError) -> Self {
        if error.kind == CatalogErrorKind::Deadline {
            return Self::Deadline;
        }
        Self::Catalog(error)
    }
}

impl From<DocumentError> for CompactError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Store(error) => error.into(),
            DocumentError::Json { location, message } => Self::LedgerDocument { location, message },
        }
    }
}

impl Failure for CompactError {
    fn name(&self) -> &'static str {
        match self {
            Self::Store(_) => "StoreFailed",
            Self::Catalog(_) => "CatalogFailed",
            Self::BadRequest(_) => "BadRequest",
            Self::TableMissing(_) => "TableMissing",
            Self::TableUnsuited { .. } => "TableUnsuited",
            Self::PartitionMissing { .. } => "PartitionMissing",
            Self::PartitionElsewhere { .. } => "PartitionElsewhere",
            Self::PartitionRefused { .. } => "PartitionRefused",
            Self::Unreadable { .. } => "Unreadable",
            Self::Unmergeable(_) => "Unmergeable",
            Self::Unsuited(_) => "Unsuited",
            Self::InputChanged { .. } => "InputChanged",
            Self::NotMerged { .. } => "NotMerged",
            Self::RowsDiffer { .. } => "RowsDiffer",
            Self::Stray { .. } => "Stray",
            Self::OnlyCopy { .. } => "OnlyCopy",
            Self::PlanMissing(_) => "PlanMissing",
            Self::LedgerDocument { .. } => "LedgerUnreadable",
            Self::NotDeleted { .. } => "NotDeleted",
            Self::Task(_) => "TaskFailed",
            Self::Deadline => "Deadline",
        }
    }
}
