mod days;
mod stripes;

use arrow::{
    array::{ArrayRef, AsArray, Decimal128Array},
    datatypes::{FieldRef, TimestampMicrosecondType},
};
use bytes::Bytes;
use jiff::Timestamp;
use orc_rust::proto;
use prost::Message;

use super::{
    times::Zone,
    types::{Column, Of},
    *,
};
use crate::{
    config::Size,
    encode::cells::{self, Cells},
    semantics::stated,
};

/// What pyarrow wrote: three stripes of one row.
const ORDERS: &[u8] = include_bytes!("../../../../tests/data/orc/uncompressed.orc");

/// What is in a file that is not compressed.
struct Parts {
    body: Vec<u8>,
    footer: proto::Footer,
    postscript: proto::PostScript,
}

impl Parts {
    fn of(file: &[u8]) -> Self {
        let (size, rest) = file.split_last().unwrap();
        let (rest, postscript) = rest.split_at(rest.len() - usize::from(*size));
        let postscript = proto::PostScript::decode(postscript).unwrap();
        let length = usize::try_from(postscript.footer_length()).unwrap();
        let (body, footer) = rest.split_at(rest.len() - length);
        Self {
            body: body.to_vec(),
            footer: proto::Footer::decode(footer).unwrap(),
            postscript,
        }
    }

    fn file(self) -> Vec<u8> {
        let Self {
            mut body,
            footer,
            mut postscript,
        } = self;
        let footer = footer.encode_to_vec();
        body.extend_from_slice(&footer);
        postscript.footer_length = Some(footer.len() as u64);
        let postscript = postscript.encode_to_vec();
        body.extend_from_slice(&postscript);
        body.push(u8::try_from(postscript.len()).unwrap());
        body
    }
}

/// The orders, with something changed in the footer or the postscript.
fn changed(change: impl FnOnce(&mut Parts)) -> Vec<u8> {
    let mut parts = Parts::of(ORDERS);
    change(&mut parts);
    parts.file()
}

/// A file of one stripe, with these types below the root and these streams.
fn file(
    types: Vec<proto::Type>,
    rows: u64,
    streams: &[(u32, i32, &[u8])],
    change: impl FnOnce(&mut proto::StripeFooter),
) -> Vec<u8> {
    let mut body = b"ORC".to_vec();
    let mut footer = proto::StripeFooter {
        columns: vec![proto::ColumnEncoding::default(); types.len()],
        writer_timezone: Some("UTC".to_owned()),
        ..proto::StripeFooter::default()
    };
    for (column, kind, bytes) in streams {
        body.extend_from_slice(bytes);
        footer.streams.push(proto::Stream {
            kind: Some(*kind),
            column: Some(*column),
            length: Some(bytes.len() as u64),
        });
    }
    change(&mut footer);
    let data = body.len() as u64 - 3;
    let footer = footer.encode_to_vec();
    body.extend_from_slice(&footer);
    let stripe = proto::StripeInformation {
        offset: Some(3),
        index_length: Some(0),
        data_length: Some(data),
        footer_length: Some(footer.len() as u64),
        number_of_rows: Some(rows),
        ..proto::StripeInformation::default()
    };
    Parts {
        body,
        footer: proto::Footer {
            stripes: vec![stripe],
            types,
            number_of_rows: Some(rows),
            ..proto::Footer::default()
        },
        postscript: proto::PostScript {
            magic: Some("ORC".to_owned()),
            ..proto::PostScript::default()
        },
    }
    .file()
}

fn of_kind(kind: i32, subtypes: &[u32]) -> proto::Type {
    proto::Type {
        kind: Some(kind),
        subtypes: subtypes.to_vec(),
        ..proto::Type::default()
    }
}

/// A struct of columns `a`, `b` and so on.
fn root(subtypes: &[u32]) -> proto::Type {
    let names = ["a", "b", "c"].map(str::to_owned);
    proto::Type {
        field_names: names[..subtypes.len()].to_vec(),
        ..of_kind(12, subtypes)
    }
}

fn open(file: &[u8]) -> Result<OrcFile<Bytes>, OrcError> {
    let limits = Limits {
        parquet_row_group: Size::mib(64),
        ..Limits::default()
    };
    OrcFile::open(Bytes::copy_from_slice(file), &limits, 1 << 24)
}

