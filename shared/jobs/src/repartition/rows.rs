//! Reads the rows of pieces of the source, as batches of the written columns.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use lakewright_core::{
    avro::AvroRows,
    config::{Policy, Repartition, SecretName, Source as From},
    json::{Columns, ColumnsOptions, RecordError},
    location::Location,
    operations::Secret,
    reading::Reading,
    records::Records,
    repartition::{KeyValues, Part, Unit},
};

use super::{
    Budget, Ports,
    context::Context,
    ledger::Plan,
    read::{Content, open_avro, ranged, records, timestamps},
    refusal::unread,
};
use crate::{
    kit::{ErrorKind, JobError},
    work::{
        parquet::Room,
        ranged::RangedRows,
        refusal::{misread, refused_avro},
        source::Pinned,
    },
};

/// The bytes of records after which a batch of columns is cut: few, so that its data fits the processor's caches.
const BATCH: usize = 1 << 20;

/// The same if rows are partitioned: more, because each batch is split into as many pieces as there are partitions.
const ROUTED_BATCH: usize = 8 << 20;

/// Reads units, one after the other.
pub(super) struct Rows<'a> {
    ports: &'a Ports,
    budget: &'a Budget,
    secrets: &'a BTreeMap<SecretName, Secret>,
    plan: &'a Plan,
    written: SchemaRef,
    columns: Columns,
    /// The bytes of the records in the columns, and their limit.
    held: usize,
    most: usize,
    /// The index of the source's partition that the records in the columns belong to.
    partition: usize,
    units: VecDeque<Unit>,
    open: Option<Open<'a>>,
    ready: VecDeque<RecordBatch>,
    values_dropped: u64,
}

/// An object that is being read.
enum Open<'a> {
    Text(Box<Text<'a>>),
    Ranged(Box<Ranged>),
    Avro(Box<Avro<'a>>),
}

struct Text<'a> {
    bytes: Content<'a>,
    records: Box<dyn Records>,
    location: Location,
}

struct Avro<'a> {
    bytes: Content<'a>,
    rows: AvroRows,
    location: Location,
    ended: bool,
}

struct Ranged {
    rows: RangedRows,
    object: Pinned,
    location: Location,
    /// The next row group to load, and the end of the range.
    groups: Range<usize>,
}

impl<'a> Rows<'a> {
    /// Reads these units of the plan.
    pub(super) fn new(context: Context<'a>, units: &[Unit]) -> Result<Self, JobError> {
        let Context {
            ports,
            budget,
            secrets,
            plan,
        } = context;
        let job = &plan.settings;
        let options = ColumnsOptions {
            on_unknown: on_unknown(job),
            on_mismatch: job.on_mismatch,
            timestamp: Vec::new(),
            parse_timestamp: timestamps(&plan.reading)?,
            raw_column: None,
            max_depth: job.limits.deepest(),
        };
        let columns = Columns::new(&plan.shape.read_schema()?, options)
            .map_err(|error| JobError::new(ErrorKind::SchemaUnusable, error.to_string()))?;
        let columns = match &plan.reading {
            Reading::Json { keys, .. } => columns.with_key_names(keys.clone()),
            _ => columns,
        };
        Ok(Self {
            ports,
            budget,
            secrets,
            plan,
            written: plan.shape.written_schema()?,
            columns,
            held: 0,
            most: if plan.shape.partition_by.is_empty() {
                BATCH
            } else {
                ROUTED_BATCH
            },
            partition: 0,
            units: joined(units),
            open: None,
            ready: VecDeque::new(),
            values_dropped: 0,
        })
    }

    /// The number of values that became null so far because they do not fit their columns.
    pub(super) fn values_dropped(&self) -> u64 {
        self.values_dropped
    }

