//! Throughput of merging small files into one, in bytes of the files per second.
//!
//! ```sh
//! cargo bench --workspace --bench merge
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark of known input fails by panicking"
)]

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use divan::{Bencher, black_box, counter::BytesCount};
use parquet::arrow::ArrowWriter;
use parquet_merge::{
    Compression, Footer, Input, Merge, MergeOptions, RowGroupLimit, Step, read_footer, unify,
    writer_options,
};

const FILES: i64 = 64;
const ROWS: i64 = 2_000;

fn main() {
    divan::main();
}

/// A file with columns for places and readings. `wide`: the readings have 64 bits.
fn file(number: i64, wide: bool) -> Bytes {
    let places = (0..ROWS).map(|row| format!("junction {}", (row * 7 + number) % 300));
    let readings = (0..ROWS).map(|row| row * 31 % 1_000);
    let readings: ArrayRef = if wide {
        Arc::new(Int64Array::from_iter_values(readings))
    } else {
        let narrow = readings.map(|reading| i32::try_from(reading).unwrap());
        Arc::new(Int32Array::from_iter_values(narrow))
    };
    let batch = RecordBatch::try_from_iter([
        (
            "place",
            Arc::new(StringArray::from_iter_values(places)) as ArrayRef,
        ),
        ("reading", readings),
    ])
    .unwrap();
    let options = writer_options("bench", Compression::Zstd, RowGroupLimit::default(), &[]);
    let mut writer =
        ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

fn input(number: usize, file: &Bytes) -> Input {
    let size = file.len() as u64;
    let Footer::Read(metadata) = read_footer(file, size, 1 << 24).unwrap() else {
        panic!("the whole file is there");
    };
    Input {
        name: number.to_string(),
        size,
        metadata: Arc::from(metadata),
    }
}

fn merge(files: &[Bytes], inputs: Vec<Input>) -> u64 {
    let schemas = inputs.iter().map(|input| {
        let file = input.metadata.file_metadata();
        (input.name.as_str(), file.schema_descr())
    });
    let unified = unify(schemas).unwrap();
    let mut merge = Merge::new(unified, inputs, MergeOptions::default()).unwrap();
    let mut supplied = Vec::new();
    loop {
        match merge.step(std::mem::take(&mut supplied)).unwrap() {
            Step::Fetch(fetches) => supplied.extend(fetches.into_iter().map(|fetch| {
                let [start, end] =
                    [fetch.range.start, fetch.range.end].map(|at| usize::try_from(at).unwrap());
                let bytes = files[fetch.input].slice(start..end);
                (fetch, bytes)
            })),
            Step::Write(bytes) => drop(black_box(bytes)),
            Step::Done(summary) => return summary.rows,
        }
    }
}

/// `mixed`: in every other file the readings have another type, so their pages are converted.
#[divan::bench(args = [false, true])]
fn files(bencher: Bencher<'_, '_>, mixed: bool) {
    let files = (0..FILES).map(|number| file(number, !mixed || number % 2 == 0));
    let files: Vec<Bytes> = files.collect();
    let bytes: usize = files.iter().map(Bytes::len).sum();
    let inputs = || -> Vec<Input> {
        let inputs = files.iter().enumerate();
        inputs.map(|(number, file)| input(number, file)).collect()
    };
    bencher
        .counter(BytesCount::new(bytes))
        .with_inputs(inputs)
        .bench_values(|inputs| merge(&files, inputs));
}
