//! Routes batches of rows to their partitions.

use std::{borrow::Cow, collections::HashMap, ops::Range, sync::Arc};

use arrow::{
    array::{Array, AsArray, Int64Array, RecordBatch, StringArray, UInt32Array},
    compute::cast,
    datatypes::{DataType, Field, Schema},
};
use jiff::Timestamp;
use lakewright_core::{
    config::{InputFormat, OutputFormat, Policy, Rekey},
    encode::{Layout, Parts},
    json::{NewFields, RecordError},
    location::Location,
    naming::path_room,
    operations::{ObjectValues, Operations},
    partition::{Partition, PartitionKey, Partitioner, floats},
    quarantine::Reason,
    shown::in_full,
    time::microseconds,
};

use super::{Account, Separated, misfit, text, unusable};
use crate::{
    kit::{ErrorKind, JobError},
    rekey::{member::Request, schema::RecordSchema},
    work::spool::{NO_PARTITION, Room, Spool},
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
    /// The record's offset in the decompressed bytes; for a file that is read in batches, its row.
    pub(super) offset: u64,
    /// The record's original size in bytes.
    pub(super) bytes: u64,
}

/// Where the rows of the destination with this number are spooled.
pub(super) fn room(request: Request<'_>, number: usize) -> Room {
    let (budget, store) = (request.budget, &request.ports.store);
    let scratch = match request.settings().job.format {
        // The row group that is being read is in the temporary folder too.
        InputFormat::Parquet | InputFormat::Orc => budget.scratch_bytes / 2,
        InputFormat::Json | InputFormat::Csv | InputFormat::Regex | InputFormat::Avro => {
            budget.scratch_bytes
        }
    };
    let destinations = request.destinations.len().max(1) as u64;
    Room {
        memory: budget.memory / 4,
        folder: budget.scratch.clone(),
        scratch: scratch.saturating_sub(budget.memory / 4) / destinations,
        store: Arc::clone(store),
        prefix: request.ledger.spool_at(request.bid, number),
    }
}

/// Routes batches of rows of one destination to their partitions.
pub(super) struct Router<'a> {
    pub(super) job: &'a Rekey,
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
    /// The operations on the columns before rows are routed, and the values that all rows of a member have in common.
    operations: Option<Box<Operations>>,
    objects: Vec<ObjectValues>,
    separated: Separated,
}

impl<'a> Router<'a> {
    /// `room`: where its rows are spooled. `hash`: that of the settings. `schema`: the columns of the batches, after the operations. If `raw` is set, the column of the records' original bytes
    /// follows.
    pub(super) fn new(
        room: Room,
        job: &'a Rekey,
        hash: &str,
        partitioner: Partitioner,
        schema: &RecordSchema,
        operations: Option<Box<Operations>>,
        raw: Option<usize>,
    ) -> Result<Self, JobError> {
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
        let rooms = job
            .output
            .iter()
            .map(|output| path_room(&job.directory(output).key, hash, output.extension()));
        Ok(Self {
            job,
            partitioner,
            files,
            kept,
            numbers: HashMap::default(),
            last: None,
            room: rooms.min().unwrap_or_default(),
            operations,
            objects: Vec::new(),
            separated: Separated {
                partitions: Vec::new(),
                shares: Vec::new(),
                files: Vec::new(),
                spool: Spool::new(Arc::clone(&layout.schema), time, room),
                member: time.map(|time| time + 1),
                layout,
            },
        })
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

    /// The bytes of text that operations add to each row of the member with this index.
    pub(super) fn made_bytes(&self, member: usize) -> usize {
        let values = self.objects.get(member);
        values.map_or(0, ObjectValues::bytes)
    }

    pub(super) fn finish(self) -> Separated {
        self.separated
    }

    /// Whether the original bytes of JSON records are copied to an output.
    pub(super) fn passes_through(job: &Rekey) -> bool {
        let mut formats = job.output.iter().map(|output| output.format);
        job.format == InputFormat::Json
            && job.column.is_empty()
            && formats.any(|format| format == OutputFormat::Json)
    }

    fn is_all_json(job: &Rekey) -> bool {
        let mut formats = job.output.iter().map(|output| output.format);
        formats.all(|format| format == OutputFormat::Json)
    }

    /// Applies the operations to a batch and spools its rows, except those that were already refused and have no [`Row`].
    /// `record` returns the bytes of a row's record. Returns the number of each row's partition.
    pub(super) fn take<'b>(
        &mut self,
        account: &mut Account<'_>,
        batch: &'b RecordBatch,
        rows: &[Option<Row>],
        record: impl Fn(&'b RecordBatch, usize) -> Result<Cow<'b, [u8]>, JobError>,
    ) -> Result<Vec<u32>, JobError> {
        let record = |row| record(batch, row);
        let Some(operations) = &mut self.operations else {
            return self.spool(account, batch, rows, record);
        };
        let places = rows.iter();
        let places = places.map(|row| row.map_or((0, 0), |row| (row.member, row.offset)));
        let places = places.collect::<Vec<_>>();
        let applied = operations.apply(batch, &self.objects, &places);
        let applied = applied.map_err(|error| unusable(&error))?;
        if applied.mismatches.is_empty() {
            return self.spool(account, &applied.batch, rows, record);
        }
        let mut rows = rows.to_vec();
        for (index, error) in applied.mismatches {
            if let Some(row) = rows.get_mut(index) {
                self.mismatch(account, row, &error, || record(index))?;
            }
        }
        self.spool(account, &applied.batch, &rows, record)
    }

    /// Of fields without a column, by their rows, those of rows that were routed to these partitions, by their members.
    pub(super) fn routed(
        rows: &[Option<Row>],
        partitions: &[u32],
        new: impl Iterator<Item = (usize, NewFields)>,
    ) -> impl Iterator<Item = (usize, NewFields)> {
        new.filter_map(|(row, fields)| {
            let is_routed = *partitions.get(row)? != NO_PARTITION;
            let row = rows.get(row).copied().flatten().filter(|_| is_routed)?;
            Some((row.member, fields))
        })
    }

    /// Handles a value that does not fit its column.
    fn mismatch<'b>(
        &self,
        account: &mut Account<'_>,
        row: &mut Option<Row>,
        error: &RecordError,
        record: impl FnOnce() -> Result<Cow<'b, [u8]>, JobError>,
    ) -> Result<(), JobError> {
        let Some(Row { member, offset, .. }) = *row else {
            return Ok(());
        };
        let reading = std::mem::replace(&mut account.at, member);
        match self.job.on_mismatch {
            Policy::Drop => {
                if let Some(member) = account.member() {
                    member.values_dropped += 1;
                }
            }
            Policy::Quarantine => {
                account.set_aside(offset, &record()?, Reason::Mismatch, &in_full(error))?;
                *row = None;
            }
            Policy::Fail => {
                let candidate = account.request.candidate(account.candidate())?;
                return Err(
                    JobError::new(ErrorKind::RecordRefused, format!("refused: {error}"))
                        .of(candidate.source.clone())
                        .at(offset),
                );
            }
        }
        account.at = reading;
        Ok(())
    }

