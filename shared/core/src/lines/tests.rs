use arrow::{
    array::{Array, AsArray},
    compute::cast,
    datatypes::{Field as Column, Schema},
};
use proptest::prelude::*;

use super::*;
use crate::{
    config::Policy,
    json::{ColumnsOptions, MAX_DEPTH},
    semantics::stated,
};

fn lazy(escape: Option<u8>) -> Dialect {
    Dialect::LazySimple {
        delimiter: b',',
        escape,
        null: "\\N".to_owned(),
        collections: 2,
        keys: 3,
        rest: false,
    }
}

fn columns_of(names: &[String]) -> LineColumns {
    LineColumns {
        names: names.to_vec(),
        ..LineColumns::default()
    }
}

fn open() -> Dialect {
    Dialect::OpenCsv {
        separator: b',',
        quote: b'"',
        escape: b'\\',
    }
}

/// The rows of `text`, pushed in chunks of this size, as columns `a` (string), `n` (int) and `z` (string).
fn rows(
    dialect: Dialect,
    header: u32,
    text: &str,
    chunk: usize,
) -> Result<Vec<[Option<String>; 3]>, String> {
    let names = ["a", "n", "z"].map(String::from);
    let schema = Schema::new(vec![
        Column::new("a", DataType::Utf8, true),
        Column::new("N", DataType::Int32, true),
        Column::new("z", DataType::Utf8, true),
    ]);
    let options = ColumnsOptions {
        on_unknown: Policy::Fail,
        on_mismatch: Policy::Fail,
        timestamp: Vec::new(),
        parse_timestamp: Box::new(|_| None),
        raw_column: None,
        max_depth: MAX_DEPTH,
    };
    let mut columns = Columns::new(&schema, options).unwrap();
    let mut framer = LineFramer::new(dialect, header, columns_of(&names), 1_000);
    let take = |framer: &mut LineFramer, columns: &mut Columns| {
        while let Some(filled) = framer.next_into(columns).map_err(|e| e.to_string())? {
            filled
                .result
                .map_err(|error| crate::shown::in_full(&error))?;
        }
        Ok::<_, String>(())
    };
    for bytes in text.as_bytes().chunks(chunk) {
        framer.push(&mut Chunk::of(bytes));
        take(&mut framer, &mut columns)?;
    }
    framer.finish();
    take(&mut framer, &mut columns)?;
    let batch = columns.finish().unwrap();
    let texts = batch
        .columns()
        .iter()
        .map(|column| cast(column, &DataType::Utf8).unwrap());
    let texts = texts.collect::<Vec<_>>();
    let value = |row: usize, column: usize| {
        let text = texts[column].as_string::<i32>();
        text.is_valid(row).then(|| text.value(row).to_owned())
    };
    Ok((0..batch.num_rows())
        .map(|row| [value(row, 0), value(row, 1), value(row, 2)])
        .collect())
}

fn row(a: Option<&str>, n: Option<&str>, z: Option<&str>) -> [Option<String>; 3] {
    [a, n, z].map(|text| text.map(String::from))
}

#[test]
fn lazy_simple_lines() {
    stated(
        "LazySimpleSerDe's fields lie between delimiters and know no quotes; the null format is null, and so is an empty field whose column is not a string; a missing field is null, and one too many is left out.",
    );
    stated(
        "An escape character of LazySimpleSerDe makes the next one data, `r` and `n` a carriage return and a newline.",
    );
    for (escape, text, expected) in [
        (None, "a,1,z\n", row(Some("a"), Some("1"), Some("z"))),
        (None, "\"a,1,z\"", row(Some("\"a"), Some("1"), Some("z\""))),
        (None, "\\N,\\N,", row(None, None, Some(""))),
        (None, ",,\r\n", row(Some(""), None, Some(""))),
        (None, "a", row(Some("a"), None, None)),
        (None, "a,2,z,more", row(Some("a"), Some("2"), Some("z"))),
        (None, "\n", row(Some(""), None, None)),
        (
            Some(b'\\'),
            "a\\,b\\\\,1,x\\ny",
            row(Some("a,b\\"), Some("1"), Some("x\ny")),
        ),
        (Some(b'\\'), "\\N,1,z\\", row(None, Some("1"), Some("z\\"))),
    ] {
        assert_eq!(
            rows(lazy(escape), 0, text, 100),
            Ok(vec![expected]),
            "{text:?}"
        );
    }
    let error = rows(lazy(None), 0, "a,x,z", 100).unwrap_err();
    assert!(error.contains('N') && error.contains('x'), "{error}");
}

#[test]
fn open_csv_lines() {
    stated(
        "OpenCSVSerde's fields may be in quotes, with quotes doubled or escaped inside, and none is null except an empty one whose column is not a string; an escape character before anything else is left out.",
    );
    for (text, expected) in [
        ("\"a,b\",\"1\",z", row(Some("a,b"), Some("1"), Some("z"))),
        (
            "\"say \"\"hi\"\"\",,\"\"",
            row(Some("say \"hi\""), None, Some("")),
        ),
        (
            "\"a\\\"b\\\\\",1,x\\y",
            row(Some("a\"b\\"), Some("1"), Some("xy")),
        ),
        ("12\" Pro,1,", row(Some("12\" Pro"), Some("1"), Some(""))),
        ("a, \"1\",z", row(Some("a"), Some("1"), Some("z"))),
    ] {
        // For opencsv an inner quote opens a quoted part too, so the line is incomplete.
        let found = rows(open(), 0, text, 100);
        if text.starts_with("12") {
            assert!(found.unwrap_err().contains("quotes"));
        } else {
            assert_eq!(found, Ok(vec![expected]), "{text:?}");
        }
    }
    stated(
        "A line that ends inside quotes of OpenCSVSerde is refused with the advice to have the objects read as `csv`.",
    );
    let error = rows(open(), 0, "\"two\nlines\",1,z\n", 100).unwrap_err();
    assert!(error.contains("`csv = {}`"), "{error}");
}

#[test]
fn header_lines_are_passed_over() {
    stated("`skip.header.line.count` lines at the beginning of each object are not rows.");
    let found = rows(lazy(None), 2, "h,h,h\nh\na,1,z\n", 1);
    assert_eq!(found, Ok(vec![row(Some("a"), Some("1"), Some("z"))]));
}

#[test]
fn what_is_too_long_or_no_text_is_refused() {
    assert!(
        rows(lazy(None), 0, &"a".repeat(1_001), 100)
            .unwrap_err()
            .contains("1000 bytes")
    );
    assert!(rows(lazy(None), 0, &format!("{}\n", "a".repeat(1_000)), 100).is_ok());
}

proptest! {
    #[test]
    fn chunks_make_no_difference(
        lines in prop::collection::vec("[a-c,\"\\\\\r]{0,8}", 0..8), chunk in 1_usize..9, opencsv: bool,
    ) {
        let text = lines.join("\n");
        let dialect = || if opencsv { open() } else { lazy(Some(b'\\')) };
        prop_assert_eq!(rows(dialect(), 0, &text, chunk), rows(dialect(), 0, &text, 1_000));
    }
}
