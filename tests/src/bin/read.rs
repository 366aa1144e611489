//! Reads files as the jobs read landed objects, and prints one line of JSON for each: its rows, or why it is refused.
//! `tests/python` compares what other readers read from the same files.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::{error::Error, fs, path::PathBuf};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema},
};
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use lakewright_core::{
    avro::AvroFile,
    chunk::Chunk,
    compression::{Layers, Status},
    config::{Compression, Csv, Limits, Output, OutputFormat, Policy},
    csv,
    encode::{Encoder, Layout},
    json::{self, Columns, ColumnsOptions, Inference, RecordError},
    orc::OrcFile,
    parquet_in::ParquetFile,
    parquet_out::RowGroupLimit,
    records::{Filled, Records as _},
    shown::show_values,
};
use serde::Serialize;
use serde_json::value::RawValue;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Prints the rows of files, as the jobs read them.
#[derive(Parser)]
struct Arguments {
    /// The format of the files.
    format: Format,
    /// Reads JSON fields as strings; other values are kept as written in the file.
    #[arg(long)]
    text: bool,
    /// The files.
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Csv,
    Parquet,
    Avro,
    Orc,
}

/// A file's line.
#[derive(Serialize)]
struct Line {
    file: PathBuf,
    #[serde(flatten)]
    content: Content,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content {
    Refused {
        error: String,
    },
    Read {
        rows: Vec<Box<RawValue>>,
        set_aside: Vec<SetAside>,
    },
}

/// Broken bytes in place of a record.
#[derive(Serialize)]
struct SetAside {
    offset: u64,
    length: usize,
    reason: &'static str,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    show_values(true);
    for file in arguments.files {
        let bytes = fs::read(&file)?;
        let content = match arguments.format {
            Format::Json => decompress(&bytes).and_then(|plain| read_json(&plain, arguments.text)),
            Format::Csv => decompress(&bytes).and_then(|plain| read_csv(&plain)),
            Format::Parquet => read_parquet(bytes),
            Format::Avro => decompress(&bytes).and_then(|plain| read_avro(&plain)),
            Format::Orc => read_orc(bytes),
        };
        let content = content.unwrap_or_else(|error| Content::Refused {
            error: error.to_string(),
        });
        println!("{}", serde_json::to_string(&Line { file, content })?);
    }
    Ok(())
}

fn decompress(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut decompressor = Layers::new(Limits::default().compression_ratio);
    let (mut input, mut plain) = (bytes, Vec::new());
    while decompressor.push(&mut input)? == Status::HasOutput {
        plain.extend(decompressor.output().bytes());
        decompressor.output().clear();
    }
    decompressor.finish()?;
    plain.extend(decompressor.output().bytes());
    Ok(plain)
}

fn options() -> ColumnsOptions {
    ColumnsOptions {
        on_unknown: Policy::Quarantine,
        on_mismatch: Policy::Quarantine,
        timestamp: Vec::new(),
        parse_timestamp: Box::new(|_| None),
        raw_column: None,
        max_depth: json::MAX_DEPTH,
    }
}

fn read_json(plain: &[u8], text: bool) -> Result<Content> {
    let begin = || {
        let mut framer = json::Framer::new(usize::MAX, json::MAX_DEPTH);
        framer.push(&mut Chunk::of(plain));
        framer.finish();
        framer
    };
    let mut inference = Inference::new(json::MAX_DEPTH);
    begin().infer(&mut inference)?;
    let mut schema = inference.schema();
    if text {
        let names = schema.fields().iter().map(|field| field.name());
        schema = Schema::new(
            names
                .map(|name| Field::new(name, DataType::Utf8, true))
                .collect::<Vec<_>>(),
        );
    }
    let mut columns = Columns::new(&schema, options())?;
    let mut set_aside = Vec::new();
    let mut framer = begin();
    while let Some(filled) = framer.next_into(&mut columns)? {
        set_aside.extend(refused(filled)?);
    }
    read(&[columns.finish()?], set_aside)
}

fn read_csv(plain: &[u8]) -> Result<Content> {
    let mut framer = csv::Framer::new(&Csv::default(), &[], usize::MAX >> 1)?;
    framer.push(&mut Chunk::of(plain));
    framer.finish();
    let schema = csv::inferred(framer.names()?.unwrap_or_default());
    let mut columns = Columns::new(&schema, options())?;
    let mut set_aside = Vec::new();
    while let Some(filled) = framer.next_into(&mut columns)? {
        set_aside.extend(refused(filled)?);
    }
    read(&[columns.finish()?], set_aside)
}

fn refused(record: Filled<'_>) -> Result<Option<SetAside>> {
    let Err(error) = record.result else {
        return Ok(None);
    };
    let reason = RecordError::reason(&error).ok_or_else(|| error.to_string())?;
    Ok(Some(SetAside {
        offset: record.offset,
        length: record.bytes.len(),
        reason: reason.code(),
    }))
}

fn read_parquet(bytes: Vec<u8>) -> Result<Content> {
    let file = ParquetFile::open(Bytes::from(bytes), &Limits::default())?;
    let table = file.schema()?;
    let mut batches = Vec::new();
    for rows in file.read_columns(&table, Policy::Fail, Policy::Fail, Box::new(|_| None))? {
        batches.push(rows?.batch);
    }
    read(&batches, Vec::new())
}

fn read_orc(bytes: Vec<u8>) -> Result<Content> {
    let file = OrcFile::open(Bytes::from(bytes), &Limits::default(), 1 << 28)?;
    let table = file.schema();
    let mut batches = Vec::new();
    for rows in file.read_columns(&table, Policy::Fail, Policy::Fail, Box::new(|_| None))? {
        batches.push(rows?.batch);
    }
    read(&batches, Vec::new())
}

fn read_avro(plain: &[u8]) -> Result<Content> {
    let mut file = AvroFile::new(&Limits::default());
    file.push(&mut Chunk::of(plain));
    file.finish();
    file.is_open()?;
    let table = file.schema();
    let mut rows = file.read_columns(&table, Policy::Fail, Policy::Fail, Box::new(|_| None))?;
    rows.finish();
    let mut batches = Vec::new();
    while let Some(rows) = rows.next_rows()? {
        batches.push(rows.batch);
    }
    read(&batches, Vec::new())
}

/// The rows in the JSON that the jobs write.
fn read(batches: &[RecordBatch], set_aside: Vec<SetAside>) -> Result<Content> {
    let output = Output {
        compression: Some(Compression::None),
        ..Output::new(OutputFormat::Json)
    };
    let mut lines = Vec::new();
    if let Some(schema) = batches.first().map(RecordBatch::schema) {
        let layout = Layout::plain(schema);
        let mut encoder = Encoder::new(&output, &layout, RowGroupLimit::default())?;
        for batch in batches {
            encoder.write(batch)?;
        }
        lines = encoder.finish()?;
    }
    let rows = String::from_utf8(lines)?;
    let rows = rows
        .lines()
        .map(|line| RawValue::from_string(line.to_owned()));
    Ok(Content::Read {
        rows: rows.collect::<std::result::Result<_, _>>()?,
        set_aside,
    })
}
