//! Routes batches of rows to their partitions.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray, Int64Array, RecordBatch, StringArray, UInt32Array},
    compute::cast,
    datatypes::{DataType, Field, Schema},
};
use jiff::Timestamp;
use lakewright_core::{
    config::{InputFormat, OutputFormat, Policy, Rekey},
    encode::{Layout, Parts},
    json::RecordError,
    lateness::LatenessMeter,
    location::Location,
    naming::path_room,
    operations::{ObjectValues, Operations},
    partition::{Partition, PartitionKey, Partitioner, floats},
    quarantine::{Quarantined, Reason},
    shown::in_full,
    time::microseconds,
};

use super::{ReadMember, Routed, misfit, text, unusable};
use crate::{
    kit::{ErrorKind, JobError},
    rekey::{
        Settings,
        member::{Request, Wanted},
        quarantine::Quarantine,
        schema::RecordSchema,
    },
    work::{
        spool::{NO_PARTITION, Room, Spool},
        upload::Upload,
    },
};

/// The hidden columns of the rows' times and members, if they are sorted: no field of a record has these names.
const TIME: &str = "\u{0}time";
const MEMBER: &str = "\u{0}member";

/// A row with a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// The index of its member among those that were read.
    pub(super) member: usize,
    pub(super) time: Timestamp,
    /// The record's offset in the decompressed bytes; for a Parquet file, its row.
    pub(super) offset: u64,
    /// The record's original size in bytes.
    pub(super) bytes: u64,
}

/// Routes batches of rows to their partitions.
pub(super) struct Router<'a> {
    pub(super) request: Request<'a>,
    partitioner: Partitioner,
    /// How many columns of a batch, from the first one, go into the files; the partition columns follow.
    files: usize,
    /// The columns of a batch that are spooled.
    kept: Vec<usize>,
    numbers: HashMap<PartitionKey, u32, ahash::RandomState>,
    /// A range of times that are all in the partition with this number: most records are of the same hour as their
    /// predecessor.
    last: Option<(Range<Timestamp>, u32)>,
    room: usize,
    /// The member that is being read or routed: if something fails, it is the cause.
    pub(super) at: usize,
    wanted: Vec<Wanted>,
    /// The operations on the columns before rows are routed, and the values that all rows of a member have in common.
    operations: Option<Box<Operations>>,
    objects: Vec<ObjectValues>,
    /// The lateness of the rows of the member with this index.
    meter: Option<(usize, LatenessMeter)>,
    routed: Routed,
}

impl<'a> Router<'a> {
    /// `schema`: the columns of the batches, after the operations. If `raw` is set, the column of the records' original bytes
    /// follows.
    pub(super) fn new(
        request: Request<'a>,
        partitioner: Partitioner,
        schema: &RecordSchema,
        operations: Option<Box<Operations>>,
        raw: Option<usize>,
    ) -> Result<Self, JobError> {
        let job = &request.settings().job;
        let files = schema.files();
        // If the records are copied to every output, no output needs their columns.
        let needs_columns = raw.is_none() || !Self::is_all_json(job);
        let columns = if needs_columns { files } else { 0 };
        let kept = (0..columns).chain(raw).collect::<Vec<_>>();
        let mut fields = schema.whole().project(&kept[..columns])?.fields().to_vec();
        if raw.is_some() {
            fields.push(Field::new(text::RAW, DataType::Binary, false).into());
        }
        let time = job.sort_by_time.then_some(fields.len());
        if job.sort_by_time {
            fields.push(Field::new(TIME, DataType::Int64, false).into());
            fields.push(Field::new(MEMBER, DataType::UInt32, false).into());
        }
        let layout = Layout {
            schema: Arc::new(Schema::new(fields)),
            columns,
            raw: raw.is_some().then_some(columns),
        };
        let hash = request.settings().hash()?;
        let rooms = job
            .output
            .iter()
            .map(|output| path_room(&job.directory(output).key, &hash, output.extension()));
        let room = rooms.min().unwrap_or_default();
        let (budget, store) = (request.budget, &request.ports.store);
        let spool = Room {
            memory: budget.memory / 4,
            folder: budget.scratch.clone(),
            // The row group that is being read is in the temporary folder too.
            scratch: match job.format {
                InputFormat::Parquet => budget.scratch_bytes / 2,
                InputFormat::Json | InputFormat::Csv | InputFormat::Regex | InputFormat::Avro => {
                    budget.scratch_bytes
                }
            }
            .saturating_sub(budget.memory / 4),
            store: Arc::clone(store),
            prefix: request.ledger.spool_at(request.bid),
        };
        let quarantine = Upload::new(
            Arc::clone(store),
            request.ledger.quarantine_at(request.bid, &hash),
            "application/jsonl",
        );
        Ok(Self {
            request,
            partitioner,
            files,
            kept,
            numbers: HashMap::default(),
            last: None,
            room,
            at: 0,
            wanted: Vec::new(),
            operations,
            objects: Vec::new(),
            meter: None,
            routed: Routed {
                members: Vec::new(),
                partitions: Vec::new(),
                shares: Vec::new(),
                files: Vec::new(),
                spool: Spool::new(Arc::clone(&layout.schema), time, spool),
                member: time.map(|time| time + 1),
                layout,
                quarantine: Quarantine::new(quarantine),
            },
        })
    }

