//! Reads a source object once and finds, for every record, the partition of its own time.

mod parquet;
mod text;

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use arrow::{
    array::{Array, AsArray, Int64Array, RecordBatch, StringArray},
    compute::cast,
    datatypes::{DataType, Field, Schema},
};
use jiff::Timestamp;
use lakewright_core::{
    config::{InputFormat, OutputFormat, TimestampRule},
    encode::{Layout, Parts},
    json::{JsonScalar, ParseTimestamp},
    lateness::LatenessMeter,
    location::Location,
    naming::path_room,
    partition::{Partition, PartitionKey, Partitioner, floats},
    quarantine::{Quarantined, Reason},
    shown::in_full,
    time::{TimestampReader, microseconds},
};

use super::{
    Budget, Ports, Settings,
    ledger::Ledger,
    quarantine::Quarantine,
    schema::RecordSchema,
    source::Source,
    spool::{NO_PARTITION, Room, Spool},
};
use crate::{
    kit::{ErrorKind, JobError},
    report::Status,
    work::upload::Upload,
};

/// The hidden column of the rows' times, if they are sorted: no field of a record has this name.
const TIME: &str = "\u{0}time";

/// A whole source object, with its rows separated by partition.
pub(super) struct Routed {
    /// When the source object landed, which is the meaning of `now` in a bound.
    pub(super) landed: Timestamp,
    /// The partitions; the index is the number in the spool.
    pub(super) partitions: Vec<Partition>,
    /// The files of each output in each partition.
    files: Vec<Vec<Parts>>,
    pub(super) spool: Spool,
    /// The columns of the spooled batches.
    pub(super) layout: Layout,
    pub(super) quarantine: Quarantine,
    pub(super) lateness: LatenessMeter,
    pub(super) rows_in: u64,
    pub(super) fields_dropped: u64,
    pub(super) values_dropped: u64,
}

impl Routed {
    /// The rows of the files of one output in one partition.
    pub(super) fn files(&self, partition: usize, output: usize) -> Vec<u64> {
        let parts = self
            .files
            .get(partition)
            .and_then(|parts| parts.get(output));
        parts.map_or_else(Vec::new, |parts| parts.clone().finish())
    }

    /// Deletes everything that it has in the store.
    pub(super) async fn discard(&mut self) {
        self.spool.discard().await;
        self.quarantine.discard().await;
    }
}

/// What to route, and how.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) ports: &'a Ports,
    pub(super) budget: &'a Budget,
    pub(super) ledger: &'a Ledger,
    pub(super) settings: &'a Settings,
    pub(super) location: &'a Location,
    pub(super) etag: &'a str,
    /// When the object landed, from the existing plan.
    pub(super) landed: Option<Timestamp>,
}

impl Request<'_> {
    async fn open(&self) -> Result<Result<Source, Status>, JobError> {
        let store = Arc::clone(&self.ports.store);
        Source::open(store, self.location, self.etag).await
    }
}

/// Reads the object with this `etag` and routes its records, or returns why there is nothing to read.
pub(super) async fn route(request: Request<'_>) -> Result<Result<Routed, Status>, JobError> {
    let source = match request.open().await? {
        Ok(source) => source,
        Err(status) => return Ok(Err(status)),
    };
    let job = &request.settings.job;
    // "now" in a bound means the time when the object landed, so that a retry decides alike.
    let landed = request.landed.unwrap_or(source.meta().last_modified);
    let timestamps =
        TimestampReader::new(&job.timestamp, landed).map_err(|error| unusable(&error))?;
    match job.format {
        InputFormat::Json | InputFormat::Csv => {
            text::route(request, source, landed, timestamps).await
        }
        InputFormat::Parquet => parquet::route(request, source, landed, timestamps)
            .await
            .map(Ok),
    }
}

fn unusable(error: &dyn std::error::Error) -> JobError {
    JobError::new(ErrorKind::SchemaUnusable, error.to_string())
}