/// The rows with the file's own columns, as CSV has them.
fn read(file: &[u8]) -> Result<Vec<String>, OrcError> {
    shown(open(file)?)
}

fn shown(file: OrcFile<Bytes>) -> Result<Vec<String>, OrcError> {
    let table = file.spelled_schema();
    let rows = file.read_columns(&table, Policy::Fail, Policy::Fail, Box::new(|_| None))?;
    let mut texts = Vec::new();
    for rows in rows {
        let rows = rows?;
        assert_eq!(rows.first, texts.len() as u64);
        for row in 0..rows.batch.num_rows() {
            let cell = |(field, column): (&FieldRef, &ArrayRef)| {
                let plain = cells::plain(column).unwrap();
                let options = cells::options();
                let field = field.as_ref().clone();
                let field = field.with_data_type(plain.data_type().clone()).into();
                let mut text = Vec::new();
                let there = Cells::new(&field, &plain, &options)
                    .unwrap()
                    .push(row, &mut text);
                if there {
                    String::from_utf8(text).unwrap()
                } else {
                    "-".to_owned()
                }
            };
            let schema = rows.batch.schema();
            let columns = schema.fields().iter().zip(rows.batch.columns());
            texts.push(columns.map(cell).collect::<Vec<_>>().join("; "));
        }
    }
    Ok(texts)
}

fn refusal(file: &[u8]) -> String {
    read(file).unwrap_err().to_string()
}

