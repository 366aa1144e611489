//! Reads a source object once and finds, for every record, the partition that its own time names.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array, AsArray, BinaryArray, RecordBatch, StringArray},
    compute::cast,
    datatypes::DataType,
};
use jiff::Timestamp;
use lakewright_core::{
    config::{OutputFormat, Policy, TimestampRule},
    encode::Layout,
    json::{
        Appended, Columns, ColumnsOptions, Filled, Framer, JsonScalar, ParseTimestamp, RecordError,
    },
    location::Location,
    naming::path_room,
    partition::{Partition, PartitionKey, Partitioner},
    quarantine::{Quarantined, Reason},
    time::{TimeError, TimestampReader, microseconds},
};

use super::{
    Budget, Ports, Settings,
    error::RekeyError,
    quarantine::Quarantine,
    read::{records, unframeable},
    schema::{RecordSchema, infer},
    source::SourceReader,
    spool::{NO_PARTITION, Spool},
};
use crate::report::Status;

/// Bytes of records after which a batch of columns is cut. It is the same whatever the memory, so that the
/// same object always makes the same files.
const BATCH: usize = 8 << 20;

/// The column that holds a record's own bytes: no field of a record has this name.
const RAW: &str = "\u{0}raw";

/// A whole source object, its rows kept apart by partition.
pub(super) struct Routed {
    /// The partitions, by the numbers that the spool knows them by.
    pub(super) partitions: Vec<Partition>,
    pub(super) spool: Spool,
    /// What the columns of the spooled batches are.
    pub(super) layout: Layout,
    pub(super) quarantine: Quarantine,
    pub(super) rows_in: u64,
    pub(super) fields_dropped: u64,
}

/// Reads the object with this `etag` and routes its records; or says why there is nothing to read.
pub(super) async fn route(
    ports: &Ports,
    budget: &Budget,
    settings: &Settings,
    location: &Location,
    etag: &str,
) -> Result<Result<Routed, Status>, RekeyError> {
    let open = || SourceReader::open(Arc::clone(&ports.store), location, etag);
    let mut reader = match open().await? {
        Ok(reader) => reader,
        Err(status) => return Ok(Err(status)),
    };
    let unusable = |error: &dyn std::error::Error| RekeyError::Schema(error.to_string());
    let job = &settings.job;
    // "now" in a bound means the moment at which the object landed, so that a retry decides alike.
    let landed = reader.meta().last_modified;
    let timestamps =
        TimestampReader::new(&job.timestamp, landed).map_err(|error| unusable(&error))?;
    let partitioner = Partitioner::new(&job.partition_by, job.path_style, timestamps.zone())
        .map_err(|error| unusable(&error))?;
    let schema = if let Some(table) = &settings.table {
        RecordSchema::of_table(table, partitioner.columns())?
    } else {
        let inferred = infer(ports, budget, settings, reader).await?;
        reader = match open().await? {
            Ok(reader) => reader,
            Err(status) => return Ok(Err(status)),
        };
        RecordSchema::inferred(&inferred, partitioner.columns())
    };
    let source = Source { location, etag };
    let mut router = Router::new(budget, settings, source, &schema, timestamps, partitioner)?;
    records(ports, budget, &job.limits, reader, |framer| {
        router.drain(framer)
    })
    .await?;
    Ok(Ok(router.finish()?))
}

/// The source object that records are quarantined in the name of.
#[derive(Clone, Copy)]
struct Source<'a> {
    location: &'a Location,
    etag: &'a str,
}

struct Router<'a> {
    settings: &'a Settings,
    source: Source<'a>,
    columns: Columns,
    files: usize,
    /// The columns that are spooled: those of the files, and the record's own bytes where an output needs them.
    kept: Vec<usize>,
    timestamps: TimestampReader,
    partitioner: Partitioner,
    numbers: HashMap<PartitionKey, u32>,
    /// The time and the offset of each row of the batch.
    rows: Vec<(Timestamp, u64)>,
    /// Bytes of the records in the batch.
    batch: usize,
    room: usize,
    routed: Routed,
}

