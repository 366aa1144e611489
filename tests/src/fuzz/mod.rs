//! The properties of every parser of untrusted bytes: a function for each, which panics if a property does not hold.
//! `fuzz/` searches for such inputs, and the ordinary tests run its seeds through the same functions.

pub mod aggregates;
pub mod avro;
pub mod compression;
pub mod csv;
pub mod envelope;
pub mod json;
pub mod lines;
pub mod merge;
pub mod orc;
pub mod parquet;
pub mod pattern;
pub mod split;
pub mod times;
pub mod triggers;

use arrow::{array::RecordBatch, datatypes::Schema};
use jiff::Timestamp;
use lakewright_core::{
    chunk::Chunk,
    config::{Policy, TimestampRule},
    hive_type,
    json::{Columns, ColumnsOptions, JsonScalar, MAX_DEPTH, ParseTimestamp},
    records::{FrameError, Records},
    time::{TimestampReader, microseconds},
};

/// A property that must hold for all inputs.
pub type Check = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: &[(&str, Check)] = &[
    ("aggregates", aggregates::check),
    ("avro", avro::check),
    ("compression", compression::check),
    ("csv", csv::check),
    ("envelope", envelope::check),
    ("json", json::check),
    ("lines", lines::check),
    ("merge", merge::check),
    ("orc", orc::check),
    ("parquet", parquet::check),
    ("pattern", pattern::check),
    ("split", split::check),
    ("times", times::check),
    ("triggers", triggers::check),
];

/// The number of bytes that determine how an input is cut into chunks.
pub const CUTS: usize = 4;

/// The chunks into which the first [`CUTS`] bytes of `data` cut the rest, and the rest in one piece.
fn cut(data: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let Some((sizes, input)) = data.split_first_chunk::<CUTS>() else {
        return (Vec::new(), &[]);
    };
    let mut chunks = Vec::new();
    let mut rest = input;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at(rest.len().min(usize::from(*size) + 1));
        chunks.push(chunk);
        rest = after;
    }
    (chunks, input)
}

/// A column of every type, with short names that a fuzzer finds quickly.
#[expect(clippy::expect_used, reason = "the types are fixed")]
fn table() -> Schema {
    let columns = [
        ("a", "bigint"),
        ("b", "string"),
        ("c", "struct<a:int,b:array<string>>"),
        ("d", "decimal(20,2)"),
        ("e", "array<struct<a:double>>"),
        ("f", "map<int,timestamp>"),
        ("g", "boolean"),
        ("h", "date"),
        ("i", "binary"),
        ("j", "float"),
        ("t", "timestamp"),
    ];
    let fields = columns.map(|(name, hive_type)| {
        hive_type::parse_field(name, hive_type).expect("a type that tables have")
    });
    Schema::new(fields.to_vec())
}

#[expect(clippy::expect_used, reason = "the rule is fixed")]
fn timestamps() -> TimestampReader {
    let rule = TimestampRule {
        column: "t".to_owned(),
        format: None,
        unit: None,
        zone: Some("Europe/Berlin".to_owned()),
        earliest: None,
        latest: None,
    };
    TimestampReader::new(&rule, Timestamp::UNIX_EPOCH).expect("a rule that is right")
}

fn parse_timestamp() -> ParseTimestamp {
    let reader = timestamps();
    Box::new(move |value| {
        let time = match value {
            JsonScalar::String(text) => reader.read_text(text),
            JsonScalar::Number(text) => reader.read_number(text),
            _ => return None,
        };
        time.ok().map(microseconds)
    })
}

/// The offset, the bytes and the result of each record, as text; the rows; and why no more records can be read.
type Filled = (Vec<String>, RecordBatch, Option<FrameError>);

/// Fills columns with the records of the chunks.
#[expect(clippy::expect_used, reason = "what does not hold is to panic")]
fn fill<'a>(
    mut records: impl Records,
    chunks: impl IntoIterator<Item = &'a [u8]>,
    schema: &Schema,
    policy: Policy,
) -> Filled {
    let mut columns = Columns::new(schema, options(policy)).expect("columns of the schema");
    let (mut seen, mut error) = (Vec::new(), None);
    'chunks: for chunk in chunks.into_iter().map(Some).chain([None]) {
        match chunk {
            Some(chunk) => records.push(&mut Chunk::of(chunk)),
            None => records.finish(),
        }
        loop {
            match records.next_into(&mut columns) {
                Ok(Some(filled)) => seen.push(format!(
                    "{} {:?} {:?}",
                    filled.offset, filled.bytes, filled.result
                )),
                Ok(None) => break,
                Err(failed) => {
                    error = Some(failed);
                    break 'chunks;
                }
            }
        }
    }
    let rows = columns.finish().expect("columns that may be null");
    (seen, rows, error)
}

fn options(policy: Policy) -> ColumnsOptions {
    ColumnsOptions {
        on_unknown: policy,
        on_mismatch: policy,
        timestamp: vec!["c".to_owned(), "t".to_owned()],
        parse_timestamp: parse_timestamp(),
        raw_column: Some("\0raw".to_owned()),
        max_depth: MAX_DEPTH,
    }
}
