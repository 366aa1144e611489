//! JSON and CSV: the records fill columns, which are cut into batches.

use std::borrow::Cow;

use arrow::{
    array::{AsArray, BinaryArray, RecordBatch},
    datatypes::Schema,
};
use jiff::Timestamp;
use lakewright_core::{
    config::{Policy, Rekey},
    json::{Appended, Columns, ColumnsOptions, JsonScalar, NewFields, RecordError},
    location::Location,
    quarantine::Reason,
    records::{Filled, Records},
    routes::Routes,
    shown::in_full,
    time::{TimeError, TimestampReader},
};

use super::{Request, Router, Routers, Row, unusable};
use crate::{
    kit::{ErrorKind, JobError},
    rekey::read::RecordReader,
    work::{refusal::misread, source::Source, timestamps::timestamps},
};

/// The bytes of records after which a batch of columns is cut. It does not depend on the memory, so that the same
/// objects always make the same files.
const BATCH: usize = 8 << 20;

/// The most rows of a batch with fields that may become columns: these take memory until it is known whether the row is routed.
const MOST_NEW: usize = 16_384;

/// The column with a record's original bytes: no field of a record has this name.
pub(super) const RAW: &str = "\u{0}raw";

/// Fills columns with records.
pub(super) struct Filler {
    columns: Columns,
    /// The rows of each destination.
    rows: Vec<Vec<Option<Row>>>,
    /// The fields without a column that may become columns of the table, of the rows of the only destination: a job with routes
    /// adds none.
    new: Vec<(usize, NewFields)>,
    /// The bytes of the records in all columns.
    bytes: usize,
}

/// Empty columns of the schema `read`. `keeps_raw`: whether the records' original bytes are kept.
pub(super) fn columns(job: &Rekey, read: &Schema, keeps_raw: bool) -> Result<Columns, JobError> {
    let options = ColumnsOptions {
        on_unknown: job.on_unknown.policy(),
        on_mismatch: job.on_mismatch,
        timestamp: job.timestamp.column.split('.').map(String::from).collect(),
        parse_timestamp: timestamps(None, job.timestamp.zone.as_deref())?,
        raw_column: keeps_raw.then(|| RAW.to_owned()),
        max_depth: job.limits.deepest(),
    };
    Columns::new(read, options).map_err(|error| unusable(&error))
}

impl Filler {
    /// `of`: the columns of each destination.
    pub(super) fn new(job: &Rekey, of: Vec<Columns>) -> Result<Self, JobError> {
        let rows = vec![Vec::new(); of.len()];
        let columns = match &job.route {
            Some(route) => Columns::routed(Routes::new(route), of, job.limits.deepest())
                .map_err(|error| unusable(&error))?,
            None => of.into_iter().next().ok_or_else(no_destination)?,
        };
        Ok(Self {
            columns,
            rows,
            new: Vec::new(),
            bytes: 0,
        })
    }

    /// Reads a member. Its last rows stay in the columns.
    pub(super) async fn member(
        &mut self,
        routers: &mut Routers<'_>,
        source: Source,
        timestamps: TimestampReader,
    ) -> Result<(), JobError> {
        let Request { ports, budget, .. } = routers.account.request;
        let settings = routers.account.request.settings();
        let location = source.location().clone();
        let mut records = RecordReader::new(ports, budget, settings, source)?;
        while let Some(records) = records.more().await? {
            self.drain(routers, records, &location, &timestamps)?;
            if let Some(member) = routers.account.member() {
                member.control_messages = records.controls();
            }
            routers.settle().await?;
        }
        Ok(())
    }

    /// Takes all records that are available.
    fn drain(
        &mut self,
        routers: &mut Routers<'_>,
        records: &mut dyn Records,
        location: &Location,
        timestamps: &TimestampReader,
    ) -> Result<(), JobError> {
        while let Some(filled) = records
            .next_into(&mut self.columns)
            .map_err(|error| misread(location, &error))?
        {
            if filled
                .result
                .as_ref()
                .is_err_and(|error| **error == RecordError::Full)
            {
                // The batch's text has reached its limit of 2 GiB, so the record starts the next batch.
                self.cut(routers)?;
                continue;
            }
            self.record(routers, filled, location, timestamps)?;
            if self.bytes >= BATCH || self.new.len() >= MOST_NEW {
                self.cut(routers)?;
            }
        }
        Ok(())
    }

