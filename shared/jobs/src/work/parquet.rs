//! Parquet objects, one row group at a time: it is brought into the temporary folder and read from there.

use std::{
    fs::File,
    io::{self, Read},
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Buf, Bytes, buf::Reader};
use jiff::Timestamp;
use lakewright_core::config::Limits;
use parquet::{
    errors::ParquetError,
    file::reader::{ChunkReader, Length},
};

use super::source::Source;
use crate::{kit::JobError, ports::Clock};

/// The bytes at the end of a file that say where its footer begins.
const TAIL: u64 = 8;

/// Where a row group may be brought, and until when.
pub(crate) struct Room<'a> {
    pub(crate) clock: &'a dyn Clock,
    /// Nothing is read after it.
    pub(crate) deadline: Timestamp,
    /// The folder for temporary files.
    pub(crate) folder: &'a Path,
}

/// The part of a file that has been brought here: its footer, and one row group.
#[derive(Clone)]
pub(crate) struct Loaded {
    size: u64,
    /// The end of the file, and where it begins.
    footer: (u64, Bytes),
    row_group: Arc<Mutex<Option<RowGroup>>>,
}

/// A row group's place in the file, and the file that its bytes stand in now.
type RowGroup = (Range<u64>, Arc<File>);

impl Loaded {
    pub(crate) async fn open(source: &Source, limits: &Limits) -> Result<Self, JobError> {
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
    pub(crate) async fn load(
        &self,
        room: &Room<'_>,
        source: &Source,
        range: Range<u64>,
    ) -> Result<(), JobError> {
        self.set(None);
        let file = tempfile::tempfile_in(room.folder)?;
        let mut at = 0;
        let mut reader = source.read_range(range.clone());
        while let Some(bytes) = reader.next().await? {
            file.write_all_at(&bytes, at)?;
            at += bytes.len() as u64;
            if room.clock.now() >= room.deadline {
                return Err(JobError::deadline());
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
async fn bytes_of(source: &Source, range: Range<u64>) -> Result<Bytes, JobError> {
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
pub(crate) enum LoadedReader {
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
