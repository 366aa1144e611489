//! Merges the Parquet files of each folder into one file, and prints the CPU seconds and the peak memory for comparison
//! with other engines.
//!
//! ```sh
//! cargo run --release --package parquet-merge --example folders -- <folder with partitions> <folder for the merged files> [megabytes]
//! ```
//!
//! The files are read as a Lambda function would read them: in ranges, several at once.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark of known input fails by panicking, and says what it found"
)]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use parquet_merge::{Fetch, Footer, Input, Merge, MergeOptions, Step, read_footer, unify};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, rest @ ..] = arguments.as_slice() else {
        println!(
            "usage: folders <folder with partitions> <folder for the merged files> [megabytes]"
        );
        return;
    };
    let megabytes: usize = rest.first().map_or(256, |text| text.parse().unwrap());
    let mut partitions: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    find(Path::new(from), &mut partitions);
    let before = cpu_seconds();
    let (mut rows, mut read, mut written) = (0, 0, 0);
    for (partition, mut files) in partitions {
        files.sort();
        let target = Path::new(to).join(partition.strip_prefix(from).unwrap());
        fs::create_dir_all(&target).unwrap();
        let merged = merge(&files, &target.join("part-0.parquet"), megabytes << 20);
        rows += merged.0;
        read += merged.1;
        written += merged.2;
    }
    println!(
        "{rows} rows, {:.1} MB to {:.1} MB, {:.2} CPU s, peak {} MB",
        megabytes_of(read),
        megabytes_of(written),
        cpu_seconds() - before,
        peak_megabytes()
    );
}

fn find(folder: &Path, partitions: &mut BTreeMap<PathBuf, Vec<PathBuf>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, partitions);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "parquet")
        {
            partitions.entry(folder.to_owned()).or_default().push(path);
        }
    }
}

/// Rows, bytes read and bytes written.
fn merge(paths: &[PathBuf], to: &Path, memory: usize) -> (u64, u64, u64) {
    let files: Vec<File> = paths.iter().map(|path| File::open(path).unwrap()).collect();
    let inputs: Vec<Input> = paths
        .iter()
        .zip(&files)
        .map(|(path, file)| input(path, file))
        .collect();
    let read = inputs.iter().map(|input| input.size).sum();
    let schemas = inputs.iter().map(|input| {
        (
            input.name.as_str(),
            input.metadata.file_metadata().schema_descr(),
        )
    });
    let unified = unify(schemas).unwrap();
    let options = MergeOptions {
        memory,
        ..MergeOptions::default()
    };
    let mut merge = Merge::new(unified, inputs, options).unwrap();
    let mut out = File::create(to).unwrap();
    let mut supplied: Vec<(Fetch, Bytes)> = Vec::new();
    loop {
        match merge.step(std::mem::take(&mut supplied)).unwrap() {
            Step::Fetch(fetches) => {
                supplied.extend(fetches.into_iter().map(|fetch| {
                    let bytes = range(&files[fetch.input], fetch.range.start, fetch.range.end);
                    (fetch, bytes)
                }));
            }
            Step::Write(bytes) => out.write_all(&bytes).unwrap(),
            Step::Done(summary) => return (summary.rows, read, summary.bytes),
        }
    }
}

fn input(path: &Path, file: &File) -> Input {
    let size = file.metadata().unwrap().len();
    let mut start = size.saturating_sub(64 << 10);
    let metadata = loop {
        match read_footer(&range(file, start, size), size, 1 << 24).unwrap() {
            Footer::Read(metadata) => break metadata,
            Footer::Needs(range) => start = range.start,
        }
    };
    Input {
        name: path.display().to_string(),
        size,
        metadata: Arc::from(metadata),
    }
}

fn range(file: &File, start: u64, end: u64) -> Bytes {
    let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
    file.read_exact_at(&mut bytes, start).unwrap();
    bytes.into()
}

/// CPU seconds of this process: user and system.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let ticks: f64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum();
    ticks / 100.0
}

fn peak_megabytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

fn megabytes_of(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1_000).unwrap()) / 1_000.0
}