#[test]
fn orders_in_every_codec() {
    stated(
        "An ORC file may be compressed with zlib, Snappy, LZ4 or zstd; LZO, Brotli and what is unknown are refused by name, and so is a chunk out of which more bytes come than the file says.",
    );
    let expected = [
        r#"1; 2026-05-01 12:30:00.000; ONLINE; 12.50; ["a","b"]; {"lat":48.5,"kind":"SHOP"}; {"x":1}; 2026-05-01"#,
        "2; 2026-05-01 12:30:00.000; SHOP; -; []; -; {}; 2026-05-01",
        r#"3; 2026-05-01 13:30:00.000; SHOP; -0.01; ["c"]; {"lat":-1.25}; {"y":-2}; 2026-05-01"#,
    ];
    for codec in ["uncompressed", "zlib", "snappy", "lz4", "zstd"] {
        let path = format!(
            "{}/../../tests/data/orc/{codec}.orc",
            env!("CARGO_MANIFEST_DIR")
        );
        let file = std::fs::read(path).unwrap();
        assert_eq!(read(&file).unwrap(), expected, "{codec}");
    }
    for (kind, says) in [(3, "LZO"), (6, "Brotli"), (7, "the unknown codec 7")] {
        let found = refusal(&changed(|parts| parts.postscript.compression = Some(kind)));
        assert!(found.contains(says), "{found}");
    }
    let zlib = include_bytes!("../../../../tests/data/orc/zlib.orc");
    let size = usize::from(*zlib.last().unwrap());
    let (body, postscript) = zlib[..zlib.len() - 1].split_at(zlib.len() - 1 - size);
    let mut postscript = proto::PostScript::decode(postscript).unwrap();
    postscript.compression_block_size = Some(20);
    let postscript = postscript.encode_to_vec();
    let size = u8::try_from(postscript.len()).unwrap();
    let found = refusal(&[body, &postscript, &[size]].concat());
    assert!(
        found.contains("more than 20 bytes come out of a chunk"),
        "{found}"
    );
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    stated(
        "A union, a struct without fields, a map whose keys are not single values, a decimal without a precision of 1 to 38 digits and an unknown type refuse an ORC file by column and type.",
    );
    stated(
        "An ORC file with encrypted columns, one of another version of the format than 0.11 and 0.12, one whose rows are the changes of a transactional Hive table, one of a root that is no struct, and one of types nested deeper than 129 levels are refused by what they are.",
    );
    let one = |kind, subtypes: &[u32], more: &[proto::Type]| {
        let types = [&[root(&[1]), of_kind(kind, subtypes)][..], more].concat();
        file(types, 0, &[], |_| {})
    };
    let decimal = |precision, scale| {
        let decimal = proto::Type {
            precision: Some(precision),
            scale: Some(scale),
            ..of_kind(14, &[])
        };
        file(vec![root(&[1]), decimal], 0, &[], |_| {})
    };
    let list = |id| of_kind(10, &[id]);
    let deep = (2..140)
        .map(list)
        .chain([of_kind(0, &[])])
        .collect::<Vec<_>>();
    let mut acid = vec![proto::Type {
        field_names: "operation originalTransaction bucket rowId currentTransaction row"
            .split(' ')
            .map(str::to_owned)
            .collect(),
        ..of_kind(12, &[1, 2, 3, 4, 5, 6])
    }];
    acid.extend(vec![of_kind(4, &[]); 6]);
    for (object, says) in [
        (one(13, &[2], &[of_kind(0, &[])]), "`a` is a union"),
        (one(12, &[], &[]), "`a` is a struct without fields"),
        (
            one(11, &[2, 4], &[list(3), of_kind(0, &[]), of_kind(0, &[])]),
            "`a` is a map whose keys",
        ),
        (decimal(0, 0), "precision 0"),
        (decimal(39, 2), "precision 39"),
        (decimal(2, 3), "scale 3"),
        (one(21, &[], &[]), "unknown type 21"),
        (one(10, &[2], &[list(1)]), "not in order"),
        (one(10, &[1], &[]), "not in order"),
        (one(10, &[], &[]), "has 0 parts"),
        (one(4, &[], &[of_kind(4, &[])]), "belongs to no column"),
        (one(10, &[2], &deep[1..]), "nested deeper than 129"),
        (
            file(vec![of_kind(4, &[])], 0, &[], |_| {}),
            "root is no struct",
        ),
        (file(acid, 0, &[], |_| {}), "transactional Hive table"),
        (
            changed(|parts| parts.postscript.version = vec![1, 9999]),
            "version 1.9999",
        ),
        (
            changed(|parts| parts.footer.encryption = Some(proto::Encryption::default())),
            "encrypted",
        ),
        (
            changed(|parts| parts.footer.number_of_rows = Some(4)),
            "as many rows",
        ),
        (
            changed(|parts| parts.footer.stripes[2].footer_length = Some(9_999)),
            "not inside the file",
        ),
        (b"{\"a\":1}".to_vec(), "not an ORC file: it is text"),
        (
            ORDERS[..ORDERS.len() - 1].to_vec(),
            "it was not written whole",
        ),
        (Vec::new(), "not an ORC file"),
    ] {
        let found = refusal(&object);
        assert!(found.contains(says), "{found}, not {says}");
    }
}

#[test]
fn times() {
    stated(
        "An ORC `timestamp with local time zone` is that instant, and a `timestamp` is what a clock showed in the time zone that its stripe names, which is then in the configured zone; a stripe with timestamps and without such a zone, or with one that is unknown, refuses the file.",
    );
    let columns = |instant| {
        [Column {
            id: 1,
            name: "a".to_owned(),
            of: Of::Timestamp { instant },
        }]
    };
    for (zone, instant, seconds, nanoseconds, expected) in [
        ("UTC", false, 0, 0, "2015-01-01T00:00:00Z"),
        ("UTC", false, 1, 999_999_999, "2015-01-01T00:00:01.999999Z"),
        ("GMT", true, -BASE, 1_000, "1970-01-01T00:00:00.000001Z"),
        // Before 1970, the writer rounds up.
        (
            "UTC",
            false,
            -BASE - 1,
            500_000_000,
            "1969-12-31T23:59:58.5Z",
        ),
        (
            "UTC",
            false,
            -BASE - 1,
            999_999,
            "1969-12-31T23:59:59.000999Z",
        ),
        ("UTC", false, -BASE, 500_000_000, "1970-01-01T00:00:00.5Z"),
        // What the clock in New York showed, in winter and in summer.
        ("America/New_York", false, 0, 0, "2015-01-01T00:00:00Z"),
        (
            "America/New_York",
            false,
            200 * 86_400,
            0,
            "2015-07-20T01:00:00Z",
        ),
        (
            "America/New_York",
            true,
            200 * 86_400,
            0,
            "2015-07-20T00:00:00Z",
        ),
        // The clock was in the last hours of 1969 there, and the instant in 1970.
        (
            "America/New_York",
            false,
            -BASE - 5 * 3600,
            500_000_000,
            "1969-12-31T19:00:00.5Z",
        ),
        (
            "Asia/Tokyo",
            false,
            -BASE + 9 * 3600 - 1,
            500_000_000,
            "1970-01-01T08:59:58.5Z",
        ),
    ] {
        // As the decoder has it.
        let mut whole = i128::from(seconds + BASE);
        if whole < 0 && nanoseconds > 999_999 {
            whole -= 1;
        }
        let decoded = Decimal128Array::from(vec![whole * 1_000_000_000 + nanoseconds]);
        let zone = Zone::of(&columns(instant), Some(zone)).unwrap();
        let found = zone.microseconds(&decoded, instant).unwrap();
        let found = found.as_primitive::<TimestampMicrosecondType>();
        let found = Timestamp::from_microsecond(found.value(0)).unwrap();
        assert_eq!(found.to_string(), expected, "{seconds}");
    }
    for (zone, says) in [
        (None, "without the time zone"),
        (Some("Nowhere"), "`Nowhere`"),
    ] {
        let found = Zone::of(&columns(false), zone).unwrap_err().to_string();
        assert!(found.contains(says), "{found}");
        assert!(Zone::of(&columns(true), zone).is_ok());
    }
}

