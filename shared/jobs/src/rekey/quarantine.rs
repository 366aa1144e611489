//! Writes the quarantined records into one object.

use std::{collections::BTreeMap, io};

use lakewright_core::quarantine::{Quarantined, Reason};

use crate::{
    kit::{JobError, Stage},
    work::upload::{PART, Upload},
};

/// Quarantined records as the lines of an object. If there are many, parts are uploaded before the plan is made; the
/// object exists once it is finished.
pub(super) struct Quarantine {
    lines: Vec<u8>,
    upload: Upload,
    rows: BTreeMap<Reason, u64>,
}

impl Quarantine {
    pub(super) fn new(upload: Upload) -> Self {
        Self {
            lines: Vec::new(),
            upload,
            rows: BTreeMap::new(),
        }
    }

    pub(super) fn push(&mut self, record: &Quarantined<'_>) -> io::Result<()> {
        record.write_line(&mut self.lines)?;
        *self.rows.entry(record.reason).or_default() += 1;
        Ok(())
    }

    /// Uploads the lines if there are enough for a part.
    pub(super) async fn flush(&mut self) -> Result<(), JobError> {
        if self.lines.len() < PART {
            return Ok(());
        }
        let part = std::mem::take(&mut self.lines);
        let put = self.upload.part(part).await;
        put.map_err(|error| JobError::store(Stage::Write, error))
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows.values().sum()
    }

    /// The number of records by reason.
    pub(super) fn by_reason(&self) -> &BTreeMap<Reason, u64> {
        &self.rows
    }

    /// Creates the object, unless it exists.
    pub(super) async fn finish(self) -> Result<(), JobError> {
        let put = self.upload.finish(self.lines).await;
        put.map_err(|error| JobError::store(Stage::Write, error))?;
        Ok(())
    }

    /// Aborts the upload.
    pub(super) async fn discard(&mut self) {
        self.upload.abandon().await;
    }
}
