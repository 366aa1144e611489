//! Reads the members of a batch once and finds, for every record, the partition of its own time.

mod avro;
mod parquet;
mod router;
mod rows;
mod text;

use std::collections::BTreeMap;

use arrow::{
    array::AsArray,
    datatypes::{Schema, UInt32Type},
};
use jiff::Timestamp;
use lakewright_core::{
    config::{InputFormat, SecretName},
    encode::{Layout, Parts},
    lateness::Lateness,
    operations::{self, OperationError, Operations, Secret},
    partition::{Partition, Partitioner},
    quarantine::Reason,
    time::TimestampReader,
};

use self::router::{Router, Row};
use super::{
    Settings,
    cut::{Cutter, Share},
    member::{Left, Members, Request, Wanted, attempt},
    quarantine::Quarantine,
    schema::{self, Inferred, RecordSchema},
    secrets,
};
use crate::{
    kit::{ErrorKind, JobError},
    work::{
        source::{Opened, Source},
        spool::Spool,
        timestamps::timestamps,
    },
};

/// The members of a batch, with their rows separated by partition.
pub(super) struct Routed {
    /// The members that were read, in the order of the candidates.
    pub(super) members: Vec<ReadMember>,
    /// The partitions; the index is the number in the spool.
    pub(super) partitions: Vec<Partition>,
    /// The rows of each member in each partition.
    pub(super) shares: Vec<Vec<Share>>,
    /// The files of each output in each partition.
    files: Vec<Vec<Parts>>,
    pub(super) spool: Spool,
    /// The spool's column of members, if the rows are sorted.
    member: Option<usize>,
    /// The columns of the spooled batches.
    pub(super) layout: Layout,
    pub(super) quarantine: Quarantine,
}

/// A member that was read.
pub(super) struct ReadMember {
    /// The index of the candidate.
    pub(super) candidate: u32,
    /// When the object landed, which is the meaning of `now` in a bound.
    pub(super) landed: Timestamp,
    /// What `now` means in `latest`, if it was uploaded in parts: when it was first read.
    pub(super) seen: Option<Timestamp>,
    pub(super) rows_in: u64,
    pub(super) fields_dropped: u64,
    pub(super) values_dropped: u64,
    pub(super) control_messages: u64,
    pub(super) quarantined: BTreeMap<Reason, u64>,
    pub(super) lateness: Option<Lateness>,
}

impl ReadMember {
    /// The number of quarantined records.
    pub(super) fn rows_quarantined(&self) -> u64 {
        self.quarantined.values().sum()
    }
}

impl Routed {
    /// The rows of each member in the files of each output in one partition.
    pub(super) async fn files(&self, partition: usize) -> Result<Vec<Vec<Vec<Share>>>, JobError> {
        let parts = self.files.get(partition).into_iter().flatten();
        let mut cutters = parts
            .map(|parts| Cutter::new(parts.clone().finish()))
            .collect::<Vec<_>>();
        let shares = self.shares.get(partition).map_or(&[][..], Vec::as_slice);
        let is_cut = cutters.iter().any(Cutter::is_cut) && shares.len() > 1;
        if let (Some(member), true) = (self.member, is_cut) {
            let mut rows = self.spool.read(partition);
            while let Some(batch) = rows.next().await? {
                let members = batch.column(member).as_primitive_opt::<UInt32Type>();
                for &member in members.map_or(&[][..], |members| members.values()) {
                    for cutter in &mut cutters {
                        cutter.take((member, 1));
                    }
                }
                tokio::task::yield_now().await;
            }
        } else {
            // Unless they are sorted, the rows are in the order of the members.
            for cutter in &mut cutters {
                for &share in shares {
                    cutter.take(share);
                }
            }
        }
        Ok(cutters.into_iter().map(Cutter::finish).collect())
    }

    /// Deletes everything that it has in the store.
    pub(super) async fn discard(&mut self) {
        self.spool.discard().await;
        self.quarantine.discard().await;
    }
}

/// The result of reading the members once.
pub(super) struct Pass {
    /// The members without those that were left out; `None` if some of their rows were routed before they failed.
    pub(super) routed: Option<Routed>,
    /// The members that cannot be read, or not with the others.
    pub(super) left: Vec<(Wanted, Left)>,
}

/// The pass in which all members are left out, because their columns cannot be written together.
fn without_place(request: Request<'_>, members: &[Wanted], reason: &str) -> Result<Pass, JobError> {
    let refused = members.iter().map(|wanted| {
        let error = JobError::new(ErrorKind::SchemaUnusable, reason);
        let source = request.candidate(wanted.candidate)?.source.clone();
        Ok((*wanted, Left::refused(error.of(source))))
    });
    Ok(Pass {
        routed: None,
        left: refused.collect::<Result<_, JobError>>()?,
    })
}

