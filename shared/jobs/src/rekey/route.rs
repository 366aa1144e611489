//! Reads the members of a batch once and finds, for every record, the partition of its own time.

mod account;
mod adding;
mod avro;
mod ranged;
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
    json::Columns,
    lateness::Lateness,
    operations::{self, OperationError, Operations, Secret},
    partition::{Partition, Partitioner},
    quarantine::Reason,
    time::TimestampReader,
};

pub(super) use self::adding::Found;
use self::{
    account::Account,
    router::{Router, Row},
};
use super::{
    cut::{Cutter, Share},
    destination::Destination,
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

/// The members of a batch, with their rows separated by destination and partition.
pub(super) struct Routed {
    /// The members that were read, in the order of the candidates.
    pub(super) members: Vec<ReadMember>,
    /// The rows of each destination.
    pub(super) destinations: Vec<Separated>,
    pub(super) quarantine: Quarantine,
    /// The fields of routed records that may become columns of the table.
    pub(super) new: Found,
}

/// The rows that go to one destination, separated by partition.
pub(super) struct Separated {
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

impl Separated {
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
}

impl Routed {
    /// Deletes the rows.
    pub(super) async fn discard_rows(&mut self) {
        for separated in &mut self.destinations {
            separated.spool.discard().await;
        }
    }

    /// Deletes everything that it has in the store.
    pub(super) async fn discard(&mut self) {
        self.discard_rows().await;
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

/// All members are left out, because their columns cannot be written together.
fn without_place(
    request: Request<'_>,
    members: &[Wanted],
    reason: &str,
) -> Result<Vec<(Wanted, Left)>, JobError> {
    let refused = members.iter().map(|wanted| {
        let error = JobError::new(ErrorKind::SchemaUnusable, reason);
        let source = request.candidate(wanted.candidate)?.source.clone();
        Ok((*wanted, Left::refused(error.of(source))))
    });
    refused.collect()
}

/// Reads the members and routes their records.
///
/// # Errors
/// The failure is not that of a single member.
pub(super) async fn route(request: Request<'_>, members: &[Wanted]) -> Result<Pass, JobError> {
    let rule = &request.settings().job.timestamp;
    let zone = TimestampReader::new(rule, Timestamp::UNIX_EPOCH).map_err(|e| unusable(&e))?;
    let secrets = secrets::of(request.secrets, request.settings()).await?;
    let mut prepared = Vec::new();
    for destination in request.destinations {
        let job = &destination.job;
        let partitioner = Partitioner::new(&job.partition_by, job.path_style, zone.zone());
        let partitioner = partitioner.map_err(|error| unusable(&error))?;
        let schema = match columns(request, destination, &partitioner, members).await? {
            Ok(schema) => schema,
            Err(left) => return Ok(Pass { routed: None, left }),
        };
        let operations = operations_on(&schema, destination, &secrets)?;
        prepared.push(Prepared {
            destination,
            partitioner,
            schema,
            operations,
        });
    }
    let mut reading = Reading::new(request, prepared)?;
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
            left.push((reading.routers.account.culprit(), failed));
            if panicked {
                break;
            }
        }
    }
    if !is_spoiled && let Some(failed) = attempt(reading.end()).await? {
        is_spoiled = true;
        left.push((reading.routers.account.culprit(), failed));
    }
    let mut routed = reading.routers.finish();
    if is_spoiled {
        routed.discard().await;
    }
    Ok(Pass {
        routed: (!is_spoiled).then_some(routed),
        left,
    })
}

/// The columns of a destination: those of its table or, without one, of the members' records. If they have none that can
/// be written, the members that are left out.
async fn columns(
    request: Request<'_>,
    destination: &Destination,
    partitioner: &Partitioner,
    members: &[Wanted],
) -> Result<Result<RecordSchema, Vec<(Wanted, Left)>>, JobError> {
    if let Some(table) = &destination.table {
        return RecordSchema::of_table(table, partitioner.columns()).map(Ok);
    }
    let job = &destination.job;
    let found = match schema::infer(request, members).await? {
        Inferred::Columns(found) => found,
        Inferred::Left(left) => return Ok(Err(left)),
    };
    let written = operations::written(&job.column, &found);
    let written = written.map_err(|error| format!("column: {error}"));
    match written.and_then(|schema| RecordSchema::inferred(&schema, partitioner, job)) {
        Ok(schema) => Ok(Ok(schema)),
        Err(reason) => without_place(request, members, &reason).map(Err),
    }
}

/// The routers of all destinations, and the account of what they take.
struct Routers<'a> {
    account: Account<'a>,
    of: Vec<Router<'a>>,
}

impl Routers<'_> {
    /// Spills until the memory is within its limit.
    async fn settle(&mut self) -> Result<(), JobError> {
        let limit = self.account.request.budget.memory / 4;
        while self.of.iter().map(Router::held).sum::<u64>() > limit
            && let Some(largest) = self.of.iter_mut().max_by_key(|router| router.held())
        {
            largest.spill().await?;
        }
        self.account.quarantine.flush().await
    }

    fn finish(mut self) -> Routed {
        self.account.finish_meter();
        Routed {
            members: self.account.members,
            destinations: self.of.into_iter().map(Router::finish).collect(),
            quarantine: self.account.quarantine,
            new: self.account.new,
        }
    }
}