    /// The next rows.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>, JobError> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            match self.open.take() {
                Some(Open::Text(text)) => self.text(text).await?,
                Some(Open::Ranged(ranged)) => self.ranged(ranged).await?,
                Some(Open::Avro(avro)) => self.avro(avro).await?,
                None => {
                    if let Some(unit) = self.units.pop_front() {
                        self.open = Some(self.open(&unit).await?);
                        continue;
                    }
                    self.cut()?;
                    if self.ready.is_empty() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Takes the records of a text's next bytes.
    async fn text(&mut self, mut text: Box<Text<'a>>) -> Result<(), JobError> {
        let more = text.bytes.next().await?;
        let ended = more.is_none();
        match more {
            Some(more) => text.records.push(more),
            None => text.records.finish(),
        }
        let begin = text.bytes.begin();
        self.drain(&mut *text.records, &text.location, begin)?;
        if !ended {
            self.open = Some(Open::Text(text));
        }
        Ok(())
    }

    /// Takes the next rows of a Parquet or ORC object, or downloads its next row group.
    async fn ranged(&mut self, mut ranged: Box<Ranged>) -> Result<(), JobError> {
        let location = &ranged.location;
        if let Some(rows) = ranged.rows.next()? {
            self.values_dropped += rows.mismatched;
            let batch = self.arrange(&rows.batch)?;
            self.ready.push_back(batch);
            tokio::task::yield_now().await;
        } else if let Some(group) = ranged.groups.next() {
            let room = Room {
                clock: &*self.ports.clock,
                deadline: self.budget.deadline,
                folder: &self.budget.scratch,
            };
            let load = ranged.rows.load(&room, &ranged.object, group).await;
            load.map_err(|error| unread(location, error))?;
        } else {
            return Ok(());
        }
        self.open = Some(Open::Ranged(ranged));
        Ok(())
    }

    /// Takes the next rows of an Avro object, or its next bytes.
    async fn avro(&mut self, mut avro: Box<Avro<'a>>) -> Result<(), JobError> {
        let rows = avro.rows.next_rows();
        let rows = rows.map_err(|error| refused_avro(&avro.location, error))?;
        if let Some(rows) = rows {
            self.values_dropped += rows.mismatched;
            let batch = self.arrange(&rows.batch)?;
            self.ready.push_back(batch);
            tokio::task::yield_now().await;
        } else if avro.ended {
            return Ok(());
        } else if let Some(chunk) = avro.bytes.next().await? {
            avro.rows.push(chunk);
        } else {
            avro.rows.finish();
            avro.ended = true;
        }
        self.open = Some(Open::Avro(avro));
        Ok(())
    }

    async fn open(&mut self, unit: &Unit) -> Result<Open<'a>, JobError> {
        let plan = self.plan;
        let source = plan.sources.get(unit.source as usize).ok_or_else(|| {
            JobError::new(
                ErrorKind::BadRequest,
                format!(
                    "the plan has no such task: a unit of source {}",
                    unit.source
                ),
            )
        })?;
        if source.partition != self.partition {
            self.cut()?;
            self.partition = source.partition;
        }
        let location = plan.location(source);
        if plan.reading == Reading::Avro {
            let job = &plan.settings;
            let at = location.clone();
            let mut bytes = Content::open(self.ports, job, self.budget, at, source, None);
            let file = open_avro(&mut bytes, &job.limits).await?;
            let schema = plan.shape.read_schema()?;
            let rows = file.read_columns(
                &schema,
                on_unknown(job),
                job.on_mismatch,
                timestamps(&plan.reading)?,
            );
            return Ok(Open::Avro(Box::new(Avro {
                bytes,
                rows: rows.map_err(|error| refused_avro(&location, error))?,
                location,
                ended: false,
            })));
        }
        if plan.reading.by_ranges().is_none() {
            let lines = match unit.part {
                Part::Bytes(start, end) if start > 0 || end < source.size => Some((start, end)),
                _ => None,
            };
            let first = lines.is_none_or(|(start, _)| start == 0);
            let job = &plan.settings;
            let at = location.clone();
            return Ok(Open::Text(Box::new(Text {
                records: records(&plan.reading, job, &location, first)?,
                bytes: Content::open(self.ports, job, self.budget, at, source, lines),
                location,
            })));
        }
        let job = &plan.settings;
        let memory = self.budget.memory;
        let file = ranged(self.ports, job, &plan.reading, &location, source, memory);
        let (file, object) = file.await?;
        let schema = plan.shape.read_schema()?;
        let mut rows = file.read_columns(
            &schema,
            on_unknown(job),
            job.on_mismatch,
            timestamps(&plan.reading)?,
        )?;
        let groups = match unit.part {
            Part::RowGroups(start, end) => start as usize..end as usize,
            _ => 0..rows.row_groups().len(),
        };
        rows.start_at(groups.start);
        rows.stop_after(groups.start);
        Ok(Open::Ranged(Box::new(Ranged {
            rows,
            object,
            location,
            groups,
        })))
    }

    /// Takes all records that are available; the bytes begin at `begin` in the object.
    fn drain(
        &mut self,
        records: &mut dyn Records,
        location: &Location,
        begin: u64,
    ) -> Result<(), JobError> {
        while let Some(filled) = records
            .next_into(&mut self.columns)
            .map_err(|error| misread(location, &error.after(begin)))?
        {
            match filled.result {
                Ok(appended) => {
                    self.values_dropped += u64::from(appended.mismatched);
                    self.held += filled.bytes.len();
                }
                // The batch's text has reached its limit of 2 GiB, so the record starts the next batch.
                Err(error) if *error == RecordError::Full && self.columns.rows() > 0 => {
                    self.cut()?;
                }
                Err(error) => {
                    return Err(JobError::new(ErrorKind::RecordRefused, error.to_string())
                        .of(location.clone())
                        .at(begin + filled.offset));
                }
            }
            if self.held >= self.most {
                self.cut()?;
            }
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<(), JobError> {
        self.held = 0;
        if self.columns.rows() > 0 {
            let batch = self.columns.finish()?;
            let batch = self.arrange(&batch)?;
            self.ready.push_back(batch);
        }
        Ok(())
    }

    fn arrange(&self, batch: &RecordBatch) -> Result<RecordBatch, JobError> {
        let partition = self.plan.partitions.get(self.partition);
        let keys = KeyValues(partition.map_or_else(Vec::new, |partition| partition.values.clone()));
        Ok(self
            .plan
            .shape
            .arrange(batch, &self.written, &keys, self.secrets)?)
    }
}

/// What to do with fields without a column: a table has only its own columns, and if columns are selected, the others
/// are left out.
fn on_unknown(job: &Repartition) -> Policy {
    match job.source {
        From::Prefix(_) if job.columns.is_empty() => Policy::Fail,
        _ => Policy::Drop,
    }
}

/// Joins neighbouring units of one object.
fn joined(units: &[Unit]) -> VecDeque<Unit> {
    let mut joined: VecDeque<Unit> = VecDeque::new();
    for unit in units {
        if let Some(last) = joined.back_mut()
            && last.source == unit.source
        {
            match (&mut last.part, &unit.part) {
                (Part::Bytes(_, end), Part::Bytes(start, next)) if *end == *start => {
                    *end = *next;
                    continue;
                }
                (Part::RowGroups(_, end), Part::RowGroups(start, next)) if *end == *start => {
                    *end = *next;
                    continue;
                }
                _ => {}
            }
        }
        joined.push_back(unit.clone());
    }
    joined
}
