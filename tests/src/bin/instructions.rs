//! Counts the instructions of small fixed pieces of work under valgrind, and compares them with those of
//! `tests/instructions.json`: a guard against losing speed that does not depend on what else the machine does.
//!
//! ```sh
//! cargo xtask instructions
//! cargo xtask instructions --update
//! ```
//!
//! The pieces are counted as they are built for tests, on x86-64, whose processors valgrind emulates alike: with one toolchain
//! the counts are the same on every machine.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what it prints is what it is for"
)]

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    process::{Command, ExitCode},
    sync::Arc,
};

use arrow::array::RecordBatch;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use bytes::{Bytes, BytesMut};
use clap::Parser;
use lakewright_aws::adapters::s3::{Payloads, S3Store};
use lakewright_core::{
    config::{self, Csv, Limits, OutputFormat, Policy, ResultColumn, Types},
    csv,
    encode::{Encoder, Layout},
    json::{self, MAX_DEPTH},
    location::Location,
    parquet_in::ParquetFile,
    parquet_out::RowGroupLimit,
    split::{Column, Framing, Renderer, RowReader, SourceFormat, rows},
};
use lakewright_ports::{PutOptions, Store as _};
use lakewright_tests::plates;
use parquet_merge::{Footer, Input, Merge, MergeOptions, Step, read_footer, unify};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The records of each piece of work.
const RECORDS: usize = 2_000;

/// The files that are merged, and the requests that are sent.
const FILES: usize = 8;
const REQUESTS: usize = 20;

/// How much a count may differ from the one that is kept, in percent.
const TOLERANCE: u64 = 3;

/// Compares counts of instructions with those that are kept.
#[derive(Parser)]
struct Arguments {
    /// Keep today's counts in place of the earlier ones.
    #[arg(long)]
    update: bool,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
    /// Only do this piece of work.
    #[arg(long, hide = true)]
    only: Option<String>,
}

/// A piece of work: makes its input, and does the work inside [`counted`].
type Piece = fn() -> Result<()>;

const PIECES: [(&str, Piece); 7] = [
    ("frame JSON and fill columns", fill_json),
    ("frame CSV and fill columns", fill_csv),
    ("read Parquet", read_parquet),
    ("encode Parquet", encode_parquet),
    ("merge Parquet files", merge_files),
    ("split a result into objects", split_rows),
    ("put an object", put_object),
];

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(only) = &arguments.only {
        let piece = PIECES.iter().find(|(name, _)| name == only);
        piece.ok_or("there is no such piece of work")?.1()?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    let mut counts = BTreeMap::new();
    for (name, _) in PIECES {
        counts.insert(name.to_owned(), count(name)?);
    }
    if arguments.update {
        fs::write(path, serde_json::to_string_pretty(&counts)? + "\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let kept: BTreeMap<String, u64> = serde_json::from_slice(&fs::read(path)?)?;
    let mut failed = 0;
    for (name, count) in &counts {
        let before = kept.get(name).copied().unwrap_or_default();
        let differs = count.abs_diff(before) * 100 > before * TOLERANCE;
        failed += usize::from(differs);
        let mark = if differs { "  differs" } else { "" };
        if !arguments.json {
            println!("{name}: {count} instructions, {before} are kept{mark}");
        }
    }
    if arguments.json {
        println!(
            "{}",
            serde_json::json!({ "counts": counts, "kept": kept, "failed": failed })
        );
    } else {
        println!("{} passed, {failed} failed", counts.len() - failed);
    }
    if failed == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "more than {TOLERANCE}% of difference: mend it, or keep the new counts with `cargo xtask instructions --update` and \
         say why in the commit"
    );
    Ok(ExitCode::FAILURE)
}

/// The instructions of a piece of work, without those of making its input.
fn count(name: &str) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*instructions*counted*")
        .arg(env::current_exe()?)
        .args(["--only", name])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let counted = told
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .and_then(|(_, count)| count.trim().parse().ok())
        .filter(|&count| count > 0 && output.status.success());
    Ok(counted.ok_or_else(|| format!("`{name}` was not counted: {told}"))?)
}

/// Only what is done in here is counted.
#[inline(never)]
fn counted(work: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    work()
}

fn batch() -> Result<RecordBatch> {
    let text = plates::json(RECORDS);
    plates::columns(&mut json::Framer::new(1 << 20, MAX_DEPTH), &text)
}

fn fill_json() -> Result<()> {
    let text = plates::json(RECORDS);
    counted(&mut || {
        plates::columns(&mut json::Framer::new(1 << 20, MAX_DEPTH), &text)?;
        Ok(())
    })
}

fn fill_csv() -> Result<()> {
    let text = plates::csv(RECORDS);
    counted(&mut || {
        let mut framer = csv::Framer::new(&Csv::default(), &[], 1 << 20)?;
        plates::columns(&mut framer, &text)?;
        Ok(())
    })
}

