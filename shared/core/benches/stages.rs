//! The stages of rekey, each measured separately in bytes or rows per second.
//!
//! ```sh
//! cargo bench --workspace --bench stages
//! ```

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark of known input fails by panicking"
)]

use std::io::Write;

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema},
};
use divan::{Bencher, black_box, counter::BytesCount, counter::ItemsCount};
use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use lakewright_core::{
    chunk::Chunk,
    compression::{Decompressor, Status},
    config::{self, Csv, OutputFormat, PathStyle, Policy, TimestampRule},
    csv,
    encode::{Encoder, Layout},
    json::{self, Columns, ColumnsOptions, MAX_DEPTH},
    parquet_out::RowGroupLimit,
    partition::Partitioner,
    records::Records as _,
    time::TimestampReader,
};

const RECORDS: usize = 50_000;

fn main() {
    divan::main();
}

/// Records like those of a number plate camera: some 300 bytes each.
fn records() -> String {
    let record = |n: usize| {
        format!(
            "{{\"id\":{n},\"plate\":\"AB{:02} XYZ\",\"t\":\"2026-05-01T{:02}:{:02}:{:02}.123Z\",\"speed\":{}.5,\"camera\":{{\"site\":\"M25 junction {}\",\"lane\":{},\"direction\":null}},\"confidence\":0.{:03},\"note\":\"éà no remarks about this vehicle, which passed at its ease\",\"flagged\":{}}}\n",
            n % 97,
            n / 3600 % 24,
            n / 60 % 60,
            n % 60,
            n % 130,
            n % 31,
            n % 4,
            n % 1000,
            n.is_multiple_of(50)
        )
    };
    (0..RECORDS).map(record).collect::<Vec<_>>().concat()
}

fn schema() -> Schema {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let camera = DataType::Struct(
        vec![
            field("site", DataType::Utf8),
            field("lane", DataType::Int32),
            field("direction", DataType::Utf8),
        ]
        .into(),
    );
    Schema::new(vec![
        field("id", DataType::Int64),
        field("plate", DataType::Utf8),
        field("t", DataType::Utf8),
        field("speed", DataType::Float64),
        field("camera", camera),
        field("confidence", DataType::Float64),
        field("note", DataType::Utf8),
        field("flagged", DataType::Boolean),
    ])
}

fn columns(schema: &Schema) -> Columns {
    let options = ColumnsOptions {
        on_unknown: Policy::Drop,
        on_mismatch: Policy::Quarantine,
        timestamp: vec!["t".to_owned()],
        parse_timestamp: Box::new(|_| None),
        raw_column: None,
        max_depth: MAX_DEPTH,
    };
    Columns::new(schema, options).unwrap()
}

fn fill(text: &str) -> RecordBatch {
    let mut framer = json::Framer::new(usize::MAX, MAX_DEPTH);
    framer.push(&mut Chunk::of(text.as_bytes()));
    framer.finish();
    let mut columns = columns(&schema());
    while let Some(filled) = framer.next_into(&mut columns).unwrap() {
        filled.result.unwrap();
    }
    columns.finish().unwrap()
}

#[divan::bench]
fn gunzip(bencher: Bencher<'_, '_>) {
    let text = records();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    bencher.counter(BytesCount::of_str(&text)).bench(|| {
        let mut decompressor = Decompressor::new(1_000);
        let mut input = &packed[..];
        let mut bytes = 0;
        while decompressor.push(&mut input).unwrap() == Status::HasOutput {
            bytes += decompressor.output().bytes().len();
            decompressor.output().clear();
        }
        bytes + decompressor.output().bytes().len()
    });
}

#[divan::bench]
fn frame_json(bencher: Bencher<'_, '_>) {
    let text = records();
    bencher.counter(BytesCount::of_str(&text)).bench(|| {
        let mut framer = json::Framer::new(usize::MAX, MAX_DEPTH);
        framer.push(&mut Chunk::of(text.as_bytes()));
        framer.finish();
        let mut records = 0;
        while framer.next().unwrap().is_some() {
            records += 1;
        }
        records
    });
}

#[divan::bench]
fn json_into_columns(bencher: Bencher<'_, '_>) {
    let text = records();
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| fill(&text));
}

#[divan::bench]
fn csv_into_columns(bencher: Bencher<'_, '_>) {
    let record = |n: usize| {
        format!(
            "{n},AB{:02} XYZ,2026-05-01T00:00:00Z,{}.5,\"a, b\"\n",
            n % 97,
            n % 130
        )
    };
    let text = "id,plate,t,speed,note\n".to_owned()
        + &(0..RECORDS).map(record).collect::<Vec<_>>().concat();
    bencher.counter(BytesCount::of_str(&text)).bench(|| {
        let mut framer = csv::Framer::new(&Csv::default(), &[], usize::MAX >> 1).unwrap();
        framer.push(&mut Chunk::of(text.as_bytes()));
        framer.finish();
        let mut columns = columns(&schema());
        while let Some(filled) = framer.next_into(&mut columns).unwrap() {
            filled.result.unwrap();
        }
        columns.finish().unwrap()
    });
}

#[divan::bench(args = ["2026-05-01T13:00:00.123Z", "2026-05-01 13:00:00", "1777640832345", "Fri, 01 May 2026 13:00:00 GMT"])]
fn timestamp(bencher: Bencher<'_, '_>, text: &str) {
    let rule: TimestampRule = serde_json::from_str("{\"column\": \"t\"}").unwrap();
    let reader = TimestampReader::new(&rule, Timestamp::UNIX_EPOCH).unwrap();
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench(|| reader.read_text(black_box(text)).unwrap());
}

#[divan::bench(args = ["UTC", "Europe/Berlin"])]
fn partition_key(bencher: Bencher<'_, '_>, zone: &str) {
    let zone = jiff::tz::TimeZone::get(zone).unwrap();
    let by = ["year", "month", "day", "hour"].map(String::from);
    let partitioner = Partitioner::new(&by, PathStyle::Padded, &zone).unwrap();
    let time = Timestamp::from_second(1_777_640_832).unwrap();
    let mut key = Vec::new();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        key.clear();
        partitioner.write_key(black_box(time), &[], &mut key);
        key.len()
    });
}

#[divan::bench(args = ["parquet", "json", "csv"])]
fn encode(bencher: Bencher<'_, '_>, format: &str) {
    let text = records();
    let batch = fill(&text);
    let format = match format {
        "parquet" => OutputFormat::Parquet,
        "json" => OutputFormat::Json,
        _ => OutputFormat::Csv,
    };
    let output = config::Output::new(format);
    let layout = Layout::plain(batch.schema());
    bencher.counter(BytesCount::of_str(&text)).bench(|| {
        let mut encoder = Encoder::new(&output, &layout, RowGroupLimit::default()).unwrap();
        encoder.write(&batch).unwrap();
        encoder.finish().unwrap().len()
    });
}
