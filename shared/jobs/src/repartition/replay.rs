//! Rows that are read twice if necessary: once to determine where files are cut, and once to write them.

use arrow::{array::RecordBatch, compute::concat_batches};
use lakewright_core::{
    config::OutputFormat,
    encode::Lines,
    repartition::{Cuts, Unit},
};

use super::{
    context::Context,
    files::{Files, Series},
    ledger::{Counts, Plan},
    rows::Rows,
};
use crate::{
    kit::JobError,
    work::spool::{PartitionReader, Spool},
};

/// Rows that can be read more than once.
#[derive(Clone, Copy)]
pub(super) enum Replay<'a> {
    /// The rows of these units.
    Units(&'a [Unit]),
    /// The rows of one partition.
    Spooled(&'a Spool, usize),
}

pub(super) enum Reader<'a> {
    Units(Box<Rows<'a>>),
    Spooled(PartitionReader<'a>),
}

/// The most rows that are combined before they are encoded, unless they arrive together.
const TOGETHER: usize = 8192;

impl<'a> Replay<'a> {
    /// Reads the rows once.
    pub(super) fn read(self, context: Context<'a>) -> Result<Reader<'a>, JobError> {
        Ok(match self {
            Self::Units(units) => Reader::Units(Box::new(Rows::new(context, units)?)),
            Self::Spooled(spool, partition) => Reader::Spooled(spool.read(partition)),
        })
    }
}

impl Reader<'_> {
    /// The next rows, with the columns of the files.
    async fn next(&mut self, files: &Files<'_>) -> Result<Option<RecordBatch>, JobError> {
        match self {
            Self::Units(rows) => {
                let batch = rows.next().await?;
                batch.map(|batch| files.columns(&batch)).transpose()
            }
            // The rows of a small partition arrive in many small pieces.
            Self::Spooled(reader) => {
                let (mut pieces, mut rows) = (Vec::new(), 0);
                while rows < TOGETHER
                    && let Some(piece) = reader.next().await?
                {
                    rows += piece.num_rows();
                    pieces.push(piece);
                }
                Ok(match pieces.as_slice() {
                    [] => None,
                    [one] => Some(one.clone()),
                    [first, ..] => Some(concat_batches(first.schema_ref(), &pieces)?),
                })
            }
        }
    }

    fn values_dropped(&self) -> u64 {
        match self {
            Self::Units(rows) => rows.values_dropped(),
            Self::Spooled(_) => 0,
        }
    }
}

impl Counts {
    /// Zero counts, for this many outputs.
    pub(super) fn none(outputs: usize) -> Self {
        Self {
            rows: 0,
            bytes: vec![0; outputs],
        }
    }

    pub(super) fn add(&mut self, rows: usize, lines: &[Option<Lines>]) {
        self.rows += rows as u64;
        for (sum, lines) in self.bytes.iter_mut().zip(lines) {
            *sum += lines.as_ref().map_or(0, |lines| lines.bytes.len()) as u64;
        }
    }

    pub(super) fn add_counts(&mut self, other: &Self) {
        self.rows += other.rows;
        for (sum, more) in self.bytes.iter_mut().zip(&other.bytes) {
            *sum += more;
        }
    }

    /// The size in an output: rows for Parquet, bytes for text.
    pub(super) fn of(&self, plan: &Plan, output: usize) -> u64 {
        match plan.settings.output.get(output).map(|output| output.format) {
            Some(OutputFormat::Json | OutputFormat::Csv) => {
                self.bytes.get(output).copied().unwrap_or_default()
            }
            _ => self.rows,
        }
    }

    /// The cuts of each output into this many files.
    pub(super) fn cuts(&self, plan: &Plan, files: u64) -> Vec<Cuts> {
        let outputs = 0..plan.settings.output.len();
        outputs
            .map(|output| Cuts::new(self.of(plan, output), files))
            .collect()
    }
}

/// The counts of written rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct WrittenRows {
    pub(super) rows: u64,
    pub(super) values_dropped: u64,
}

/// Writes rows into `number` files of each output in one directory. `first`: the number of the first one.
pub(super) async fn replay<'a>(
    context: Context<'a>,
    files: &mut Files<'_>,
    replay: Replay<'a>,
    (path, values): (&str, &[String]),
    first: u64,
    number: u64,
) -> Result<WrittenRows, JobError> {
    if let (Replay::Spooled(..), 0..=1) = (replay, number) {
        let outputs = 0..context.plan.settings.output.len();
        let written = outputs.map(|output| files.is_written(output, path, first));
        if written
            .collect::<Result<Vec<_>, _>>()?
            .iter()
            .all(|written| *written)
        {
            return Ok(WrittenRows::default());
        }
    }
    let mut reader = replay.read(context)?;
    if number <= 1 {
        let mut series = files.series(path, values, None, &(first..first + 1));
        let rows = copy(&mut reader, files, &mut series).await?;
        return Ok(WrittenRows {
            rows,
            values_dropped: reader.values_dropped(),
        });
    }
    let mut counts = Counts::none(context.plan.settings.output.len());
    // Keep what fits, so that it need not be read or encoded again.
    let mut kept = Some(Vec::new());
    let mut held = 0;
    while let Some(batch) = reader.next(files).await? {
        let lines = files.encode(&batch)?;
        counts.add(batch.num_rows(), &lines);
        let text = lines.iter().flatten().map(|lines| lines.bytes.capacity());
        held += batch.get_array_memory_size() + text.sum::<usize>();
        if held as u64 > context.budget.memory / 2 {
            kept = None;
            files.recycle(lines);
        } else if let Some(kept) = &mut kept {
            kept.push((batch, lines));
        }
    }
    let written = WrittenRows {
        rows: counts.rows,
        values_dropped: reader.values_dropped(),
    };
    let cuts = counts.cuts(context.plan, number);
    let mut series = files.series(path, values, Some(&cuts), &(first..first + number));
    if let Some(kept) = kept {
        let copied = async {
            for (batch, lines) in kept {
                files.write(&mut series, &batch, &lines).await?;
            }
            files.finish(&mut series).await
        };
        let copied = copied.await;
        if copied.is_err() {
            files.abandon(&mut series).await;
        }
        copied?;
    } else {
        let mut reader = replay.read(context)?;
        copy(&mut reader, files, &mut series).await?;
    }
    Ok(written)
}

/// Writes all rows of a reader into the series, and ends their files. Returns their number.
pub(super) async fn copy(
    reader: &mut Reader<'_>,
    files: &mut Files<'_>,
    series: &mut [Series],
) -> Result<u64, JobError> {
    let copied = async {
        let mut rows = 0;
        while let Some(batch) = reader.next(files).await? {
            rows += batch.num_rows() as u64;
            let lines = files.encode(&batch)?;
            files.write(series, &batch, &lines).await?;
            files.recycle(lines);
        }
        files.finish(series).await?;
        Ok(rows)
    };
    let copied = copied.await;
    if copied.is_err() {
        files.abandon(series).await;
    }
    copied
}
