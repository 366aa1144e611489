mod containers;
mod schemas;

use std::io::Write as _;

use arrow::array::ArrayRef;
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::{
    config::{Size, TimestampRule},
    encode::cells::{self, Cells},
    hive_type,
    json::JsonScalar,
    parquet_in::{ReadError, Rows},
    semantics::stated,
    time::{TimestampReader, microseconds},
};

/// Bytes as Avro writes them.
#[derive(Debug, Clone, Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn long(mut self, value: i64) -> Self {
        let mut rest = (value << 1 ^ value >> 63).cast_unsigned();
        while rest >= 0x80 {
            self.0.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        self.0.push(u8::try_from(rest).unwrap());
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        self.long(i64::try_from(bytes.len()).unwrap()).raw(bytes)
    }
}

const SYNC: &[u8; 16] = b"0123456789abcdef";

fn header(schema: &str, codec: &str) -> Bytes {
    Bytes::default()
        .raw(b"Obj\x01")
        .long(2)
        .bytes(b"avro.schema")
        .bytes(schema.as_bytes())
        .bytes(b"avro.codec")
        .bytes(codec.as_bytes())
        .long(0)
        .raw(SYNC)
}

fn block(records: usize, bytes: &[u8]) -> Vec<u8> {
    let block = Bytes::default().long(i64::try_from(records).unwrap());
    block.bytes(bytes).raw(SYNC).0
}

/// An object of uncompressed blocks, each with this number of records.
fn object(schema: &str, blocks: &[(usize, Bytes)]) -> Vec<u8> {
    let mut object = header(schema, "null").0;
    for (records, bytes) in blocks {
        object.extend(block(*records, &bytes.0));
    }
    object
}

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"r","fields":[{fields}]}}"#)
}

fn options(timestamp: &str, policy: Policy) -> ReadOptions {
    let rule = TimestampRule {
        column: timestamp.to_owned(),
        format: None,
        unit: None,
        zone: Some("Europe/Berlin".to_owned()),
        earliest: None,
        latest: None,
    };
    let reader = || TimestampReader::new(&rule, Timestamp::UNIX_EPOCH).unwrap();
    let values = reader();
    ReadOptions {
        on_unknown: policy,
        on_mismatch: policy,
        timestamp: timestamp.to_owned(),
        timestamps: reader(),
        parse_timestamp: Box::new(move |value| {
            let time = match value {
                JsonScalar::String(text) => values.read_text(text),
                JsonScalar::Number(text) => values.read_number(text),
                _ => return None,
            };
            time.ok().map(microseconds)
        }),
    }
}

/// How the rows are asked for.
enum Asked<'a> {
    /// With the file's own columns.
    Own,
    Table(&'a Schema, ReadOptions),
}

/// Reads an object that arrives in these chunks.
fn read_chunks<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    asked: Asked<'_>,
    limits: &Limits,
) -> Result<Vec<Rows>, AvroError> {
    let mut file = AvroFile::new(limits);
    let mut chunks = chunks.into_iter();
    let mut ended = false;
    while !file.is_open()? {
        if let Some(chunk) = chunks.next() {
            file.push(&mut Chunk::of(chunk));
        } else {
            assert!(!ended, "it asks for more after the end");
            file.finish();
            ended = true;
        }
    }
    let mut rows = match asked {
        Asked::Own => {
            let own = file.schema();
            file.read_columns(&own, Policy::Fail, Policy::Fail, Box::new(|_| None))?
        }
        Asked::Table(table, options) => file.read(table, options)?,
    };
    let mut all = Vec::new();
    loop {
        while let Some(next) = rows.next_rows()? {
            all.push(next);
        }
        match chunks.next() {
            Some(chunk) => rows.push(&mut Chunk::of(chunk)),
            None if rows.container.has_ended() => return Ok(all),
            None => rows.finish(),
        }
    }
}

fn read(object: &[u8]) -> Result<Vec<Rows>, AvroError> {
    read_chunks([object], Asked::Own, &Limits::default())
}

fn read_as(
    object: &[u8],
    columns: &[(&str, &str)],
    options: ReadOptions,
) -> Result<Vec<Rows>, AvroError> {
    let fields = columns
        .iter()
        .map(|(name, hive)| hive_type::parse_field(name, hive).unwrap());
    let table = Schema::new(fields.collect::<Vec<_>>());
    read_chunks([object], Asked::Table(&table, options), &Limits::default())
}

/// The texts of a column; `None` for null.
fn texts(column: &ArrayRef) -> Vec<Option<String>> {
    let plain = cells::plain(column).unwrap();
    let field = arrow::datatypes::Field::new("", plain.data_type().clone(), true).into();
    let options = cells::options();
    let mut cells = Cells::new(&field, &plain, &options).unwrap();
    let text = |row| {
        let mut text = Vec::new();
        let valid = cells.push(row, &mut text);
        valid.then(|| String::from_utf8(text).unwrap())
    };
    (0..column.len()).map(text).collect()
}

