mod values;

use std::{io::Read, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, BinaryArray, BooleanArray, Int32Array, Int64Array, ListArray, MapArray,
        StringArray, StructArray,
    },
    buffer::OffsetBuffer,
    datatypes::{DataType, Field, Fields, Int32Type, Schema},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::{
    config::{Compression, Size},
    semantics::stated,
};

fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let fields = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
    let columns = columns
        .iter()
        .map(|(_, column)| Arc::clone(column))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).unwrap()
}

fn plain(format: OutputFormat) -> Output {
    Output {
        compression: Some(Compression::None),
        ..Output::new(format)
    }
}

fn try_encode(
    output: &Output,
    layout: &Layout,
    batches: &[RecordBatch],
) -> Result<Vec<u8>, EncodeError> {
    let mut encoder = Encoder::new(output, layout, RowGroupLimit::default())?;
    let mut bytes = Vec::new();
    for batch in batches {
        encoder.write(batch)?;
        bytes.append(encoder.ready());
    }
    bytes.extend(encoder.finish()?);
    Ok(bytes)
}

fn encode(output: &Output, batch: &RecordBatch) -> Vec<u8> {
    let layout = Layout::plain(batch.schema());
    try_encode(output, &layout, std::slice::from_ref(batch)).unwrap()
}

fn text(format: OutputFormat, column: ArrayRef) -> Vec<String> {
    let output = Output {
        header: (format == OutputFormat::Csv).then_some(false),
        ..plain(format)
    };
    let bytes = encode(&output, &batch(&[("c", column)]));
    String::from_utf8(bytes)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn decompressed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match compression {
        Compression::Gzip => flate2::read::GzDecoder::new(bytes)
            .read_to_end(&mut out)
            .unwrap(),
        Compression::Zstd => zstd::Decoder::new(bytes)
            .unwrap()
            .read_to_end(&mut out)
            .unwrap(),
        Compression::None | Compression::Snappy => return bytes.to_vec(),
    };
    out
}

fn strings(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn every_format_and_compression_holds_the_rows_and_is_made_alike_twice() {
    stated("The same rows, written with the same settings, make the same bytes.");
    stated(
        "Parquet is written with no compression, Snappy, gzip or zstd, and JSON and CSV with none, gzip or zstd.",
    );
    let numbers = Int64Array::from_iter_values(0..20_000);
    let batch = batch(&[("n", Arc::new(numbers) as ArrayRef)]);
    let lines = |line: &dyn Fn(i64) -> String| (0..20_000).map(line).collect::<Vec<_>>().concat();
    let json = lines(&|n| format!("{{\"n\":{n}}}\n"));
    let csv = "n\n".to_owned() + &lines(&|n| format!("{n}\n"));
    for format in [OutputFormat::Parquet, OutputFormat::Json, OutputFormat::Csv] {
        for compression in [
            Compression::None,
            Compression::Snappy,
            Compression::Gzip,
            Compression::Zstd,
        ] {
            let output = Output {
                compression: Some(compression),
                ..Output::new(format)
            };
            let bytes = encode(&output, &batch);
            assert_eq!(bytes, encode(&output, &batch), "{output:?}");
            match format {
                OutputFormat::Json => {
                    assert_eq!(decompressed(compression, &bytes), json.as_bytes());
                }
                OutputFormat::Csv => assert_eq!(decompressed(compression, &bytes), csv.as_bytes()),
                OutputFormat::Parquet => {
                    let reader =
                        ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes));
                    let read = reader.unwrap().with_batch_size(20_000).build().unwrap();
                    let read = read.collect::<Result<Vec<_>, _>>().unwrap();
                    assert_eq!(read[0].column(0), batch.column(0));
                }
            }
        }
    }
}

#[test]
fn the_first_rows_of_a_file_decide_which_columns_have_a_dictionary() {
    let rows = 0..10_000_i64;
    // Unique at first; within the first rows, every value of the second one repeats.
    let first = rows.clone().map(|n| if n < 4096 { n } else { 0 });
    let second = rows.clone().map(|n| if n < 4096 { n / 2 } else { n });
    let batch = batch(&[
        ("first", Arc::new(first.collect::<Int64Array>()) as ArrayRef),
        (
            "second",
            Arc::new(second.collect::<Int64Array>()) as ArrayRef,
        ),
    ]);
    for cut in [10_000, 4_096, 700, 1] {
        let cuts = (0..10_000).step_by(cut);
        let batches = cuts.map(|at| batch.slice(at, cut.min(10_000 - at)));
        let layout = Layout::plain(batch.schema());
        let batches = batches.collect::<Vec<_>>();
        let bytes = try_encode(&plain(OutputFormat::Parquet), &layout, &batches).unwrap();
        let file = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
        let columns = file.metadata().row_group(0).columns().iter();
        let dictionaries = columns.map(|column| column.dictionary_page_offset().is_some());
        assert_eq!(dictionaries.collect::<Vec<_>>(), [false, true], "{cut}");
        let read = file.with_batch_size(10_000).build().unwrap().next();
        assert_eq!(read.unwrap().unwrap().columns(), batch.columns(), "{cut}");
    }
}

