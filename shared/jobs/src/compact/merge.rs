//! Merges Parquet files into one: reads the ranges that the merge needs, and uploads what it returns.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use lakewright_core::{
    config::{self, Compression, Size},
    parquet_out::{CREATED_BY, RowGroupLimit},
};
use parquet_merge::{
    Fetch, Merge, MergeError, MergeOptions, OutputCompression, Unified, Unread, unify, verify,
};

use super::{
    Budget, Ports, footers,
    ledger::{self, Bin, Plan},
};
use crate::{
    kit::{ErrorKind, JobError, Stage, task::Task},
    work::{
        merge::{self, CONCURRENT_READS, Failed, LEAST_MEMORY, Read, UPLOAD_MEMORY},
        upload::{Finished, Upload},
    },
};
use lakewright_ports::Store;
pub(super) use parquet_merge::Input;

/// The most footers that are read at once.
const CONCURRENT_FOOTERS: usize = 32;

/// The most memory of a function. Whether a merge needs more than this function has is only known when it runs.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const MOST_MEMORY: usize = 10 << 30;

/// A survey of a bin's files, one after the other.
pub(super) struct Survey<'a> {
    rules: &'a config::Compact,
    files: parquet_merge::Survey,
    /// All files, if the merge needs them at once.
    all: Vec<Input>,
}

/// What a merge needs to know about its files in advance; empty if it reads all footers itself.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// As [`Bin::firsts`].
    pub(super) firsts: Vec<usize>,
    /// As [`Bin::compressions`].
    pub(super) compressions: Vec<Compression>,
}

impl<'a> Survey<'a> {
    pub(super) fn new(rules: &'a config::Compact) -> Self {
        Self {
            rules,
            files: parquet_merge::Survey::default(),
            all: Vec::new(),
        }
    }

    /// Adds the next file.
    ///
    /// # Errors
    /// Why it cannot be merged.
    pub(super) fn add(&mut self, input: Input) -> Result<(), JobError> {
        self.files
            .add(&input)
            .map_err(|error| unmergeable(&error))?;
        if needs_all(self.rules) {
            self.all.push(input);
        }
        Ok(())
    }

    /// Checks that the files can be merged.
    ///
    /// # Errors
    /// The two files and the column that are incompatible, or another reason.
    pub(super) fn finish(self) -> Result<Known, JobError> {
        let surveyed = self.files.finish();
        let surveyed =
            surveyed.map_err(|error| JobError::new(ErrorKind::Unmergeable, error.to_string()))?;
        let unified = surveyed.unified;
        let options = options(self.rules, MOST_MEMORY);
        if needs_all(self.rules) {
            Merge::new(unified, self.all, options).map_err(|error| unmergeable(&error))?;
            return Ok(Known::default());
        }
        let (firsts, inputs): (_, Vec<_>) = surveyed.firsts.into_iter().unzip();
        let compressions = surveyed.compressions;
        let known = compressions
            .iter()
            .copied()
            .map(Compression::from)
            .collect();
        Merge::unread(unified, &inputs, compressions, Vec::new(), options)
            .map_err(|error| unmergeable(&error))?;
        Ok(Known {
            firsts,
            compressions: known,
        })
    }
}

/// Whether a merge reads all footers before it starts.
fn needs_all(rules: &config::Compact) -> bool {
    !rules.sort_by.is_empty()
}

fn options(rules: &config::Compact, memory: usize) -> MergeOptions {
    let row_group = rules.row_group_size.map(Size::as_u64);
    let default = RowGroupLimit::default();
    MergeOptions {
        row_group: RowGroupLimit {
            bytes: row_group.map_or(default.bytes, |size| {
                usize::try_from(size).unwrap_or(usize::MAX)
            }),
            ..default
        },
        compression: rules
            .compression
            .codec()
            .map_or(OutputCompression::Keep, |codec| {
                OutputCompression::As(codec.into())
            }),
        created_by: CREATED_BY.to_owned(),
        bloom_filters: rules.bloom_filter_columns.clone(),
        sort_by: rules.sort_by.clone(),
        memory,
        reads: CONCURRENT_READS,
        ..MergeOptions::default()
    }
}

fn unmergeable(error: &MergeError) -> JobError {
    JobError::new(ErrorKind::Unmergeable, error.to_string())
}

