//! Finds records in a stream of bytes that arrives in chunks.

use super::{
    Broken, Fields,
    names::{Mapping, Names},
    scan::{self, End, Marks, Span, Stop},
};
use crate::{
    chunk::Chunk,
    config::Csv,
    json::{Appended, Columns, Inference, JsonScalar, RecordError},
    records::{ColumnsError, Filled, FrameError, Records, Window},
};

/// A part of the stream: a record, or broken bytes in place of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its start, in bytes of the decompressed stream.
    pub offset: u64,
    /// Its bytes, without the line ending.
    pub bytes: &'a [u8],
    /// Its fields, one for each column, or why it is not a record.
    pub fields: Result<Fields<'a>, Broken>,
}

/// Finds records in bytes that are pushed in chunks of any size. The records do not depend on the chunks.
///
/// Buffers the bytes that are not framed yet: at most the longest record and one chunk.
#[derive(Debug)]
pub struct Framer {
    marks: Marks,
    quote: String,
    null: Option<Box<str>>,
    max_record: usize,
    window: Window,
    started: bool,
    /// The record at `at` is not scanned again before this many of its bytes are there: twice the number that was not
    /// enough. So a long record in small chunks is not scanned over and over.
    wanted: usize,
    names: Option<Names>,
    mapping: Option<Mapping>,
    spans: Vec<Span>,
}

/// A record in the buffer.
struct Found {
    start: usize,
    end: usize,
    next: usize,
    broken: Option<Broken>,
}

impl Framer {
    /// Creates a framer that refuses records longer than `max_record` bytes. `columns`: the names of the columns if
    /// there is no header and the settings do not name them.
    ///
    /// # Errors
    /// [`FrameError::NameCollision`] in the given names.
    pub fn new(csv: &Csv, columns: &[String], max_record: usize) -> Result<Self, FrameError> {
        let given = if csv.columns.is_empty() {
            columns
        } else {
            &csv.columns
        };
        let names = (!csv.header)
            .then(|| Names::new(given.to_vec()))
            .transpose()?;
        let ascii = |mark: char, usual| u8::try_from(mark).unwrap_or(usual);
        Ok(Self {
            marks: Marks {
                delimiter: ascii(csv.delimiter, b','),
                quote: ascii(csv.quote, b'"'),
            },
            quote: csv.quote.to_string(),
            null: csv.null.as_deref().map(Box::from),
            max_record,
            window: Window::default(),
            started: false,
            wanted: 0,
            names,
            mapping: None,
            spans: Vec::new(),
        })
    }

    /// The names of the columns in order. `None` if the header has not arrived yet.
    ///
    /// # Errors
    /// The header is broken or too long, or names a column twice.
    pub fn names(&mut self) -> Result<Option<&[String]>, FrameError> {
        if self.names.is_none()
            && let Some(header) = self.find_record(None)?
        {
            let offset = self.window.offset(header.start);
            if let Some(broken) = header.broken {
                return Err(FrameError::Header { offset, broken });
            }
            let fields = self.fields(&header);
            let names = fields
                .iter()
                .map(|name| name.unwrap_or_default().into_owned());
            let names = names.collect();
            self.names = Some(Names::new(names)?);
            self.pass(&header);
        }
        Ok(self.names.as_ref().map(Names::as_slice))
    }

