//! Lines of text that match a regular expression: finds lines in a stream of bytes, and fills columns from the expression's
//! named groups. docs/SEMANTICS.md, "Lines by a pattern", specifies what they mean.

use std::borrow::Cow;

use regex::{CaptureLocations, Regex};

use crate::{
    chunk::Chunk,
    config::Pattern,
    csv::{Mapping, Names},
    json::{Appended, Columns, Inference, JsonScalar, RecordError},
    records::{ColumnsError, Filled, FrameError, Records, Window},
};

/// A line in the buffer, without its ending.
#[derive(Clone, Copy)]
struct Line {
    start: usize,
    end: usize,
    /// The start of the next line.
    next: usize,
}

/// Finds lines in bytes that are pushed in chunks of any size, and takes the fields of each from the groups of a pattern,
/// which the whole line must match.
#[derive(Debug)]
pub struct PatternFramer {
    regex: Regex,
    found: CaptureLocations,
    /// The pattern's groups that have names, in order.
    groups: Vec<usize>,
    names: Names,
    mapping: Option<Mapping>,
    null: Option<Box<str>>,
    skip_lines: u32,
    max_record: usize,
    window: Window,
    started: bool,
}

impl PatternFramer {
    /// Creates a framer that skips the pattern's `skip_lines` at an object's start (`first`), and refuses lines longer than
    /// `max_record` bytes.
    ///
    /// # Errors
    /// The pattern is invalid, or two of its groups differ only in case.
    pub fn new(pattern: &Pattern, first: bool, max_record: usize) -> Result<Self, FrameError> {
        let regex = pattern.regex().map_err(FrameError::Pattern)?;
        let all = regex.capture_names().enumerate();
        let (groups, names) = all
            .filter_map(|(group, name)| Some((group, name?.to_owned())))
            .unzip();
        Ok(Self {
            found: regex.capture_locations(),
            groups,
            names: Names::new(names)?,
            mapping: None,
            null: pattern.null.as_deref().map(Box::from),
            skip_lines: if first { pattern.skip_lines } else { 0 },
            max_record,
            window: Window::default(),
            started: !first,
            regex,
        })
    }

    /// The next line that is not empty.
    fn find(&mut self) -> Result<Option<Line>, FrameError> {
        if !self.started {
            if !self.window.pass_byte_order_mark() {
                return Ok(None);
            }
            self.started = true;
        }
        loop {
            let start = self.window.at;
            let rest = self.window.rest();
            // The line ending is not part of the record.
            let limit = self.max_record.saturating_add(2);
            let visible = rest.get(..limit).unwrap_or(rest);
            let (length, ends) = match memchr::memchr(b'\n', visible) {
                Some(length) => (length, 1),
                None if visible.len() == limit => {
                    return Err(self.window.too_long(self.max_record));
                }
                None if self.window.ended && !rest.is_empty() => (rest.len(), 0),
                None => return Ok(None),
            };
            let next = start + length + ends;
            let is_crlf = visible
                .get(..length)
                .is_some_and(|line| line.ends_with(b"\r"));
            let end = start + length - usize::from(is_crlf);
            if end - start > self.max_record {
                return Err(self.window.too_long(self.max_record));
            }
            if self.skip_lines > 0 {
                self.skip_lines -= 1;
            } else if end > start {
                return Ok(Some(Line { start, end, next }));
            }
            self.window.at = next;
        }
    }

    /// Appends a line. Returns the number of fields without a column, and of fields that do not fit theirs.
    fn append(
        &mut self,
        found: Line,
        mapping: &Mapping,
        columns: &mut Columns,
    ) -> Result<(u32, u32), RecordError> {
        let bytes = self.window.between(found.start, found.end);
        let line = str::from_utf8(bytes).map_err(|_| RecordError::NoMatch("is not UTF-8"))?;
        if self.regex.captures_read(&mut self.found, line).is_none() {
            return Err(RecordError::NoMatch("does not match the pattern"));
        }
        let field = |field: usize| self.field(line, field).map(Cow::Borrowed);
        mapping.append(field, bytes, columns)
    }

    /// The text of a field of the line that was matched last. `None` if it is null.
    fn field<'a>(&self, line: &'a str, field: usize) -> Option<&'a str> {
        let (from, to) = self.found.get(*self.groups.get(field)?)?;
        let text = line.get(from..to)?;
        (Some(text) != self.null.as_deref()).then_some(text)
    }
}

