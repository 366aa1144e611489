//! Merges whole Parquet objects into one file of each output, without decoding rows.

use std::sync::Arc;

use bytes::Bytes;
use futures::{
    FutureExt, StreamExt, TryStreamExt,
    stream::{self, FuturesUnordered},
};
use lakewright_core::{
    config::{Output, OutputFormat},
    location::Location,
    parquet_out::{CREATED_BY, RowGroupLimit},
    repartition::united,
};
use parquet_merge::{
    FOOTER_TAIL, Fetch, Footer, Input, Merge, MergeError, MergeOptions, OutputCompression, Step,
    Unified, read_footer,
};

use super::{
    files::Files,
    ledger::SourceObject,
    refusal::unread,
    replay::{Context, WrittenRows},
};
use crate::{
    kit::{ErrorKind, JobError, Stage, task::Task},
    ports::{GetOptions, Store},
    work::{
        footer,
        upload::{PART, Upload},
    },
};

/// The most concurrent reads.
const CONCURRENT: usize = 16;

/// Two parts of a file are being uploaded while the next is produced.
const PARTS: usize = 3 * PART;

/// With less memory there is no room for a merge and its parts: rows are decoded then.
const LEAST_MEMORY: u64 = (64 << 20) + PARTS as u64;

/// An object of the source.
struct Object {
    location: Location,
    etag: String,
    /// All of its bytes, if there is room.
    whole: Option<Bytes>,
}

/// Writes the first file of each output from all objects of the plan. `None` if their rows must be decoded, because a
/// column changes, an output is text, or the objects cannot be merged.
pub(super) async fn write(
    context: Context<'_>,
    files: &mut Files<'_>,
) -> Result<Option<WrittenRows>, JobError> {
    let plan = context.plan;
    let outputs = &plan.settings.output;
    let is_text = |output: &Output| output.format != OutputFormat::Parquet;
    let Some(memory) = context.budget.memory.checked_sub(LEAST_MEMORY) else {
        return Ok(None);
    };
    if !plan.reading.is_parquet() || outputs.iter().any(is_text) {
        return Ok(None);
    }
    // Small objects are read once, for their footer and for all outputs.
    let room = memory.min(context.budget.memory / 4);
    let Some((objects, inputs)) = open(context, room).await? else {
        return Ok(None);
    };
    let Some(unified) = united(&plan.shape, &inputs) else {
        return Ok(None);
    };
    let rows = inputs
        .iter()
        .map(|input| footer::rows(&input.metadata))
        .sum();
    if rows == 0 {
        return Ok(None);
    }
    let kept = objects.iter().flat_map(|object| &object.whole);
    let kept: usize = kept.map(Bytes::len).sum();
    let memory = usize::try_from(context.budget.memory).unwrap_or(usize::MAX);
    let memory = memory.saturating_sub(kept + PARTS);
    let mut made = Vec::new();
    let sources = (&objects[..], &inputs[..], &unified);
    let all = make(context, files, sources, memory, &mut made).await;
    if !matches!(all, Ok(true)) {
        for (mut upload, _) in made {
            upload.abandon().await;
        }
        return all.map(|_| None);
    }
    for (output, (upload, last)) in made.into_iter().enumerate() {
        files.end(output, &[], rows, upload, last).await?;
    }
    Ok(Some(WrittenRows {
        rows,
        values_dropped: 0,
    }))
}