/// A row with a time.
#[derive(Debug, Clone, Copy)]
struct Row {
    time: Timestamp,
    /// The record's offset in the decompressed bytes; for a Parquet file, its row.
    offset: u64,
    /// The record's original size in bytes.
    bytes: u64,
}

/// Routes batches of rows to their partitions.
struct Router<'a> {
    request: Request<'a>,
    partitioner: Partitioner,
    /// How many columns of a batch, from the first one, go into the files; the partition columns follow.
    files: usize,
    /// The columns of a batch that are spooled.
    kept: Vec<usize>,
    numbers: HashMap<PartitionKey, u32>,
    room: usize,
    routed: Routed,
}

impl<'a> Router<'a> {
    /// `schema`: the columns of the batches. If `raw` is set, the column of the records' original bytes follows.
    fn new(
        request: Request<'a>,
        landed: Timestamp,
        partitioner: Partitioner,
        schema: &RecordSchema,
        raw: Option<usize>,
    ) -> Result<Self, JobError> {
        let job = &request.settings.job;
        let files = schema.files();
        let kept = (0..files).chain(raw).collect::<Vec<_>>();
        let mut fields = schema.whole().project(&kept[..files])?.fields().to_vec();
        if raw.is_some() {
            fields.push(Field::new(text::RAW, DataType::Binary, false).into());
        }
        if job.sort_by_time {
            fields.push(Field::new(TIME, DataType::Int64, false).into());
        }
        let time = job.sort_by_time.then(|| fields.len() - 1);
        let layout = Layout {
            schema: Arc::new(Schema::new(fields)),
            columns: files,
            raw: raw.is_some().then_some(files),
        };
        let hash = request.settings.hash()?;
        let rooms = job
            .output
            .iter()
            .map(|output| path_room(&job.directory(output).key, &hash, output.extension()));
        let room = rooms.min().unwrap_or_default();
        let (budget, store) = (request.budget, &request.ports.store);
        let spool = Room {
            memory: budget.memory / 4,
            folder: budget.scratch.clone(),
            // The row group that is being read is there too.
            scratch: match job.format {
                InputFormat::Parquet => budget.scratch_bytes / 2,
                InputFormat::Json | InputFormat::Csv => budget.scratch_bytes,
            }
            .saturating_sub(budget.memory / 4),
            store: Arc::clone(store),
            prefix: request.ledger.spool(),
        };
        let quarantine = Upload::new(
            Arc::clone(store),
            request.ledger.quarantine(&hash),
            "application/jsonl",
        );
        Ok(Self {
            request,
            partitioner,
            files,
            kept,
            numbers: HashMap::new(),
            room,
            routed: Routed {
                landed,
                partitions: Vec::new(),
                files: Vec::new(),
                spool: Spool::new(Arc::clone(&layout.schema), time, spool),
                layout,
                quarantine: Quarantine::new(quarantine),
                lateness: LatenessMeter::new(landed),
                rows_in: 0,
                fields_dropped: 0,
                values_dropped: 0,
            },
        })
    }

    /// Whether the original bytes of JSON records are copied to an output.
    fn passes_through(settings: &Settings) -> bool {
        let mut formats = settings.job.output.iter().map(|output| output.format);
        settings.job.format == InputFormat::Json
            && formats.any(|format| format == OutputFormat::Json)
    }

