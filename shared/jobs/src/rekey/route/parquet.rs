//! Parquet: one row group at a time is brought into the temporary folder and read from there.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read},
    ops::Range,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Buf, Bytes, buf::Reader};
use jiff::Timestamp;
use lakewright_core::{
    config::Limits,
    parquet_in::{ParquetFile, ReadError, ReadOptions, Rows},
    partition::Partitioner,
    time::TimestampReader,
};
use parquet::{
    errors::ParquetError,
    file::reader::{ChunkReader, Length},
};

use super::{Request, Routed, Router, Row, column_timestamps, unusable};
use crate::rekey::{Budget, Ports, error::RekeyError, schema::RecordSchema, source::Source};

/// The bytes at the end of a file that say where its footer begins.
const TAIL: u64 = 8;

pub(super) async fn route(
    request: Request<'_>,
    source: Source,
    landed: Timestamp,
    timestamps: TimestampReader,
) -> Result<Routed, RekeyError> {
    let settings = request.settings;
    let job = &settings.job;
    let partitioner = Partitioner::new(&job.partition_by, job.path_style, timestamps.zone())
        .map_err(|error| unusable(&error))?;
    let unreadable = |error: ReadError| unreadable(request, error);
    let loaded = Loaded::open(&source, &job.limits).await?;
    let file = ParquetFile::open(loaded.clone(), &job.limits).map_err(unreadable)?;
    let schema = match &settings.table {
        Some(table) => RecordSchema::of_table(table, partitioner.columns())?,
        None => RecordSchema::inferred(&file.schema(), partitioner.columns()),
    };
    let options = ReadOptions {
        on_unknown: job.on_unknown,
        on_mismatch: job.on_mismatch,
        timestamp: job.timestamp.column.clone(),
        timestamps,
        parse_timestamp: column_timestamps(&job.timestamp)?,
    };
    let mut rows = file.read(&schema.whole(), options).map_err(unreadable)?;
    let mut router = Router::new(request, landed, partitioner, &schema, None)?;
    for (row_group, range) in (1..).zip(rows.row_groups()) {
        loaded
            .load(request.ports, request.budget, &source, range)
            .await?;
        rows.stop_after(row_group);
        for rows in &mut rows {
            take(&mut router, &rows.map_err(unreadable)?)?;
            router.settle().await?;
            tokio::task::yield_now().await;
        }
    }
    Ok(router.routed)
}

fn take(router: &mut Router<'_>, rows: &Rows) -> Result<(), RekeyError> {
    let request = router.request;
    let record = |row: usize| rows.record(row).map_err(|error| unreadable(request, error));
    let mut timed = Vec::with_capacity(rows.times.len());
    for (index, time) in rows.times.iter().enumerate() {
        let offset = rows.first + index as u64;
        timed.push(match time {
            Ok(time) => Some(Row {
                time: *time,
                offset,
                bytes: rows.row_bytes,
            }),
            Err(refused) => {
                router.set_aside(offset, &record(index)?, refused.reason, &refused.detail)?;
                None
            }
        });
    }
    router.routed.rows_in += timed.len() as u64;
    router.routed.fields_dropped += rows.dropped;
    router.routed.values_dropped += rows.mismatched;
    router.take(&rows.batch, &timed, |_, row| record(row).map(Cow::Owned))
}

fn unreadable(request: Request<'_>, error: ReadError) -> RekeyError {
    let location = request.location.clone();
    match error {
        ReadError::FooterTooLarge { size, limit } => RekeyError::FooterTooLarge {
            location,
            size,
            limit,
        },
        ReadError::RowGroupTooLarge {
            row_group,
            size,
            limit,
        } => RekeyError::RowGroupTooLarge {
            location,
            row_group,
            size,
            limit,
        },
        ReadError::RowRefused { row, error } => RekeyError::RecordRefused {
            location,
            offset: row,
            message: error.to_string(),
        },
        ReadError::Schema(_) | ReadError::NameCollision { .. } => {
            RekeyError::Schema(format!("{location}: {error}"))
        }
        error => RekeyError::Unreadable {
            location,
            message: error.to_string(),
        },
    }
}

