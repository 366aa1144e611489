//! Reads Parquet and ORC objects one row group or stripe at a time: each is downloaded to the temporary folder and read from there.

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
use lakewright_core::{
    config::{Limits, Ranged},
    content::HEAD,
    orc,
};
use lakewright_ports::Clock;
use parquet::{
    errors::ParquetError,
    file::reader::{ChunkReader, Length},
};
use parquet_merge::{FOOTER_TAIL, footer_size};

use super::source::Pinned;
use crate::kit::JobError;

/// The most bytes after the footer: of Parquet its length and the magic bytes, of ORC the postscript and its length.
const FOOTER_END: u64 = 256;

/// The folder for a row group, and the deadline.
pub(crate) struct Room<'a> {
    pub(crate) clock: &'a dyn Clock,
    /// No read starts after it.
    pub(crate) deadline: Timestamp,
    /// The folder for temporary files.
    pub(crate) folder: &'a Path,
}

/// The downloaded part of a file: its footer, and one row group.
#[derive(Clone)]
pub(crate) struct Loaded {
    size: u64,
    /// The first bytes: if it is a file of another format, they tell what it is.
    head: Bytes,
    /// The end of the file, and its offset.
    footer: (u64, Bytes),
    row_group: Arc<Mutex<Option<RowGroup>>>,
}

/// A row group's range in the file, and the temporary file with its bytes.
type RowGroup = (Range<u64>, Arc<File>);

impl Loaded {
    /// Reads the footer. `first`: the first bytes of the object, if they were read.
    pub(crate) async fn open(
        format: Ranged,
        object: &Pinned,
        first: &Bytes,
        limits: &Limits,
    ) -> Result<Self, JobError> {
        let size = object.size;
        let mut start = size.saturating_sub(FOOTER_TAIL);
        let mut end = if first.len() as u64 == size {
            start = 0;
            first.clone()
        } else {
            object.bytes(start..size).await?
        };
        // A length that is too large or invalid is refused when the footer is decoded.
        let needed = match format {
            Ranged::Parquet => footer_size(&end),
            Ranged::Orc => orc::footer_size(&end),
        };
        let needed = needed.min(limits.parquet_footer.as_u64() + FOOTER_END);
        if needed > end.len() as u64 && start > 0 {
            start = size.saturating_sub(needed);
            end = object.bytes(start..size).await?;
        }
        Ok(Self {
            size,
            head: head(format, object, first, &end, start).await?,
            footer: (start, end),
            row_group: Arc::default(),
        })
    }

    /// Downloads the bytes of a row group, in place of the previous one, unless they were read with the footer.
    pub(crate) async fn load(
        &self,
        room: &Room<'_>,
        object: &Pinned,
        range: Range<u64>,
    ) -> Result<(), JobError> {
        if range.start >= self.footer.0 {
            return Ok(());
        }
        self.set(None);
        let file = tempfile::tempfile_in(room.folder)?;
        let mut at = 0;
        let mut reader = object.read(range.clone());
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

    /// The file of the row group, and the position in it of the byte at `start`.
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

/// The first bytes, if they are known or will be needed: if it is a file of another format, they tell what it is.
async fn head(
    format: Ranged,
    object: &Pinned,
    first: &Bytes,
    end: &Bytes,
    start: u64,
) -> Result<Bytes, JobError> {
    let known = if start == 0 { end } else { first };
    let is_one = match format {
        Ranged::Parquet => end.ends_with(b"PAR1"),
        Ranged::Orc => orc::footer_size(end) > 0,
    };
    if !known.is_empty() || is_one {
        return Ok(Bytes::copy_from_slice(known.get(..HEAD).unwrap_or(known)));
    }
    object.bytes(0..object.size.min(HEAD as u64)).await
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
        let from = usize::try_from(start).ok();
        let ends = from.and_then(|from| Some(from..from.checked_add(length)?));
        if let Some(range) = ends.filter(|range| range.end <= self.head.len()) {
            return Ok(self.head.slice(range));
        }
        let mut bytes = vec![0; length];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Continues to read at a position of the file.
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