/// 2015-01-01.
const BASE: i64 = 1_420_070_400;

#[test]
fn places_and_names() {
    stated(
        "In a table of OrcSerde a column must have the same name in the file as at its place in the table, because Athena takes places and Spark names; with `orc.column.index.access` = `false` columns are found by name, and those of a file with the names `_col0`, `_col1` and so on are those of the table at their places.",
    );
    let object = |first: &str, second: &str| {
        let mut types = vec![root(&[1, 2]), of_kind(1, &[]), of_kind(1, &[])];
        types[0].field_names = vec![first.to_owned(), second.to_owned()];
        let bytes: &[u8] = &[0xff, 7];
        file(types, 1, &[(1, 1, bytes), (2, 1, bytes)], |_| {})
    };
    let table = ["x", "y", "z"].map(str::to_owned);
    for (first, second, expected) in [
        ("X", "y", Ok(["X", "y"])),
        ("_col0", "_col1", Ok(["x", "y"])),
        ("y", "x", Err("its column `y` is at the place of `x`")),
        (
            "_col1",
            "_col0",
            Err("its column `_col1` is at the place of `x`"),
        ),
        ("x", "z", Err("its column `z` is at the place of `y`")),
    ] {
        let found = open(&object(first, second)).unwrap().in_order(&table);
        match expected {
            Ok(names) => assert_eq!(found.unwrap().names(), names),
            Err(says) => {
                let found = found.unwrap_err().to_string();
                assert!(found.contains(says), "{found}");
            }
        }
    }
    let found = open(&object("a", "A")).unwrap_err().to_string();
    assert!(found.contains("differ only in case"), "{found}");
}

#[test]
fn a_range_of_stripes() {
    for (start, stop, expected) in [
        (0, 3, &[0, 1, 2][..]),
        (1, 3, &[1, 2]),
        (2, 3, &[2]),
        (1, 2, &[1]),
    ] {
        let file = open(ORDERS).unwrap();
        let table = file.spelled_schema();
        let rows = file.read_columns(&table, Policy::Fail, Policy::Fail, Box::new(|_| None));
        let mut rows = rows.unwrap();
        rows.start_at(start);
        rows.stop_after(stop);
        let found = rows.map(|rows| rows.unwrap().first).collect::<Vec<_>>();
        assert_eq!(found, expected, "{start} to {stop}");
    }
}

#[test]
fn whatever_the_bytes_are() {
    stated("Whatever the bytes of an ORC file are, reading it ends in rows or in an error.");
    for at in 0..ORDERS.len() {
        for change in [1, 0x80, 0xff] {
            let mut file = ORDERS.to_vec();
            file[at] ^= change;
            let _ = read(&file);
        }
    }
}
