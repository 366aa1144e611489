//! Aggregates of the Kinesis Producer Library among JSON records: each of their user records is read as JSON.
//!
//! An aggregate is four magic bytes, a protobuf message, and the MD5 of the message. Its length is not given, so its fields
//! are read until the MD5 of the fields so far follows. The magic bytes are not UTF-8, so no record contains them, and an
//! aggregate begins wherever they occur.

mod message;

use std::ops::Range;

use memchr::memmem;

use self::message::{Parse, Parsed};
use super::{Context, Framer};
use crate::{
    chunk::Chunk,
    json::{Broken, Columns, Envelope, Inference, RecordError},
    records::{ColumnsError, Filled, FrameError, Records},
};

const MAGIC: &[u8] = b"\xf3\x89\x9a\xc2";

/// Reads JSON records, and those in aggregates.
#[derive(Debug)]
pub struct Aggregates {
    max_record: usize,
    max_depth: usize,
    envelope: Option<Envelope>,
    /// Reads the bytes between aggregates, or one user record.
    framer: Framer,
    /// The offset of the framer's first byte.
    base: u64,
    /// The bytes that were not passed to a framer yet.
    waiting: Vec<u8>,
    /// Their offset.
    start: u64,
    ended: bool,
    state: State,
    /// The bytes that were set aside last.
    aside: Vec<u8>,
    /// The control messages of the framers before.
    controls: u64,
}

#[derive(Debug)]
enum State {
    /// The framer reads the bytes between aggregates.
    Between,
    /// An aggregate begins with the bytes that are waiting.
    Aggregate(Box<Parse>),
    /// The user records of `bytes`, of which those in `rest` are not read yet.
    Inside {
        bytes: Vec<u8>,
        offset: u64,
        rest: std::vec::IntoIter<Range<usize>>,
    },
    /// A damaged aggregate. `is_new`: it begins with the bytes that are waiting.
    Damaged {
        is_new: bool,
    },
    Ended,
}

/// What follows the framer's records.
enum Then {
    /// Perhaps more of them.
    Records,
    /// The damaged bytes at this offset.
    Damaged(u64),
    /// More bytes are needed, or there are no more.
    Nothing,
}

impl Aggregates {
    /// Creates a reader with the limits of [`Framer::new`], where records may be in envelopes.
    pub fn new(max_record: usize, max_depth: usize, envelope: Option<Envelope>) -> Self {
        Self {
            max_record,
            max_depth,
            framer: framer(max_record, max_depth, envelope.as_ref()),
            envelope,
            base: 0,
            waiting: Vec::new(),
            start: 0,
            ended: false,
            state: State::Between,
            aside: Vec::new(),
            controls: 0,
        }
    }

    /// Starts a new framer at this offset.
    fn begin(&mut self, offset: u64) {
        self.controls += self.framer.controls();
        self.framer = framer(self.max_record, self.max_depth, self.envelope.as_ref());
        // There is a byte order mark only at the start of the object.
        self.framer.context = Context::Top;
        self.base = offset;
    }

    fn pass_on(&mut self, length: usize) {
        let bytes = self.waiting.get(..length).unwrap_or_default();
        self.framer.push(&mut Chunk::of(bytes));
        self.take(length);
    }

    fn take(&mut self, length: usize) {
        self.waiting.drain(..length);
        self.start += length as u64;
    }

    /// Continues after the framer has returned its records.
    fn go_on(&mut self) -> Then {
        match &mut self.state {
            State::Between => self.between(),
            State::Aggregate(parse) => {
                match parse.go_on(&self.waiting, self.ended, self.max_record) {
                    Parsed::More => Then::Nothing,
                    Parsed::Damaged => {
                        self.state = State::Damaged { is_new: true };
                        Then::Records
                    }
                    Parsed::Whole(end) => {
                        let rest = std::mem::take(&mut parse.data).into_iter();
                        let bytes = self.waiting.get(..end).unwrap_or_default().to_vec();
                        self.state = State::Inside {
                            bytes,
                            offset: self.start,
                            rest,
                        };
                        self.take(end);
                        Then::Records
                    }
                }
            }
            State::Inside {
                bytes,
                offset,
                rest,
            } => {
                if let Some(range) = rest.next() {
                    let mut data = Chunk::of(bytes.get(range.clone()).unwrap_or_default());
                    let offset = *offset + range.start as u64;
                    self.begin(offset);
                    self.framer.push(&mut data);
                    self.framer.finish();
                } else {
                    self.state = State::Between;
                    self.begin(self.start);
                }
                Then::Records
            }
            State::Damaged { is_new } => {
                let from = if *is_new { MAGIC.len() } else { 0 };
                self.damaged(from)
            }
            State::Ended => Then::Nothing,
        }
    }

