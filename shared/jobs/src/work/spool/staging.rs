//! Runs that are written in the order of partitions, block by block.

use std::sync::Arc;

use arrow::{array::RecordBatch, compute::concat_batches};
use lakewright_core::location::Location;

use super::{
    BLOCK, BLOCK_ROWS, STAGED, Spool, index,
    run::{Run, RunWriter},
};
use crate::kit::JobError;

/// Writes rows in partition order, block by block, to runs that are complete before the next one is begun.
pub(super) struct Staging<'a> {
    spool: &'a Spool,
    prefix: &'a Location,
    /// The approximate bytes of a run and of a block.
    pub(super) most: u64,
    pub(super) block_most: u64,
    /// The room in the temporary folder. Runs that do not fit go to the store.
    pub(super) scratch: u64,
    writer: Option<RunWriter>,
    block: Vec<RecordBatch>,
    block_rows: usize,
    block_bytes: usize,
    runs: Vec<Run>,
}

impl<'a> Staging<'a> {
    /// To the store.
    pub(super) fn new(spool: &'a Spool, prefix: &'a Location) -> Self {
        Self {
            spool,
            prefix,
            most: STAGED,
            block_most: BLOCK,
            scratch: 0,
            writer: None,
            block: Vec::new(),
            block_rows: 0,
            block_bytes: 0,
            runs: Vec::new(),
        }
    }

    pub(super) async fn add(&mut self, partition: u32, batch: RecordBatch) -> Result<(), JobError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            closed => {
                let folder = &self.spool.room.folder;
                closed.insert(RunWriter::new(&self.spool.schema, folder, true)?)
            }
        };
        writer.add_span(partition, index(self.block_rows), index(batch.num_rows()));
        self.block_rows += batch.num_rows();
        // A slice counts for its share of the sliced batch.
        self.block_bytes += bytes_of(&batch);
        self.block.push(batch);
        if self.block_bytes as u64 >= self.block_most || self.block_rows as u64 >= BLOCK_ROWS {
            self.cut()?;
        }
        let staged = self.writer.as_ref().map_or(0, RunWriter::bytes);
        if staged >= self.most {
            self.complete().await?;
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<(), JobError> {
        if let Some(writer) = &mut self.writer
            && self.block_rows > 0
        {
            writer.write_block(&concat_batches(&self.spool.schema, &self.block)?)?;
        }
        self.block.clear();
        (self.block_rows, self.block_bytes) = (0, 0);
        Ok(())
    }

    async fn complete(&mut self) -> Result<(), JobError> {
        self.cut()?;
        if let Some(writer) = self.writer.take() {
            let run = writer.finish();
            let run = if let Some(room) = self.scratch.checked_sub(run.bytes()) {
                self.scratch = room;
                run
            } else {
                let store = Arc::clone(&self.spool.room.store);
                run.into_object(store, self.prefix).await?
            };
            self.runs.push(run);
        }
        Ok(())
    }

    pub(super) async fn end(mut self) -> Result<Vec<Run>, JobError> {
        self.complete().await?;
        Ok(self.runs)
    }
}

/// The approximate bytes of a batch's rows.
fn bytes_of(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    columns
        .map(|column| column.to_data().get_slice_memory_size().unwrap_or_default())
        .sum()
}
