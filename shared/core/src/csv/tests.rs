mod columns;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{
        DataType, Field, Fields, Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
    },
};
use proptest::prelude::*;

use super::*;
use crate::{
    chunk::Chunk,
    config::{Csv, Output, OutputFormat, Policy},
    encode::{Encoder, Layout},
    json::{Columns, ColumnsOptions, JsonScalar, RecordError},
    parquet_out::RowGroupLimit,
    records::{FrameError, Records},
    semantics::stated,
};

const MAX_RECORD: usize = 1000;

/// The result of a record: its offset, its bytes, its fields.
type Seen = (u64, String, Result<Vec<Option<String>>, Broken>);

fn read_chunks<'a>(
    csv: &Csv,
    max_record: usize,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Seen>, Option<FrameError>) {
    let mut framer = match Framer::new(csv, &[], max_record) {
        Ok(framer) => framer,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut seen = Vec::new();
    let mut drain = |framer: &mut Framer| loop {
        match framer.next() {
            Ok(Some(record)) => seen.push((
                record.offset,
                String::from_utf8_lossy(record.bytes).into_owned(),
                record
                    .fields
                    .map(|fields| fields.iter().map(|f| f.map(Cow::into_owned)).collect()),
            )),
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    };
    for chunk in chunks {
        framer.push(&mut Chunk::of(chunk));
        if let Some(error) = drain(&mut framer) {
            return (seen, Some(error));
        }
    }
    framer.finish();
    let error = drain(&mut framer);
    (seen, error)
}

/// The fields of each record of a valid text.
fn fields(csv: &Csv, text: &str) -> Vec<Vec<Option<String>>> {
    let (seen, error) = read_chunks(csv, MAX_RECORD, [text.as_bytes()]);
    assert_eq!(error, None, "{text}");
    seen.into_iter().map(|record| record.2.unwrap()).collect()
}

fn of(fields: &[Option<&str>]) -> Vec<Option<String>> {
    fields
        .iter()
        .map(|field| field.map(str::to_owned))
        .collect()
}

fn headless(columns: &[&str]) -> Csv {
    Csv {
        header: false,
        columns: columns.iter().map(ToString::to_string).collect(),
        ..Csv::default()
    }
}

#[test]
fn records_and_fields() {
    stated(
        "A record ends with a newline or with a carriage return and a newline; a carriage return alone is data, except at the very end.",
    );
    stated("A byte order mark at the start is skipped.");
    stated(
        "Inside quotes, delimiters, newlines and doubled quotes are data, and a quote inside a field that does not begin with one is data too.",
    );
    stated("Nothing between two delimiters is null, and `\"\"` is the empty string.");
    for (text, expected) in [
        ("a,b\n1,2\n", vec![vec![Some("1"), Some("2")]]),
        (
            "a,b\r\n1,2\r\n3,4",
            vec![vec![Some("1"), Some("2")], vec![Some("3"), Some("4")]],
        ),
        ("\u{feff}a,b\n1,2", vec![vec![Some("1"), Some("2")]]),
        ("a,b\n1\r2,3\r", vec![vec![Some("1\r2"), Some("3")]]),
        (
            "a,b\n\"1\r\n\",\"\n\"\n",
            vec![vec![Some("1\r\n"), Some("\n")]],
        ),
        (
            "a,b\n\"1,\"\"\",\"\"\"\"\"\"\r\n",
            vec![vec![Some("1,\""), Some("\"\"")]],
        ),
        (
            "a,b\n5\" x,y\"\"\n",
            vec![vec![Some("5\" x"), Some("y\"\"")]],
        ),
        ("a,b\n,\"\"\n", vec![vec![None, Some("")]]),
        ("a,b\n\"\",", vec![vec![Some(""), None]]),
        ("a,b\n \"1\",  \n", vec![vec![Some(" \"1\""), Some("  ")]]),
        (
            "\"a\",\"b,c\"\n\u{e9},\u{1F600}",
            vec![vec![Some("\u{e9}"), Some("\u{1F600}")]],
        ),
        ("a,b\n", vec![]),
        ("", vec![]),
        ("\u{feff}", vec![]),
        ("a,b", vec![]),
    ] {
        let expected = expected.iter().map(|record| of(record)).collect::<Vec<_>>();
        assert_eq!(fields(&Csv::default(), text), expected, "{text:?}");
    }
}

#[test]
fn settings() {
    stated(
        "`delimiter`, `quote` and `null` are as configured, and the text for null means null only without quotes.",
    );
    stated(
        "Without a header the columns are those of `columns`, or else of the table, in their order.",
    );
    let csv = Csv {
        delimiter: '\t',
        quote: '\'',
        null: Some("\\N".to_owned()),
        ..headless(&["a", "b", "c"])
    };
    assert_eq!(
        fields(&csv, "\\N\t'\\N'\t'it''s, \"\"'\n\tNULL\tx\n"),
        [
            of(&[None, Some("\\N"), Some("it's, \"\"")]),
            of(&[None, Some("NULL"), Some("x")]),
        ]
    );
    let mut framer = Framer::new(
        &Csv {
            header: false,
            ..Csv::default()
        },
        &["x".to_owned(), "y".to_owned()],
        MAX_RECORD,
    )
    .unwrap();
    framer.push(&mut Chunk::of(b"1,2\n"));
    assert_eq!(
        framer.names(),
        Ok(Some(&["x".to_owned(), "y".to_owned()][..]))
    );
    assert_eq!(framer.next().unwrap().unwrap().offset, 0);
}

#[test]
fn empty_lines() {
    stated("An empty line is skipped; with a single column it is a record whose value is null.");
    for (text, expected) in [
        (
            "\n\r\na,b\n\n1,2\n\r\n\n3,4\n\n",
            vec![of(&[Some("1"), Some("2")]), of(&[Some("3"), Some("4")])],
        ),
        (
            "\na\n1\n\n2\n\r\n",
            vec![of(&[Some("1")]), of(&[None]), of(&[Some("2")]), of(&[None])],
        ),
    ] {
        assert_eq!(fields(&Csv::default(), text), expected, "{text:?}");
    }
}

#[test]
fn broken_records_lose_only_themselves() {
    stated(
        "A record with more or fewer fields than there are columns, one with text after a closing quote, one with a NUL outside quotes, and one that is not UTF-8 is refused with its reason, and reading goes on after its line.",
    );
    stated("A record that the input ends inside of, within quotes, is refused as truncated.");
    stated("`invalid_csv`: the bytes are not CSV, or not UTF-8.");
    stated("`field_count`: a CSV record has more or fewer fields than there are columns.");
    let too_few = Broken::FieldCount {
        expected: 2,
        found: 1,
    };
    let too_many = Broken::FieldCount {
        expected: 2,
        found: 3,
    };
    for (text, broken, bytes) in [
        (&b"a,b\n1\n3,4"[..], too_few, "1"),
        (b"a,b\r\n1,2,\r\n3,4\r\n", too_many, "1,2,"),
        (b"a,b\n  \n3,4", too_few, "  "),
        (
            b"a,b\n\"1\"x,\"2\n3,4",
            Broken::TextAfterQuote,
            "\"1\"x,\"2",
        ),
        (
            b"a,b\n\"1\n\" ,2\r\n3,4",
            Broken::TextAfterQuote,
            "\"1\n\" ,2",
        ),
        (
            b"a,b\n\"1\"\rx,2\n3,4",
            Broken::TextAfterQuote,
            "\"1\"\rx,2",
        ),
        (
            b"a,b\n1,\xff\n3,4",
            Broken::InvalidUtf8 { at: 2 },
            "1,\u{fffd}",
        ),
        (
            b"a,b\n\"\0\",2\0\0\n3,4",
            Broken::Nul { at: 5 },
            "\"\0\",2\0\0",
        ),
    ] {
        let (seen, error) = read_chunks(&Csv::default(), MAX_RECORD, [text]);
        assert_eq!(error, None);
        let start = text.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        assert_eq!(seen[0], (start as u64, bytes.to_owned(), Err(broken)));
        assert_eq!(seen[1].2, Ok(of(&[Some("3"), Some("4")])), "{bytes}");
        assert_eq!(seen.len(), 2);
        let code = match broken {
            Broken::FieldCount { .. } => "field_count",
            _ => "invalid_csv",
        };
        assert_eq!(broken.reason().code(), code);
    }
    let (seen, _) = read_chunks(&Csv::default(), MAX_RECORD, [&b"a,b\n1,\"2\n3,4\n"[..]]);
    assert_eq!(
        seen,
        [(4, "1,\"2\n3,4\n".to_owned(), Err(Broken::Truncated))]
    );
}

#[test]
fn what_ends_the_reading() {
    stated(
        "A header that is broken, or that names two columns that differ only in case, refuses the object, and so does a record longer than the limit.",
    );
    let collision = |first: &str, second: &str| FrameError::NameCollision {
        first: first.to_owned(),
        second: second.to_owned(),
    };
    for (text, expected) in [
        ("a,A\n", collision("a", "A")),
        ("\u{c9},b,\u{e9}\n", collision("\u{c9}", "\u{e9}")),
        (
            "\n\"a\"b,c\n",
            FrameError::Header {
                offset: 1,
                broken: Broken::TextAfterQuote,
            },
        ),
        (
            "\"a",
            FrameError::Header {
                offset: 0,
                broken: Broken::Truncated,
            },
        ),
        (
            "a,b\n1,2\n12345,678901\n",
            FrameError::RecordTooLong {
                offset: 8,
                limit: 10,
            },
        ),
        (
            "a,b\n\"12345\n6789",
            FrameError::RecordTooLong {
                offset: 4,
                limit: 10,
            },
        ),
        (
            "a,bcdefghij",
            FrameError::RecordTooLong {
                offset: 0,
                limit: 10,
            },
        ),
    ] {
        assert_eq!(
            read_chunks(&Csv::default(), 10, [text.as_bytes()]).1,
            Some(expected),
            "{text}"
        );
    }
    assert_eq!(
        read_chunks(&headless(&["x", "X"]), 10, []).1,
        Some(collision("x", "X"))
    );
    // Ten bytes are allowed, whatever the line ending.
    for end in ["", "\n", "\r\n"] {
        let text = format!("a,bcdefghi{end}");
        assert_eq!(read_chunks(&Csv::default(), 10, [text.as_bytes()]).1, None);
    }
    // Columns without a name do not collide.
    assert_eq!(fields(&Csv::default(), ",,a\n1,2,3").len(), 1);
}

/// Records that are nearly CSV.
fn nearly_csv() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&[u8]; 11] = [
        b"a",
        b",",
        b"\"",
        b"\n",
        b"\r\n",
        b"\r",
        b"\"\"",
        b"\xc3\xa9",
        b"\xff",
        b"\xef\xbb\xbf",
        b"1,2\n",
    ];
    let piece = prop::sample::select(&PIECES[..]).prop_map(<[u8]>::to_vec);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn however_the_stream_is_cut_the_records_are_the_same(
        bytes in nearly_csv(), header: bool, max_record in 3_usize..40,
    ) {
        stated("However the stream is cut into chunks, the records are the same.");
        let csv = if header { Csv::default() } else { headless(&["x", "y"]) };
        let whole = read_chunks(&csv, max_record, [&bytes[..]]);
        for cut in 0..=bytes.len() {
            let (left, right) = bytes.split_at(cut);
            prop_assert_eq!(&read_chunks(&csv, max_record, [left, right]), &whole, "cut at {}", cut);
        }
        prop_assert_eq!(&read_chunks(&csv, max_record, bytes.chunks(1)), &whole);
    }

    #[test]
    fn every_byte_is_in_a_record_or_between_two(bytes in nearly_csv()) {
        let (seen, _) = read_chunks(&headless(&["x", "y"]), MAX_RECORD, [&bytes[..]]);
        let mut at = 0;
        for (offset, text, _) in seen {
            let offset = usize::try_from(offset).unwrap();
            let between = &bytes[at..offset];
            let skipped = between.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
            prop_assert!(skipped || (at == 0 && between.starts_with(b"\xef\xbb\xbf")));
            // Each sequence of invalid UTF-8 is replaced by a character of three bytes.
            let invalid = text.matches('\u{fffd}').count();
            at = offset + text.len() - 2 * invalid;
        }
    }

    #[test]
    fn what_we_write_we_read(
        rows in prop::collection::vec(prop::collection::vec(prop::option::of("[a,\"\r\n\u{feff} ]{0,4}"), 2), 0..8),
        header: bool,
    ) {
        stated("What is written as CSV reads back as the same values.");
        let column = |index: usize| -> arrow::array::ArrayRef {
            let values = rows.iter().map(|row: &Vec<Option<String>>| row[index].clone());
            std::sync::Arc::new(values.collect::<arrow::array::StringArray>())
        };
        let batch = RecordBatch::try_from_iter([("x\n,", column(0)), ("y", column(1))]).unwrap();
        let output = Output {
            compression: Some(crate::config::Compression::None),
            header: Some(header),
            ..Output::new(OutputFormat::Csv)
        };
        let layout = Layout::plain(batch.schema());
        let mut encoder = Encoder::new(&output, &layout, RowGroupLimit::default()).unwrap();
        encoder.write(&batch).unwrap();
        let text = String::from_utf8(encoder.finish().unwrap()).unwrap();
        let csv = if header { Csv::default() } else { headless(&["x", "y"]) };
        prop_assert_eq!(fields(&csv, &text), rows);
    }
}
