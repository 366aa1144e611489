use std::io;

use arrow::error::ArrowError;
use lakewright_core::{catalog::TableName, location::Location};
use thiserror::Error;

pub(super) use crate::work::Stage;
use crate::{
    Failure,
    document::DocumentError,
    ports::{CatalogError, CatalogErrorKind, StoreError, StoreErrorKind},
    work::WorkError,
};

/// Why a source object was not committed. After any of these the same call may be made again: it goes on
/// from what stands, and nothing is lost, for the source object is only read.
#[derive(Debug, Error)]
pub enum RekeyError {
    /// The store failed.
    #[error("{stage}: {source}")]
    Store {
        /// In which step.
        stage: Stage,
        /// What it said.
        source: StoreError,
    },
    /// The catalog failed.
    #[error("register: {0}")]
    Catalog(CatalogError),
    /// The configured table does not exist.
    #[error("table {0} does not exist: create it, or remove `table` from the job")]
    TableMissing(TableName),
    /// The table's partition keys are not what the job partitions by.
    #[error(
        "table {table} is partitioned by {keys:?}, the job by {partition_by:?}: they must be the same, in the same order"
    )]
    PartitionKeysDiffer {
        /// The table.
        table: TableName,
        /// Its partition keys.
        keys: Vec<String>,
        /// The job's `partition_by`.
        partition_by: Vec<String>,
    },
    /// The catalog refused a partition.
    #[error("register: partition {values:?} of {table}: {message}")]
    PartitionRefused {
        /// The table.
        table: TableName,
        /// The partition's values.
        values: Vec<String>,
        /// What the catalog said.
        message: String,
    },
    /// The catalog has the partition in another place than the job writes to.
    #[error(
        "register: partition {values:?} of {table} lies at {location} in the catalog, the job writes to {expected}"
    )]
    PartitionElsewhere {
        /// The table.
        table: TableName,
        /// The partition's values.
        values: Vec<String>,
        /// Where the catalog has it.
        location: String,
        /// Where the job writes.
        expected: Box<Location>,
    },
    /// The table or its configuration cannot be used.
    #[error("{0}")]
    Schema(String),
    /// The source cannot be decompressed or framed at all.
    #[error("read: {location}: {message}")]
    Unreadable {
        /// The source object.
        location: Location,
        /// What is wrong, and where: the compressed offset if decompression failed, otherwise the decompressed one.
        message: String,
    },
    /// More comes out of the compression than the limit allows.
    #[error(
        "refused: {location}: more than {limit} bytes come out for one of the first {offset} bytes (limits.compression_ratio)"
    )]
    CompressionRatio {
        /// The source object.
        location: Location,
        /// Where in the compressed bytes.
        offset: u64,
        /// The limit.
        limit: u32,
    },
    /// A record is longer than the limit.
    #[error(
        "refused: {location}: the record at byte {offset} is longer than {limit} bytes (limits.record_size)"
    )]
    RecordTooLong {
        /// The source object.
        location: Location,
        /// The record's offset in the decompressed bytes.
        offset: u64,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The footer of a Parquet file is larger than the limit.
    #[error(
        "refused: {location}: its Parquet footer has {size} bytes, more than {limit} (limits.parquet_footer)"
    )]
    FooterTooLarge {
        /// The source object.
        location: Location,
        /// In bytes.
        size: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A row group of a Parquet file is larger than the limit.
    #[error(
        "refused: {location}: row group {row_group} has {size} bytes decoded, more than {limit} (limits.parquet_row_group)"
    )]
    RowGroupTooLarge {
        /// The source object.
        location: Location,
        /// Counted from 0.
        row_group: usize,
        /// In bytes.
        size: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A record was met that the job's policy refuses (`on_unknown` or `on_mismatch` = `fail`).
    #[error("refused: {location} at {offset}: {message}")]
    RecordRefused {
        /// The source object.
        location: Location,
        /// The record's offset in the decompressed bytes; of a Parquet file, its row.
        offset: u64,
        /// What is wrong with it.
        message: String,
    },
    /// The object touches more partitions than `limits.partitions` allows.
    #[error("refused: {location} touches more than {limit} partitions (limits.partitions)")]
    TooManyPartitions {
        /// The source object.
        location: Location,
        /// The limit.
        limit: u32,
    },
    /// The plan that stands names other outputs than this code makes by the plan's own settings.
    #[error(
        "the plan at {intent} was made by code that routes rows differently ({difference}): see OPERATIONS.md, \"Superseding a plan\""
    )]
    PlanDiffers {
        /// Where the plan stands.
        intent: Location,
        /// The first difference.
        difference: String,
    },
    /// The source object was deleted or replaced between its plan and its commit.
    #[error(
        "read: {location} is no longer there, but its plan at {intent} stands without a commit: some of its rows may be missing. See OPERATIONS.md, \"A source object that was lost\""
    )]
    SourceLost {
        /// The source object.
        location: Location,
        /// Where its plan stands.
        intent: Location,
    },
    /// The object was gone or replaced once, was answered for as such, and is back with the same content.
    #[error(
        "{location} was gone when it was first looked for, as {intent} says, and is back: delete that entry and deliver the object again"
    )]
    Withdrawn {
        /// The source object.
        location: Location,
        /// The entry that says so.
        intent: Location,
    },
    /// A ledger entry stood, and a moment later did not.
    #[error(
        "ledger: {location} vanished while it was read; nothing of the ledger may be deleted by hand"
    )]
    LedgerEntryVanished {
        /// The entry.
        location: Location,
    },
    /// An output stood, and a moment later did not.
    #[error(
        "write: {location} vanished while it was written; nothing that a plan names may be deleted before its commit"
    )]
    OutputVanished {
        /// The output.
        location: Location,
    },
    /// A ledger entry cannot be read or written as JSON.
    #[error("ledger: {location}: {message}")]
    LedgerDocument {
        /// The entry.
        location: Location,
        /// What is wrong.
        message: String,
    },
    /// A temporary file failed.
    #[error("scratch file: {0}")]
    Scratch(#[from] io::Error),
    /// A file could not be encoded.
    #[error("encode {key}: {message}")]
    Encode {
        /// The output's key.
        key: String,
        /// What went wrong.
        message: String,
    },
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
    #[error("the invocation's deadline came before the commit")]
    Deadline,
}

