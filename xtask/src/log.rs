//! The log of a child process.

use std::{
    fs,
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// How many lines of its end an error shows.
const TAIL_LINES: usize = 40;

/// The output of a child process.
#[derive(Clone)]
pub(crate) struct Log {
    path: PathBuf,
}

impl Log {
    /// The log at this path.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The empty file.
    pub(crate) fn create(&self) -> Result<File> {
        // Append, so that two commands at the same time mix their logs rather than corrupt them.
        File::create(&self.path)
            .and_then(|_| File::options().append(true).open(&self.path))
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its last lines, under its name.
    pub(crate) fn tail(&self) -> String {
        match fs::read(&self.path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let lines: Vec<_> = text.lines().collect();
                let from = lines.len().saturating_sub(TAIL_LINES);
                let last = lines.get(from..).unwrap_or_default().join("\n");
                format!("--- the end of {} ---\n{last}", self.path.display())
            }
            Err(error) => format!("cannot read {}: {error}", self.path.display()),
        }
    }
}
