//! Merges Parquet files into one: reads the ranges that the merge needs, and uploads what it returns.

use std::sync::Arc;

use bytes::Bytes;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, FuturesUnordered},
};
use lakewright_core::{
    config::{self, Compression},
    parquet_out::{CREATED_BY, RowGroupLimit},
};
use parquet_merge::{
    Fetch, Merge, MergeError, MergeOptions, OutputCompression, Step, Unified, Unread, unify, verify,
};

use super::{
    Budget, Ports, footers,
    ledger::{self, Bin, Plan},
};
use crate::{
    kit::{ErrorKind, JobError, task::Task},
    ports::{Store, StoreError},
    work::upload::{Finished, PART, Upload},
};
pub(super) use parquet_merge::Input;

/// The most footers that are read at once.
const CONCURRENT_FOOTERS: usize = 32;

/// The most concurrent reads of a merge.
const CONCURRENT_READS: usize = 16;

/// The least memory for a merge.
const LEAST_MEMORY: usize = 64 << 20;

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

/// What a merge has to know of its files beforehand; empty if it reads all footers itself.
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
    let row_group = rules.row_group_size.map(|size| size.as_u64());
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
pub(super) async fn write(
    ports: &Ports,
    plan: &Plan,
    bin: &Bin,
    budget: &Budget,
) -> Result<(u64, Finished), JobError> {
    // Two upload parts are in flight in addition to the merge's memory.
    let memory = usize::try_from(budget.memory).unwrap_or(usize::MAX);
    let memory = memory.saturating_sub(3 * PART).max(LEAST_MEMORY);
    let (merge, unified) = begin(&*ports.store, plan, bin, memory).await?;
    let finished = run(&ports.store, plan, bin, merge).await?;
    let output = plan.output(bin);
    let meta = ports.store.head(&output, None).await?;
    let etag = Some(meta.etag.as_str());
    let footer = footers::footer(&*ports.store, &output, meta.size, etag).await?;
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

/// Runs the merge. If it fails, the upload is aborted.
async fn run(
    store: &Arc<dyn Store>,
    plan: &Plan,
    bin: &Bin,
    merge: Merge,
) -> Result<Finished, JobError> {
    let mut output = Output {
        ready: Vec::new(),
        upload: Some(Upload::new(
            Arc::clone(store),
            plan.output(bin),
            "application/vnd.apache.parquet",
        )),
        under_way: None,
    };
    match work_off(store, plan, bin, merge, &mut output).await {
        Ok(()) => output.finish().await,
        Err(error) => {
            if let Ok(mut upload) = output.upload().await {
                upload.abandon().await;
            }
            Err(error)
        }
    }
}

async fn work_off(
    store: &Arc<dyn Store>,
    plan: &Plan,
    bin: &Bin,
    mut merge: Merge,
    output: &mut Output,
) -> Result<(), JobError> {
    let mut reads = FuturesUnordered::new();
    let mut supplied = Vec::new();
    loop {
        match merge
            .step(std::mem::take(&mut supplied))
            .map_err(|error| unmergeable(&error))?
        {
            Step::Fetch(fetches) => {
                for fetch in fetches {
                    reads.push(read(store, plan, bin, fetch)?);
                }
                let read = reads.next().await.ok_or_else(|| {
                    JobError::new(ErrorKind::TaskFailed, "the merge waits for nothing")
                })?;
                supplied.push(read.map_err(|error| ended(&error))??);
            }
            Step::Write(bytes) => output.write(&bytes).await?,
            Step::Done(_) => return Ok(()),
        }
        tokio::task::yield_now().await;
    }
}

/// A read in progress and its result.
type Reading = Task<Result<(Fetch, Bytes), JobError>>;

/// Starts a read.
fn read(store: &Arc<dyn Store>, plan: &Plan, bin: &Bin, fetch: Fetch) -> Result<Reading, JobError> {
    let input = bin.inputs.get(fetch.input).ok_or_else(|| {
        JobError::new(
            ErrorKind::TaskFailed,
            format!("the merge asks for file {}", fetch.input),
        )
    })?;
    let (store, location, etag) = (
        Arc::clone(store),
        plan.from.join(&input.name),
        input.etag.clone(),
    );
    Ok(Task::spawn(async move {
        let bytes = footers::read(&*store, &location, fetch.range.clone(), &etag).await?;
        Ok((fetch, bytes))
    }))
}

/// The upload of a file: one part is uploaded while the next is produced.
struct Output {
    ready: Vec<u8>,
    /// `None` while a part is being uploaded.
    upload: Option<Upload>,
    under_way: Option<Task<(Upload, Result<(), StoreError>)>>,
}

impl Output {
    async fn write(&mut self, bytes: &Bytes) -> Result<(), JobError> {
        self.ready.extend_from_slice(bytes);
        if self.ready.len() < PART {
            return Ok(());
        }
        let part = std::mem::take(&mut self.ready);
        let mut upload = self.upload().await?;
        self.under_way = Some(Task::spawn(async move {
            let put = upload.part(part).await;
            (upload, put)
        }));
        Ok(())
    }

    /// The upload, once no part is being uploaded.
    async fn upload(&mut self) -> Result<Upload, JobError> {
        if let Some(task) = self.under_way.take() {
            let (upload, put) = task.await.map_err(|error| ended(&error))?;
            put?;
            return Ok(upload);
        }
        self.upload
            .take()
            .ok_or_else(|| JobError::new(ErrorKind::TaskFailed, "the upload is gone"))
    }

    async fn finish(mut self) -> Result<Finished, JobError> {
        let last = std::mem::take(&mut self.ready);
        Ok(self.upload().await?.finish(last).await?)
    }
}

fn ended(error: &tokio::task::JoinError) -> JobError {
    JobError::new(ErrorKind::TaskFailed, error.to_string())
}
