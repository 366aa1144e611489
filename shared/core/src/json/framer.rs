//! Finds records in a stream of bytes that arrives in chunks.
//!
//! Records are JSON objects: one per line, concatenated, spread over lines, or the elements of top-level arrays. A byte
//! order mark at the start and white space between records are skipped.
//!
//! **After an error**, the broken stretch extends from the record's start to the first newline that is immediately
//! followed by `{` or `[`, or to the end of the input. So a truncated line only loses itself, and an indented part of a
//! broken record is never mistaken for a record.

use super::{
    Broken, Columns, Inference, NotAnObject, RecordError, SyntaxError,
    lex::{self, Kind, Stop},
    record::Reject,
};
use crate::records::{ColumnsError, Filled, FrameError, Records, Window};

/// A part of the stream: a record, or a broken stretch in place of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its start, in bytes of the decompressed stream.
    pub offset: u64,
    /// The record's bytes, from `{` to `}`, or the broken stretch without trailing white space.
    pub bytes: &'a [u8],
    /// Why it is not a record. `None` if it is exactly one valid JSON object.
    pub broken: Option<Broken>,
}

/// The position of the next byte in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    /// At the start, where a byte order mark is allowed.
    Start,
    /// Between top-level values.
    Top,
    /// After the opening bracket of a top-level array.
    ArrayStart,
    /// After an element of a top-level array.
    ArrayElement,
    /// After a comma of a top-level array.
    ArrayComma,
    /// After a broken element: commas and the closing bracket of that array may still follow.
    Resumed,
}

/// A part of the stream, and the result of reading it.
struct Found<T> {
    start: usize,
    end: usize,
    outcome: Result<T, Broken>,
}

/// Finds records in bytes that are pushed in chunks of any size. The frames do not depend on the chunks.
///
/// Buffers the bytes that are not framed yet: at most the longest record and one chunk.
#[derive(Debug)]
pub struct Framer {
    window: Window,
    max_record: usize,
    max_depth: usize,
    context: Context,
    /// The value at `at` is not scanned again before this many of its bytes are there: twice the number that was not
    /// enough. So a long record in small chunks is not scanned over and over.
    wanted: usize,
    /// The error in the value at `at`, and how far the end of the broken stretch was searched for.
    broken: Option<(Broken, usize)>,
}

impl Framer {
    /// Creates a framer that refuses records longer than `max_record` bytes, and reports records nested deeper than
    /// `max_depth`, at most [`MAX_DEPTH`](super::MAX_DEPTH), as broken.
    pub fn new(max_record: usize, max_depth: usize) -> Self {
        Self {
            window: Window::default(),
            max_record,
            max_depth,
            context: Context::Start,
            wanted: 0,
            broken: None,
        }
    }

