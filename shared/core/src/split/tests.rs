mod parquet;
mod properties;

use std::{ops::Range, sync::Arc};

use ::parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use arrow::{
    array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray},
    datatypes::Int64Type,
};
use bytes::{Bytes, BytesMut};

use super::*;
use crate::{
    config::{OnCollision, ResultColumn, Split, Types},
    location::Location,
    semantics::stated,
};

const LIMIT: ChunkLimit = ChunkLimit { bytes: 20, rows: 3 };

fn size(count: u64) -> usize {
    usize::try_from(count).unwrap()
}

type Scanned = (Vec<Chunk>, Vec<Vec<u8>>);

/// The chunks and the reported rows, for bytes in pieces of these sizes in turn.
fn scan(framing: Framing, text: &[u8], pieces: &[usize]) -> Result<Scanned, ScanError> {
    let mut shown = Vec::new();
    let mut numbers = Vec::new();
    let mut show = |seen: Seen<'_>| {
        match seen {
            Seen::Header(row) => shown.push(row.to_vec()),
            Seen::Row(number, row) => {
                numbers.push(number);
                shown.push(row.to_vec());
            }
        }
        Ok::<_, ScanError>(())
    };
    let mut scan = Scan::new(framing, 7, 100, LIMIT, true);
    let mut rest = text;
    let mut sizes = pieces.iter().cycle();
    while !rest.is_empty() {
        let size = (*sizes.next().unwrap()).clamp(1, rest.len());
        let (piece, after) = rest.split_at(size);
        scan.push(piece, &mut show)?;
        rest = after;
    }
    let (chunks, rows) = scan.finish(&mut show)?;
    let expected: Vec<u64> = (100..100 + rows).collect();
    assert_eq!(numbers, expected);
    Ok((chunks, shown))
}

fn field<'a>(name: &'a str, value: Option<&'a str>) -> Field<'a> {
    Field {
        name: name.into(),
        value: value.map_or(Value::Null, |text| Value::Text(text.into(), JsonForm::Text)),
    }
}

fn columns(columns: &[(&str, &str)]) -> Vec<ResultColumn> {
    let column = |(name, athena_type): &(&str, &str)| ResultColumn {
        name: (*name).to_owned(),
        athena_type: (*athena_type).to_owned(),
    };
    columns.iter().map(column).collect()
}

fn reader(format: SourceFormat, named: &[(&str, &str)]) -> RowReader {
    let types = Types::Query;
    RowReader::new(format, Column::all(&columns(named), types), types)
}

struct Job(Renderer);

impl Job {
    fn render(&self, row: &Row<'_>, out: &mut BytesMut) {
        self.0.render(row, 5, "job-1", out);
    }

