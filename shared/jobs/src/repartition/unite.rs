//! Merges whole Parquet objects into one file of each output, without decoding rows.

use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lakewright_core::{
    config::{Output, OutputFormat, Size},
    parquet_out::{CREATED_BY, RowGroupLimit},
    repartition::united,
};
use parquet_merge::{Fetch, Input, Merge, MergeError, MergeOptions, OutputCompression, Unified};

use super::{
    context::Context, files::Files, ledger::SourceObject, refusal::unread, replay::WrittenRows,
};
use crate::{
    kit::{ErrorKind, JobError, Stage, task::Task},
    work::{
        footer::{self, FooterFailure, ParquetObject, Tail},
        merge::{self, CONCURRENT_READS, Failed, LEAST_MEMORY, Read, UPLOAD_MEMORY},
        source::Pinned,
        upload::Upload,
    },
};

/// The most concurrent reads of footers.
const CONCURRENT_FOOTERS: usize = 16;

/// The footers of all objects may take the memory divided by this.
const FOOTERS_SHARE: u64 = 4;

/// An object of the source.
struct Object {
    pinned: Pinned,
    /// All of its bytes, if there is room.
    whole: Option<Bytes>,
}

/// Writes the first file of each output from all objects of the plan. `None` if their rows must be decoded, because a
/// column changes, an output is text, or the objects cannot be merged.
pub(super) async fn unite(
    context: Context<'_>,
    files: &mut Files<'_>,
) -> Result<Option<WrittenRows>, JobError> {
    let plan = context.plan;
    let outputs = &plan.settings.output;
    let is_text = |output: &Output| output.format != OutputFormat::Parquet;
    // With less memory there is no room for a merge and its upload: rows are decoded then.
    let least = (LEAST_MEMORY + UPLOAD_MEMORY) as u64;
    let Some(memory) = context.budget.memory.checked_sub(least) else {
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
    let memory = memory.saturating_sub(kept + UPLOAD_MEMORY);
    let mut made = Vec::new();
    let sources = (&objects[..], &inputs[..], &unified);
    let all = make(context, files, sources, memory, &mut made).await;
    if !matches!(all, Ok(true)) {
        for (_, mut upload, _) in made {
            upload.abandon().await;
        }
        return all.map(|_| None);
    }
    for (output, upload, last) in made {
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
    made: &mut Vec<(usize, Upload, Vec<u8>)>,
) -> Result<bool, JobError> {
    for (index, output) in context.plan.settings.output.iter().enumerate() {
        if files.is_written(index, "", 0)? {
            continue;
        }
        let options = options(output, memory);
        let merge = match Merge::new(unified.clone(), inputs.to_vec(), options) {
            Ok(merge) => merge,
            Err(error) => return Ok(refused(&error)),
        };
        let upload = files.upload(index, "", 0)?;
        let merged = merge::run(merge, upload, |fetch| read(context, objects, fetch)).await;
        match merged {
            Ok((upload, last)) => made.push((index, upload, last)),
            Err(Failed::Refused(error)) => return Ok(refused(&error)),
            Err(Failed::Job(error)) => return Err(error),
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
    let asked = output.row_group_size.map_or(u64::MAX, Size::as_u64);
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
        reads: CONCURRENT_READS,
        ..MergeOptions::default()
    }
}

/// The objects of the plan and their footers; `None` if one has no valid footer. `room`: the most bytes of objects that
/// may be kept.
async fn open(
    context: Context<'_>,
    mut room: u64,
) -> Result<Option<(Vec<Object>, Vec<Input>)>, JobError> {
    let (plan, tail) = (context.plan, Tail::default());
    let reads = plan.sources.iter().map(|source| {
        let fits = source.size <= room;
        room -= if fits { source.size } else { 0 };
        opened(context, source, &tail, fits).boxed()
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
    // All footers are in memory at once. Many objects with long footers are read row by row.
    let most = context.budget.memory / FOOTERS_SHARE;
    let mut footers = input.metadata.memory_size() as u64;
    let (mut objects, mut inputs) = (vec![object], vec![input]);
    let mut reads = stream::iter(reads).buffered(CONCURRENT_FOOTERS);
    while let Some(opened) = reads.try_next().await? {
        let Some((object, input)) = opened else {
            return Ok(None);
        };
        footers += input.metadata.memory_size() as u64;
        if footers > most {
            tracing::info!(
                objects = inputs.len(),
                "the footers need too much memory for a merge: the objects are read row by row"
            );
            return Ok(None);
        }
        objects.push(object);
        inputs.push(input);
    }
    Ok(Some((objects, inputs)))
}

/// An object and its footer; `None` if it has no valid one. `whole`: whether all of it is read and kept.
async fn opened(
    context: Context<'_>,
    source: &SourceObject,
    tail: &Tail,
    whole: bool,
) -> Result<Option<(Object, Input)>, JobError> {
    in_time(context)?;
    let location = context.plan.location(source);
    let file = ParquetObject {
        store: &*context.ports.store,
        location: &location,
        size: source.size,
        etag: Some(&source.etag),
        tail,
        limit: context.plan.settings.limits.parquet_footer.as_u64(),
    };
    let read = if whole {
        let read = file.whole().await;
        read.map(|(metadata, bytes)| (metadata, Some(bytes)))
    } else {
        file.footer().await.map(|metadata| (metadata, None))
    };
    let (metadata, whole) = match read {
        Ok(read) => read,
        Err(FooterFailure::Unreadable(_)) => return Ok(None),
        Err(FooterFailure::Store(error)) => {
            return Err(unread(&location, JobError::store(Stage::Read, error)));
        }
    };
    let input = Input {
        name: location.to_string(),
        size: source.size,
        metadata: Arc::new(metadata),
    };
    let object = Object {
        pinned: source.pinned(&context.ports.store, location),
        whole,
    };
    Ok(Some((object, input)))
}

fn in_time(context: Context<'_>) -> Result<(), JobError> {
    if context.ports.clock.now() >= context.budget.deadline {
        return Err(JobError::deadline());
    }
    Ok(())
}

/// A read that a merge asked for.
fn read(context: Context<'_>, objects: &[Object], fetch: &Fetch) -> Result<Read, JobError> {
    in_time(context)?;
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
        let range = place(fetch.range.start)..place(fetch.range.end);
        return Ok(Read::Here(whole.slice(range)));
    }
    let (pinned, range) = (object.pinned.clone(), fetch.range.clone());
    Ok(Read::Begun(Task::spawn(async move {
        let read = pinned.bytes(range).await;
        read.map_err(|error| unread(&pinned.location, error))
    })))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{super::fixture::*, *};
    use crate::fixture::{self, View, everything, told};

    #[test]
    fn files_are_merged_where_no_row_has_to_be_decoded() {
        const ROOM: u64 = 256 << 20;
        let written: &[&str] = &["+out/part-00000.parquet"];
        let examples: &[(&[Was], u64, &str, &[&str])] = &[
            (&[], ROOM, "6 rows", written),
            (&[Was::File("in/1", 0, true)], ROOM, "3 rows", written),
            (&[Was::File("in/1", 3, false)], ROOM, "decoded", &[]),
            (
                &[Was::File("in/0", 0, true), Was::File("in/1", 0, true)],
                ROOM,
                "decoded",
                &[],
            ),
            // Not enough for a merge.
            (&[], 64 << 20, "decoded", &[]),
            // P4: only what was planned is read.
            (
                &[Was::Ran(Step::Plan), Was::File("in/1", 2, true)],
                ROOM,
                "SourceChanged",
                &[],
            ),
            (
                &[Was::Ran(Step::Plan), Was::Gone("in/0")],
                ROOM,
                "SourceChanged",
                &[],
            ),
        ];
        let view = View {
            kept: everything,
            names,
        };
        fixture::check(examples.iter().map(|(was, memory, answer, changes)| {
            let told = told(
                &view,
                async |lake| {
                    let form = given(lake, Form::United, was).await;
                    if plan_of(lake, form).await.is_none() {
                        given(lake, form, &[was, &[Was::Ran(Step::Plan)][..]].concat()).await;
                    }
                    form
                },
                async |lake, client, form| {
                    let (ports, plan) =
                        (lake.ports_of(client), plan_of(lake, *form).await.unwrap());
                    let budget = crate::kit::Budget {
                        memory: *memory,
                        ..budget(lake)
                    };
                    let mut files = Files::new(&ports, &plan, &budget, Vec::new())?;
                    let context = Context {
                        ports: &ports,
                        budget: &budget,
                        secrets: &BTreeMap::new(),
                        plan: &plan,
                    };
                    let written = unite(context, &mut files).await?;
                    files.all().await?;
                    Ok(written.map_or("decoded".to_owned(), |written| {
                        format!("{} rows", written.rows)
                    }))
                },
            );
            (format!("{memory} after {was:?}"), told, *answer, *changes)
        }));
    }
}
