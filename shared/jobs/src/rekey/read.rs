//! A source object's records: decompressed and framed.

use bytes::{Buf, Bytes};
use lakewright_core::{
    compression::{DecompressError, Decompressor, Status},
    config::{InputFormat, Limits},
    csv,
    json::{self, Columns, Filled},
    location::Location,
};

use super::{
    Budget, Ports, Settings,
    error::RekeyError,
    source::{Source, SourceReader},
};

/// Finds the records in text of either kind.
pub(super) enum Framer {
    Json(json::Framer),
    Csv(csv::Framer),
}

impl Framer {
    fn new(settings: &Settings, location: &Location) -> Result<Self, RekeyError> {
        let job = &settings.job;
        let longest = job.limits.longest_record();
        if job.format != InputFormat::Csv {
            return Ok(Self::Json(json::Framer::new(longest, job.limits.deepest())));
        }
        let table = settings.table.iter().flat_map(|table| &table.columns);
        let columns = table.map(|column| column.name.clone()).collect::<Vec<_>>();
        let framer = csv::Framer::new(&job.csv.clone().unwrap_or_default(), &columns, longest)
            .map_err(|error| misread_csv(location, &error))?;
        Ok(Self::Csv(framer))
    }

    fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Json(framer) => framer.push(bytes),
            Self::Csv(framer) => framer.push(bytes),
        }
    }

    fn finish(&mut self) {
        match self {
            Self::Json(framer) => framer.finish(),
            Self::Csv(framer) => framer.finish(),
        }
    }

    /// The next record, appended to `columns`. One for which they are full is the next one again.
    pub(super) fn next_into(
        &mut self,
        columns: &mut Columns,
        location: &Location,
    ) -> Result<Option<Filled<'_>>, RekeyError> {
        match self {
            Self::Json(framer) => framer
                .next_into(columns)
                .map_err(|error| misread_json(location, error)),
            Self::Csv(framer) => framer
                .next_into(columns)
                .map_err(|error| misread_csv(location, &error)),
        }
    }
}

pub(super) fn misread_json(location: &Location, error: json::FrameError) -> RekeyError {
    let json::FrameError::RecordTooLong { offset, limit } = error;
    RekeyError::RecordTooLong {
        location: location.clone(),
        offset,
        limit,
    }
}

pub(super) fn misread_csv(location: &Location, error: &csv::FrameError) -> RekeyError {
    match *error {
        csv::FrameError::RecordTooLong { offset, limit } => RekeyError::RecordTooLong {
            location: location.clone(),
            offset,
            limit,
        },
        _ => RekeyError::Unreadable {
            location: location.clone(),
            message: error.to_string(),
        },
    }
}

/// The records of an object, piece by piece.
pub(super) struct Records<'a> {
    ports: &'a Ports,
    budget: &'a Budget,
    location: Location,
    reader: SourceReader,
    decompressor: Decompressor,
    framer: Framer,
    chunk: Bytes,
    plain: Vec<u8>,
    state: State,
}

#[derive(PartialEq)]
enum State {
    NeedsInput,
    HasOutput,
    Ended,
}

impl<'a> Records<'a> {
    pub(super) fn new(
        ports: &'a Ports,
        budget: &'a Budget,
        settings: &Settings,
        source: Source,
    ) -> Result<Self, RekeyError> {
        let location = source.location().clone();
        let limits: &Limits = &settings.job.limits;
        Ok(Self {
            ports,
            budget,
            decompressor: Decompressor::new(limits.compression_ratio),
            framer: Framer::new(settings, &location)?,
            location,
            reader: source.read(),
            chunk: Bytes::new(),
            plain: Vec::new(),
            state: State::NeedsInput,
        })
    }

    /// Reads on. The framer may hold new records, which are all to be taken before the next call; `None` after the
    /// last.
    pub(super) async fn more(&mut self) -> Result<Option<&mut Framer>, RekeyError> {
        match self.state {
            State::Ended => return Ok(None),
            State::HasOutput => {}
            State::NeedsInput => {
                if self.ports.clock.now() >= self.budget.deadline {
                    return Err(RekeyError::Deadline);
                }
                // Other objects of this invocation, and the reads ahead of this one, get their turn.
                tokio::task::yield_now().await;
                let Some(chunk) = self.reader.next().await? else {
                    return self.end().map(Some);
                };
                self.chunk = chunk;
            }
        }
        self.plain.clear();
        let mut input = &self.chunk[..];
        let status = self
            .decompressor
            .push(&mut input, &mut self.plain)
            .map_err(|error| unreadable(&self.location, &error))?;
        let used = self.chunk.len() - input.len();
        self.chunk.advance(used);
        self.state = match status {
            Status::NeedsInput => State::NeedsInput,
            Status::HasOutput => State::HasOutput,
        };
        self.framer.push(&self.plain);
        Ok(Some(&mut self.framer))
    }

    fn end(&mut self) -> Result<&mut Framer, RekeyError> {
        self.state = State::Ended;
        self.plain.clear();
        self.decompressor
            .finish(&mut self.plain)
            .map_err(|error| unreadable(&self.location, &error))?;
        self.framer.push(&self.plain);
        self.framer.finish();
        Ok(&mut self.framer)
    }
}

fn unreadable(location: &Location, error: &DecompressError) -> RekeyError {
    match *error {
        DecompressError::Ratio { offset, limit } => RekeyError::CompressionRatio {
            location: location.clone(),
            offset,
            limit,
        },
        _ => RekeyError::Unreadable {
            location: location.clone(),
            message: error.to_string(),
        },
    }
}
