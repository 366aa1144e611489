//! Rows that were read in batches.

use std::borrow::Cow;

use arrow::datatypes::Schema;
use lakewright_core::{
    config,
    location::Location,
    parquet_in::{ReadOptions, Rows},
    partition::check_columns,
    time::TimestampReader,
};

use super::{Account, Router, Row};
use crate::{
    kit::{ErrorKind, JobError},
    rekey::read::{check_fields, no_such_column},
    work::{refusal::refused, timestamps},
};

/// How a member with the columns `names` is read. It is refused if it lacks a column that the job names.
pub(super) fn options(
    job: &config::Rekey,
    location: &Location,
    names: &[String],
    timestamps: TimestampReader,
) -> Result<ReadOptions, JobError> {
    check_columns(&job.fields_of_path(), names)
        .map_err(|error| no_such_column(location, "partition_by", &error))?;
    check_fields(job.fields_of_columns(), names)
        .map_err(|error| no_such_column(location, "column", &error))?;
    Ok(ReadOptions {
        on_unknown: job.on_unknown,
        on_mismatch: job.on_mismatch,
        timestamp: job.timestamp.column.clone(),
        timestamps,
        parse_timestamp: timestamps::timestamps(None, job.timestamp.zone.as_deref())?,
    })
}

/// The only destination, with the columns that are read for it.
pub(super) fn only<'s, 'r, 'a>(
    schemas: &'s [Schema],
    routers: &'r mut [Router<'a>],
) -> Result<(&'s Schema, &'r mut Router<'a>), JobError> {
    match (schemas, routers) {
        ([schema], [router]) => Ok((schema, router)),
        _ => Err(JobError::new(
            ErrorKind::SchemaUnusable,
            "rows that are read in batches have one destination",
        )),
    }
}

/// Routes the next rows of the member.
pub(super) fn take(
    account: &mut Account<'_>,
    router: &mut Router<'_>,
    location: &Location,
    rows: &Rows,
) -> Result<(), JobError> {
    let at = account.at;
    let record = |row: usize| rows.record(row).map_err(|error| refused(location, error));
    let mut timed = Vec::with_capacity(rows.times.len());
    for (index, time) in rows.times.iter().enumerate() {
        let offset = rows.first + index as u64;
        timed.push(match time {
            Ok(time) => Some(Row {
                member: at,
                time: *time,
                offset,
                bytes: rows.sizes.get(index).copied().unwrap_or(0),
            }),
            Err(refused) => {
                account.set_aside(offset, &record(index)?, refused.reason, &refused.detail)?;
                None
            }
        });
    }
    if let Some(member) = account.member() {
        member.rows_in += timed.len() as u64;
        member.fields_dropped += rows.dropped;
        member.values_dropped += rows.mismatched;
    }
    router.take(account, &rows.batch, &timed, |_, row| {
        record(row).map(Cow::Owned)
    })
}