    /// Spools the rows of a batch, except those that were already refused and have no [`Row`]. `record` returns the
    /// bytes of a row's record.
    fn take<'b>(
        &mut self,
        batch: &'b RecordBatch,
        rows: &[Option<Row>],
        record: impl Fn(&'b RecordBatch, usize) -> Result<Cow<'b, [u8]>, JobError>,
    ) -> Result<(), JobError> {
        let values = self.partition_values(batch)?;
        let mut numbers = Vec::with_capacity(rows.len());
        let mut key = Vec::new();
        let mut columns = Vec::with_capacity(values.len());
        for (index, row) in rows.iter().enumerate() {
            let Some(row) = row else {
                numbers.push(NO_PARTITION);
                continue;
            };
            columns.clear();
            columns.extend(
                values
                    .iter()
                    .map(|array| array.is_valid(index).then(|| array.value(index))),
            );
            key.clear();
            self.partitioner.write_key(row.time, &columns, &mut key);
            let number = if let Some(number) = self.numbers.get(&key[..]) {
                *number
            } else {
                let key = self.partitioner.key(row.time, &columns);
                match self.partitioner.render(&key, self.room) {
                    Ok(partition) => self.add_partition(key, partition)?,
                    Err(error) => {
                        let bytes = record(batch, index)?;
                        let (reason, detail) = (Reason::BadPartition, in_full(&error));
                        self.set_aside(row.offset, &bytes, reason, &detail)?;
                        numbers.push(NO_PARTITION);
                        continue;
                    }
                }
            };
            let files = self.routed.files.get_mut(number as usize);
            for parts in files.into_iter().flatten() {
                parts.add(row.bytes);
            }
            self.routed.lateness.record(row.time);
            numbers.push(number);
        }
        let batch = self.spooled(batch, rows)?;
        self.routed.spool.push(&batch, &numbers)
    }

    /// The columns of a batch that are kept until its rows are routed.
    fn spooled(&self, batch: &RecordBatch, rows: &[Option<Row>]) -> Result<RecordBatch, JobError> {
        let batch = batch.project(&self.kept)?;
        if !self.request.settings.job.sort_by_time {
            return Ok(batch);
        }
        let micros = |row: &Option<Row>| row.map_or(0, |row| microseconds(row.time));
        let times = Int64Array::from_iter_values(rows.iter().map(micros));
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(times));
        let schema = Arc::clone(&self.routed.layout.schema);
        Ok(RecordBatch::try_new(schema, columns)?)
    }

    fn set_aside(
        &mut self,
        offset: u64,
        record: &[u8],
        reason: Reason,
        detail: &str,
    ) -> Result<(), JobError> {
        let source = self.request.location.to_string();
        self.routed.quarantine.push(&Quarantined {
            source: &source,
            etag: self.request.etag,
            offset,
            reason,
            detail,
            record,
        })?;
        Ok(())
    }

    /// Spills until the memory is within its limit.
    async fn settle(&mut self) -> Result<(), JobError> {
        if self.routed.spool.is_over() {
            self.routed.spool.spill().await?;
        }
        self.routed.quarantine.flush().await
    }

    fn add_partition(&mut self, key: PartitionKey, partition: Partition) -> Result<u32, JobError> {
        let job = &self.request.settings.job;
        let limit = job.limits.partitions;
        let number = u32::try_from(self.routed.partitions.len()).unwrap_or(NO_PARTITION);
        if number >= limit {
            return Err(JobError::new(
                ErrorKind::TooManyPartitions,
                format!("refused: it touches more than {limit} partitions (limits.partitions)"),
            )
            .of(self.request.location.clone()));
        }
        self.numbers.insert(key, number);
        self.routed.partitions.push(partition);
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

/// How values of timestamp columns are parsed: like the record's own time, but without its pattern and bounds.
fn column_timestamps(rule: &TimestampRule) -> Result<ParseTimestamp, JobError> {
    let rule = TimestampRule {
        column: rule.column.clone(),
        format: None,
        unit: None,
        zone: rule.zone.clone(),
        earliest: None,
        latest: None,
    };
    let reader = TimestampReader::new(&rule, Timestamp::UNIX_EPOCH)
        .map_err(|error| JobError::new(ErrorKind::SchemaUnusable, error.to_string()))?;
    Ok(Box::new(move |value| {
        let time = match value {
            JsonScalar::String(text) => reader.read_text(text),
            JsonScalar::Number(text) => reader.read_number(text),
            _ => return None,
        };
        time.ok().map(microseconds)
    }))
}