    fn spool<'b>(
        &mut self,
        account: &mut Account<'_>,
        batch: &RecordBatch,
        rows: &[Option<Row>],
        record: impl Fn(usize) -> Result<Cow<'b, [u8]>, JobError>,
    ) -> Result<Vec<u32>, JobError> {
        let values = self.partition_values(batch)?;
        let mut numbers = Vec::with_capacity(rows.len());
        let mut key = Vec::new();
        let mut columns = Vec::with_capacity(values.len());
        let reading = account.at;
        for (index, row) in rows.iter().enumerate() {
            let Some(row) = row else {
                numbers.push(NO_PARTITION);
                continue;
            };
            account.at = row.member;
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
                let Some(number) = self.number(account, row, &columns, &mut key, bytes)? else {
                    numbers.push(NO_PARTITION);
                    continue;
                };
                number
            };
            let files = self.separated.files.get_mut(number as usize);
            for parts in files.into_iter().flatten() {
                parts.add(row.bytes);
            }
            let candidate = account.candidate();
            if let Some(shares) = self.separated.shares.get_mut(number as usize) {
                match shares.last_mut() {
                    Some((member, rows)) if *member == candidate => *rows += 1,
                    _ => shares.push((candidate, 1)),
                }
            }
            account.meter(row.time);
            numbers.push(number);
        }
        account.at = reading;
        let batch = self.spooled(account, batch, rows)?;
        self.separated.spool.push(&batch, &numbers)?;
        Ok(numbers)
    }

    /// The number of a row's partition. `None` if it has none and was set aside. `key`: a buffer.
    fn number<'b>(
        &mut self,
        account: &mut Account<'_>,
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
                Ok(partition) => self.add_partition(account, key, partition)?,
                Err(error) => {
                    let (reason, detail) = (Reason::BadPartition, in_full(&error));
                    account.set_aside(row.offset, &record()?, reason, &detail)?;
                    return Ok(None);
                }
            }
        };
        let times = self.partitioner.times_around(row.time);
        self.last = times.map(|times| (times, number));
        Ok(Some(number))
    }

    /// The columns of a batch that are kept until its rows are routed.
    fn spooled(
        &self,
        account: &Account<'_>,
        batch: &RecordBatch,
        rows: &[Option<Row>],
    ) -> Result<RecordBatch, JobError> {
        let batch = batch.project(&self.kept)?;
        if !self.job.sort_by_time {
            return Ok(batch);
        }
        let micros = |row: &Option<Row>| row.map_or(0, |row| microseconds(row.time));
        let times = Int64Array::from_iter_values(rows.iter().map(micros));
        let member = |row: &Option<Row>| {
            let member = row.and_then(|row| account.members.get(row.member));
            member.map_or(0, |member| member.candidate)
        };
        let members = UInt32Array::from_iter_values(rows.iter().map(member));
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(times));
        columns.push(Arc::new(members));
        let schema = Arc::clone(&self.separated.layout.schema);
        Ok(RecordBatch::try_new(schema, columns)?)
    }

    /// The approximate bytes of the rows in memory.
    pub(super) fn held(&self) -> u64 {
        self.separated.spool.held()
    }

    /// Moves the rows out of memory.
    pub(super) async fn spill(&mut self) -> Result<(), JobError> {
        self.separated.spool.spill().await
    }

    fn add_partition(
        &mut self,
        account: &mut Account<'_>,
        key: PartitionKey,
        partition: Partition,
    ) -> Result<u32, JobError> {
        account.add_partition()?;
        let number = u32::try_from(self.separated.partitions.len()).unwrap_or(NO_PARTITION);
        self.numbers.insert(key, number);
        self.separated.partitions.push(partition);
        self.separated.shares.push(Vec::new());
        let files = self.job.output.iter().map(Parts::new);
        self.separated.files.push(files.collect());
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
