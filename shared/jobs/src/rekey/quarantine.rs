//! The records that no partition takes, kept aside until they are written out.

use std::{
    io::{self, Read, Seek},
    path::Path,
};

use lakewright_core::quarantine::Quarantined;
use tempfile::{SpooledTempFile, spooled_tempfile_in};

/// Bytes of quarantined records in memory before they go to a file.
const MEMORY: usize = 1 << 20;

/// Quarantined records, as the lines of the object that will hold them.
pub(super) struct Quarantine {
    lines: SpooledTempFile,
    rows: u64,
}

impl Quarantine {
    pub(super) fn new(scratch: &Path) -> Self {
        Self {
            lines: spooled_tempfile_in(MEMORY, scratch),
            rows: 0,
        }
    }

    pub(super) fn push(&mut self, record: &Quarantined<'_>) -> io::Result<()> {
        record.write_line(&mut self.lines)?;
        self.rows += 1;
        Ok(())
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The lines, from the first.
    pub(super) fn reader(&mut self) -> io::Result<impl Read> {
        self.lines.rewind()?;
        Ok(&mut self.lines)
    }
}