#[test]
fn the_bytes_may_be_taken_as_they_come() {
    let rows = (0..200_000_u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_string());
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(rows));
    let batch = batch(&[("v", values)]);
    for format in [OutputFormat::Parquet, OutputFormat::Json, OutputFormat::Csv] {
        let output = Output {
            row_group_size: (format == OutputFormat::Parquet).then(|| Size::kib(256)),
            ..Output::new(format)
        };
        let layout = Layout::plain(batch.schema());
        let parts = (0..20)
            .map(|part| batch.slice(part * 10_000, 10_000))
            .collect::<Vec<_>>();
        let taken = try_encode(&output, &layout, &parts).unwrap();
        let mut whole = Encoder::new(&output, &layout, RowGroupLimit::default()).unwrap();
        for part in &parts {
            whole.write(part).unwrap();
        }
        assert!(whole.ready().len() > 100_000, "{format}");
        assert_eq!(whole.finish().unwrap(), taken, "{format}");
    }
}

#[test]
fn json_records_pass_through() {
    stated(
        "JSON to JSON passes each record's bytes through, one record a line: raw newlines and carriage returns, which can only be between tokens, are left out, and everything else stays, with fields that the table lacks and partition columns.",
    );
    let records: [&[u8]; 3] = [
        br#"{ "a" : 1.0e2, "A":1, "unknown":"\n\u00e9" }"#,
        b"{\r\n  \"a\": 2,\n  \"b\": [\n]\n}",
        "{\"a\":\"é\"}".as_bytes(),
    ];
    let batch = batch(&[
        ("a", Arc::new(Int64Array::from(vec![100, 2, 3])) as ArrayRef),
        (
            "\0raw",
            Arc::new(BinaryArray::from_iter_values(records)) as ArrayRef,
        ),
    ]);
    let layout = Layout {
        schema: batch.schema(),
        columns: 1,
        raw: Some(1),
    };
    let write = |output: &Output| {
        let bytes = try_encode(output, &layout, std::slice::from_ref(&batch)).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(
        write(&plain(OutputFormat::Json)),
        "{ \"a\" : 1.0e2, \"A\":1, \"unknown\":\"\\n\\u00e9\" }\n{  \"a\": 2,  \"b\": []}\n{\"a\":\"é\"}\n"
    );
    // The other formats do not contain the hidden column.
    assert_eq!(write(&plain(OutputFormat::Csv)), "a\n100\n2\n3\n");
    let wrong = Layout {
        raw: Some(0),
        ..layout.clone()
    };
    assert!(try_encode(&plain(OutputFormat::Json), &wrong, &[batch]).is_err());
}

#[test]
fn json_objects_leave_nulls_out() {
    stated(
        "Otherwise a JSON file has one object a line, with the columns in their order, and columns and fields that are null are left out.",
    );
    stated("Nulls in lists and maps are written as `null`.");
    stated("Characters outside ASCII are written as themselves, in UTF-8.");
    let inner = StructArray::from(vec![
        (
            Arc::new(Field::new("x", DataType::Int32, true)),
            Arc::new(Int32Array::from(vec![Some(1), None, None])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("y", DataType::Utf8, true)),
            strings(&[Some("é\u{1F600}\u{7f}\""), None, Some("\n")]),
        ),
    ]);
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    let batch = batch(&[
        (
            "z",
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])) as ArrayRef,
        ),
        ("s", Arc::new(inner) as ArrayRef),
        ("l", Arc::new(list) as ArrayRef),
        ("m", maps(strings(&[Some("k"), Some("n")]), &[2, 2, 2])),
    ]);
    let bytes = encode(&plain(OutputFormat::Json), &batch);
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        "{\"z\":true,\"s\":{\"x\":1,\"y\":\"é\u{1F600}\u{7f}\\\"\"},\"l\":[1,null],\"m\":{\"k\":0,\"n\":null}}\n\
         {\"s\":{},\"m\":{}}\n\
         {\"z\":false,\"s\":{\"y\":\"\\n\"},\"l\":[],\"m\":{}}\n"
    );
}

