//! Merges Parquet files as `compact-merge` does, and prints one line of JSON: the result, or why the files are refused.
//! `tests/python` compares what other readers read from the files before and after.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::{error::Error, fs, path::PathBuf, sync::Arc};

use bytes::Bytes;
use clap::{Parser, ValueEnum};
use lakewright_core::{config::Limits, parquet_out::CREATED_BY};
use parquet_merge::{
    Compression, Fetch, Footer, Input, Merge, MergeOptions, OutputCompression, Step, read_footer,
    unify, verify,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Merges Parquet files.
#[derive(Parser)]
struct Arguments {
    /// The merged file.
    #[arg(long)]
    to: PathBuf,
    /// How it is compressed.
    #[arg(long, default_value = "keep")]
    compression: Codec,
    /// The rows of a row group.
    #[arg(long)]
    rows: Option<usize>,
    /// Columns with a bloom filter.
    #[arg(long)]
    bloom_filter: Vec<String>,
    /// Columns that the rows are sorted by.
    #[arg(long)]
    sort_by: Vec<String>,
    /// The files.
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Codec {
    Keep,
    None,
    Snappy,
    Zstd,
    Gzip,
}

fn main() {
    let arguments = Arguments::parse();
    let line = match merge(&arguments) {
        Ok(line) => line,
        Err(error) => serde_json::json!({ "refused": error.to_string() }),
    };
    println!("{line}");
}

fn merge(arguments: &Arguments) -> Result<serde_json::Value> {
    let files: Vec<Bytes> = arguments
        .files
        .iter()
        .map(|path| fs::read(path).map(Bytes::from))
        .collect::<std::io::Result<_>>()?;
    let inputs: Vec<Input> = arguments
        .files
        .iter()
        .zip(&files)
        .map(|(path, file)| {
            Ok(Input {
                name: path.display().to_string(),
                size: file.len() as u64,
                metadata: Arc::from(footer(file)?),
            })
        })
        .collect::<Result<_>>()?;
    let schemas = inputs.iter().map(|input| {
        (
            input.name.as_str(),
            input.metadata.file_metadata().schema_descr(),
        )
    });
    let unified = unify(schemas)?;
    let mut options = MergeOptions {
        compression: match arguments.compression {
            Codec::Keep => OutputCompression::Keep,
            Codec::None => OutputCompression::As(Compression::None),
            Codec::Snappy => OutputCompression::As(Compression::Snappy),
            Codec::Zstd => OutputCompression::As(Compression::Zstd),
            Codec::Gzip => OutputCompression::As(Compression::Gzip),
        },
        bloom_filters: arguments.bloom_filter.clone(),
        created_by: CREATED_BY.to_owned(),
        sort_by: arguments.sort_by.clone(),
        ..MergeOptions::default()
    };
    if let Some(rows) = arguments.rows {
        options.row_group.rows = rows;
    }
    let mut merge = Merge::new(unified.clone(), inputs, options)?;
    let mut merged = Vec::new();
    let mut supplied = Vec::new();
    let summary = loop {
        match merge.step(std::mem::take(&mut supplied))? {
            Step::Fetch(fetches) => {
                for fetch in fetches {
                    let bytes = read(&files, &fetch)?;
                    supplied.push((fetch, bytes));
                }
            }
            Step::Write(bytes) => merged.extend(bytes),
            Step::Done(summary) => break summary,
        }
    };
    let merged = Bytes::from(merged);
    let written = footer(&merged)?;
    verify(&written, merged.len() as u64, summary.rows, &unified)?;
    fs::write(&arguments.to, &merged)?;
    Ok(serde_json::json!({
        "rows": summary.rows,
        "bytes": summary.bytes,
        "row_groups": summary.row_groups,
        "copied": summary.copied,
    }))
}

fn read(files: &[Bytes], fetch: &Fetch) -> Result<Bytes> {
    let file = files.get(fetch.input).ok_or("no such file")?;
    Ok(file.slice(usize::try_from(fetch.range.start)?..usize::try_from(fetch.range.end)?))
}

fn footer(file: &Bytes) -> Result<Box<parquet::file::metadata::ParquetMetaData>> {
    let limit = Limits::default().parquet_footer.as_u64();
    match read_footer(file, file.len() as u64, limit)? {
        Footer::Read(footer) => Ok(footer),
        Footer::Needs(_) => Err("the whole file is there".into()),
    }
}
