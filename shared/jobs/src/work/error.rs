use std::io;

use arrow::error::ArrowError;
use thiserror::Error;

use crate::ports::{StoreError, StoreErrorKind};

/// The step of a job in which something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading or writing the ledger.
    Ledger,
    /// Reading the source object.
    Read,
    /// Keeping rows in the store until the whole object is read.
    Spool,
    /// Writing the outputs.
    Write,
    /// Registering partitions in the catalog.
    Register,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ledger => "ledger",
            Self::Read => "read",
            Self::Spool => "spool",
            Self::Write => "write",
            Self::Register => "register",
        })
    }
}

/// Why rows were not read, kept or brought up. Each job has its own words for it.
#[derive(Debug, Error)]
pub(crate) enum WorkError {
    /// The store failed.
    #[error("{stage}: {source}")]
    Store {
        /// In which step.
        stage: Stage,
        /// What it said.
        source: StoreError,
    },
    /// A temporary file failed.
    #[error("scratch file: {0}")]
    Scratch(#[from] io::Error),
    /// A batch of columns could not be handled.
    #[error("columns: {0}")]
    Arrow(#[from] ArrowError),
    /// The columns are not what they were said to be.
    #[error("{0}")]
    Schema(String),
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

impl WorkError {
    /// A failure of the store in a step.
    pub(crate) fn store(stage: Stage, source: StoreError) -> Self {
        if source.kind == StoreErrorKind::Deadline {
            return Self::Deadline;
        }
        Self::Store { stage, source }
    }
}