    /// The next record in the bytes so far. `None` if it needs more bytes or, after [`finish`](Self::finish), if there
    /// are no more records.
    ///
    /// # Errors
    /// [`FrameError`], and then the same at each call.
    #[expect(
        clippy::should_implement_trait,
        reason = "the record borrows the buffer"
    )]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, FrameError> {
        let Some(found) = self.find()? else {
            return Ok(None);
        };
        self.pass(&found);
        Ok(Some(Record {
            offset: self.window.offset(found.start),
            bytes: self.bytes(&found),
            fields: match found.broken {
                Some(broken) => Err(broken),
                None => Ok(self.fields(&found)),
            },
        }))
    }

    /// The next record after the header. It is returned again until it is passed.
    fn find(&mut self) -> Result<Option<Found>, FrameError> {
        let Some(names) = self.names()? else {
            return Ok(None);
        };
        let columns = names.len();
        self.find_record(Some(columns))
    }

    fn pass(&mut self, found: &Found) {
        self.window.at = found.next;
        self.wanted = 0;
    }

    fn bytes(&self, found: &Found) -> &[u8] {
        self.window.between(found.start, found.end)
    }

    /// The fields of the record that was found last.
    fn fields(&self, found: &Found) -> Fields<'_> {
        Fields {
            // A record that is not UTF-8 is broken.
            text: str::from_utf8(self.bytes(found)).unwrap_or_default(),
            start: found.start,
            spans: &self.spans,
            quote: &self.quote,
            null: self.null.as_deref(),
        }
    }

    /// Reports a NUL in a field without quotes: no writer of text writes one, so bytes are missing there.
    fn bare_nul(&self, start: usize, end: usize) -> Option<Broken> {
        memchr::memchr(0, self.window.between(start, end))?;
        let bare = self.spans.iter().filter(|span| !span.quoted);
        let nuls = bare.filter_map(|span| {
            let field = self.window.between(span.start, span.end);
            Some(span.start + memchr::memchr(0, field)? - start)
        });
        nuls.min().map(|at| Broken::Nul { at })
    }

    fn find_record(&mut self, columns: Option<usize>) -> Result<Option<Found>, FrameError> {
        if !self.started {
            if !self.window.pass_byte_order_mark() {
                return Ok(None);
            }
            self.started = true;
        }
        loop {
            let start = self.window.at;
            let available = self.window.bytes.len() - start;
            if available == 0 || (!self.window.ended && available < self.wanted) {
                return Ok(None);
            }
            // The line ending is not part of the record.
            let limit = start.saturating_add(self.max_record).saturating_add(2);
            let visible = self.window.bytes.get(..limit).unwrap_or(&self.window.bytes);
            let ended = self.window.ended && visible.len() == self.window.bytes.len();
            let (End { end, next }, mut broken) =
                match scan::record(visible, start, ended, self.marks, &mut self.spans) {
                    Ok(end) => (end, None),
                    Err(Stop::Broken(broken, end)) => (end, Some(broken)),
                    Err(Stop::Incomplete) if visible.len() == limit => {
                        return Err(self.window.too_long(self.max_record));
                    }
                    Err(Stop::Incomplete) => {
                        self.wanted = (available * 2).min(limit - start);
                        return Ok(None);
                    }
                };
            if end - start > self.max_record {
                return Err(self.window.too_long(self.max_record));
            }
            if start == end && columns != Some(1) {
                self.window.at = next;
                self.wanted = 0;
                continue;
            }
            let bytes = visible.get(start..end).unwrap_or_default();
            if broken.is_none() {
                broken = match (str::from_utf8(bytes), columns) {
                    (Err(error), _) => Some(Broken::InvalidUtf8 {
                        at: error.valid_up_to(),
                    }),
                    (Ok(_), Some(columns)) if columns != self.spans.len() => {
                        Some(Broken::FieldCount {
                            expected: columns,
                            found: self.spans.len(),
                        })
                    }
                    _ => self.bare_nul(start, end),
                };
            }
            return Ok(Some(Found {
                start,
                end,
                next,
                broken,
            }));
        }
    }
}

/// Each field goes into the column of its name, ignoring case, like a JSON string of its text. For a struct, a list or
/// a map, the text is parsed as JSON. The header names the columns.
impl Records for Framer {
    fn push(&mut self, chunk: &mut Chunk) {
        self.window.push(0, chunk);
    }

    fn finish(&mut self) {
        self.window.ended = true;
    }

    fn next_into(&mut self, columns: &mut Columns) -> Result<Option<Filled<'_>>, FrameError> {
        let Some(found) = self.find()? else {
            return Ok(None);
        };
        let mapping = match self.mapping.take() {
            Some(mapping) => mapping,
            None => Mapping::new(self.names.as_ref(), columns),
        };
        let fields = self.fields(&found);
        let result = match found.broken {
            Some(broken) => Err(RecordError::Csv(broken)),
            None => mapping.append(|field| fields.get(field), self.bytes(&found), columns),
        };
        self.mapping = Some(mapping);
        if !matches!(result, Err(RecordError::Full)) {
            self.pass(&found);
        }
        let timestamp = self.mapping.as_ref().and_then(|mapping| mapping.timestamp);
        Ok(Some(Filled {
            offset: self.window.offset(found.start),
            bytes: self.bytes(&found),
            result: result
                .map_err(Box::new)
                .map(|(unknown, mismatched)| Appended {
                    timestamp: match timestamp {
                        None => JsonScalar::Missing,
                        Some(field) => self
                            .fields(&found)
                            .get(field)
                            .map_or(JsonScalar::Null, JsonScalar::String),
                    },
                    unknown,
                    mismatched,
                }),
        }))
    }

    fn infer(&mut self, _: &mut Inference) -> Result<Option<Vec<String>>, ColumnsError> {
        Ok(self.names()?.map(<[String]>::to_vec))
    }
}