/// Produces the file of each output except its last bytes, which are only in `made`. Returns false if the merge refuses
/// the objects.
async fn make(
    context: Context<'_>,
    files: &Files<'_>,
    (objects, inputs, unified): (&[Object], &[Input], &Unified),
    memory: usize,
    made: &mut Vec<(Upload, Vec<u8>)>,
) -> Result<bool, JobError> {
    for (index, output) in context.plan.settings.output.iter().enumerate() {
        let (mut upload, mut last) = (files.upload(index, "", 0)?, Vec::new());
        let options = options(output, memory);
        let worked_off = match Merge::new(unified.clone(), inputs.to_vec(), options) {
            Ok(merge) => work_off(context, objects, merge, &mut upload, &mut last).await,
            Err(error) => Ok(refused(&error)),
        };
        made.push((upload, last));
        if !worked_off? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Logs that a merge is not possible.
fn refused(error: &MergeError) -> bool {
    tracing::info!(%error, "the objects are read row by row");
    false
}

/// The format of the merged file: the same as an encoder's.
fn options(output: &Output, memory: usize) -> MergeOptions {
    let default = RowGroupLimit::default();
    let asked = output.row_group_size.map_or(u64::MAX, |size| size.as_u64());
    MergeOptions {
        row_group: RowGroupLimit {
            bytes: usize::try_from(asked)
                .unwrap_or(usize::MAX)
                .min(default.bytes),
            ..default
        },
        compression: OutputCompression::As(output.compression().into()),
        created_by: CREATED_BY.to_owned(),
        bloom_filters: output.bloom_filter_columns.clone(),
        memory,
        reads: CONCURRENT,
        ..MergeOptions::default()
    }
}

/// The objects of the plan and their footers; `None` if one has no valid footer. `room`: the most bytes of objects that
/// may be kept.
async fn open(
    context: Context<'_>,
    mut room: u64,
) -> Result<Option<(Vec<Object>, Vec<Input>)>, JobError> {
    let plan = context.plan;
    let reads = plan.sources.iter().map(|source| {
        let fits = source.size <= room;
        room -= if fits { source.size } else { 0 };
        footer(context, source, fits).boxed()
    });
    let mut reads = reads.collect::<Vec<_>>().into_iter();
    let Some(first) = reads.next() else {
        return Ok(None);
    };
    // If the files cannot be merged, usually the first one shows it.
    let first = first.await?;
    let fits =
        |(_, input): &(Object, Input)| united(&plan.shape, std::slice::from_ref(input)).is_some();
    let Some((object, input)) = first.filter(fits) else {
        return Ok(None);
    };
    let (mut objects, mut inputs) = (vec![object], vec![input]);
    let mut reads = stream::iter(reads).buffered(CONCURRENT);
    while let Some(opened) = reads.try_next().await? {
        let Some((object, input)) = opened else {
            return Ok(None);
        };
        objects.push(object);
        inputs.push(input);
    }
    Ok(Some((objects, inputs)))
}

/// An object and its footer; `None` if it has no valid one. `whole`: whether all of it is read and kept.
async fn footer(
    context: Context<'_>,
    source: &SourceObject,
    whole: bool,
) -> Result<Option<(Object, Input)>, JobError> {
    let store = &*context.ports.store;
    let limit = context.plan.settings.limits.parquet_footer.as_u64();
    let (location, size) = (context.plan.location(source), source.size);
    let mut start = if whole {
        0
    } else {
        size.saturating_sub(FOOTER_TAIL)
    };
    loop {
        in_time(context)?;
        let tail = get(store, &location, &source.etag, start..size).await?;
        let metadata = match read_footer(&tail, size, limit) {
            Ok(Footer::Read(metadata)) => Arc::from(metadata),
            Ok(Footer::Needs(range)) if range.start < start => {
                start = range.start;
                continue;
            }
            _ => return Ok(None),
        };
        let input = Input {
            name: location.to_string(),
            size,
            metadata,
        };
        let object = Object {
            location,
            etag: source.etag.clone(),
            whole: whole.then_some(tail),
        };
        return Ok(Some((object, input)));
    }
}

async fn get(
    store: &dyn Store,
    location: &Location,
    etag: &str,
    range: std::ops::Range<u64>,
) -> Result<Bytes, JobError> {
    let options = GetOptions {
        if_match: Some(etag.to_owned()),
        range: Some(range),
        ..GetOptions::default()
    };
    match store.get(location, options).await {
        Ok(body) => Ok(body.bytes),
        Err(error) => Err(unread(location, JobError::store(Stage::Read, error))),
    }
}

fn in_time(context: Context<'_>) -> Result<(), JobError> {
    if context.ports.clock.now() >= context.budget.deadline {
        return Err(JobError::deadline());
    }
    Ok(())
}

/// Runs the merge, and leaves the last bytes of the file in `ready`. Returns false if the merge refuses the objects.
async fn work_off(
    context: Context<'_>,
    objects: &[Object],
    mut merge: Merge,
    upload: &mut Upload,
    ready: &mut Vec<u8>,
) -> Result<bool, JobError> {
    let mut under_way = FuturesUnordered::new();
    let mut supplied = Vec::new();
    loop {
        in_time(context)?;
        match merge.step(std::mem::take(&mut supplied)) {
            Ok(Step::Fetch(fetches)) => {
                for fetch in fetches {
                    match begin(context, objects, &fetch)? {
                        Read::Here(bytes) => supplied.push((fetch, bytes)),
                        Read::UnderWay(task) => {
                            under_way.push(async move { (fetch, task.join(Stage::Read).await) });
                        }
                    }
                }
                if supplied.is_empty() {
                    let read = under_way.next().await;
                    let (fetch, read) = read.ok_or_else(|| {
                        JobError::task(Stage::Read, "the merge waits for nothing".to_owned())
                    })?;
                    supplied.push((fetch, read??));
                }
            }
            Ok(Step::Write(bytes)) => {
                ready.extend_from_slice(&bytes);
                if ready.len() >= PART {
                    let part = std::mem::replace(ready, Vec::with_capacity(PART + PART / 4));
                    let put = upload.part(part).await;
                    put.map_err(|error| JobError::store(Stage::Write, error))?;
                }
            }
            Ok(Step::Done(_)) => return Ok(true),
            Err(error) => return Ok(refused(&error)),
        }
        tokio::task::yield_now().await;
    }
}

/// A read that a merge requested.
enum Read {
    Here(Bytes),
    UnderWay(Task<Result<Bytes, JobError>>),
}

fn begin(context: Context<'_>, objects: &[Object], fetch: &Fetch) -> Result<Read, JobError> {
    let missing = || {
        JobError::new(
            ErrorKind::BadRequest,
            format!(
                "the plan has no such task: a read of object {}",
                fetch.input
            ),
        )
    };
    let object = objects.get(fetch.input).ok_or_else(missing)?;
    if let Some(whole) = &object.whole {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(whole.len());
        return Ok(Read::Here(
            whole.slice(place(fetch.range.start)..place(fetch.range.end)),
        ));
    }
    let (store, location) = (Arc::clone(&context.ports.store), object.location.clone());
    let (etag, range) = (object.etag.clone(), fetch.range.clone());
    Ok(Read::UnderWay(Task::spawn(async move {
        get(&*store, &location, &etag, range).await
    })))
}