impl<'a> Router<'a> {
    fn new(
        budget: &Budget,
        settings: &'a Settings,
        source: Source<'a>,
        schema: &RecordSchema,
        timestamps: TimestampReader,
        partitioner: Partitioner,
    ) -> Result<Self, RekeyError> {
        let job = &settings.job;
        let unusable = |error: &dyn std::error::Error| RekeyError::Schema(error.to_string());
        let mut formats = job.output.iter().map(|output| output.format);
        let passes_through = formats.any(|format| format == OutputFormat::Json);
        let options = ColumnsOptions {
            on_unknown: job.on_unknown,
            on_mismatch: job.on_mismatch,
            timestamp: job.timestamp.column.split('.').map(String::from).collect(),
            parse_timestamp: column_timestamps(&job.timestamp)?,
            // A partition column's value is looked at when the batch is cut, and may be refused then.
            raw_column: (passes_through || !partitioner.columns().is_empty())
                .then(|| RAW.to_owned()),
        };
        let columns = Columns::new(&schema.whole(), options).map_err(|error| unusable(&error))?;
        let mut kept = (0..schema.files()).collect::<Vec<_>>();
        if passes_through {
            kept.push(columns.schema().index_of(RAW)?);
        }
        let layout = Layout {
            schema: Arc::new(columns.schema().project(&kept)?),
            columns: schema.files(),
            raw: passes_through.then_some(schema.files()),
        };
        let hash = settings.hash()?;
        let rooms = job
            .output
            .iter()
            .map(|output| path_room(&job.directory(output).key, &hash, output.extension()));
        let room = rooms.min().unwrap_or_default();
        Ok(Self {
            settings,
            source,
            columns,
            files: schema.files(),
            kept,
            timestamps,
            partitioner,
            numbers: HashMap::new(),
            rows: Vec::new(),
            batch: 0,
            room,
            routed: Routed {
                partitions: Vec::new(),
                spool: Spool::new(
                    Arc::clone(&layout.schema),
                    &budget.scratch,
                    budget.memory / 4,
                ),
                layout,
                quarantine: Quarantine::new(&budget.scratch),
                rows_in: 0,
                fields_dropped: 0,
            },
        })
    }

    /// Takes every record that the framer holds.
    fn drain(&mut self, framer: &mut Framer) -> Result<(), RekeyError> {
        while let Some(filled) = framer
            .next_into(&mut self.columns)
            .map_err(|error| unframeable(self.source.location, &error))?
        {
            self.record(filled)?;
            if self.batch >= BATCH {
                self.cut()?;
            }
        }
        Ok(())
    }

    fn record(&mut self, filled: Filled<'_>) -> Result<(), RekeyError> {
        let Filled {
            offset,
            bytes,
            mut result,
        } = filled;
        if matches!(result, Err(RecordError::Full)) {
            // The batch's text is at its limit of 2 GiB; the record has the next batch to itself.
            self.cut()?;
            result = self.columns.append(bytes);
        }
        self.routed.rows_in += 1;
        let appended = match result {
            Ok(appended) => appended,
            Err(error) => {
                self.check_policy(&error, offset)?;
                let time = &self.settings.job.timestamp.column;
                let reason = match &error {
                    RecordError::Mismatch { column, .. } if column.eq_ignore_ascii_case(time) => {
                        Some(Reason::BadTimestamp)
                    }
                    error => error.reason(),
                };
                let Some(reason) = reason else {
                    return Err(RekeyError::Unreadable {
                        location: self.source.location.clone(),
                        message: format!("the record at byte {offset}: {error}"),
                    });
                };
                return self.set_aside(offset, bytes, reason, &error.to_string());
            }
        };
        match self.time_of(&appended) {
            Ok(time) => {
                self.rows.push((time, offset));
                self.batch += bytes.len();
                self.routed.fields_dropped += u64::from(appended.unknown);
                Ok(())
            }
            Err((reason, detail)) => {
                self.columns.undo();
                self.set_aside(offset, bytes, reason, &detail)
            }
        }
    }

    fn time_of(&self, appended: &Appended<'_>) -> Result<Timestamp, (Reason, String)> {
        let column = &self.settings.job.timestamp.column;
        let time = match &appended.timestamp {
            JsonScalar::Missing | JsonScalar::Null => {
                return Err((Reason::NoTimestamp, format!("`{column}` has no value")));
            }
            JsonScalar::String(text) => self.timestamps.read_text(text),
            JsonScalar::Number(text) => self.timestamps.read_number(text),
            JsonScalar::Bool(_) | JsonScalar::Other => {
                let detail = format!("`{column}` is neither a string nor a number");
                return Err((Reason::BadTimestamp, detail));
            }
        };
        time.map_err(|error| {
            let reason = match error {
                TimeError::BeforeEarliest { .. } => Reason::BeforeEarliest,
                TimeError::AfterLatest { .. } => Reason::AfterLatest,
                _ => Reason::BadTimestamp,
            };
            (reason, format!("`{column}`: {error}"))
        })
    }

