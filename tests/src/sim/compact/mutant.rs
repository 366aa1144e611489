//! Protocols that are broken on purpose: what compact and rekey would do if a step of theirs were wrong, made by standing
//! between them and their ports. The simulation must find every one of them.

/// What is wrong with the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Files are merged whose source was committed a moment ago, so that a twin may still write them.
    NoAgeRule,
    /// Nothing is carried after the swap.
    OneCarry,
    /// The writer does not read the partition's state again after its PUT.
    NoReread,
    /// Nothing is carried by the sweep, and it is done at once.
    NoSweep,
    /// The sweep does not wait for the last publisher to be dead.
    SweepTooEarly,
    /// The next generation does not wait for the sweep of the one before.
    NoGate,
    /// The old files are deleted at once.
    EarlyDeletion,
    /// A plan is given up without writing the state anew, so that a publisher who is still at work swaps it.
    AbandonedInWords,
    /// What was made for a plan that is given up is deleted at once, while others are still making more of it.
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

    /// The invariants of which one must be seen to break.
    pub fn breaks(self) -> &'static [&'static str] {
        match self {
            Self::NoAgeRule | Self::OneCarry | Self::SweepTooEarly => &["C3"],
            Self::NoReread => &["C3", "R3"],
            Self::NoSweep | Self::NoGate => &["C3", "C4"],
            Self::EarlyDeletion => &["C5"],
            Self::AbandonedInWords => &["C3", "C4", "C5"],
            Self::ClearedTooEarly => &["C4"],
        }
    }
}
