//! Mutants of the protocol: what rekey would do if one of its steps were wrong. The simulation must detect each of
//! them.

/// The error in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// All candidates of a batch are its members, whoever claimed them.
    NoClaims,
    /// A claim that already was there does not count, though it is for the same batch.
    OwnClaimsOnly,
    /// The plan does not say which members were read.
    SilentMembers,
    /// Each invocation writes its plan over the one that is there.
    PlanOverwrites,
    /// The commit is written before the outputs.
    CommitFirst,
    /// It is not looked up whether a plan left an object out.
    IgnoreLeftOut,
    /// The messages of a batch are answered for as soon as one of them is.
    AckUnfinished,
    /// The marks of lost members are looked up before the outputs are written.
    LostLookedUpEarly,
    /// Members that vanished are not marked.
    LostUnmarked,
    /// Each invocation chooses the names of the outputs.
    NamesByWriter,
    /// Each invocation cuts a partition into files by the rows that it has read.
    CutsByWriter,
    /// The last output is written after the commit.
    CommitBeforeLastOutput,
    /// The outputs are written before the plan.
    OutputsBeforePlan,
    /// It is not checked whether a batch is already committed.
    NoCommitCheck,
    /// An existing plan is not adopted: 412 counts as success without a comparison.
    PlanNotAdopted,
    /// Files without a commit are deleted.
    DeletesUncommitted,
    /// Existing objects are overwritten.
    Overwrites,
    /// New partitions are not registered.
    NotRegistered,
    /// The failures of a batch of partitions are ignored.
    BatchFailuresIgnored,
    /// The quarantined records are not written.
    QuarantineDropped,
    /// An output counts as written although its connection failed.
    LostAnswerTakenForSuccess,
    /// A truncated body counts as complete.
    TruncatedBodyAccepted,
    /// A range that is read again is used twice.
    RangeReadTwice,
    /// A field of a record that is set aside becomes a column.
    ColumnOfQuarantined,
    /// Columns are added whatever version the table has.
    ColumnsUnconditional,
    /// A plan has the columns that the table had when the batch was made.
    PlansOldColumns,
    /// A column gets the type of the values at hand, though another invocation has brought it with another type.
    OwnColumnType,
    /// A part of the path becomes a column.
    AddsPartitionKey,
}

impl Mutant {
    /// All of them: those of the protocol's model first.
    pub const ALL: &[Self] = &[
        Self::NoClaims,
        Self::OwnClaimsOnly,
        Self::SilentMembers,
        Self::PlanOverwrites,
        Self::CommitFirst,
        Self::IgnoreLeftOut,
        Self::AckUnfinished,
        Self::LostLookedUpEarly,
        Self::LostUnmarked,
        Self::NamesByWriter,
        Self::CutsByWriter,
        Self::CommitBeforeLastOutput,
        Self::OutputsBeforePlan,
        Self::NoCommitCheck,
        Self::PlanNotAdopted,
        Self::DeletesUncommitted,
        Self::Overwrites,
        Self::NotRegistered,
        Self::BatchFailuresIgnored,
        Self::QuarantineDropped,
        Self::LostAnswerTakenForSuccess,
        Self::TruncatedBodyAccepted,
        Self::RangeReadTwice,
        Self::ColumnOfQuarantined,
        Self::ColumnsUnconditional,
        Self::PlansOldColumns,
        Self::OwnColumnType,
        Self::AddsPartitionKey,
    ];

    /// The invariants of which at least one must be violated.
    pub fn breaks(self) -> &'static [&'static str] {
        match self {
            Self::CommitFirst
            | Self::CommitBeforeLastOutput
            | Self::NotRegistered
            | Self::BatchFailuresIgnored => &["R3"],
            Self::NoClaims
            | Self::SilentMembers
            | Self::NamesByWriter
            | Self::OutputsBeforePlan
            | Self::PlanNotAdopted => &["R1"],
            Self::IgnoreLeftOut | Self::AckUnfinished | Self::NoCommitCheck => &["R5"],
            // The commit says how large the files of another writer's cuts are.
            Self::CutsByWriter => &["R1", "R3"],
            // An object that its batch does not count is never done either.
            Self::OwnClaimsOnly => &["R1", "R5"],
            Self::PlanOverwrites | Self::Overwrites => &["R2"],
            Self::QuarantineDropped => &["R4"],
            // The rows of the lost member are missed, or its quarantined records.
            Self::LostUnmarked => &["R1", "R3", "R4"],
            Self::LostLookedUpEarly => &["R3", "R4"],
            Self::DeletesUncommitted | Self::LostAnswerTakenForSuccess => &["R3", "R5"],
            Self::TruncatedBodyAccepted | Self::RangeReadTwice => &["R1", "R4", "R5"],
            Self::ColumnOfQuarantined
            | Self::ColumnsUnconditional
            | Self::PlansOldColumns
            | Self::OwnColumnType
            | Self::AddsPartitionKey => &["R6"],
        }
    }

    /// Whether it shows only where columns are added.
    pub(super) fn is_of_columns(self) -> bool {
        self.breaks() == ["R6"]
    }

    /// Whether the error is in the adapter, below the retries, rather than in the protocol above them.
    pub(super) fn is_below_retries(self) -> bool {
        self == Self::LostAnswerTakenForSuccess
    }
}
