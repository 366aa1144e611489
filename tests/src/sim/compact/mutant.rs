//! Mutants of the protocol: what compact and rekey would do if one of their steps were wrong, made by wrapping their
//! ports. The simulation must detect each of them.

/// The error in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Files are merged whose source was committed a moment ago, so that a twin may still write them.
    NoAgeRule,
    /// Nothing is carried after the swap.
    OneCarry,
    /// The writer does not read the partition's state again after its PUT.
    NoReread,
    /// The sweep carries nothing and is done at once.
    NoSweep,
    /// The sweep does not wait until the last publisher has ended.
    SweepTooEarly,
    /// The next generation does not wait for the sweep of the previous one.
    NoGate,
    /// The old files are deleted at once.
    EarlyDeletion,
    /// A plan is given up without a write to the state, so that a publisher that is still running can swap it.
    AbandonedInWords,
    /// The files of an abandoned plan are deleted at once, while other invocations are still writing some.
    ClearedTooEarly,
}

impl Mutant {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::NoAgeRule,
        Self::OneCarry,
        Self::NoReread,
        Self::NoSweep,
        Self::SweepTooEarly,
        Self::NoGate,
        Self::EarlyDeletion,
        Self::AbandonedInWords,
        Self::ClearedTooEarly,
    ];

    /// The invariants of which at least one must be violated.
    pub fn breaks(self) -> &'static [&'static str] {
        match self {
            Self::NoAgeRule | Self::OneCarry | Self::SweepTooEarly => &["C3"],
            // Files that arrive after the sweep of their directory are lost, or left over.
            Self::NoReread => &["C3", "C4", "R3"],
            Self::NoSweep | Self::NoGate => &["C3", "C4"],
            Self::EarlyDeletion => &["C5"],
            Self::AbandonedInWords => &["C3", "C4", "C5"],
            Self::ClearedTooEarly => &["C4"],
        }
    }
}