    /// Starts with the next member.
    pub(super) fn begin(&mut self, wanted: Wanted, landed: Timestamp, seen: Option<Timestamp>) {
        self.at = self.routed.members.len();
        self.wanted.push(wanted);
        self.routed.members.push(ReadMember {
            candidate: wanted.candidate,
            landed,
            seen,
            rows_in: 0,
            fields_dropped: 0,
            values_dropped: 0,
            control_messages: 0,
            quarantined: BTreeMap::new(),
            lateness: None,
        });
    }

    /// Determines the values that all rows of the current member have in common.
    pub(super) fn know(&mut self, source: &Location, landed: Timestamp) -> Result<(), JobError> {
        if let Some(operations) = &mut self.operations {
            let values = operations.object(source, landed);
            let values = values.map_err(|error| misfit(&error).of(source.clone()))?;
            self.objects.push(values);
        }
        Ok(())
    }

    /// The bytes of text that operations add to each row of the member.
    pub(super) fn made_bytes(&self) -> usize {
        let values = self.objects.get(self.at);
        values.map_or(0, ObjectValues::bytes)
    }

    /// The current member.
    pub(super) fn member(&mut self) -> Option<&mut ReadMember> {
        self.routed.members.get_mut(self.at)
    }

    /// The index of its candidate.
    fn candidate(&self) -> u32 {
        let member = self.routed.members.get(self.at);
        member.map_or(u32::MAX, |member| member.candidate)
    }

    /// The member at which something failed.
    pub(super) fn culprit(&self) -> Wanted {
        let nobody = Wanted {
            candidate: u32::MAX,
            landed: None,
            seen: None,
        };
        self.wanted.get(self.at).copied().unwrap_or(nobody)
    }

    /// Adds a row's time to the lateness of its member. Rows come in the order of the members.
    fn meter(&mut self, time: Timestamp) {
        let at = self.at;
        if self.meter.as_ref().is_none_or(|(of, _)| *of != at) {
            self.finish_meter();
            let landed = self.member().map(|member| member.landed);
            self.meter = landed.map(|landed| (at, LatenessMeter::new(landed)));
        }
        if let Some((_, meter)) = &mut self.meter {
            meter.record(time);
        }
    }

    fn finish_meter(&mut self) {
        if let Some((of, meter)) = self.meter.take()
            && let Some(member) = self.routed.members.get_mut(of)
        {
            member.lateness = meter.finish();
        }
    }

    pub(super) fn finish(mut self) -> Routed {
        self.finish_meter();
        self.routed
    }

    /// Whether the original bytes of JSON records are copied to an output.
    pub(super) fn passes_through(settings: &Settings) -> bool {
        let mut formats = settings.job.output.iter().map(|output| output.format);
        settings.job.format == InputFormat::Json
            && settings.job.column.is_empty()
            && formats.any(|format| format == OutputFormat::Json)
    }