/// The part of a file that has been brought here: its footer, and one row group.
#[derive(Clone)]
struct Loaded {
    size: u64,
    /// The end of the file, and where it begins.
    footer: (u64, Bytes),
    row_group: Arc<Mutex<Option<RowGroup>>>,
}

/// A row group's place in the file, and the file that its bytes stand in now.
type RowGroup = (Range<u64>, Arc<File>);

impl Loaded {
    async fn open(source: &Source, limits: &Limits) -> Result<Self, RekeyError> {
        let size = source.meta().size;
        let tail = bytes_of(source, size.saturating_sub(TAIL)..size).await?;
        let length = tail
            .get(..4)
            .map_or(0, |mut bytes| u64::from(bytes.get_u32_le()));
        // What is too long, or makes no sense, is refused when it is looked at.
        let length = length.min(limits.parquet_footer.as_u64()) + TAIL;
        let start = size.saturating_sub(length);
        Ok(Self {
            size,
            footer: (start, bytes_of(source, start..size).await?),
            row_group: Arc::default(),
        })
    }

    /// Brings the bytes of a row group here, in the place of the one before.
    async fn load(
        &self,
        ports: &Ports,
        budget: &Budget,
        source: &Source,
        range: Range<u64>,
    ) -> Result<(), RekeyError> {
        self.set(None);
        let file = tempfile::tempfile_in(&budget.scratch)?;
        let mut at = 0;
        let mut reader = source.read_range(range.clone());
        while let Some(bytes) = reader.next().await? {
            file.write_all_at(&bytes, at)?;
            at += bytes.len() as u64;
            if ports.clock.now() >= budget.deadline {
                return Err(RekeyError::Deadline);
            }
        }
        self.set(Some((range, Arc::new(file))));
        Ok(())
    }

    fn set(&self, row_group: Option<RowGroup>) {
        *self
            .row_group
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = row_group;
    }

    /// The file of the row group, and where in it the byte at `start` is.
    fn at(&self, start: u64) -> io::Result<(Arc<File>, u64)> {
        let row_group = self
            .row_group
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match &*row_group {
            Some((range, file)) if range.contains(&start) => {
                Ok((Arc::clone(file), start - range.start))
            }
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The bytes of a range of the object.
async fn bytes_of(source: &Source, range: Range<u64>) -> Result<Bytes, RekeyError> {
    let bounds = usize::try_from(range.start)
        .ok()
        .zip(usize::try_from(range.end).ok());
    if let Some((start, end)) = bounds
        && end <= source.first().len()
    {
        return Ok(source.first().slice(start..end));
    }
    let mut reader = source.read_range(range);
    let mut bytes = Vec::new();
    while let Some(chunk) = reader.next().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
}

impl Length for Loaded {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Loaded {
    type T = LoadedReader;

    fn get_read(&self, start: u64) -> Result<LoadedReader, ParquetError> {
        if let Some(from) = start.checked_sub(self.footer.0)
            && let Ok(from) = usize::try_from(from)
        {
            let rest = self.footer.1.slice(from.min(self.footer.1.len())..);
            return Ok(LoadedReader::Footer(rest.reader()));
        }
        let (file, at) = self.at(start)?;
        Ok(LoadedReader::RowGroup(file, at))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let mut bytes = vec![0; length];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Reads on from a place in the file.
enum LoadedReader {
    Footer(Reader<Bytes>),
    RowGroup(Arc<File>, u64),
}

impl Read for LoadedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Footer(reader) => reader.read(buffer),
            Self::RowGroup(file, at) => {
                let read = file.read_at(buffer, *at)?;
                *at += read as u64;
                Ok(read)
            }
        }
    }
}
