//! Lines that follow a pattern.

use arrow::array::RecordBatch;
use lakewright_core::{
    chunk::Chunk,
    config::{Pattern, Policy},
    json::Columns,
    pattern::PatternFramer,
    records::{FrameError, Records as _},
};

use super::options;

/// Derives a pattern from a number.
fn pattern(number: u8) -> Pattern {
    let patterns = [
        r"(?<b>\S+) (?<a>\d+)",
        r#"(?<D>[^ ]*)(?: "(?<c>[^"]*)")?(?: (?<t>.*))?"#,
        r"(?<g>true|false|-),?(?<none>.*?)(?<h>[-0-9]{10})?",
        r"(?<b>.*)",
    ];
    let text = patterns.get(usize::from(number & 3)).copied();
    Pattern {
        pattern: text.unwrap_or_default().to_owned(),
        null: (number & 4 != 0).then(|| "-".to_owned()),
        skip_lines: u32::from(number >> 6),
    }
}

/// The result of each line of the chunks, as text, and the rows.
#[expect(clippy::expect_used, reason = "what does not hold is to panic")]
fn fill<'a>(
    number: u8,
    chunks: impl IntoIterator<Item = &'a [u8]>,
    max_record: usize,
    policy: Policy,
) -> (Vec<String>, RecordBatch, Option<FrameError>) {
    let schema = super::table();
    let mut columns = Columns::new(&schema, options(policy)).expect("columns of the schema");
    let mut framer = PatternFramer::new(&pattern(number), true, max_record).expect("a pattern");
    let mut seen = Vec::new();
    let mut failed = None;
    'all: for chunk in chunks.into_iter().map(Some).chain([None]) {
        match chunk {
            Some(chunk) => framer.push(&mut Chunk::of(chunk)),
            None => framer.finish(),
        }
        loop {
            match framer.next_into(&mut columns) {
                Ok(None) => break,
                Ok(Some(filled)) => seen.push(format!(
                    "{} {:?} {:?}",
                    filled.offset, filled.bytes, filled.result
                )),
                Err(error) => {
                    failed = Some(error);
                    break 'all;
                }
            }
        }
    }
    let batch = columns.finish().expect("columns that may be null");
    (seen, batch, failed)
}

/// However the lines are cut, the result is the same; a row is what was not refused.
pub fn check(data: &[u8]) {
    let Some((&number, data)) = data.split_first() else {
        return;
    };
    let (chunks, input) = super::cut(data);
    for policy in [Policy::Drop, Policy::Quarantine] {
        let whole = fill(number, [input], 64, policy);
        let cut = fill(number, chunks.iter().copied(), 64, policy);
        assert_eq!(whole, cut);
        let taken = whole.0.iter().filter(|seen| seen.contains(" Ok(")).count();
        assert_eq!(taken, whole.1.num_rows());
    }
}