/// The texts of every column of every row, with `-` for null.
fn cells_of(rows: &[Rows]) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for rows in rows {
        let columns = rows.batch.columns().iter().map(texts).collect::<Vec<_>>();
        all.extend((0..rows.batch.num_rows()).map(|row| {
            let cell = |column: &Vec<Option<String>>| column[row].clone();
            let cells = columns.iter().map(cell);
            cells
                .map(|cell| cell.unwrap_or_else(|| "-".to_owned()))
                .collect::<Vec<_>>()
        }));
    }
    all
}

#[test]
fn the_policies_are_those_of_parquet() {
    stated(
        "Columns and values of an Avro file are taken as those of Parquet are: by name whatever its case, with `on_unknown` and `on_mismatch`, into a column of the same kind where they are in range, and any other value where a JSON string of its text would be.",
    );
    stated(
        "In the quarantine, `offset` of an Avro record is its number in the object, counted from 0, and `record` is the record as JSON.",
    );
    let schema = record(
        r#"{"name":"Id","type":"long"},{"name":"t","type":"string"},{"name":"more","type":["null","string"]},
        {"name":"kind","type":{"type":"enum","name":"k","symbols":["red","blue"]}},{"name":"b","type":"bytes"}"#,
    );
    let row = |id: i64, t: &str, kind: i64, b: &[u8]| {
        Bytes::default()
            .long(id)
            .bytes(t.as_bytes())
            .long(0)
            .long(kind)
            .bytes(b)
            .0
    };
    let rows = [
        row(7, "2026-05-01T00:00:00Z", 1, b"text"),
        row(1 << 40, "2026-05-01T00:00:00Z", 0, b"x"),
        row(8, "nonsense", 0, b"\xff"),
        row(9, "2026-05-02T00:00:00Z", 0, b"\xff"),
    ];
    let object = object(&schema, &[(4, Bytes(rows.concat()))]);
    let columns = [
        ("id", "int"),
        ("kind", "string"),
        ("b", "string"),
        ("none", "double"),
    ];
    let read = |policy| read_as(&object, &columns, options("T", policy));
    let found = read(Policy::Drop).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        cells_of(&found),
        [
            ["7", "blue", "text", "-"],
            ["-", "red", "x", "-"],
            ["8", "red", "-", "-"],
            ["9", "red", "-", "-"]
        ]
    );
    // Two columns are unknown, of the three rows with a time.
    assert_eq!((found[0].dropped, found[0].mismatched), (6, 2));
    assert_eq!(found[0].sizes, rows.map(|row| row.len() as u64));
    let bad = found[0].times.iter().position(Result::is_err);
    assert_eq!(bad, Some(2));
    let as_json = String::from_utf8(found[0].record(1).unwrap()).unwrap();
    assert_eq!(
        as_json,
        r#"{"Id":1099511627776,"t":"2026-05-01T00:00:00Z","kind":"red","b":"eA=="}"#
    );
    let refused = read(Policy::Fail).unwrap_err();
    assert!(matches!(
        refused,
        AvroError::Rows(ReadError::RowRefused { row: 0, .. })
    ));
    let found = read(Policy::Quarantine).unwrap();
    assert!(found[0].times.iter().all(Result::is_err));
    let missing = read_as(&object, &columns, options("when", Policy::Drop)).unwrap_err();
    assert!(
        matches!(missing, AvroError::Rows(ReadError::Name(_))),
        "{missing}"
    );
}

#[test]
fn times_of_rows() {
    stated(
        "An Avro `timestamp-millis`, `timestamp-micros` or `timestamp-nanos` is that instant, and a `local-timestamp-*` and a `date` are in the configured zone.",
    );
    for (logical, of, value, expected) in [
        ("timestamp-millis", "long", 1_000, "1970-01-01T00:00:01Z"),
        (
            "timestamp-micros",
            "long",
            1_000_000,
            "1970-01-01T00:00:01Z",
        ),
        (
            "timestamp-nanos",
            "long",
            1_000_000_000,
            "1970-01-01T00:00:01Z",
        ),
        (
            "local-timestamp-millis",
            "long",
            3_600_000,
            "1970-01-01T00:00:00Z",
        ),
        (
            "local-timestamp-micros",
            "long",
            3_600_000_000,
            "1970-01-01T00:00:00Z",
        ),
        (
            "local-timestamp-nanos",
            "long",
            3_600_000_000_000,
            "1970-01-01T00:00:00Z",
        ),
        ("date", "int", 1, "1970-01-01T23:00:00Z"),
        ("nothing-known", "long", 1, "1970-01-01T00:00:01Z"),
    ] {
        let schema = record(&format!(
            r#"{{"name":"t","type":{{"type":"{of}","logicalType":"{logical}"}}}}"#
        ));
        let object = object(&schema, &[(1, Bytes::default().long(value))]);
        let found = read_as(&object, &[("t", "string")], options("t", Policy::Drop)).unwrap();
        let time = found[0].times[0].as_ref().unwrap();
        assert_eq!(time.to_string(), expected, "{logical}");
    }
}
