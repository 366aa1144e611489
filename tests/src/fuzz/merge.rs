//! Parquet files that are merged.

use std::{error::Error, sync::Arc};

use bytes::Bytes;
use parquet::file::metadata::ParquetMetaData;
use parquet_merge::{
    Footer, FooterError, Input, Merge, MergeOptions, Step, read_footer, unify, verify,
};

/// Merging a file with itself returns a file with twice its rows or an error, in the file's order and sorted by the
/// first column.
pub fn check(data: &[u8]) {
    let file = Bytes::copy_from_slice(data);
    for sorted in [false, true] {
        // Any result is fine, as long as it does not panic.
        let _ = merge(&file, sorted);
    }
}

#[expect(clippy::expect_used, reason = "what the merge wrote must be a file")]
fn merge(file: &Bytes, sorted: bool) -> Result<(), Box<dyn Error>> {
    let metadata: Arc<ParquetMetaData> = Arc::from(footer(file)?);
    let input = || Input {
        name: "file".to_owned(),
        size: file.len() as u64,
        metadata: Arc::clone(&metadata),
    };
    let schema = metadata.file_metadata().schema_descr();
    let unified = unify([("file", schema)])?;
    let first = schema.columns().first().filter(|_| sorted);
    let options = MergeOptions {
        sort_by: first
            .into_iter()
            .map(|column| column.name().to_owned())
            .collect(),
        memory: 64 << 20,
        ..MergeOptions::default()
    };
    let mut merge = Merge::new(unified.clone(), vec![input(), input()], options)?;
    let (mut supplied, mut merged) = (Vec::new(), Vec::new());
    let summary = loop {
        match merge.step(std::mem::take(&mut supplied))? {
            Step::Fetch(fetches) => {
                for fetch in fetches {
                    let [start, end] = [fetch.range.start, fetch.range.end]
                        .map(|at| usize::try_from(at).expect("it lies in the file"));
                    let bytes = file.slice(start..end);
                    supplied.push((fetch, bytes));
                }
            }
            Step::Write(bytes) => merged.extend_from_slice(&bytes),
            Step::Done(summary) => break summary,
        }
    };
    let merged = Bytes::from(merged);
    let written = footer(&merged).expect("what was merged has a footer");
    verify(&written, merged.len() as u64, summary.rows, &unified).expect("and is as it should be");
    Ok(())
}

fn footer(file: &Bytes) -> Result<Box<ParquetMetaData>, FooterError> {
    match read_footer(file, file.len() as u64, 1 << 24)? {
        Footer::Read(footer) => Ok(footer),
        Footer::Needs(_) => Err(FooterError::NotParquet),
    }
}
