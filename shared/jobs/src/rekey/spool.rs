//! Rows of many partitions, kept apart until the whole object has been read: in memory up to a limit, then
//! in temporary files.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::take_record_batch,
    datatypes::SchemaRef,
    ipc::{reader::FileReader, writer::FileWriter},
};

use super::error::RekeyError;

/// A row that belongs to no partition.
pub(super) const NO_PARTITION: u32 = u32::MAX;

/// The rows of every partition, in the order in which they came.
pub(super) struct Spool {
    schema: SchemaRef,
    scratch: PathBuf,
    memory_limit: u64,
    memory_held: u64,
    partitions: Vec<Vec<Segment>>,
    rows: Vec<u64>,
    files: Vec<Mutex<FileReader<File>>>,
}

enum Segment {
    Memory(RecordBatch),
    /// The batch at this index of the file at that index.
    File {
        file: usize,
        batch: usize,
    },
}

impl Spool {
    /// An empty spool of batches of `schema` that holds about `memory_limit` bytes before it goes to files in
    /// `scratch`.
    pub(super) fn new(schema: SchemaRef, scratch: &Path, memory_limit: u64) -> Self {
        Self {
            schema,
            scratch: scratch.to_owned(),
            memory_limit,
            memory_held: 0,
            partitions: Vec::new(),
            rows: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Adds the rows of `batch`; `partition_of` has each row's partition or [`NO_PARTITION`].
    pub(super) fn push(
        &mut self,
        batch: &RecordBatch,
        partition_of: &[u32],
    ) -> Result<(), RekeyError> {
        let Some(&last) = partition_of.iter().filter(|&&id| id != NO_PARTITION).max() else {
            return Ok(());
        };
        let partitions = last as usize + 1;
        if self.partitions.len() < partitions {
            self.partitions.resize_with(partitions, Vec::new);
            self.rows.resize(partitions, 0);
        }
        let (order, starts) = group(partition_of, partitions);
        let grouped = take_record_batch(batch, &UInt32Array::from(order))?;
        self.memory_held += grouped.get_array_memory_size() as u64;
        let runs = starts.windows(2);
        for ((segments, rows), run) in self.partitions.iter_mut().zip(&mut self.rows).zip(runs) {
            if let [start, end] = *run
                && start < end
            {
                segments.push(Segment::Memory(grouped.slice(start, end - start)));
                *rows += (end - start) as u64;
            }
        }
        if self.memory_held > self.memory_limit {
            self.spill()?;
        }
        Ok(())
    }

    /// The rows that a partition holds.
    pub(super) fn rows(&self, partition: usize) -> u64 {
        self.rows.get(partition).copied().unwrap_or_default()
    }

    /// The batches of one partition, in order. They may be read more than once.
    pub(super) fn batches(
        &self,
        partition: usize,
    ) -> impl Iterator<Item = Result<RecordBatch, RekeyError>> {
        let segments = self.partitions.get(partition).into_iter().flatten();
        segments.map(|segment| match segment {
            Segment::Memory(batch) => Ok(batch.clone()),
            Segment::File { file, batch } => self.read(*file, *batch),
        })
    }

    fn read(&self, file: usize, batch: usize) -> Result<RecordBatch, RekeyError> {
        let vanished = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let reader = self.files.get(file).ok_or_else(vanished)?;
        let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.set_index(batch)?;
        Ok(reader.next().ok_or_else(vanished)??)
    }

    /// Moves everything in memory into one file, partition by partition.
    fn spill(&mut self) -> Result<(), RekeyError> {
        let file = tempfile::tempfile_in(&self.scratch)?;
        let mut writer = FileWriter::try_new_buffered(file.try_clone()?, &self.schema)?;
        let mut written = 0;
        for segment in self.partitions.iter_mut().flatten() {
            if let Segment::Memory(batch) = segment {
                writer.write(batch)?;
                *segment = Segment::File {
                    file: self.files.len(),
                    batch: written,
                };
                written += 1;
            }
        }
        writer.finish()?;
        self.files
            .push(Mutex::new(FileReader::try_new(file, None)?));
        self.memory_held = 0;
        Ok(())
    }
}

/// The rows' indices ordered by partition, stable, and where each partition's run starts (one more at the end).
fn group(partition_of: &[u32], partitions: usize) -> (Vec<u32>, Vec<usize>) {
    let mut starts = vec![0; partitions + 1];
    for &id in partition_of {
        if let Some(count) = starts.get_mut((id as usize).saturating_add(1)) {
            *count += 1;
        }
    }
    for index in 1..starts.len() {
        starts[index] += starts[index - 1];
    }
    let mut next = starts.clone();
    let mut order = vec![0; starts[partitions]];
    for (row, &id) in (0u32..).zip(partition_of) {
        if id != NO_PARTITION {
            let slot = &mut next[id as usize];
            order[*slot] = row;
            *slot += 1;
        }
    }
    (order, starts)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{Int64Array, StringArray},
        datatypes::{DataType, Field, Schema},
    };

    use super::*;

    fn batch(values: std::ops::Range<i64>) -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("n", DataType::Int64, false),
            Field::new("s", DataType::Utf8, true),
        ]);
        let text = values
            .clone()
            .map(|n| (n % 3 != 0).then(|| format!("row {n}")))
            .collect::<Vec<_>>();
        RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(Int64Array::from_iter_values(values)),
                Arc::new(StringArray::from(text)),
            ],
        )
        .unwrap()
    }

    fn numbers(batches: &[RecordBatch]) -> Vec<i64> {
        batches
            .iter()
            .flat_map(|batch| {
                let column = batch.column(0).as_any().downcast_ref::<Int64Array>();
                column.unwrap().values().to_vec()
            })
            .collect()
    }

    #[test]
    fn keeps_partitions_apart_and_rows_in_order_in_memory_and_in_files() {
        for memory_limit in [u64::MAX, 3_000, 0] {
            let folder = tempfile::tempdir().unwrap();
            let mut spool = Spool::new(batch(0..0).schema(), folder.path(), memory_limit);
            for start in (0..100).step_by(10) {
                let ids = (start..start + 10)
                    .map(|n| match n % 5 {
                        4 => NO_PARTITION,
                        id => u32::try_from(id).unwrap(),
                    })
                    .collect::<Vec<_>>();
                spool.push(&batch(start..start + 10), &ids).unwrap();
            }
            for id in 0..4 {
                let expected = (0..100).filter(|n| n % 5 == id).collect::<Vec<_>>();
                let partition = usize::try_from(id).unwrap();
                for _ in 0..2 {
                    let got = spool.batches(partition).collect::<Result<Vec<_>, _>>();
                    assert_eq!(numbers(&got.unwrap()), expected, "limit {memory_limit}");
                }
                assert_eq!(spool.rows(partition), expected.len() as u64);
            }
            assert_eq!(spool.rows(4), 0);
            assert_eq!(spool.files.is_empty(), memory_limit == u64::MAX);
        }
    }
}