    /// The next frame in the bytes so far. `None` if it needs more bytes or, after [`finish`](Self::finish), if there
    /// are no more.
    ///
    /// # Errors
    /// [`FrameError::RecordTooLong`], and then the same at each call.
    #[expect(
        clippy::should_implement_trait,
        reason = "the frame borrows the buffer"
    )]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let room = self.max_depth;
        let found = self.find(|buffer, at| Ok((lex::skip_value(buffer, at, room)?, ())))?;
        Ok(found.map(|found| Frame {
            offset: self.window.offset(found.start),
            bytes: self.window.between(found.start, found.end),
            broken: found.outcome.err(),
        }))
    }

    /// Moves to the next part. `read` reads the object at a position of the buffer and returns its end.
    fn find<T>(
        &mut self,
        mut read: impl FnMut(&[u8], usize) -> Result<(usize, T), Stop>,
    ) -> Result<Option<Found<T>>, FrameError> {
        if self.broken.is_some() {
            return self.find_end_of_broken();
        }
        let Some(opening) = self.find_value() else {
            return Ok(self.find_unclosed_array());
        };
        let start = self.window.at;
        let available = self.window.bytes.len() - start;
        if !self.window.ended && available < self.wanted {
            return Ok(None);
        }
        let limit = self
            .window
            .bytes
            .len()
            .min(start.saturating_add(self.max_record));
        let visible = self.window.bytes.get(..limit).unwrap_or_default();
        let outcome = match opening {
            Opening::Misplaced => Err(Stop::Syntax {
                at: start,
                error: SyntaxError::ExpectedCommaOrEnd,
            }),
            Opening::Value if visible.get(start) == Some(&b'{') => {
                read(visible, start).map(|(end, value)| (end, Ok(value)))
            }
            Opening::Value => other_value(visible, start, self.max_depth, self.window.ended)
                .map(|(end, not)| (end, Err(not))),
        };
        match outcome {
            Ok((end, outcome)) => {
                self.window.at = end;
                self.wanted = 0;
                if let Context::ArrayStart | Context::ArrayComma = self.context {
                    self.context = Context::ArrayElement;
                }
                Ok(Some(Found {
                    start,
                    end,
                    outcome: outcome.map_err(Broken::NotAnObject),
                }))
            }
            Err(Stop::Incomplete) if available > self.max_record => {
                Err(self.window.too_long(self.max_record))
            }
            Err(Stop::Incomplete) if !self.window.ended => {
                self.wanted = (available * 2).min(self.max_record.saturating_add(1));
                Ok(None)
            }
            Err(stop) => {
                self.broken = Some((stop.into_broken(start, self.max_depth), start));
                self.find_end_of_broken()
            }
        }
    }

    /// Moves to the first byte of the next value, over white space and the punctuation of top-level arrays.
    fn find_value(&mut self) -> Option<Opening> {
        if self.context == Context::Start {
            if !self.window.pass_byte_order_mark() {
                return None;
            }
            self.context = Context::Top;
        }
        loop {
            self.window.at = lex::skip_space(&self.window.bytes, self.window.at);
            let byte = *self.window.bytes.get(self.window.at)?;
            self.context = match (self.context, byte) {
                (Context::Top | Context::Resumed, b'[') => Context::ArrayStart,
                (Context::ArrayElement, b',') => Context::ArrayComma,
                (Context::Resumed, b',') => Context::Resumed,
                (Context::ArrayStart | Context::ArrayElement | Context::Resumed, b']') => {
                    Context::Top
                }
                (Context::ArrayElement, _) => return Some(Opening::Misplaced),
                _ => return Some(Opening::Value),
            };
            self.window.at += 1;
        }
    }

    /// At the end of the input: reports an array that is not closed.
    fn find_unclosed_array<T>(&mut self) -> Option<Found<T>> {
        let unclosed = matches!(
            self.context,
            Context::ArrayStart | Context::ArrayElement | Context::ArrayComma
        );
        if !(self.window.ended && unclosed) {
            return None;
        }
        self.context = Context::Top;
        Some(Found {
            start: self.window.at,
            end: self.window.at,
            outcome: Err(Broken::UnclosedArray),
        })
    }

    fn find_end_of_broken<T>(&mut self) -> Result<Option<Found<T>>, FrameError> {
        let Some((broken, mut searched)) = self.broken else {
            return Ok(None);
        };
        let start = self.window.at;
        let mut end = None;
        while let Some(offset) =
            memchr::memchr(b'\n', self.window.bytes.get(searched..).unwrap_or_default())
        {
            let newline = searched + offset;
            match self.window.bytes.get(newline + 1) {
                Some(b'{' | b'[') => {
                    end = Some(newline);
                    break;
                }
                Some(_) => searched = newline + 1,
                None => {
                    searched = newline;
                    break;
                }
            }
        }
        let whole = self.window.bytes.len();
        let known = match end {
            Some(newline) => newline,
            None if self.window.ended => whole,
            // The last byte may be the newline that ends the stretch.
            None => whole.saturating_sub(1).max(start),
        };
        if known - start > self.max_record {
            return Err(self.window.too_long(self.max_record));
        }
        if end.is_none() && !self.window.ended {
            let rest = self.window.bytes.get(searched..).unwrap_or_default();
            let searched = if rest == b"\n" { searched } else { whole };
            self.broken = Some((broken, searched));
            return Ok(None);
        }
        self.broken = None;
        self.wanted = 0;
        self.window.at = end.map_or(whole, |newline| newline + 1);
        if !matches!(self.context, Context::Top) {
            self.context = Context::Resumed;
        }
        let stretch = self.window.between(start, known);
        Ok(Some(Found {
            start,
            end: start + lex::trim_space_end(stretch).len(),
            outcome: Err(broken),
        }))
    }
}

