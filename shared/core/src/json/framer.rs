//! Finds records in a stream of bytes that arrives in chunks.
//!
//! Records are JSON objects: one per line, concatenated, spread over lines, or the elements of top-level arrays. A byte
//! order mark at the start and white space between records are skipped. Or these are envelopes, and the records are in a
//! list inside ([`inside`]).
//!
//! **After an error**, [`resume`](super::resume) determines the end of the broken stretch: its closing bracket, if its
//! strings and brackets balance, and otherwise a line that begins with a record. So a broken record usually only loses
//! itself, and a part of it is not mistaken for a record.

mod aggregates;
mod broken;
mod inside;
mod logs;
mod walk;

pub use self::aggregates::Aggregates;
use self::{
    inside::{Way, of_broken},
    walk::Walk,
};
use super::{
    Broken, Columns, Envelope, Inference, NotAnObject, RecordError, SyntaxError,
    columns::Report,
    lex::{self, Kind, Stop},
    record::Reject,
    resume::Stretch,
};
use crate::{
    chunk::Chunk,
    records::{ColumnsError, Filled, FrameError, Records, Window},
};

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
    /// Its offset in the stream.
    offset: u64,
    start: usize,
    end: usize,
    /// Whether the record was assembled from parts of the stream, and its bytes are not in the stream.
    is_unfolded: bool,
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
    /// The broken stretch at `at`, whose end is searched for.
    broken: Option<Stretch>,
    /// The way to the records, if they are in envelopes.
    walk: Option<Box<Walk>>,
    /// The record that was assembled from a log event.
    unfolded: Vec<u8>,
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
            walk: None,
            unfolded: Vec::new(),
        }
    }

    /// Treats the objects as envelopes, and the elements of the list in them as the records. A record's bytes are then those
    /// of its element, preceded by the envelope's kept fields.
    #[must_use]
    pub fn within(mut self, envelope: Envelope) -> Self {
        self.walk = Some(Box::new(Walk::new(envelope, self.max_record)));
        self
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
            offset: found.offset,
            bytes: self.bytes_of(&found),
            broken: found.outcome.err(),
        }))
    }

    /// Moves to the next part. `read` reads the object at a position of the buffer and returns its end.
    fn find<T>(
        &mut self,
        mut read: impl FnMut(&[u8], usize) -> Result<(usize, T), Stop>,
    ) -> Result<Option<Found<T>>, FrameError> {
        while self.broken.is_some() {
            match self.find_end_of_broken() {
                // White space after the last piece.
                Some(found) if found.start == found.end => {}
                found => return Ok(found),
            }
        }
        let opening = loop {
            match self.enter_envelope()? {
                Way::Element => break Opening::Value,
                Way::Found(found) => return Ok(Some(found)),
                Way::More => return Ok(None),
                Way::Outside => {}
            }
            let Some(opening) = self.find_value() else {
                return Ok(self.find_unclosed_array());
            };
            if !self.begins_envelope(&opening) {
                break opening;
            }
        };
        let at = self.window.at;
        if !self.window.ended && self.window.bytes.len() - at < self.wanted {
            return Ok(None);
        }
        if let (Opening::Misplaced, Some(b'{' | b'[')) = (&opening, self.window.bytes.get(at)) {
            // Only the array is broken, not what follows.
            self.context = Context::Resumed;
            return Ok(Some(self.unclosed(Broken::UnclosedArray)));
        }
        let start = self.put_prefix();
        let at = self.window.at;
        let available = self.window.bytes.len() - start;
        let limit = self
            .window
            .bytes
            .len()
            .min(start.saturating_add(self.max_record));
        let visible = self.window.bytes.get(..limit).unwrap_or_default();
        let walk = self.walk.as_ref().filter(|walk| walk.is_at_element());
        let lack = walk.and_then(|walk| walk.lack());
        let log = walk.filter(|walk| walk.envelope.is_logs() && lack.is_none());
        let is_object = visible.get(start) == Some(&b'{');
        let outcome = match opening {
            Opening::Misplaced => Err(Stop::Syntax {
                at,
                error: SyntaxError::ExpectedCommaOrEnd,
            }),
            Opening::Value if is_object => match (lack, log) {
                (None, None) => read(visible, start).map(|(end, value)| (end, Ok(value))),
                (None, Some(walk)) => {
                    let (depth, prefix) = (self.max_depth, walk.prefix());
                    let unfolded = logs::unfold(visible, at, depth, prefix, &mut self.unfolded);
                    unfolded.and_then(|(end, fault)| {
                        Ok(match fault {
                            None => (end, Ok(read(&self.unfolded, 0)?.1)),
                            Some(lack) => (end, Err(Broken::Envelope(lack))),
                        })
                    })
                }
                (Some(lack), _) => lex::skip_value(visible, at, self.max_depth)
                    .map(|end| (end, Err(Broken::Envelope(lack)))),
            },
            Opening::Value => other_value(visible, at, self.max_depth, self.window.ended)
                .map(|(end, not)| (end, Err(Broken::NotAnObject(not)))),
        };
        match outcome {
            Ok((end, outcome)) => {
                let is_unfolded = is_object && log.is_some() && outcome.is_ok();
                if is_unfolded && self.unfolded.len() > self.max_record {
                    return Err(self.window.too_long(self.max_record));
                }
                self.window.at = end;
                self.wanted = 0;
                self.passed_value();
                Ok(Some(Found {
                    offset: self.window.offset(at),
                    start,
                    end,
                    is_unfolded,
                    outcome,
                }))
            }
            Err(stop) => {
                self.take_prefix_back(start);
                match stop {
                    Stop::Incomplete if available > self.max_record => {
                        Err(self.window.too_long(self.max_record))
                    }
                    Stop::Incomplete if !self.window.ended => {
                        self.want_more();
                        Ok(None)
                    }
                    stop => Ok(self.find_broken(stop, self.max_depth)),
                }
            }
        }
    }

    /// Requires more bytes before the value at `at` is scanned again.
    fn want_more(&mut self) {
        let available = self.window.bytes.len() - self.window.at;
        self.wanted = (available * 2).min(self.max_record.saturating_add(1));
    }

    fn bytes_of<T>(&self, found: &Found<T>) -> &[u8] {
        if found.is_unfolded {
            &self.unfolded
        } else {
            self.window.between(found.start, found.end)
        }
    }

    fn passed_value(&mut self) {
        match &mut self.walk {
            Some(walk) if walk.is_open() => walk.passed_element(true),
            _ => self.passed_top_value(),
        }
    }

    fn passed_top_value(&mut self) {
        if let Context::ArrayStart | Context::ArrayComma = self.context {
            self.context = Context::ArrayElement;
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
                (context @ (Context::Top | Context::Resumed), b'\\') => {
                    match self.window.bytes.get(self.window.at + 1) {
                        // The two characters `\n`: a newline that was escaped once too often.
                        Some(b'n') => self.window.at += 1,
                        None if !self.window.ended => return None,
                        _ => return Some(Opening::Value),
                    }
                    context
                }
                _ => return Some(Opening::Value),
            };
            self.window.at += 1;
        }
    }
}