fn encoded(batch: &RecordBatch) -> Result<Vec<u8>> {
    let output = config::Output::new(OutputFormat::Parquet);
    let layout = Layout::plain(batch.schema());
    let mut encoder = Encoder::new(&output, &layout, RowGroupLimit::default())?;
    encoder.write(batch)?;
    Ok(encoder.finish()?)
}

fn encode_parquet() -> Result<()> {
    let batch = batch()?;
    counted(&mut || {
        encoded(&batch)?;
        Ok(())
    })
}

fn read_parquet() -> Result<()> {
    let batch = batch()?;
    let file = Bytes::from(encoded(&batch)?);
    counted(&mut || {
        let file = ParquetFile::open(file.clone(), &Limits::default())?;
        let mut rows = file.read_columns(
            &plates::schema(),
            Policy::Fail,
            Policy::Fail,
            Box::new(|_| None),
        )?;
        while rows.next().transpose()?.is_some() {}
        Ok(())
    })
}

fn merge_files() -> Result<()> {
    let file = Bytes::from(encoded(&batch()?)?);
    counted(&mut || {
        let size = file.len() as u64;
        let input = |number: usize| match read_footer(&file, size, 1 << 24)? {
            Footer::Read(metadata) => Ok(Input {
                name: number.to_string(),
                size,
                metadata: Arc::from(metadata),
            }),
            Footer::Needs(_) => Err("the whole file is there".into()),
        };
        let inputs = (0..FILES).map(input).collect::<Result<Vec<_>>>()?;
        let schemas = inputs.iter().map(|input| {
            let file = input.metadata.file_metadata();
            (input.name.as_str(), file.schema_descr())
        });
        let mut merge = Merge::new(unify(schemas)?, inputs, MergeOptions::default())?;
        let mut supplied = Vec::new();
        loop {
            match merge.step(std::mem::take(&mut supplied))? {
                Step::Fetch(fetches) => {
                    for fetch in fetches {
                        let start = usize::try_from(fetch.range.start)?;
                        let end = usize::try_from(fetch.range.end)?;
                        let bytes = file.slice(start..end);
                        supplied.push((fetch, bytes));
                    }
                }
                Step::Write(_) => {}
                Step::Done(_) => return Ok(()),
            }
        }
    })
}

fn split_rows() -> Result<()> {
    let row = |n: usize| {
        format!(
            "\"{n}\",\"AB{:02} XYZ\",\"{}.5\",,\"a, b\"\n",
            n % 97,
            n % 130
        )
    };
    let text = (0..RECORDS).map(row).collect::<String>();
    let columns = ["id", "plate", "speed", "site", "note"].map(|name| ResultColumn {
        name: name.to_owned(),
        athena_type: "varchar".to_owned(),
    });
    let types = Types::Query;
    let reader = RowReader::new(SourceFormat::Csv, Column::all(&columns, types), types);
    let framing = SourceFormat::Csv.framing().unwrap_or(Framing::JsonLines);
    let job = serde_json::from_value(serde_json::json!({ "name": "j", "target": "s3://b/p/" }))?;
    let renderer = Renderer::new(&job)?;
    counted(&mut || {
        let mut object = BytesMut::new();
        for (number, bytes) in (0..).zip(rows(framing, text.as_bytes())) {
            object.clear();
            let row = reader.read(bytes).map_err(|problem| problem.to_string())?;
            renderer.render(&row, number, "j", &mut object);
        }
        Ok(())
    })
}

/// A service that accepts everything.
#[derive(Debug)]
struct Accepting;

impl HttpConnector for Accepting {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let answer = StatusCode::try_from(200).map(|status| {
            let mut answer = HttpResponse::new(status, SdkBody::empty());
            answer.headers_mut().insert("etag", "\"counted\"");
            answer
        });
        let answer = answer.map_err(|error| ConnectorError::other(error.into(), None));
        HttpConnectorFuture::ready(answer)
    }
}

fn put_object() -> Result<()> {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "counted"))
        .http_client(http_client_fn(|_, _| SharedHttpConnector::new(Accepting)))
        .build();
    let client = aws_sdk_s3::Client::from_conf(config);
    let store = S3Store::new(client, Payloads::Unsigned);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let put = |number: usize| {
        let at = Location::new("lake", format!("year=2026/{number}.parquet"));
        let body = Bytes::from_static(&[7; 16 << 10]);
        runtime.block_on(store.put(&at, body, PutOptions::default()))
    };
    // The client reads its rules for endpoints at the first request.
    put(REQUESTS)?;
    counted(&mut || {
        for number in 0..REQUESTS {
            put(number)?;
        }
        Ok(())
    })
}