    fn is_all_json(job: &Rekey) -> bool {
        let mut formats = job.output.iter().map(|output| output.format);
        formats.all(|format| format == OutputFormat::Json)
    }

    /// Applies the operations to a batch and spools its rows, except those that were already refused and have no [`Row`].
    /// `record` returns the bytes of a row's record.
    pub(super) fn take<'b>(
        &mut self,
        batch: &'b RecordBatch,
        rows: &[Option<Row>],
        record: impl Fn(&'b RecordBatch, usize) -> Result<Cow<'b, [u8]>, JobError>,
    ) -> Result<(), JobError> {
        let record = |row| record(batch, row);
        let Some(operations) = &mut self.operations else {
            return self.spool(batch, rows, record);
        };
        let places = rows.iter();
        let places = places.map(|row| row.map_or((0, 0), |row| (row.member, row.offset)));
        let places = places.collect::<Vec<_>>();
        let applied = operations.apply(batch, &self.objects, &places);
        let applied = applied.map_err(|error| unusable(&error))?;
        if applied.mismatches.is_empty() {
            return self.spool(&applied.batch, rows, record);
        }
        let mut rows = rows.to_vec();
        for (index, error) in applied.mismatches {
            if let Some(row) = rows.get_mut(index) {
                self.mismatch(row, &error, || record(index))?;
            }
        }
        self.spool(&applied.batch, &rows, record)
    }

