//! Writes the quarantined records into one object.

use std::io;

use lakewright_core::quarantine::Quarantined;

use crate::{
    kit::{JobError, Stage},
    work::upload::{Finished, PART, Upload},
};

/// Quarantined records as the lines of an object. If there are many, parts are uploaded before the plan is made; the
/// object exists once it is finished.
pub(super) struct Quarantine {
    lines: Vec<u8>,
    upload: Upload,
}

impl Quarantine {
    pub(super) fn new(upload: Upload) -> Self {
        Self {
            lines: Vec::new(),
            upload,
        }
    }

    pub(super) fn push(&mut self, record: &Quarantined<'_>) -> io::Result<()> {
        record.write_line(&mut self.lines)
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

    /// Creates the object, unless it exists. Returns whether it is new.
    pub(super) async fn finish(self) -> Result<bool, JobError> {
        let put = self.upload.finish(self.lines).await;
        let put = put.map_err(|error| JobError::store(Stage::Write, error))?;
        Ok(put != Finished::Stood)
    }

    /// Aborts the upload.
    pub(super) async fn discard(&mut self) {
        self.upload.abandon().await;
    }
}
