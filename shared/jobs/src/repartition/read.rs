//! Reads an object: its decompressed bytes, and the records in them.

use bytes::Bytes;
use lakewright_core::{
    avro::AvroFile,
    chunk::Chunk,
    config::{EpochUnit, Limits, Repartition},
    json::ParseTimestamp,
    lines::Dialect,
    location::Location,
    reading::Reading,
    records::Records,
};

use super::{Budget, Ports, ledger::SourceObject, refusal::unread};
use crate::{
    kit::{ErrorKind, JobError},
    work::{
        plain::{PlainError, PlainReader},
        ranged::RangedFile,
        refusal::{misread, refused_avro, undecompressed},
        source::{Pinned, SourceReader},
        timestamps,
    },
};

/// The bytes of an object, or of the lines that begin in a range of it.
pub(super) struct Content<'a> {
    ports: &'a Ports,
    budget: &'a Budget,
    location: Location,
    form: Form,
    ended: bool,
}

enum Form {
    Whole(Box<PlainReader>),
    /// The object is not compressed.
    Lines {
        reader: Box<SourceReader>,
        lines: LineRange,
        chunk: Chunk,
    },
}

impl<'a> Content<'a> {
    /// `lines`: the range in which the wanted lines begin; by default, all lines.
    pub(super) fn open(
        ports: &'a Ports,
        job: &Repartition,
        budget: &'a Budget,
        location: Location,
        source: &SourceObject,
        lines: Option<(u64, u64)>,
    ) -> Self {
        let start = lines.map_or(0, |(start, _)| start.saturating_sub(1));
        let object = source.pinned(&ports.store, location.clone());
        let reader = object.read(start..source.size);
        Self {
            ports,
            budget,
            location,
            form: match lines {
                None => Form::Whole(Box::new(PlainReader::new(
                    reader,
                    job.limits.compression_ratio,
                ))),
                Some((start, end)) => Form::Lines {
                    reader: Box::new(reader),
                    lines: LineRange::new(start, end),
                    chunk: Chunk::default(),
                },
            },
            ended: false,
        }
    }

    /// The offset of the bytes in the object, once there are any.
    pub(super) fn begin(&self) -> u64 {
        match &self.form {
            Form::Whole(_) => 0,
            Form::Lines { lines, .. } => lines.first,
        }
    }

    /// The next bytes; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<&mut Chunk>, JobError> {
        let location = &self.location;
        if self.ended {
            return Ok(None);
        }
        match &mut self.form {
            Form::Whole(reader) => {
                if reader.needs_input() {
                    in_time(self.ports, self.budget).await?;
                }
                let more = reader.advance().await.map_err(|error| match error {
                    PlainError::Read(error) => unread(location, error),
                    PlainError::Corrupt(error) => undecompressed(location, &error),
                })?;
                self.ended = !more;
                let plain = reader.plain();
                Ok((more || !plain.bytes().is_empty()).then_some(plain))
            }
            Form::Lines {
                reader,
                lines,
                chunk,
            } => {
                while !self.ended {
                    in_time(self.ports, self.budget).await?;
                    let read = reader
                        .next()
                        .await
                        .map_err(|error| unread(location, error))?;
                    let Some(read) = read else {
                        self.ended = true;
                        return Ok(None);
                    };
                    let wanted = lines.cut(&read);
                    self.ended = lines.over;
                    if !wanted.is_empty() {
                        chunk.clear();
                        chunk.extend(&read.slice(wanted));
                        return Ok(Some(chunk));
                    }
                }
                Ok(None)
            }
        }
    }
}

/// Yields to the reads ahead, and fails if the time is over.
async fn in_time(ports: &Ports, budget: &Budget) -> Result<(), JobError> {
    if ports.clock.now() >= budget.deadline {
        return Err(JobError::deadline());
    }
    tokio::task::yield_now().await;
    Ok(())
}

/// Determines which bytes of an object are the lines that begin in a range of it.
#[derive(Debug)]
struct LineRange {
    /// The offset of the next chunk.
    at: u64,
    /// Whether the first line is still searched for.
    skips: bool,
    /// The offset of the first line.
    first: u64,
    end: u64,
    over: bool,
}

impl LineRange {
    fn new(start: u64, end: u64) -> Self {
        Self {
            at: start.saturating_sub(1),
            skips: start > 0,
            first: 0,
            end,
            over: start >= end,
        }
    }