/// Writes the file of a bin, create-only, and verifies what was written. Returns its size, and whether it already
/// existed.
pub(super) async fn make(
    ports: &Ports,
    plan: &Plan,
    bin: &Bin,
    budget: &Budget,
) -> Result<(u64, Finished), JobError> {
    let memory = usize::try_from(budget.memory).unwrap_or(usize::MAX);
    let memory = memory.saturating_sub(UPLOAD_MEMORY).max(LEAST_MEMORY);
    let (merge, unified) = begin(&*ports.store, plan, bin, memory).await?;
    let finished = run(&ports.store, plan, bin, merge).await?;
    let output = plan.output(bin);
    let meta = ports.store.head(&output, None).await?;
    let etag = Some(meta.etag.as_str());
    let footer = footers::footer(&*ports.store, &output, meta.size, etag).await?;
    // C2: verify the file that is stored, not the one in memory.
    verify(&footer, meta.size, bin.rows, &unified)
        .map_err(|error| JobError::new(ErrorKind::Unreadable, error.to_string()).of(output))?;
    Ok((meta.size, finished))
}

/// Creates the merge of a bin's files. If the plan has enough information, footers are read together with their files.
async fn begin(
    store: &dyn Store,
    plan: &Plan,
    bin: &Bin,
    memory: usize,
) -> Result<(Merge, Unified), JobError> {
    let rules = &plan.settings;
    let all = bin.firsts.is_empty() || needs_all(rules);
    let first = (0..).zip(&bin.inputs);
    let first = first.filter(|(place, _)| all || bin.firsts.binary_search(place).is_ok());
    let inputs = inputs(store, plan, first.map(|(_, input)| input)).await?;
    let schemas = inputs.iter().map(|input| {
        let file = input.metadata.file_metadata();
        (input.name.as_str(), file.schema_descr())
    });
    let unified =
        unify(schemas).map_err(|error| JobError::new(ErrorKind::Unmergeable, error.to_string()))?;
    let options = options(rules, memory);
    let merge = if all {
        Merge::new(unified.clone(), inputs, options)
    } else {
        let files = bin.inputs.iter().map(|input| Unread {
            name: plan.from.join(&input.name).to_string(),
            size: input.size,
        });
        let compressions = bin.compressions.iter().copied().map(Into::into);
        Merge::unread(
            unified.clone(),
            &inputs,
            compressions.collect(),
            files.collect(),
            options,
        )
    };
    Ok((merge.map_err(|error| unmergeable(&error))?, unified))
}

/// Files of a bin with their footers.
async fn inputs(
    store: &dyn Store,
    plan: &Plan,
    files: impl Iterator<Item = &ledger::Input>,
) -> Result<Vec<Input>, JobError> {
    let reads = files.map(|input| {
        let location = plan.from.join(&input.name);
        async move {
            let metadata = footers::footer(store, &location, input.size, Some(&input.etag)).await?;
            Ok::<_, JobError>(Input {
                name: location.to_string(),
                size: input.size,
                metadata,
            })
        }
    });
    stream::iter(reads)
        .buffered(CONCURRENT_FOOTERS)
        .try_collect()
        .await
}

/// Merges the files of a bin into its output.
async fn run(
    store: &Arc<dyn Store>,
    plan: &Plan,
    bin: &Bin,
    merge: Merge,
) -> Result<Finished, JobError> {
    let upload = Upload::new(
        Arc::clone(store),
        plan.output(bin),
        "application/vnd.apache.parquet",
    );
    let read = |fetch: &Fetch| {
        let input = bin.inputs.get(fetch.input).ok_or_else(|| {
            JobError::new(
                ErrorKind::TaskFailed,
                format!("the merge asks for file {}", fetch.input),
            )
        })?;
        let location = plan.from.join(&input.name);
        let (store, etag, range) = (Arc::clone(store), input.etag.clone(), fetch.range.clone());
        Ok(Read::Begun(Task::spawn(async move {
            footers::read(&*store, &location, range, &etag).await
        })))
    };
    let (upload, last) = merge::run(merge, upload, read)
        .await
        .map_err(|failed| match failed {
            Failed::Refused(error) => unmergeable(&error),
            Failed::Job(error) => error,
        })?;
    let finished = upload.finish(last).await;
    finished.map_err(|error| JobError::store(Stage::Write, error))
}
