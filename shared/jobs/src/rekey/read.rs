//! A source object's records: decompressed and framed.

use lakewright_core::{
    compression::DecompressError,
    config::{InputFormat, Limits},
    json::Inference,
    location::Location,
    parquet_in::ReadError,
    partition::check_columns,
    reading::Reading,
    records::{FrameError, Records},
};
use parquet_merge::{NameError, find_column};

use super::{Budget, Ports, Settings, source::Source};
use crate::{
    kit::{ErrorKind, JobError},
    work::plain::{PlainError, PlainReader},
};

pub(super) fn misread(location: &Location, error: &FrameError) -> JobError {
    match *error {
        FrameError::RecordTooLong { offset, limit } => JobError::new(
            ErrorKind::RecordTooLong,
            format!("refused: the record is longer than {limit} bytes (limits.record_size)"),
        )
        .of(location.clone())
        .at(offset),
        _ => JobError::unreadable(location.clone(), error.to_string()),
    }
}

/// Why a Parquet file is refused.
pub(super) fn refused(location: &Location, error: ReadError) -> JobError {
    let location = location.clone();
    match error {
        ReadError::FooterTooLarge { size, limit } => {
            let message = format!(
                "refused: its Parquet footer has {size} bytes, more than {limit} \
            (limits.parquet_footer)"
            );
            JobError::new(ErrorKind::ParquetFooterTooLarge, message).of(location)
        }
        ReadError::RowGroupTooLarge {
            row_group,
            size,
            limit,
        } => {
            let message = format!(
                "refused: row group {row_group} has {size} bytes decoded, more than {limit} \
            (limits.parquet_row_group)"
            );
            JobError::new(ErrorKind::ParquetRowGroupTooLarge, message).of(location)
        }
        ReadError::RowRefused { row, error } => {
            let message = format!("refused: {error}");
            JobError::new(ErrorKind::RecordRefused, message)
                .of(location)
                .at(row)
        }
        ReadError::Schema(_)
        | ReadError::NameCollision { .. }
        | ReadError::Name(_)
        | ReadError::NotATime { .. } => {
            JobError::new(ErrorKind::SchemaUnusable, format!("{location}: {error}"))
        }
        error => JobError::unreadable(location, error.to_string()),
    }
}

/// A name in this option is no column of the object.
pub(super) fn no_such_column(location: &Location, option: &str, error: &NameError) -> JobError {
    let message = format!("{option}: {error}");
    JobError::new(ErrorKind::SchemaUnusable, message).of(location.clone())
}

/// The names of columns in the configuration.
struct Needed {
    partition_by: Vec<String>,
    timestamp: String,
}

/// The records of an object, piece by piece.
pub(super) struct RecordReader<'a> {
    ports: &'a Ports,
    budget: &'a Budget,
    location: Location,
    reader: PlainReader,
    records: Box<dyn Records>,
    /// The columns that CSV must have, until it is known whether it does.
    needed: Option<Needed>,
    plain: Vec<u8>,
    ended: bool,
}

impl<'a> RecordReader<'a> {
    pub(super) fn new(
        ports: &'a Ports,
        budget: &'a Budget,
        settings: &Settings,
        source: Source,
    ) -> Result<Self, JobError> {
        let location = source.location().clone();
        let job = &settings.job;
        let limits: &Limits = &job.limits;
        let table = settings.table.iter().flat_map(|table| &table.columns);
        let columns = table.map(|column| column.name.clone());
        let records = Reading::of_prefix(job.format, job.csv.as_ref(), columns)
            .records(limits, true)
            .map_err(|error| misread(&location, &error))?
            .ok_or_else(|| {
                JobError::unreadable(location.clone(), "it is read by row groups".to_owned())
            })?;
        Ok(Self {
            ports,
            budget,
            reader: PlainReader::new(source.read(), limits.compression_ratio),
            records,
            needed: (job.format == InputFormat::Csv).then(|| Needed {
                partition_by: job.partition_by.clone(),
                timestamp: job.timestamp.column.clone(),
            }),
            location,
            plain: Vec::new(),
            ended: false,
        })
    }

    /// Reads more. There may be new records, all of which must be taken before the next call; `None` after the last.
    pub(super) async fn more(&mut self) -> Result<Option<&mut dyn Records>, JobError> {
        if self.ended {
            return Ok(None);
        }
        if self.reader.needs_input() {
            if self.ports.clock.now() >= self.budget.deadline {
                return Err(JobError::deadline());
            }
            // Yield to the reads ahead.
            tokio::task::yield_now().await;
        }
        self.plain.clear();
        let more = self.reader.next_into(&mut self.plain).await;
        self.ended = !more.map_err(|error| match error {
            PlainError::Read(error) => error,
            PlainError::Corrupt(error) => unreadable(&self.location, &error),
        })?;
        self.records.push(&self.plain);
        if self.ended {
            self.records.finish();
        }
        self.check_columns()?;
        Ok(Some(&mut *self.records))
    }

    /// Checks that CSV has the columns that the configuration names, as soon as they are known.
    fn check_columns(&mut self) -> Result<(), JobError> {
        let Some(needed) = &self.needed else {
            return Ok(());
        };
        // A broken header fails when its records are read.
        let names = self.records.infer(&mut Inference::new(1));
        if let Ok(Some(names)) = names {
            check_columns(&needed.partition_by, &names)
                .map_err(|error| no_such_column(&self.location, "partition_by", &error))?;
            find_column(&needed.timestamp, names.iter().map(std::slice::from_ref))
                .map_err(|error| no_such_column(&self.location, "timestamp.column", &error))?;
            self.needed = None;
        }
        Ok(())
    }
}

fn unreadable(location: &Location, error: &DecompressError) -> JobError {
    match *error {
        DecompressError::Ratio { offset, limit } => {
            let message = format!(
                "refused: more than {limit} bytes come out for one of the first {offset} bytes \
            (limits.compression_ratio)"
            );
            JobError::new(ErrorKind::CompressionRatioExceeded, message).of(location.clone())
        }
        _ => JobError::unreadable(location.clone(), error.to_string()),
    }
}