/// Maps from `keys` to 0, null, 0, null, …; each ends at one of `ends`.
fn maps(keys: ArrayRef, ends: &[i32]) -> ArrayRef {
    let values = (0..keys.len())
        .map(|n| (n % 2 == 0).then_some(0))
        .collect::<Int32Array>();
    let fields = Fields::from(vec![
        Field::new("key", keys.data_type().clone(), false),
        Field::new("value", DataType::Int32, true),
    ]);
    let entries = StructArray::new(fields.clone(), vec![keys, Arc::new(values)], None);
    let offsets = std::iter::once(0)
        .chain(ends.iter().copied())
        .collect::<Vec<_>>();
    Arc::new(MapArray::new(
        Arc::new(Field::new("key_value", DataType::Struct(fields), false)),
        OffsetBuffer::new(offsets.into()),
        entries,
        None,
        false,
    ))
}

#[test]
fn csv_quotes_and_nulls() {
    stated(
        "A CSV field is in quotes only where it is empty, holds a comma, a quote, a newline, a carriage return or a NUL, or begins with a byte order mark.",
    );
    stated("In CSV a null is nothing between the commas and an empty string is `\"\"`.");
    stated("In a CSV file of one column a null is `\"\"` too, because readers skip empty lines.");
    stated("In CSV structs, lists and maps are written as JSON.");
    stated(
        "A CSV record ends with one newline, and the first line has the columns' names unless `header = false`.",
    );
    let batch = batch(&[
        (
            "a,b",
            strings(&[
                Some("plain text"),
                None,
                Some(""),
                Some("x,y"),
                Some("\"q\""),
                Some("\r\n"),
                Some("\u{feff}x"),
            ]),
        ),
        (
            "m",
            maps(
                strings(&[Some("k"), Some("n"), Some("o")]),
                &[2, 2, 2, 2, 2, 2, 3],
            ),
        ),
        (
            "n",
            Arc::new(Int64Array::from(vec![
                Some(1),
                None,
                Some(3),
                None,
                None,
                None,
                Some(7),
            ])),
        ),
    ]);
    let expected = "\"a,b\",m,n\n\
        plain text,\"{\"\"k\"\":0,\"\"n\"\":null}\",1\n\
        ,{},\n\
        \"\",{},3\n\
        \"x,y\",{},\n\
        \"\"\"q\"\"\",{},\n\
        \"\r\n\",{},\n\
        \"\u{feff}x\",\"{\"\"o\"\":0}\",7\n";
    let bytes = encode(&plain(OutputFormat::Csv), &batch);
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    let headless = Output {
        header: Some(false),
        ..plain(OutputFormat::Csv)
    };
    let bytes = encode(&headless, &batch);
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        expected.split_once('\n').unwrap().1
    );
    assert_eq!(
        text(OutputFormat::Csv, strings(&[None, Some("")])),
        ["\"\"", "\"\""]
    );
}

#[test]
fn bloom_filters_and_row_groups() {
    stated(
        "A row group of Parquet ends at about `row_group_size`, sooner where the function's memory demands it.",
    );
    stated(
        "The columns of `bloom_filter_columns` get a bloom filter; a name that is not a column of single values refuses the object.",
    );
    let inner = StructArray::from(vec![(
        Arc::new(Field::new("Id", DataType::Utf8, true)),
        Arc::new(StringArray::from_iter_values(
            (0..60_000).map(|n| format!("{n:032}")),
        )) as ArrayRef,
    )]);
    let batch = batch(&[
        (
            "Plate",
            Arc::new(Int64Array::from_iter_values(0..60_000)) as ArrayRef,
        ),
        ("detail", Arc::new(inner) as ArrayRef),
        (
            "a.b",
            Arc::new(BooleanArray::from(vec![true; 60_000])) as ArrayRef,
        ),
    ]);
    let layout = Layout::plain(batch.schema());
    let output = |columns: &[&str]| Output {
        bloom_filter_columns: columns.iter().map(ToString::to_string).collect(),
        row_group_size: Some(Size::kib(512)),
        ..plain(OutputFormat::Parquet)
    };
    let parts = (0..60)
        .map(|part| batch.slice(part * 1_000, 1_000))
        .collect::<Vec<_>>();
    let bytes = try_encode(&output(&["plate", "DETAIL.id"]), &layout, &parts).unwrap();
    let bytes = bytes::Bytes::from(bytes);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let metadata = reader.metadata();
    assert!(
        metadata.num_row_groups() > 2,
        "{}",
        metadata.num_row_groups()
    );
    let filters = metadata
        .row_group(0)
        .columns()
        .iter()
        .map(|column| column.bloom_filter_offset().is_some());
    assert_eq!(filters.collect::<Vec<_>>(), [true, true, false]);
    for (column, says) in [
        ("x", "there are `Plate`, `detail`, `detail.Id`"),
        ("detail.x", "there is no column"),
        ("plate.x", "there is no column"),
        ("detail", "single values"),
        ("a.b", "boolean"),
    ] {
        let error = try_encode(&output(&[column]), &layout, &parts)
            .unwrap_err()
            .to_string();
        assert!(error.contains(says) && error.contains(column), "{error}");
    }
}
