//! JSON with aggregates of the Kinesis Producer Library between.

use lakewright_core::{
    chunk::Chunk,
    config::Policy,
    json::{Aggregates, Columns, MAX_DEPTH},
    records::Records as _,
};

use super::options;

/// The offset, the bytes and the result of each record of the chunks, and the rows, as text.
#[expect(clippy::expect_used, reason = "what does not hold is to panic")]
fn fill<'a>(
    input: &[u8],
    chunks: impl IntoIterator<Item = &'a [u8]>,
    max_record: usize,
) -> Vec<String> {
    let mut columns = Columns::new(&super::table(), options(Policy::Drop)).expect("columns");
    let mut reader = Aggregates::new(max_record, MAX_DEPTH, None);
    let mut seen = Vec::new();
    for chunk in chunks.into_iter().map(Some).chain([None]) {
        match chunk {
            Some(chunk) => reader.push(&mut Chunk::of(chunk)),
            None => reader.finish(),
        }
        loop {
            match reader.next_into(&mut columns) {
                Ok(Some(filled)) => {
                    let at = usize::try_from(filled.offset).expect("an offset");
                    let rest = input.get(at..).expect("an offset within the input");
                    assert!(rest.starts_with(filled.bytes), "{at}");
                    seen.push(format!("{at} {:?} {:?}", filled.bytes, filled.result));
                }
                Ok(None) => break,
                Err(error) => {
                    seen.push(error.to_string());
                    return seen;
                }
            }
        }
    }
    seen.push(format!("{:?}", columns.finish()));
    seen
}

/// The records do not depend on the chunks, and each is what the input has at its offset.
pub fn check(data: &[u8]) {
    let (chunks, input) = super::cut(data);
    for max_record in [usize::MAX >> 1, 48] {
        let whole = fill(input, [input], max_record);
        assert_eq!(fill(input, chunks.iter().copied(), max_record), whole);
    }
}