/// Reads the members and routes their records.
///
/// # Errors
/// The failure is not that of a single member.
pub(super) async fn route(request: Request<'_>, members: &[Wanted]) -> Result<Pass, JobError> {
    let settings = request.settings();
    let rule = &settings.job.timestamp;
    let zone = TimestampReader::new(rule, Timestamp::UNIX_EPOCH).map_err(|e| unusable(&e))?;
    let job = &settings.job;
    let partitioner = Partitioner::new(&job.partition_by, job.path_style, zone.zone())
        .map_err(|error| unusable(&error))?;
    let schema = if let Some(table) = &settings.table {
        RecordSchema::of_table(table, partitioner.columns())?
    } else {
        match schema::infer(request, members).await? {
            Inferred::Columns(schema) => {
                let written = operations::written(&job.column, &schema);
                let written = written.map_err(|error| format!("column: {error}"));
                let schema =
                    written.and_then(|schema| RecordSchema::inferred(&schema, &partitioner, job));
                match schema {
                    Ok(schema) => schema,
                    Err(reason) => return without_place(request, members, &reason),
                }
            }
            Inferred::Left(left) => return Ok(Pass { routed: None, left }),
        }
    };
    let operations = operations_on(
        &schema,
        settings,
        &secrets::of(request.secrets, settings).await?,
    )?;
    let mut reading = match job.format {
        InputFormat::Json | InputFormat::Csv | InputFormat::Regex => Reading::Text(Box::new(
            text::Filler::new(request, partitioner, &schema, operations)?,
        )),
        InputFormat::Parquet | InputFormat::Avro => {
            let read = read_schema(&schema, operations.as_deref());
            let router = Router::new(request, partitioner, &schema, operations, None)?;
            Reading::Batches(Box::new(router), read)
        }
    };
    let mut left = Vec::new();
    let mut is_spoiled = false;
    let mut opened = Members::new(request, members);
    while let Some((wanted, source)) = opened.next().await? {
        let source = match source {
            Opened::Source(source) => *source,
            Opened::Nothing(status) => {
                left.push((wanted, Left::of(status)));
                continue;
            }
        };
        let meta = source.meta();
        let times = if let Some(landed) = wanted.landed {
            (landed, wanted.seen)
        } else {
            let seen = meta.answered_at.max(meta.last_modified);
            (meta.last_modified, meta.is_of_parts().then_some(seen))
        };
        if let Some(failed) = attempt(reading.member(wanted, times, source)).await? {
            is_spoiled = true;
            let panicked = failed.panicked;
            left.push((reading.router().culprit(), failed));
            if panicked {
                break;
            }
        }
    }
    if !is_spoiled && let Some(failed) = attempt(reading.end()).await? {
        is_spoiled = true;
        left.push((reading.router().culprit(), failed));
    }
    let mut routed = reading.finish();
    if is_spoiled {
        routed.discard().await;
    }
    Ok(Pass {
        routed: (!is_spoiled).then_some(routed),
        left,
    })
}

/// The reader of a format.
enum Reading<'a> {
    Text(Box<text::Filler<'a>>),
    /// Parquet and Avro, into these columns.
    Batches(Box<Router<'a>>, Schema),
}

impl<'a> Reading<'a> {
    fn router(&mut self) -> &mut Router<'a> {
        match self {
            Self::Text(filler) => &mut filler.router,
            Self::Batches(router, _) => router,
        }
    }

    async fn member(
        &mut self,
        wanted: Wanted,
        (landed, seen): (Timestamp, Option<Timestamp>),
        source: Source,
    ) -> Result<(), JobError> {
        self.router().begin(wanted, landed, seen);
        self.router().know(source.location(), landed)?;
        let rule = &self.router().request.settings().job.timestamp;
        // `now` in a bound means the time when the object landed, so that a retry decides the same.
        let timestamps = TimestampReader::between(rule, landed, seen.unwrap_or(landed));
        let timestamps = timestamps.map_err(|error| unusable(&error))?;
        match self {
            Self::Text(filler) => filler.member(source, timestamps).await,
            Self::Batches(router, schema) => match router.request.settings().job.format {
                InputFormat::Avro => avro::member(router, schema, source, timestamps).await,
                _ => parquet::member(router, schema, source, timestamps).await,
            },
        }
    }

    async fn end(&mut self) -> Result<(), JobError> {
        if let Self::Text(filler) = self {
            filler.cut()?;
        }
        self.router().settle().await
    }

    fn finish(self) -> Routed {
        match self {
            Self::Text(filler) => filler.router.finish(),
            Self::Batches(router, _) => router.finish(),
        }
    }
}

/// The operations on the columns.
fn operations_on(
    schema: &RecordSchema,
    settings: &Settings,
    secrets: &BTreeMap<SecretName, Secret>,
) -> Result<Option<Box<Operations>>, JobError> {
    let job = &settings.job;
    let operations = Operations::new(
        &job.column,
        schema.whole().fields(),
        settings.table.is_some(),
        &job.source,
        secrets,
        timestamps(None, job.timestamp.zone.as_deref())?,
    );
    let operations = operations.map_err(|error| misfit(&error))?;
    Ok(operations.map(Box::new))
}

/// The columns that are read from the records.
fn read_schema(schema: &RecordSchema, operations: Option<&Operations>) -> Schema {
    operations.map_or_else(|| schema.whole(), |of| of.read_schema().clone())
}

/// The error for an operation that does not fit the columns or the object.
fn misfit(error: &OperationError) -> JobError {
    JobError::new(ErrorKind::SchemaUnusable, format!("column: {error}"))
}

fn unusable(error: &dyn std::error::Error) -> JobError {
    JobError::new(ErrorKind::SchemaUnusable, error.to_string())
}