impl Records for Framer {
    fn push(&mut self, bytes: &[u8]) {
        let dropped = self.window.push(bytes);
        if let Some((_, searched)) = &mut self.broken {
            *searched -= dropped;
        }
    }

    fn finish(&mut self) {
        self.window.ended = true;
    }

    /// Frames and appends in one pass over the record's bytes, with the same result as [`next`](Framer::next) and then
    /// [`Columns::append`]. The framer and the columns must have the same depth limit.
    fn next_into(&mut self, columns: &mut Columns) -> Result<Option<Filled<'_>>, FrameError> {
        let before = (self.window.at, self.context, self.wanted);
        let room = self.max_depth;
        let found = self.find(|buffer, at| match columns.append_at(buffer, at) {
            Ok((end, report)) => Ok((end, Ok(report))),
            Err(Reject::Stop(stop)) => Err(stop),
            Err(Reject::Record(error)) => Ok((lex::skip_value(buffer, at, room)?, Err(*error))),
        })?;
        if let Some(Found {
            outcome: Ok(Err(RecordError::Full)),
            ..
        }) = found
        {
            (self.window.at, self.context, self.wanted) = before;
        }
        let buffer = &self.window.bytes;
        Ok(found.map(|found| Filled {
            offset: self.window.offset(found.start),
            bytes: buffer.get(found.start..found.end).unwrap_or_default(),
            result: match found.outcome {
                Ok(Ok(report)) => Ok(report.into_appended(buffer)),
                Ok(Err(error)) => Err(error),
                Err(broken) => Err(RecordError::Broken(broken)),
            },
        }))
    }

    /// Broken stretches are skipped.
    fn infer(&mut self, inference: &mut Inference) -> Result<Option<Vec<String>>, ColumnsError> {
        while let Some(frame) = self.next()? {
            if frame.broken.is_none() {
                inference.observe(frame.bytes)?;
            }
        }
        Ok(None)
    }
}

/// What was found at the start of a value.
enum Opening {
    /// A value, or a byte that cannot start one.
    Value,
    /// Neither a comma nor a bracket after an element.
    Misplaced,
}

/// The end of the value at `at`, which is not an object.
fn other_value(
    buffer: &[u8],
    at: usize,
    room: usize,
    ended: bool,
) -> Result<(usize, NotAnObject), Stop> {
    let kind = Kind::at(buffer, at)?;
    let end = match lex::skip_value(buffer, at, room) {
        Err(Stop::Incomplete) if ended && kind == Kind::Number => {
            let mut text = buffer.get(at..).unwrap_or_default().to_vec();
            text.push(b'\n');
            at + lex::number(&text, 0).map_err(|_| Stop::Incomplete)?
        }
        end => end?,
    };
    let not = match kind {
        Kind::Array | Kind::Object => NotAnObject::Array,
        Kind::String => NotAnObject::String,
        Kind::Number => NotAnObject::Number,
        Kind::True | Kind::False => NotAnObject::Boolean,
        Kind::Null => NotAnObject::Null,
    };
    Ok((end, not))
}

#[cfg(test)]
#[path = "framer_tests.rs"]
mod tests;