/// Reads members into the routers.
struct Reading<'a> {
    routers: Routers<'a>,
    by: Reader,
}

/// The reader of a format.
enum Reader {
    Text(Box<text::Filler>),
    /// Parquet, ORC and Avro, into the columns of each destination.
    Batches(Vec<Schema>),
}

/// How records are read for a destination.
struct Prepared<'a> {
    destination: &'a Destination,
    partitioner: Partitioner,
    schema: RecordSchema,
    operations: Option<Box<Operations>>,
}

impl Prepared<'_> {
    /// The columns that are read from the records.
    fn read(&self) -> Schema {
        let operations = self.operations.as_deref();
        operations.map_or_else(|| self.schema.whole(), |of| of.read_schema().clone())
    }

    /// Empty columns for records of text.
    fn columns(&self) -> Result<Columns, JobError> {
        // A partition column's value, and one that is cast, is checked when the batch is cut, and may be refused then.
        let may_refuse = !self.partitioner.columns().is_empty()
            || self
                .operations
                .as_deref()
                .is_some_and(Operations::may_refuse);
        let job = &self.destination.job;
        text::columns(job, &self.read(), may_refuse || Router::passes_through(job))
    }
}

impl<'a> Reading<'a> {
    fn new(request: Request<'a>, prepared: Vec<Prepared<'a>>) -> Result<Self, JobError> {
        let is_text = match request.settings().job.format {
            InputFormat::Json | InputFormat::Csv | InputFormat::Regex => true,
            InputFormat::Parquet | InputFormat::Orc | InputFormat::Avro => false,
        };
        let by = if is_text {
            let columns = prepared.iter().map(|prepared| {
                let columns = prepared.columns()?;
                Ok::<_, JobError>(match request.adding {
                    Some(new) => columns.adding(new.clone()),
                    None => columns,
                })
            });
            let columns = columns.collect::<Result<_, _>>()?;
            Reader::Text(Box::new(text::Filler::new(
                &request.settings().job,
                columns,
            )?))
        } else {
            Reader::Batches(prepared.iter().map(Prepared::read).collect())
        };
        let hash = request.settings().hash()?;
        let account = Account::new(request, &hash);
        let routers = (0..).zip(prepared).map(|(number, prepared)| {
            let (destination, schema) = (prepared.destination, &prepared.schema);
            let job = &destination.job;
            let raw =
                (is_text && Router::passes_through(job)).then(|| schema.whole().fields().len());
            let Prepared {
                partitioner,
                operations,
                ..
            } = prepared;
            let room = router::room(request, number);
            Router::new(room, job, &hash, partitioner, schema, operations, raw)
        });
        let of = routers.collect::<Result<_, _>>()?;
        Ok(Self {
            routers: Routers { account, of },
            by,
        })
    }

    async fn member(
        &mut self,
        wanted: Wanted,
        (landed, seen): (Timestamp, Option<Timestamp>),
        source: Source,
    ) -> Result<(), JobError> {
        let routers = &mut self.routers;
        routers.account.begin(wanted, landed, seen);
        for router in &mut routers.of {
            router.know(source.location(), landed)?;
        }
        let job = &routers.account.request.settings().job;
        // `now` in a bound means the time when the object landed, so that a retry decides the same.
        let timestamps = TimestampReader::between(&job.timestamp, landed, seen.unwrap_or(landed));
        let timestamps = timestamps.map_err(|error| unusable(&error))?;
        match (&mut self.by, job.format.by_ranges()) {
            (Reader::Text(filler), _) => filler.member(routers, source, timestamps).await,
            (Reader::Batches(schemas), Some(format)) => {
                ranged::member(format, routers, schemas, source, timestamps).await
            }
            (Reader::Batches(schemas), None) => {
                avro::member(routers, schemas, source, timestamps).await
            }
        }
    }

    async fn end(&mut self) -> Result<(), JobError> {
        if let Reader::Text(filler) = &mut self.by {
            filler.cut(&mut self.routers)?;
        }
        self.routers.settle().await
    }
}

/// The operations on the columns of a destination.
fn operations_on(
    schema: &RecordSchema,
    destination: &Destination,
    secrets: &BTreeMap<SecretName, Secret>,
) -> Result<Option<Box<Operations>>, JobError> {
    let job = &destination.job;
    let operations = Operations::new(
        &job.column,
        schema.whole().fields(),
        destination.table.is_some(),
        &job.source,
        secrets,
        timestamps(None, job.timestamp.zone.as_deref())?,
    );
    let operations = operations.map_err(|error| misfit(&error))?;
    Ok(operations.map(Box::new))
}

/// The error for an operation that does not fit the columns or the object.
fn misfit(error: &OperationError) -> JobError {
    JobError::new(ErrorKind::SchemaUnusable, format!("column: {error}"))
}

fn unusable(error: &dyn std::error::Error) -> JobError {
    JobError::new(ErrorKind::SchemaUnusable, error.to_string())
}