    /// Handles a value that does not fit its column.
    fn mismatch<'b>(
        &mut self,
        row: &mut Option<Row>,
        error: &RecordError,
        record: impl FnOnce() -> Result<Cow<'b, [u8]>, JobError>,
    ) -> Result<(), JobError> {
        let Some(Row { member, offset, .. }) = *row else {
            return Ok(());
        };
        let reading = std::mem::replace(&mut self.at, member);
        match self.request.settings().job.on_mismatch {
            Policy::Drop => {
                if let Some(member) = self.member() {
                    member.values_dropped += 1;
                }
            }
            Policy::Quarantine => {
                self.set_aside(offset, &record()?, Reason::Mismatch, &in_full(error))?;
                *row = None;
            }
            Policy::Fail => {
                let candidate = self.request.candidate(self.candidate())?;
                return Err(
                    JobError::new(ErrorKind::RecordRefused, format!("refused: {error}"))
                        .of(candidate.source.clone())
                        .at(offset),
                );
            }
        }
        self.at = reading;
        Ok(())
    }

    fn spool<'b>(
        &mut self,
        batch: &RecordBatch,
        rows: &[Option<Row>],
        record: impl Fn(usize) -> Result<Cow<'b, [u8]>, JobError>,
    ) -> Result<(), JobError> {
        let values = self.partition_values(batch)?;
        let mut numbers = Vec::with_capacity(rows.len());
        let mut key = Vec::new();
        let mut columns = Vec::with_capacity(values.len());
        let reading = self.at;
        for (index, row) in rows.iter().enumerate() {
            let Some(row) = row else {
                numbers.push(NO_PARTITION);
                continue;
            };
            self.at = row.member;
            let known = self.last.as_ref();
            let known = known.filter(|(times, _)| times.contains(&row.time));
            let number = if let Some((_, number)) = known {
                *number
            } else {
                columns.clear();
                columns.extend(
                    values
                        .iter()
                        .map(|array| array.is_valid(index).then(|| array.value(index))),
                );
                let bytes = || record(index);
                let Some(number) = self.number(row, &columns, &mut key, bytes)? else {
                    numbers.push(NO_PARTITION);
                    continue;
                };
                number
            };
            let files = self.routed.files.get_mut(number as usize);
            for parts in files.into_iter().flatten() {
                parts.add(row.bytes);
            }
            let candidate = self.candidate();
            if let Some(shares) = self.routed.shares.get_mut(number as usize) {
                match shares.last_mut() {
                    Some((member, rows)) if *member == candidate => *rows += 1,
                    _ => shares.push((candidate, 1)),
                }
            }
            self.meter(row.time);
            numbers.push(number);
        }
        self.at = reading;
        let batch = self.spooled(batch, rows)?;
        self.routed.spool.push(&batch, &numbers)
    }

    /// The number of a row's partition. `None` if it has none and was set aside. `key`: a buffer.
    fn number<'b>(
        &mut self,
        row: &Row,
        columns: &[Option<&str>],
        key: &mut Vec<u8>,
        record: impl FnOnce() -> Result<Cow<'b, [u8]>, JobError>,
    ) -> Result<Option<u32>, JobError> {
        key.clear();
        self.partitioner.write_key(row.time, columns, key);
        let number = if let Some(number) = self.numbers.get(&key[..]) {
            *number
        } else {
            let key = self.partitioner.key(row.time, columns);
            match self.partitioner.render(&key, self.room) {
                Ok(partition) => self.add_partition(key, partition)?,
                Err(error) => {
                    let (reason, detail) = (Reason::BadPartition, in_full(&error));
                    self.set_aside(row.offset, &record()?, reason, &detail)?;
                    return Ok(None);
                }
            }
        };
        let times = self.partitioner.times_around(row.time);
        self.last = times.map(|times| (times, number));
        Ok(Some(number))
    }

    /// The columns of a batch that are kept until its rows are routed.
    fn spooled(&self, batch: &RecordBatch, rows: &[Option<Row>]) -> Result<RecordBatch, JobError> {
        let batch = batch.project(&self.kept)?;
        if !self.request.settings().job.sort_by_time {
            return Ok(batch);
        }
        let micros = |row: &Option<Row>| row.map_or(0, |row| microseconds(row.time));
        let times = Int64Array::from_iter_values(rows.iter().map(micros));
        let member = |row: &Option<Row>| {
            let member = row.and_then(|row| self.routed.members.get(row.member));
            member.map_or(0, |member| member.candidate)
        };
        let members = UInt32Array::from_iter_values(rows.iter().map(member));
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(times));
        columns.push(Arc::new(members));
        let schema = Arc::clone(&self.routed.layout.schema);
        Ok(RecordBatch::try_new(schema, columns)?)
    }

    pub(super) fn set_aside(
        &mut self,
        offset: u64,
        record: &[u8],
        reason: Reason,
        detail: &str,
    ) -> Result<(), JobError> {
        let candidate = self.request.candidate(self.candidate())?;
        let source = candidate.source.to_string();
        self.routed.quarantine.push(&Quarantined {
            source: &source,
            etag: &candidate.etag,
            offset,
            reason,
            detail,
            record,
        })?;
        if let Some(member) = self.member() {
            // R4
            *member.quarantined.entry(reason).or_default() += 1;
        }
        Ok(())
    }

    /// Spills until the memory is within its limit.
    pub(super) async fn settle(&mut self) -> Result<(), JobError> {
        if self.routed.spool.is_over() {
            self.routed.spool.spill().await?;
        }
        self.routed.quarantine.flush().await
    }

    fn add_partition(&mut self, key: PartitionKey, partition: Partition) -> Result<u32, JobError> {
        let job = &self.request.settings().job;
        let limit = job.limits.partitions;
        let number = u32::try_from(self.routed.partitions.len()).unwrap_or(NO_PARTITION);
        if number >= limit {
            let of = self.request.candidate(self.candidate())?;
            return Err(JobError::new(
                ErrorKind::TooManyPartitions,
                format!("refused: it touches more than {limit} partitions (limits.partitions)"),
            )
            .of(of.source.clone()));
        }
        self.numbers.insert(key, number);
        self.routed.partitions.push(partition);
        self.routed.shares.push(Vec::new());
        let files = job.output.iter().map(Parts::new);
        self.routed.files.push(files.collect());
        Ok(number)
    }

    /// The values of the partition columns, as text.
    fn partition_values(&self, batch: &RecordBatch) -> Result<Vec<StringArray>, JobError> {
        let columns = self.partitioner.columns().len();
        (self.files..self.files + columns)
            .map(|column| {
                let column = batch.column(column);
                if let Some(texts) = floats(column) {
                    return Ok(texts);
                }
                let text = cast(column, &DataType::Utf8)?;
                Ok(text.as_string::<i32>().clone())
            })
            .collect()
    }
}