    fn text(&self, row: &Row<'_>) -> String {
        let mut out = BytesMut::new();
        self.render(row, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }
}

fn settings(more: &str) -> Split {
    toml::from_str(&format!("name = 'j'\ntarget = 's3://b/p/'\n{more}")).unwrap()
}

fn job(more: &str) -> Job {
    Job(Renderer::new(&settings(more)).unwrap())
}

#[test]
fn rows_of_athena_csv() {
    stated(
        "A row of Athena's CSV ends with a newline outside quotes; newlines and carriage returns in quotes are data.",
    );
    stated(
        "In a result a field in quotes is a text, `\"\"` is the empty string, and nothing between two commas is null.",
    );
    stated("A result of one column has an empty line for null, and for the empty string `\"\"`.");
    let two = [("a", "varchar"), ("b", "varchar")];
    for (columns, row, expected) in [
        (&two[..], r#""x","y""#, Ok(vec![Some("x"), Some("y")])),
        (&two, ",", Ok(vec![None, None])),
        (&two, r#""","""#, Ok(vec![Some(""), Some("")])),
        (
            &two,
            "\"a\nb\",\"c\r\nd\"",
            Ok(vec![Some("a\nb"), Some("c\r\nd")]),
        ),
        (
            &two,
            r#""a""b","""""""#,
            Ok(vec![Some("a\"b"), Some("\"\"")]),
        ),
        (&two, r#"x,"a,b""#, Ok(vec![Some("x"), Some("a,b")])),
        (&two[..1], "", Ok(vec![None])),
        (&two[..1], r#""""#, Ok(vec![Some("")])),
        (
            &two,
            r#""x""#,
            Err(RowProblem::FieldCount {
                expected: 2,
                found: 1,
            }),
        ),
        (
            &two,
            r#""x",,"#,
            Err(RowProblem::FieldCount {
                expected: 2,
                found: 3,
            }),
        ),
        (&two, r#""x"y,"#, Err(RowProblem::TextAfterQuote(0))),
        (&two, r#","x"#, Err(RowProblem::Unclosed(1))),
    ] {
        let reader = reader(SourceFormat::Csv, columns);
        let read = reader.read(row.as_bytes());
        let values = read.as_ref().map(|row| {
            let text = |field: &Field<'_>| field.value.text().map(String::from);
            row.fields.iter().map(text).collect::<Vec<_>>()
        });
        let expected =
            expected.map(|row| row.into_iter().map(|text| text.map(String::from)).collect());
        assert_eq!(values.map_err(Clone::clone), expected, "{row}");
    }
    let reader = reader(SourceFormat::Csv, &two);
    assert_eq!(reader.read(b"\"a\",\"\xff\""), Err(RowProblem::NotText(5)));
}

#[test]
fn values_in_json() {
    stated(
        "In JSON a row is an object with a field for each column, in their order; a null is `null`.",
    );
    stated(
        "Integers and decimals are JSON numbers with the digits that Athena printed, and booleans are `true` and `false`.",
    );
    stated("`real` and `double` are numbers, and `null` where they are `NaN` or infinite.");
    stated("A value of the type `json` is that JSON, as it is printed.");
    stated(
        "An `array`, `map` or `row` is the JSON array or object that its printed text is, and a string with that text if it is neither.",
    );
    stated(
        "Any other value, and any that its type cannot explain, is a string of the printed text.",
    );
    for (athena_type, printed, json) in [
        ("bigint", "9223372036854775807", "9223372036854775807"),
        ("integer", "-1", "-1"),
        ("integer", "one", "\"one\""),
        (
            "decimal(38,9)",
            "12345678901234567890.500000000",
            "12345678901234567890.500000000",
        ),
        ("double", "1.0E10", "1.0E10"),
        ("double", "NaN", "null"),
        ("real", "-Infinity", "null"),
        ("boolean", "true", "true"),
        ("boolean", "TRUE", "\"TRUE\""),
        ("varchar", "12", "\"12\""),
        ("varchar(3)", "a\u{1}\"\\", r#""a\u0001\"\\""#),
        ("char(2)", "é", "\"é\""),
        ("date", "2026-05-01", "\"2026-05-01\""),
        (
            "timestamp",
            "2026-05-01 13:00:00.000",
            "\"2026-05-01 13:00:00.000\"",
        ),
        ("json", r#"{"a": [1, null]}"#, r#"{"a": [1, null]}"#),
        ("json", "\"text\"", "\"text\""),
        ("json", "{", "\"{\""),
        ("array", "[1, 2]", "[1, 2]"),
        ("array(varchar)", "[a, b]", "\"[a, b]\""),
        ("array", "12", "\"12\""),
        ("map", "{a=1}", "\"{a=1}\""),
        ("row(a integer)", "{a=1}", "\"{a=1}\""),
        ("varbinary", "68 69", "\"68 69\""),
    ] {
        let row = format!("\"{}\"", printed.replace('"', "\"\""));
        let reader = reader(SourceFormat::Csv, &[("v", athena_type)]);
        let text = job("").text(&reader.read(row.as_bytes()).unwrap());
        assert_eq!(text, format!("{{\"v\":{json}}}"), "{athena_type} {printed}");
    }
    stated("With `types = \"string\"` every value but null is a string.");
    let strings = Column::all(&columns(&[("a", "bigint"), ("b", "json")]), Types::String);
    let reader = RowReader::new(SourceFormat::Csv, strings, Types::String);
    let row = reader.read(br#""1","[1]""#).unwrap();
    assert_eq!(job("").text(&row), r#"{"a":"1","b":"[1]"}"#);
    let row = reader.read(b",").unwrap();
    assert_eq!(job("").text(&row), r#"{"a":null,"b":null}"#);
}

#[test]
fn other_formats() {
    stated(
        "A row as CSV is one line, below a line with the columns' names unless `header = false`, written as other CSV is.",
    );
    stated(
        "A row by a template is the template with the printed texts of its values, and nothing for null.",
    );
    let reader = reader(
        SourceFormat::Csv,
        &[("id", "bigint"), ("na me", "varchar"), ("n", "varchar")],
    );
    let row = reader.read(b"\"1\",\"a \"\"b\"\", c\",").unwrap();
    for (settings, expected) in [
        ("format = 'csv'", "id,na me,n\n1,\"a \"\"b\"\", c\",\n"),
        ("format = 'csv'\nheader = false", "1,\"a \"\"b\"\", c\",\n"),
        (
            "format = 'template'\ntemplate = '{{{id}}} {na me}|{n}|{row} {job}'",
            "{1} a \"b\", c||5 job-1",
        ),
    ] {
        assert_eq!(job(settings).text(&row), expected);
    }
    let one = RowReader::new(
        SourceFormat::Csv,
        Column::all(&columns(&[("a", "varchar")]), Types::Query),
        Types::Query,
    );
    let null = one.read(b"").unwrap();
    assert_eq!(job("format = 'csv'").text(&null), "a\n\"\"\n");
}

#[test]
fn what_unload_writes() {
    stated(
        "UNLOAD's JSON is a document a line; with `format = \"json\"` its bytes are the object.",
    );
    let json = reader(SourceFormat::Json, &[]);
    let document = r#" {"b": 1.50, "a": "x\u00e9", "c": null, "d": [1]}"#;
    let row = json.read(document.as_bytes()).unwrap();
    assert_eq!(job("").text(&row), document.trim());
    let template = "format = 'template'\ntemplate = '{a},{b},{c},{d},{e}'";
    assert_eq!(job(template).text(&row), "xé,1.50,,[1],");
    assert_eq!(job("format = 'csv'").text(&row), "b,a,c,d\n1.50,xé,,[1]\n");
    let strings = RowReader::new(SourceFormat::Json, Vec::new(), Types::String);
    let row = strings.read(document.as_bytes()).unwrap();
    assert_eq!(
        job("").text(&row),
        r#"{"b":"1.50","a":"xé","c":null,"d":"[1]"}"#
    );
    assert!(matches!(json.read(b"[1]"), Err(RowProblem::NotAnObject(_))));

    stated(
        "UNLOAD's text has a row a line and the configured delimiter between fields; `\\N` is null, and nothing is escaped.",
    );
    let columns = [("a", "bigint"), ("b", "varchar")];
    let text = reader(SourceFormat::Text { delimiter: 1 }, &columns);
    let row = text.read(b"1\x01x\"y").unwrap();
    assert_eq!(job("").text(&row), r#"{"a":1,"b":"x\"y"}"#);
    let row = text.read(b"\\N\x01").unwrap();
    assert_eq!(job("").text(&row), r#"{"a":null,"b":""}"#);
    assert!(text.read(b"1").is_err());

    stated("UNLOAD's manifest names an object a line; the rows of the first come first.");
    assert_eq!(
        manifest(b"s3://r/u/1.gz\n\"s3://r/u/2\"\r\nu/3\n\n", "m").unwrap(),
        [("r", "u/1.gz"), ("r", "u/2"), ("m", "u/3")].map(|(b, k)| Location::new(b, k))
    );
    assert!(manifest(b"s3://\n", "m").is_err());
    for (head, format) in [
        (&b"PAR1.."[..], Ok(SourceFormat::Parquet)),
        (b"{\"a\":1}", Ok(SourceFormat::Json)),
        (b"ORC", Err(FormatError::Unread("ORC"))),
        (b"Obj\x01", Err(FormatError::Unread("Avro"))),
        (b"1\x01x", Err(FormatError::Unknown)),
    ] {
        assert_eq!(SourceFormat::detect(head), format);
    }
}

#[test]
fn keys() {
    stated(
        "A key is `target`, then `key` with the texts of the row's values; the default is the job's id, `/` and the row's number, from 0.",
    );
    stated(
        "With `hashed_prefix` that many hexadecimal digits of a hash of the name and a `/` come before it.",
    );
    stated("A row whose key would have more than 1,024 bytes is refused by its number.");
    stated("No key lies in the ledger: of a value that would lead there, the `_` becomes `%5F`.");
    let long = "é".repeat(600);
    let row = Row {
        fields: vec![
            field("id", Some("7/8")),
            field("a", Some("..")),
            field("n", None),
            field("e", Some("")),
            field("l", Some("_lakewright")),
            field("x", Some("50%\n\u{85}é")),
            field("long", Some(&long)),
        ],
        document: None,
    };
    for (template, digits, expected) in [
        ("{job}/{row}", 0, Ok("p/job-1/5")),
        ("u-{id}.json", 0, Ok("p/u-7%2F8.json")),
        ("{a}/{id}", 0, Ok("p/%2E%2E/7%2F8")),
        ("{n}/{e}", 0, Ok("p/__NULL__/__EMPTY__")),
        ("{l}/split", 0, Ok("p/%5Flakewright/split")),
        ("{l}", 0, Ok("p/_lakewright")),
        ("{x}", 0, Ok("p/50%25%0A%C2%85é")),
        ("{{{row}}}", 0, Ok("p/{5}")),
        ("{missing}", 0, Ok("p/__NULL__")),
        ("{long}", 0, Err(KeyProblem::TooLong(1_202))),
    ] {
        let keys = KeyTemplate::parse(template, digits).unwrap();
        let mut key = String::from("leftover");
        let result = keys.write(&row, 5, "job-1", "p/", &mut key);
        assert_eq!(result.map(|()| key.as_str()), expected, "{template}");
    }
    let keys = KeyTemplate::parse("{row}", 3).unwrap();
    let mut key = String::new();
    keys.write(&row, 5, "job-1", "p/", &mut key).unwrap();
    let (hash, name) = key.strip_prefix("p/").unwrap().split_once('/').unwrap();
    assert_eq!((hash.len(), name), (3, "5"));
    assert!(hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    for bad in [
        "",
        "a",
        "{job}",
        "{row",
        "row}",
        "{}",
        "/{row}",
        "{row}/",
        "a//{row}",
        "_lakewright/{row}",
        "{a{b}}",
    ] {
        assert!(KeyTemplate::parse(bad, 0).is_err(), "{bad}");
    }
    assert!(!KeyTemplate::parse("{job}/{row}", 0).unwrap().may_collide());
    assert!(KeyTemplate::parse("{id}/{row}", 0).unwrap().may_collide());
}

#[test]
fn collisions() {
    stated("Rows of one key that make the same object are one object, and not a collision.");
    stated(
        "Different rows of one key are a collision, found before anything is written: by `on_collision` the job fails and names two rows, or writes the row of the lowest or of the highest number only.",
    );
    let mut index = KeyIndex::new("job", 1 << 10);
    for (row, (key, content)) in [("a", "1"), ("b", "1"), ("a", "1"), ("a", "2")]
        .into_iter()
        .enumerate()
    {
        index.insert(row as u64, key, content.as_bytes()).unwrap();
    }
    let found = index.finish(OnCollision::KeepLast);
    let dropped = |row, same| Dropped { row, kept: 3, same };
    assert_eq!(found.dropped, [dropped(0, false), dropped(2, false)]);
    let mut small = KeyIndex::new("job", 100);
    let results = (0..3).map(|row| small.insert(row, "k", b""));
    assert_eq!(results.last().unwrap(), Err(TooManyKeys { limit: 2 }));
}

#[test]
fn a_result_without_its_end_or_header_is_refused() {
    stated(
        "A result that ends inside quotes, has no header, or has a row of more than 32 MiB is refused before anything is written.",
    );
    let scan = |text: &[u8]| {
        let mut scan = Scan::new(Framing::AthenaCsv, 0, 0, LIMIT, false);
        scan.push(text, |_| Ok::<_, ScanError>(()))?;
        scan.finish(|_| Ok::<_, ScanError>(()))
    };
    assert_eq!(scan(b"\"a\"\n\"x"), Err(ScanError::Truncated { offset: 4 }));
    assert_eq!(scan(b""), Err(ScanError::NoHeader));
    let mut long = b"\"a\"\n\"".to_vec();
    long.resize(MAX_ROW + 10, b'x');
    assert_eq!(scan(&long), Err(ScanError::RowTooLong { offset: 4 }));
    assert_eq!(scan(b"\"a\"\n").unwrap(), (Vec::new(), 0));
}

#[test]
fn chunks_by_rows_alone() {
    let limit = ChunkLimit { bytes: 1, rows: 4 };
    let chunks = chunks_of_rows(2, 100, 9, limit);
    let rows: Vec<_> = chunks
        .iter()
        .map(|c| (c.source, c.first_row, c.rows))
        .collect();
    assert_eq!(rows, [(2, 100, 4), (2, 104, 4), (2, 108, 1)]);
}