    fn record(
        &mut self,
        routers: &mut Routers<'_>,
        filled: Filled<'_>,
        location: &Location,
        timestamps: &TimestampReader,
    ) -> Result<(), JobError> {
        let Filled {
            offset,
            bytes,
            result,
        } = filled;
        let Routers { account, of } = routers;
        let at = account.at;
        if let Some(member) = account.member() {
            member.rows_in += 1;
        }
        let destination = self.columns.destination();
        let (Some(router), Some(rows)) = (of.get(destination), self.rows.get_mut(destination))
        else {
            return Err(no_destination());
        };
        let appended = match result {
            Ok(appended) => appended,
            Err(error) => {
                let reason = reason(router.job, &error, location, offset)?;
                return account.set_aside(offset, bytes, reason, &in_full(&error));
            }
        };
        match time_of(router.job, &appended, timestamps) {
            Ok(time) => {
                if let Some(member) = account.member() {
                    member.fields_dropped += u64::from(appended.unknown);
                    member.values_dropped += u64::from(appended.mismatched);
                }
                self.bytes += bytes.len() + router.made_bytes(at);
                let new = self.columns.take_new();
                self.new.extend(new.map(|new| (rows.len(), new)));
                rows.push(Some(Row {
                    member: at,
                    time,
                    offset,
                    bytes: bytes.len() as u64,
                }));
                Ok(())
            }
            Err((reason, detail)) => {
                self.columns.undo();
                account.set_aside(offset, bytes, reason, &detail)
            }
        }
    }

    /// Ends the batches of columns and spools their rows.
    pub(super) fn cut(&mut self, routers: &mut Routers<'_>) -> Result<(), JobError> {
        self.bytes = 0;
        let Routers { account, of } = routers;
        for (destination, (router, rows)) in of.iter_mut().zip(&mut self.rows).enumerate() {
            if rows.is_empty() {
                continue;
            }
            let columns = self.columns.of(destination).ok_or_else(no_destination)?;
            let batch = columns.finish()?;
            // The next batch may have a few rows more.
            let room = Vec::with_capacity(rows.len() + rows.len() / 16);
            let rows = std::mem::replace(rows, room);
            let partitions = router.take(account, &batch, &rows, |batch, row| {
                Ok(Cow::Borrowed(raw_of(batch, row)))
            })?;
            account.bring(Router::routed(&rows, &partitions, self.new.drain(..)));
        }
        account.measure();
        Ok(())
    }
}

fn no_destination() -> JobError {
    JobError::new(ErrorKind::SchemaUnusable, "the job has no destination")
}

fn time_of(
    job: &Rekey,
    appended: &Appended<'_>,
    timestamps: &TimestampReader,
) -> Result<Timestamp, (Reason, String)> {
    let column = &job.timestamp.column;
    let time = match &appended.timestamp {
        JsonScalar::Missing | JsonScalar::Null => {
            return Err((Reason::NoTimestamp, format!("`{column}` has no value")));
        }
        JsonScalar::String(text) => timestamps.read_text(text),
        JsonScalar::Number(text) => timestamps.read_number(text),
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
        (reason, format!("`{column}`: {}", in_full(&error)))
    })
}

/// Why a record is quarantined. Refuses the whole object if the destination's policy is to fail.
fn reason(
    job: &Rekey,
    error: &RecordError,
    location: &Location,
    offset: u64,
) -> Result<Reason, JobError> {
    let policy = match error {
        RecordError::UnknownField { .. } => job.on_unknown.policy(),
        RecordError::Mismatch { .. } => job.on_mismatch,
        _ => Policy::Quarantine,
    };
    if policy == Policy::Fail {
        return Err(
            JobError::new(ErrorKind::RecordRefused, format!("refused: {error}"))
                .of(location.clone())
                .at(offset),
        );
    }
    let time = &job.timestamp.column;
    let reason = match error {
        RecordError::Mismatch { column, .. } if column.eq_ignore_ascii_case(time) => {
            Some(Reason::BadTimestamp)
        }
        error => error.reason(),
    };
    reason.ok_or_else(|| {
        JobError::unreadable(
            location.clone(),
            format!("the record at byte {offset}: {error}"),
        )
    })
}

/// The bytes of a row's record.
fn raw_of(batch: &RecordBatch, row: usize) -> &[u8] {
    batch
        .column_by_name(RAW)
        .and_then(|column| column.as_binary_opt::<i32>())
        .map_or(&[], |raw: &BinaryArray| raw.value(row))
}