    fn between(&mut self) -> Then {
        if let Some(at) = memmem::find(&self.waiting, MAGIC) {
            self.pass_on(at);
            self.framer.finish();
            self.state = State::Aggregate(Box::default());
        } else if self.ended {
            self.pass_on(self.waiting.len());
            self.framer.finish();
            self.state = State::Ended;
        } else {
            let length = self.waiting.len() - begun(&self.waiting);
            if length == 0 {
                return Then::Nothing;
            }
            self.pass_on(length);
        }
        Then::Records
    }

    /// Sets the next piece of a damaged aggregate aside. The next aggregate begins at `from` at the earliest.
    fn damaged(&mut self, from: usize) -> Then {
        let rest = self.waiting.get(from..).unwrap_or_default();
        let next = memmem::find(rest, MAGIC).map(|at| from + at);
        let end = match next {
            Some(next) => next,
            None if self.ended => self.waiting.len(),
            None if self.waiting.len() - begun(rest) >= self.max_record => self.max_record,
            None => return Then::Nothing,
        };
        let length = end.min(self.max_record);
        let is_last = length == end && (next.is_some() || self.ended);
        self.aside.clear();
        self.aside
            .extend_from_slice(self.waiting.get(..length).unwrap_or_default());
        let offset = self.start;
        self.take(length);
        self.state = State::Damaged { is_new: false };
        if is_last {
            self.state = State::Between;
            self.begin(self.start);
        }
        Then::Damaged(offset)
    }
}

fn framer(max_record: usize, max_depth: usize, envelope: Option<&Envelope>) -> Framer {
    let framer = Framer::new(max_record, max_depth);
    match envelope {
        Some(envelope) => framer.within(envelope.clone()),
        None => framer,
    }
}

/// How many of the last bytes may be the first of an aggregate.
fn begun(bytes: &[u8]) -> usize {
    (1..MAGIC.len())
        .rev()
        .find(|length| {
            let begin = MAGIC.get(..*length);
            begin.is_some_and(|begin| bytes.ends_with(begin))
        })
        .unwrap_or(0)
}

/// Whether an aggregate may begin in these bytes. Text hardly has the first byte of [`MAGIC`], so that byte is looked for first.
fn has_magic(bytes: &[u8]) -> bool {
    let first = memchr::memchr(MAGIC[0], bytes);
    first.is_some_and(|first| memmem::find(&bytes[first..], MAGIC).is_some())
}

impl Records for Aggregates {
    fn push(&mut self, chunk: &mut Chunk) {
        let bytes = chunk.bytes();
        let is_plain = matches!(self.state, State::Between) && self.waiting.is_empty();
        if is_plain && begun(bytes) == 0 && !has_magic(bytes) {
            self.start += bytes.len() as u64;
            self.framer.push(chunk);
        } else {
            self.waiting.extend_from_slice(bytes);
        }
    }

    fn finish(&mut self) {
        self.ended = true;
    }

