//! Delimited lines, as Hive's `SerDe`s read them.

use arrow::array::RecordBatch;
use lakewright_core::{
    chunk::Chunk,
    config::Policy,
    json::Columns,
    lines::{Dialect, LineColumns, LineFramer},
    records::{FrameError, Records as _},
};

use super::options;

/// Derives a dialect from a number.
fn dialect(number: u8) -> Dialect {
    let mark = |usual, other| if number & 2 == 0 { usual } else { other };
    if number & 1 == 0 {
        Dialect::LazySimple {
            delimiter: mark(b',', 1),
            escape: (number & 4 != 0).then_some(b'\\'),
            null: if number & 8 == 0 { "\\N" } else { "" }.to_owned(),
            collections: 2,
            keys: 3,
            rest: number & 16 != 0,
        }
    } else {
        Dialect::OpenCsv {
            separator: mark(b',', b'\t'),
            quote: b'"',
            escape: b'\\',
        }
    }
}

fn columns_of(number: u8) -> LineColumns {
    LineColumns {
        names: ["b", "a", "none", "c", "D", "g", "h"]
            .map(str::to_owned)
            .to_vec(),
        latin_1: number & 32 != 0,
        ..LineColumns::default()
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
    let header_lines = u32::from(number >> 6);
    let mut framer = LineFramer::new(
        dialect(number),
        header_lines,
        columns_of(number),
        max_record,
    );
    let (mut seen, mut error) = (Vec::new(), None);
    'chunks: for chunk in chunks.into_iter().map(Some).chain([None]) {
        match chunk {
            Some(chunk) => framer.push(&mut Chunk::of(chunk)),
            None => framer.finish(),
        }
        loop {
            match framer.next_into(&mut columns) {
                Ok(Some(filled)) => seen.push(format!("{} {:?}", filled.offset, filled.result)),
                Ok(None) => break,
                Err(too_long) => {
                    error = Some(too_long);
                    break 'chunks;
                }
            }
        }
    }
    let rows = columns.finish().expect("columns that may be null");
    (seen, rows, error)
}

/// The lines and the rows do not depend on the chunks.
pub fn check(data: &[u8]) {
    let Some((&number, data)) = data.split_first() else {
        return;
    };
    let (chunks, input) = super::cut(data);
    for max_record in [usize::MAX >> 1, 48] {
        for policy in [Policy::Drop, Policy::Fail] {
            let whole = fill(number, [input], max_record, policy);
            let cut = fill(number, chunks.iter().copied(), max_record, policy);
            assert_eq!(cut, whole);
        }
    }
}