/// Each group goes into the column of its name, ignoring case, like a JSON string of its text.
impl Records for PatternFramer {
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
            None => Mapping::new(Some(&self.names), columns),
        };
        let result = self.append(found, &mapping, columns);
        let timestamp = mapping.timestamp;
        self.mapping = Some(mapping);
        if !matches!(result, Err(RecordError::Full)) {
            self.window.at = found.next;
        }
        let bytes = self.window.between(found.start, found.end);
        let line = str::from_utf8(bytes).unwrap_or_default();
        Ok(Some(Filled {
            offset: self.window.offset(found.start),
            bytes,
            result: result
                .map_err(Box::new)
                .map(|(unknown, mismatched)| Appended {
                    timestamp: match timestamp {
                        None => JsonScalar::Missing,
                        Some(field) => self.field(line, field).map_or(JsonScalar::Null, |text| {
                            JsonScalar::String(Cow::Borrowed(text))
                        }),
                    },
                    unknown,
                    mismatched,
                }),
        }))
    }

    fn infer(&mut self, _: &mut Inference) -> Result<Option<Vec<String>>, ColumnsError> {
        Ok(Some(self.names.as_slice().to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use arrow::{array::AsArray, datatypes::Int32Type};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        config::Policy, hive_type::parse_field, json::ColumnsOptions, json::MAX_DEPTH,
        semantics::stated,
    };

    fn pattern(text: &str) -> Pattern {
        toml::from_str(text).unwrap()
    }

    fn columns() -> Columns {
        let fields = [("word", "string"), ("n", "int")];
        let fields = fields.map(|(name, hive_type)| parse_field(name, hive_type).unwrap());
        let options = ColumnsOptions {
            on_unknown: Policy::Drop,
            on_mismatch: Policy::Quarantine,
            timestamp: vec!["At".to_owned()],
            parse_timestamp: Box::new(|_| None),
            raw_column: None,
            max_depth: MAX_DEPTH,
        };
        Columns::new(&arrow::datatypes::Schema::new(fields.to_vec()), options).unwrap()
    }

    /// What becomes of each line: its offset, its bytes, and the time's text or the error.
    type Seen = Vec<(u64, String, Result<String, String>)>;

    /// The two columns of each row.
    type Rows = Vec<(Option<String>, Option<i32>)>;

    fn read<'a>(
        pattern: &Pattern,
        chunks: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Seen, Rows, Option<FrameError>) {
        let mut framer = PatternFramer::new(pattern, true, 40).unwrap();
        let mut columns = columns();
        let mut seen = Vec::new();
        let mut failed = None;
        'chunks: for chunk in chunks.into_iter().map(Some).chain([None]) {
            match chunk {
                Some(chunk) => framer.push(&mut Chunk::of(chunk)),
                None => framer.finish(),
            }
            loop {
                match framer.next_into(&mut columns) {
                    Ok(None) => break,
                    Ok(Some(filled)) => seen.push((
                        filled.offset,
                        String::from_utf8_lossy(filled.bytes).into_owned(),
                        match filled.result {
                            Ok(appended) => Ok(format!("{:?}", appended.timestamp)),
                            Err(error) => Err(error.to_string()),
                        },
                    )),
                    Err(error) => {
                        failed = Some(error);
                        break 'chunks;
                    }
                }
            }
        }
        let batch = columns.finish().unwrap();
        let words = batch.column(0).as_string::<i32>().iter();
        let words = words.map(|word| word.map(str::to_owned));
        let numbers = batch.column(1).as_primitive::<Int32Type>().iter();
        (seen, words.zip(numbers).collect(), failed)
    }

    const LINES: &str = "(?<word>\\\\w+) (?<N>\\\\d+|-)(?: @(?<at>\\\\S+))?";

    #[test]
    fn lines_by_a_pattern() {
        stated(
            "With `format = \"regex\"` each line is a record, which the whole pattern must match, and each named group of the pattern is a field; a group that has no part in the match is null, and so is one whose text is that of `null`.",
        );
        stated(
            "A line ends with a newline, or a carriage return and a newline; an empty line is skipped, and so are the first `skip_lines` of each object.",
        );
        stated(
            "A line that does not match the pattern, or is not UTF-8, is set aside alone; one longer than `limits.record_size` refuses the object.",
        );
        let pattern = pattern(&format!(
            "pattern = \"{LINES}\"\nnull = \"-\"\nskip_lines = 1"
        ));
        let text = b"\xef\xbb\xbf#header\r\nab 1 @x\r\n\ncd -\nno\nef 2 tail\n\xff 3\ngh 4x\nij 5";
        let (seen, rows, failed) = read(&pattern, [&text[..]]);
        assert_eq!(failed, None);
        let no = |says: &str| Err(format!("the line {says}"));
        let found = seen.iter().map(|(at, line, result)| {
            assert!(*at > 0);
            (line.as_str(), result.clone())
        });
        assert_eq!(
            found.collect::<Vec<_>>(),
            [
                ("ab 1 @x", Ok("String(\"x\")".to_owned())),
                ("cd -", Ok("Null".to_owned())),
                ("no", no("does not match the pattern")),
                ("ef 2 tail", no("does not match the pattern")),
                ("\u{fffd} 3", no("is not UTF-8")),
                ("gh 4x", no("does not match the pattern")),
                ("ij 5", Ok("Null".to_owned())),
            ]
        );
        assert_eq!(seen[0].0, 12);
        let some = |word: &str| Some(word.to_owned());
        assert_eq!(
            rows,
            [
                (some("ab"), Some(1)),
                (some("cd"), None),
                (some("ij"), Some(5))
            ]
        );
        let long = [&b"ab 1\n"[..], &[b'x'; 41], b"\nab 2\n"].concat();
        let (seen, _, failed) = read(&pattern, [&long[..]]);
        assert!(seen.is_empty());
        assert_eq!(
            failed,
            Some(FrameError::RecordTooLong {
                offset: 5,
                limit: 40
            })
        );
    }

    #[test]
    fn names_of_groups() {
        let twice = PatternFramer::new(&pattern("pattern = \"(?<a>.)(?<A>.)\""), true, 9);
        assert!(matches!(twice, Err(FrameError::NameCollision { .. })));
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(text in "(ab 1|cd -|x|é|\r?\n| @y| ){0,12}", at in 0_usize..60) {
            let pattern = pattern(&format!("pattern = \"{LINES}\""));
            let at = at.min(text.len());
            let (one, other) = text.as_bytes().split_at(at);
            prop_assert_eq!(read(&pattern, [text.as_bytes()]), read(&pattern, [one, other]));
        }
    }
}