impl RekeyError {
    /// A failure of the store in a step.
    pub fn store(stage: Stage, source: StoreError) -> Self {
        if source.kind == StoreErrorKind::Deadline {
            return Self::Deadline;
        }
        Self::Store { stage, source }
    }
}

impl From<CatalogError> for RekeyError {
    fn from(error: CatalogError) -> Self {
        if error.kind == CatalogErrorKind::Deadline {
            return Self::Deadline;
        }
        Self::Catalog(error)
    }
}

impl From<WorkError> for RekeyError {
    fn from(error: WorkError) -> Self {
        match error {
            WorkError::Store { stage, source } => Self::store(stage, source),
            WorkError::Scratch(error) => Self::Scratch(error),
            WorkError::Arrow(error) => Self::Arrow(error),
            WorkError::Schema(message) => Self::Schema(message),
            WorkError::Task { stage, message } => Self::Task { stage, message },
            WorkError::Deadline => Self::Deadline,
        }
    }
}

impl From<DocumentError> for RekeyError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Store(error) => Self::store(Stage::Ledger, error),
            DocumentError::Json { location, message } => Self::LedgerDocument { location, message },
        }
    }
}

impl Failure for RekeyError {
    fn name(&self) -> &'static str {
        match self {
            Self::Store { .. } => "StoreFailed",
            Self::Catalog(_) => "CatalogFailed",
            Self::TableMissing(_) => "TableMissing",
            Self::PartitionKeysDiffer { .. } => "PartitionKeysDiffer",
            Self::PartitionRefused { .. } => "PartitionRefused",
            Self::PartitionElsewhere { .. } => "PartitionElsewhere",
            Self::Schema(_) => "SchemaUnusable",
            Self::Unreadable { .. } => "Unreadable",
            Self::CompressionRatio { .. } => "CompressionRatioExceeded",
            Self::RecordTooLong { .. } => "RecordTooLong",
            Self::FooterTooLarge { .. } => "ParquetFooterTooLarge",
            Self::RowGroupTooLarge { .. } => "ParquetRowGroupTooLarge",
            Self::RecordRefused { .. } => "RecordRefused",
            Self::TooManyPartitions { .. } => "TooManyPartitions",
            Self::PlanDiffers { .. } => "PlanDiffers",
            Self::SourceLost { .. } => "SourceLost",
            Self::Withdrawn { .. } => "Withdrawn",
            Self::LedgerEntryVanished { .. } | Self::LedgerDocument { .. } => "LedgerUnreadable",
            Self::OutputVanished { .. } => "OutputVanished",
            Self::Scratch(_) => "ScratchFailed",
            Self::Encode { .. } | Self::Arrow(_) => "EncodeFailed",
            Self::Task { .. } => "TaskFailed",
            Self::Deadline => "Deadline",
        }
    }
}