impl Records for Framer {
    fn push(&mut self, chunk: &mut Chunk) {
        let walk = self.walk.as_ref();
        let needed = walk.map_or(0, |walk| walk.needed(&self.window));
        if let Some(stretch) = &mut self.broken {
            stretch.dropped(self.window.extend(needed, chunk.bytes()));
        } else {
            self.window.push(needed, chunk);
        }
    }

    fn finish(&mut self) {
        self.window.ended = true;
    }

    /// Frames and appends in one pass over the record's bytes, with the same result as [`next`](Framer::next) and then
    /// [`Columns::append`]. The framer and the columns must have the same depth limit.
    fn next_into(&mut self, columns: &mut Columns) -> Result<Option<Filled<'_>>, FrameError> {
        let found = self.find_into(columns)?;
        Ok(found.map(|found| self.filled(found)))
    }

    fn controls(&self) -> u64 {
        self.walk.as_ref().map_or(0, |walk| walk.controls)
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

/// The result of appending a record.
type Outcome = Result<Report, Box<RecordError>>;

impl Framer {
    /// Appends the next record.
    #[inline]
    fn find_into(&mut self, columns: &mut Columns) -> Result<Option<Found<Outcome>>, FrameError> {
        let before = (self.window.at, self.context, self.wanted);
        let room = self.max_depth;
        let found = self.find(|buffer, at| match columns.append_at(buffer, at) {
            Ok((end, report)) => Ok((end, Ok(report))),
            Err(reject) => match *reject {
                Reject::Stop(stop) => Err(stop),
                Reject::Record(error) => {
                    Ok((lex::skip_value(buffer, at, room)?, Err(Box::new(error))))
                }
            },
        })?;
        if let Some(Found {
            outcome: Ok(Err(error)),
            start,
            offset,
            ..
        }) = &found
            && **error == RecordError::Full
        {
            if self.walk.as_ref().is_some_and(|walk| walk.is_open()) {
                self.back_to_element(*start, *offset);
            } else {
                (self.window.at, self.context, self.wanted) = before;
            }
        }
        Ok(found)
    }

    /// A record that was appended, with its bytes.
    #[inline]
    fn filled(&self, found: Found<Outcome>) -> Filled<'_> {
        Filled {
            offset: found.offset,
            bytes: self.bytes_of(&found),
            result: match found.outcome {
                Ok(Ok(report)) if found.is_unfolded => Ok(report.into_appended(&self.unfolded)),
                Ok(Ok(report)) => Ok(report.into_appended(&self.window.bytes)),
                Ok(Err(error)) => Err(error),
                Err(broken) => Err(of_broken(broken, self.walk.as_deref()).into()),
            },
        }
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
