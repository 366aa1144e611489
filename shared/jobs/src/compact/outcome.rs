//! How a step of a partition ended.

use super::report::{Step, StepStatus};

/// The outcome of a step, and the next step.
pub(super) struct Outcome {
    pub(super) status: StepStatus,
    /// The number of files that were carried over or deleted.
    pub(super) files: u64,
    /// The next step, and how many seconds to wait before it.
    pub(super) next: Option<(Step, u64)>,
}

impl Outcome {
    pub(super) fn done(files: u64, next: Option<(Step, u64)>) -> Self {
        Self {
            status: StepStatus::Done,
            files,
            next,
        }
    }

    pub(super) fn superseded() -> Self {
        Self {
            status: StepStatus::Superseded,
            files: 0,
            next: None,
        }
    }

    pub(super) fn waiting(step: Step, seconds: u64) -> Self {
        Self {
            status: StepStatus::Waiting,
            files: 0,
            next: Some((step, seconds)),
        }
    }
}