    /// The wanted bytes of a chunk.
    fn cut(&mut self, chunk: &[u8]) -> std::ops::Range<usize> {
        let begins = self.at;
        self.at += chunk.len() as u64;
        let mut from = 0;
        if self.skips {
            let Some(newline) = chunk.iter().position(|byte| *byte == b'\n') else {
                return 0..0;
            };
            self.skips = false;
            from = newline + 1;
            self.first = begins + from as u64;
            self.over |= self.first >= self.end;
        }
        if self.over {
            return 0..0;
        }
        // The last line ends with the first newline that is not before the start of another range's line.
        let last = self.end.saturating_sub(1).saturating_sub(begins);
        let last = usize::try_from(last).unwrap_or(usize::MAX).max(from);
        let rest = chunk.get(last..).unwrap_or_default();
        let newline = rest.iter().position(|byte| *byte == b'\n');
        match newline {
            Some(newline) => {
                self.over = true;
                from..last + newline + 1
            }
            None => from..chunk.len(),
        }
    }
}

/// Reads the header of an Avro object.
pub(super) async fn open_avro(
    bytes: &mut Content<'_>,
    limits: &Limits,
) -> Result<AvroFile, JobError> {
    let mut file = AvroFile::new(limits);
    while !file
        .is_open()
        .map_err(|error| refused_avro(&bytes.location, error))?
    {
        match bytes.next().await? {
            Some(chunk) => file.push(chunk),
            None => file.finish(),
        }
    }
    Ok(file)
}

/// Reads the footer of a Parquet or ORC object, whose columns are also the table's by their places if it has them.
pub(super) async fn ranged(
    ports: &Ports,
    job: &Repartition,
    reading: &Reading,
    location: &Location,
    source: &SourceObject,
    memory: u64,
) -> Result<(RangedFile, Pinned), JobError> {
    let format = reading
        .by_ranges()
        .ok_or_else(|| not_so(location, "read by ranges"))?;
    let object = source.pinned(&ports.store, location.clone());
    let first = Bytes::new();
    let file = RangedFile::open(format, &object, location, &first, &job.limits, memory).await;
    let file = file.map_err(|error| unread(location, error))??;
    let file = match reading {
        Reading::Orc { columns } => file.in_order(columns)?,
        _ => file,
    };
    Ok((file, object))
}

fn not_so(location: &Location, what: &str) -> JobError {
    JobError::new(
        ErrorKind::SchemaUnusable,
        format!("{location} is not {what}"),
    )
}

/// The reader of the records in an object, or in a part of one that does not begin with its first line.
pub(super) fn records(
    reading: &Reading,
    job: &Repartition,
    location: &Location,
    first: bool,
) -> Result<Box<dyn Records>, JobError> {
    let records = reading.records(&job.limits, first);
    records
        .map_err(|error| misread(location, &error))?
        .ok_or_else(|| not_so(location, "text"))
}

pub(super) fn unreadable(location: &Location, error: &dyn std::error::Error) -> JobError {
    JobError::unreadable(location.clone(), error.to_string())
}

/// How values of timestamp columns are parsed: in UTC if they have no zone. The numbers of `OpenCSVSerde` are
/// milliseconds. <https://docs.aws.amazon.com/athena/latest/ug/csv-serde.html>
pub(super) fn timestamps(reading: &Reading) -> Result<ParseTimestamp, JobError> {
    let milliseconds = matches!(
        reading,
        Reading::Lines {
            dialect: Dialect::OpenCsv { .. },
            ..
        }
    );
    timestamps::timestamps(milliseconds.then_some(EpochUnit::Ms), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `text` that belong to a range of its bytes, in chunks of this size.
    fn lines(text: &str, start: u64, end: u64, chunk: usize) -> String {
        let mut range = LineRange::new(start, end);
        let from = usize::try_from(start.saturating_sub(1)).unwrap();
        let mut found = String::new();
        for bytes in text.as_bytes()[from..].chunks(chunk) {
            if range.over {
                break;
            }
            found += str::from_utf8(&bytes[range.cut(bytes)]).unwrap();
        }
        found
    }

    #[test]
    fn every_line_is_in_one_range() {
        for text in [
            "a\nbb\n\nccc\n",
            "a\nbb\n\nccc",
            "abcdef",
            "\n\n\n",
            "abc\n",
        ] {
            let size = text.len() as u64;
            for first in 0..=size {
                for second in first..=size {
                    for chunk in [1, 2, 3, 100] {
                        let parts = [(0, first), (first, second), (second, size)];
                        let parts = parts.map(|(start, end)| lines(text, start, end, chunk));
                        assert_eq!(parts.concat(), text, "{first} {second} {chunk} {parts:?}");
                    }
                }
            }
        }
    }
}
