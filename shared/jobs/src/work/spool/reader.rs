//! The rows of one partition, from runs and from memory.

use arrow::array::RecordBatch;
use lakewright_core::encode::{MergeByTime, Merged};

use super::{Span, run::Run};
use crate::kit::JobError;

/// Reads the rows of one partition.
pub(crate) struct PartitionReader<'a> {
    pub(super) cursors: Vec<Cursor<'a>>,
    pub(super) merge: Option<MergeByTime>,
    /// The current cursor, if nothing is merged.
    pub(super) next: usize,
    /// The number of bytes to read ahead in an object.
    pub(super) window: u64,
}

pub(super) struct Cursor<'a> {
    pub(super) place: Place<'a>,
    pub(super) spans: &'a [Span],
}

pub(super) enum Place<'a> {
    Run(&'a Run),
    Memory(&'a RecordBatch, &'a [Span]),
}

impl Cursor<'_> {
    async fn next(&mut self, window: u64) -> Result<Option<RecordBatch>, JobError> {
        let Some((span, rest)) = self.spans.split_first() else {
            return Ok(None);
        };
        self.spans = rest;
        let (start, rows) = (span.start as usize, span.rows as usize);
        Ok(Some(match self.place {
            Place::Memory(batch, _) => batch.slice(start, rows),
            Place::Run(run) => {
                let block = run.block(span.block as usize, window).await?;
                if start + rows > block.num_rows() {
                    return Err(JobError::from(std::io::Error::from(
                        std::io::ErrorKind::InvalidData,
                    )));
                }
                block.slice(start, rows)
            }
        }))
    }
}

impl PartitionReader<'_> {
    /// The next rows.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>, JobError> {
        let window = self.window;
        let Some(merge) = &mut self.merge else {
            while let Some(cursor) = self.cursors.get_mut(self.next) {
                if let Some(batch) = cursor.next(window).await? {
                    return Ok(Some(batch));
                }
                self.next += 1;
            }
            return Ok(None);
        };
        loop {
            match merge.merge()? {
                Merged::Batch(batch) => return Ok(Some(batch)),
                Merged::End => return Ok(None),
                Merged::Wants(run) => {
                    let batch = match self.cursors.get_mut(run) {
                        Some(cursor) => cursor.next(window).await?,
                        None => None,
                    };
                    merge.give(run, batch)?;
                }
            }
        }
    }
}
