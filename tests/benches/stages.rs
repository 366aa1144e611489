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

use divan::{Bencher, black_box, counter::BytesCount, counter::ItemsCount};
use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use lakewright_core::{
    chunk::Chunk,
    compression::{Decompressor, Status},
    config::{self, Csv, OutputFormat, PathStyle, TimestampRule},
    csv,
    encode::{Encoder, Layout},
    json::{self, MAX_DEPTH},
    parquet_out::RowGroupLimit,
    partition::Partitioner,
    records::Records as _,
    time::TimestampReader,
};
use lakewright_tests::plates;

const RECORDS: usize = 50_000;

fn main() {
    divan::main();
}

fn framer() -> json::Framer {
    json::Framer::new(usize::MAX, MAX_DEPTH)
}

#[divan::bench]
fn gunzip(bencher: Bencher<'_, '_>) {
    let text = plates::json(RECORDS);
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
    let text = plates::json(RECORDS);
    bencher.counter(BytesCount::of_str(&text)).bench(|| {
        let mut framer = framer();
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
    let text = plates::json(RECORDS);
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| plates::columns(&mut framer(), &text).unwrap());
}

#[divan::bench]
fn csv_into_columns(bencher: Bencher<'_, '_>) {
    let text = plates::csv(RECORDS);
    bencher.counter(BytesCount::of_str(&text)).bench(|| {
        let mut framer = csv::Framer::new(&Csv::default(), &[], usize::MAX >> 1).unwrap();
        plates::columns(&mut framer, &text).unwrap()
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
    let text = plates::json(RECORDS);
    let batch = plates::columns(&mut framer(), &text).unwrap();
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
