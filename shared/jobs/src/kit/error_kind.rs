//! The table of the jobs' error names.

use lakewright_ports::CatalogErrorKind;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The kind of a failure. A kind's name is its identifier: `StoreFailed` is `Lakewright.StoreFailed` in Step
        /// Functions, and `StoreFailed` in logs and metrics. docs/OPERATIONS.md explains each name.
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
    /// A callback to Step Functions failed.
    CallbackFailed,
    /// A secret cannot be read.
    SecretFailed,
    /// A service denied a call: the function's role, or a policy, lacks a permission.
    AccessDenied,
    /// The invocation's deadline is too near to continue.
    Deadline,
    /// One piece of the work needs more time than an invocation has.
    TimeoutTooShort,
    /// A temporary file could not be created, written or read.
    ScratchFailed,
    /// A file or a batch of columns could not be encoded.
    EncodeFailed,
    /// A task of this invocation ended without a result.
    TaskFailed,

    // Requests, tables and partitions.
    /// The request is invalid.
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
    /// The catalog has the partition at another location.
    PartitionElsewhere,
    /// The catalog refused a partition.
    PartitionRefused,
    /// The rows of an object or a task are in more partitions than the limit allows.
    TooManyPartitions,

    // Sources.
    /// Several invocations that worked on this object alone were killed.
    Killed,
    /// An object cannot be decompressed, framed or parsed.
    Unreadable,
    /// The ratio of decompressed to compressed bytes exceeds `limits.compression_ratio`.
    CompressionRatioExceeded,
    /// A record is longer than `limits.record_size`.
    RecordTooLong,
    /// The footer of a Parquet file is larger than `limits.parquet_footer`.
    ParquetFooterTooLarge,
    /// A row group of a Parquet file is larger than `limits.parquet_row_group`.
    ParquetRowGroupTooLarge,
    /// The footer of an ORC file is larger than `limits.parquet_footer`.
    OrcFooterTooLarge,
    /// A stripe of an ORC file is larger than `limits.parquet_row_group`, or than there is memory for it.
    OrcStripeTooLarge,
    /// The job's policy refuses a record, or a record does not fit its columns.
    RecordRefused,
    /// There is no object under the source's prefix.
    NothingToRead,
    /// A source object was deleted or replaced between its plan and its commit.
    SourceLost,
    /// A source object was deleted or replaced after the plan was made.
    SourceChanged,
    /// The result is outside the job's `sources`.
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
    /// The query has no rows as its result, such as DDL.
    NoRows,
    /// The job names a column that the result lacks.
    UnknownColumn,
    /// Two columns of the result have the same name.
    DuplicateColumn,
    /// A row does not match the result's columns, or has no valid name.
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
    /// The plan does not exist.
    PlanMissing,
    /// The existing plan names other outputs than this code makes from the plan's own settings.
    PlanDiffers,
    /// The plan was withdrawn.
    Withdrawn,
    /// A ledger entry cannot be read or written, or disappeared.
    LedgerUnreadable,
    /// A task tried to write after its run was committed.
    RunOver,
    /// Not all tasks are done.
    TasksMissing,

    // Outputs.
    /// An output disappeared between two reads.
    OutputVanished,
    /// `mode = "fail"`, and there is data under the target.
    TargetNotEmpty,
    /// The stored outputs differ from what the tasks wrote.
    OutputsDiffer,
    /// Replaced objects were not removed.
    NotRemoved,

    // Compaction.
    /// Files cannot be merged into one.
    Unmergeable,
    /// The partition cannot be compacted.
    Unsuited,
    /// A file that a plan merges was replaced or deleted.
    InputChanged,
    /// A merged file does not exist yet.
    NotMerged,
    /// A file has other rows than planned.
    RowsDiffer,
    /// A file in an old directory has rows that no other file has.
    Stray,
    /// A file of an abandoned plan has rows that no other file has.
    OnlyCopy,
    /// Objects were not deleted.
    NotDeleted,
}

impl ErrorKind {
    /// The kind for a catalog's refusal of one partition in a batch.
    pub(crate) fn of_partition(refusal: CatalogErrorKind) -> Self {
        match refusal {
            CatalogErrorKind::AccessDenied => Self::AccessDenied,
            _ => Self::PartitionRefused,
        }
    }
}