    fn next_into(&mut self, columns: &mut Columns) -> Result<Option<Filled<'_>>, FrameError> {
        loop {
            let found = self.framer.find_into(columns);
            if let Some(found) = found.map_err(|error| error.after(self.base))? {
                let mut filled = self.framer.filled(found);
                filled.offset += self.base;
                return Ok(Some(filled));
            }
            match self.go_on() {
                Then::Records => {}
                Then::Nothing => return Ok(None),
                Then::Damaged(offset) => {
                    return Ok(Some(Filled {
                        offset,
                        bytes: &self.aside,
                        result: Err(RecordError::Broken(Broken::Aggregate).into()),
                    }));
                }
            }
        }
    }

    /// Broken stretches are skipped.
    fn infer(&mut self, inference: &mut Inference) -> Result<Option<Vec<String>>, ColumnsError> {
        loop {
            self.framer.infer(inference).map_err(|error| match error {
                ColumnsError::Frame(error) => ColumnsError::Frame(error.after(self.base)),
                error @ ColumnsError::Infer(_) => error,
            })?;
            if let Then::Nothing = self.go_on() {
                return Ok(None);
            }
        }
    }

    fn controls(&self) -> u64 {
        self.controls + self.framer.controls()
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine};
    use md5::{Digest, Md5};

    use super::*;
    use crate::{json::MAX_DEPTH, semantics::stated};

    fn delimited(tag: u8, bytes: &[u8]) -> Vec<u8> {
        let mut field = vec![tag];
        let mut length = bytes.len();
        while length >= 0x80 {
            field.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        field.push(u8::try_from(length).unwrap());
        [&field, bytes].concat()
    }

    fn aggregate(records: &[&str]) -> Vec<u8> {
        let mut message = delimited(0x0a, b"key");
        message.extend(delimited(0x12, b"17"));
        for record in records {
            let inner = [&[0x08, 0, 0x10, 0][..], &delimited(0x1a, record.as_bytes())].concat();
            message.extend(delimited(0x1a, &inner));
        }
        let checksum = Md5::digest(&message);
        [MAGIC, &message, &checksum[..]].concat()
    }

    /// The offset and the bytes of each record, with the reason if it has none of a record.
    fn read(bytes: &[u8], size: usize, max_record: usize) -> Vec<String> {
        let schema = arrow::datatypes::Schema::empty();
        let mut columns = Columns::new(&schema, crate::json::tests::options()).unwrap();
        let mut reader = Aggregates::new(max_record, MAX_DEPTH, None);
        let mut seen = Vec::new();
        for chunk in bytes.chunks(size).map(Some).chain([None]) {
            match chunk {
                Some(chunk) => reader.push(&mut Chunk::of(chunk)),
                None => reader.finish(),
            }
            loop {
                match reader.next_into(&mut columns) {
                    Ok(Some(filled)) => {
                        let offset = usize::try_from(filled.offset).unwrap();
                        assert!(bytes[offset..].starts_with(filled.bytes));
                        let reason = filled.result.err().and_then(|error| error.reason());
                        let reason = reason.map_or("", |reason| reason.code());
                        seen.push(match reason {
                            "bad_aggregate" => format!("{offset} {} {reason}", filled.bytes.len()),
                            _ => format!("{}{reason}", String::from_utf8_lossy(filled.bytes)),
                        });
                    }
                    Ok(None) => break,
                    Err(error) => {
                        seen.push(error.to_string());
                        return seen;
                    }
                }
            }
        }
        seen
    }

    #[test]
    fn aggregates_are_taken_apart_or_set_aside_whole() {
        stated(
            "An aggregate of the Kinesis Producer Library, anywhere between records of JSON, is taken apart: each of its user records is read as JSON by itself, at its place in the object.",
        );
        stated(
            "An aggregate whose checksum does not fit, or that is cut short, is set aside with all that follows until the next aggregate or the end, in pieces of `limits.record_size` where it is longer: nothing of it becomes a row.",
        );
        let long = format!("{{\"l\":\"{}\"}}", "x".repeat(300));
        let one = aggregate(&["{\"a\":1}", "{\"a\":2}\n{\"a\":3}\n", "x", &long, "{\"a\""]);
        let none = aggregate(&[]);
        let mut damaged = one.clone();
        damaged[20] ^= 1;
        let text = |parts: &[&[u8]]| parts.concat();
        let records = [
            "{\"a\":1}",
            "{\"a\":2}",
            "{\"a\":3}",
            "xinvalid_json",
            &long,
            "{\"a\"truncated",
        ];
        let with = |before: &[&str], after: &[&str]| {
            let all = before.iter().chain(&records).chain(after);
            all.map(|text| (*text).to_owned()).collect::<Vec<_>>()
        };
        let length = damaged.len();
        for (bytes, expected) in [
            (one.clone(), with(&[], &[])),
            (none, Vec::new()),
            (
                text(&[b"{\"b\":1}\n", &one, b"\n{\"b\":2}\xf3\x89\x9a"]),
                with(&["{\"b\":1}"], &["{\"b\":2}", "\u{fffd}invalid_json"]),
            ),
            (
                text(&[&damaged, b"{\"b\":2}\n", &one]),
                with(&[&format!("0 {} bad_aggregate", length + 8)], &[]),
            ),
            (
                text(&[&one, b"\n", &one[..30]]),
                with(&[], &[&format!("{} 30 bad_aggregate", length + 1)]),
            ),
            (
                text(&[b"{\"b\":1", &one]),
                with(&["{\"b\":1truncated"], &[]),
            ),
            (MAGIC.to_vec(), vec!["0 4 bad_aggregate".to_owned()]),
        ] {
            for size in [1, 3, 50, 10_000] {
                assert_eq!(read(&bytes, size, 1 << 20), expected, "{size}");
            }
        }
        // It is longer than a record may be.
        let pieces = [
            "0 310 bad_aggregate".to_owned(),
            format!("310 {} bad_aggregate", length - 310),
        ];
        for size in [1, 40, 10_000] {
            assert_eq!(read(&one, size, 310), pieces);
        }
    }

    #[test]
    fn what_a_producer_wrote_is_read() {
        // Two user records under one key, made from the published format with another program.
        let bytes = BASE64_STANDARD.decode("84mawgoHcGxhbnQtNxoiCAAaHnsic2Vuc29yIjoiYTEiLCJ0IjoxNzc3NTkzNjAwfRoiCAAaHnsic2Vuc29yIjoiYjIiLCJ0IjoxNzc3NTkzNjAxfRSdNHRUsH+g479fFpgh74U=").unwrap();
        assert_eq!(
            read(&bytes, 7, 1 << 20),
            [
                "{\"sensor\":\"a1\",\"t\":1777593600}",
                "{\"sensor\":\"b2\",\"t\":1777593601}"
            ]
        );
    }
}