    /// Refuses the whole object where the job's policy says so.
    fn check_policy(&self, error: &RecordError, offset: u64) -> Result<(), RekeyError> {
        let job = &self.settings.job;
        let policy = match error {
            RecordError::UnknownField { .. } => job.on_unknown,
            RecordError::Mismatch { .. } => job.on_mismatch,
            _ => Policy::Quarantine,
        };
        if policy == Policy::Fail {
            return Err(RekeyError::RecordRefused {
                location: self.source.location.clone(),
                offset,
                message: error.to_string(),
            });
        }
        Ok(())
    }

    fn set_aside(
        &mut self,
        offset: u64,
        record: &[u8],
        reason: Reason,
        detail: &str,
    ) -> Result<(), RekeyError> {
        let source = self.source.location.to_string();
        self.routed.quarantine.push(&Quarantined {
            source: &source,
            etag: self.source.etag,
            offset,
            reason,
            detail,
            record,
        })?;
        Ok(())
    }

    /// Ends the batch of columns and spools its rows.
    fn cut(&mut self) -> Result<(), RekeyError> {
        self.batch = 0;
        if self.rows.is_empty() {
            return Ok(());
        }
        let batch = self.columns.finish()?;
        let rows = std::mem::take(&mut self.rows);
        let values = self.partition_values(&batch)?;
        let mut numbers = Vec::with_capacity(rows.len());
        let mut key = Vec::new();
        let mut columns = Vec::with_capacity(values.len());
        for (row, (time, offset)) in rows.into_iter().enumerate() {
            columns.clear();
            columns.extend(
                values
                    .iter()
                    .map(|array| array.is_valid(row).then(|| array.value(row))),
            );
            key.clear();
            self.partitioner.write_key(time, &columns, &mut key);
            let number = if let Some(number) = self.numbers.get(&key[..]) {
                *number
            } else {
                let key = self.partitioner.key(time, &columns);
                match self.partitioner.render(&key, self.room) {
                    Ok(partition) => self.add_partition(key, partition)?,
                    Err(error) => {
                        let (record, detail) = (raw_of(&batch, row), error.to_string());
                        self.set_aside(offset, record, Reason::BadPartition, &detail)?;
                        NO_PARTITION
                    }
                }
            };
            numbers.push(number);
        }
        let batch = batch.project(&self.kept)?;
        self.routed.spool.push(&batch, &numbers)
    }

    fn add_partition(
        &mut self,
        key: PartitionKey,
        partition: Partition,
    ) -> Result<u32, RekeyError> {
        let limit = self.settings.job.limits.partitions;
        let number = u32::try_from(self.routed.partitions.len()).unwrap_or(NO_PARTITION);
        if number >= limit {
            return Err(RekeyError::TooManyPartitions {
                location: self.source.location.clone(),
                limit,
            });
        }
        self.numbers.insert(key, number);
        self.routed.partitions.push(partition);
        Ok(number)
    }

    /// The values of the partition columns, as text.
    fn partition_values(&self, batch: &RecordBatch) -> Result<Vec<StringArray>, RekeyError> {
        let columns = self.partitioner.columns().len();
        (self.files..self.files + columns)
            .map(|column| {
                let text = cast(batch.column(column), &DataType::Utf8)?;
                Ok(text.as_string::<i32>().clone())
            })
            .collect()
    }

    fn finish(mut self) -> Result<Routed, RekeyError> {
        self.cut()?;
        Ok(self.routed)
    }
}

/// The bytes of a row's record.
fn raw_of(batch: &RecordBatch, row: usize) -> &[u8] {
    batch
        .column_by_name(RAW)
        .and_then(|column| column.as_any().downcast_ref::<BinaryArray>())
        .map_or(&[], |raw| raw.value(row))
}

/// How a value of a timestamp column is read: as the record's own time, but without its pattern and bounds.
fn column_timestamps(rule: &TimestampRule) -> Result<ParseTimestamp, RekeyError> {
    let rule = TimestampRule {
        column: rule.column.clone(),
        format: None,
        unit: None,
        zone: rule.zone.clone(),
        earliest: None,
        latest: None,
    };
    let reader = TimestampReader::new(&rule, Timestamp::UNIX_EPOCH)
        .map_err(|error| RekeyError::Schema(error.to_string()))?;
    Ok(Box::new(move |value| {
        let time = match value {
            JsonScalar::String(text) => reader.read_text(text),
            JsonScalar::Number(text) => reader.read_number(text),
            _ => return None,
        };
        time.ok().map(microseconds)
    }))
}
