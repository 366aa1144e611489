//! Parquet: downloads one row group at a time to the temporary folder and reads it from there.

use std::borrow::Cow;

use arrow::datatypes::Schema;
use lakewright_core::{
    location::Location,
    parquet_in::{ParquetFile, ReadError, ReadOptions, Rows},
    partition::check_columns,
    time::TimestampReader,
};

use super::{Router, Row};
use crate::{
    kit::JobError,
    rekey::read::{check_fields, no_such_column},
    work::{
        parquet::{Loaded, Room},
        refusal::refused,
        source::Source,
        timestamps,
    },
};

/// Reads a member into the columns of `schema`.
pub(super) async fn member(
    router: &mut Router<'_>,
    schema: &Schema,
    source: Source,
    timestamps: TimestampReader,
) -> Result<(), JobError> {
    let request = router.request;
    let job = &request.settings().job;
    let location = source.location().clone();
    let unreadable = |error: ReadError| refused(&location, error);
    let loaded = Loaded::open(source.object(), source.first(), &job.limits).await?;
    let file = ParquetFile::open(loaded.clone(), &job.limits).map_err(unreadable)?;
    check_columns(&job.fields_of_path(), &file.names())
        .map_err(|error| no_such_column(&location, "partition_by", &error))?;
    check_fields(job.fields_of_columns(), &file.names())
        .map_err(|error| no_such_column(&location, "column", &error))?;
    let options = ReadOptions {
        on_unknown: job.on_unknown,
        on_mismatch: job.on_mismatch,
        timestamp: job.timestamp.column.clone(),
        timestamps,
        parse_timestamp: timestamps::timestamps(None, job.timestamp.zone.as_deref())?,
    };
    let mut rows = file.read(schema, options).map_err(unreadable)?;
    let room = Room {
        clock: &*request.ports.clock,
        deadline: request.budget.deadline,
        folder: &request.budget.scratch,
    };
    for (row_group, range) in (1..).zip(rows.row_groups()) {
        loaded.load(&room, source.object(), range).await?;
        rows.stop_after(row_group);
        for rows in &mut rows {
            take(router, &location, &rows.map_err(unreadable)?)?;
            router.settle().await?;
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

fn take(router: &mut Router<'_>, location: &Location, rows: &Rows) -> Result<(), JobError> {
    let at = router.at;
    let record = |row: usize| rows.record(row).map_err(|error| refused(location, error));
    let mut timed = Vec::with_capacity(rows.times.len());
    for (index, time) in rows.times.iter().enumerate() {
        let offset = rows.first + index as u64;
        timed.push(match time {
            Ok(time) => Some(Row {
                member: at,
                time: *time,
                offset,
                bytes: rows.row_bytes,
            }),
            Err(refused) => {
                router.set_aside(offset, &record(index)?, refused.reason, &refused.detail)?;
                None
            }
        });
    }
    if let Some(member) = router.member() {
        member.rows_in += timed.len() as u64;
        member.fields_dropped += rows.dropped;
        member.values_dropped += rows.mismatched;
    }
    router.take(&rows.batch, &timed, |_, row| record(row).map(Cow::Owned))
}
