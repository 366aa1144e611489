use lakewright_jobs::compact;

/// The role of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// `rekey`.
    Rekey,
    /// `compact-plan`.
    Plan,
    /// `compact-merge`.
    Merge,
    /// `compact-publish`.
    Publish,
    /// `compact-publish` with the step `sweep`.
    Sweep,
    /// `compact-publish` with the step `delete`.
    Delete,
    /// `compact-publish` with the step `abandon`.
    Abandon,
}

impl From<compact::Step> for Role {
    fn from(step: compact::Step) -> Self {
        match step {
            compact::Step::Publish => Self::Publish,
            compact::Step::Sweep => Self::Sweep,
            compact::Step::Delete => Self::Delete,
            compact::Step::Abandon => Self::Abandon,
        }
    }
}
