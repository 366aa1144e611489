//! Parquet: downloads one row group at a time to the temporary folder and reads it from there.

use std::borrow::Cow;

use jiff::Timestamp;
use lakewright_core::{
    parquet_in::{ParquetFile, ReadError, ReadOptions, Rows},
    partition::{Partitioner, check_columns},
    time::TimestampReader,
};

use super::{Request, Routed, Router, Row, column_timestamps, unusable};
use crate::{
    kit::{ErrorKind, JobError},
    rekey::{read::no_such_part, schema::RecordSchema, source::Source},
    work::parquet::{Loaded, Room},
};

pub(super) async fn route(
    request: Request<'_>,
    source: Source,
    landed: Timestamp,
    timestamps: TimestampReader,
) -> Result<Routed, JobError> {
    let settings = request.settings;
    let job = &settings.job;
    let partitioner = Partitioner::new(&job.partition_by, job.path_style, timestamps.zone())
        .map_err(|error| unusable(&error))?;
    let unreadable = |error: ReadError| unreadable(request, error);
    let loaded = Loaded::open(source.object(), source.first(), &job.limits).await?;
    let file = ParquetFile::open(loaded.clone(), &job.limits).map_err(unreadable)?;
    check_columns(&job.partition_by, &file.names())
        .map_err(|error| no_such_part(request.location, &error))?;
    let schema = if let Some(table) = &settings.table {
        RecordSchema::of_table(table, partitioner.columns())?
    } else {
        let schema = file.schema().map_err(unreadable)?;
        RecordSchema::inferred(&schema, &partitioner)
    };
    let options = ReadOptions {
        on_unknown: job.on_unknown,
        on_mismatch: job.on_mismatch,
        timestamp: job.timestamp.column.clone(),
        timestamps,
        parse_timestamp: column_timestamps(&job.timestamp)?,
    };
    let mut rows = file.read(&schema.whole(), options).map_err(unreadable)?;
    let mut router = Router::new(request, landed, partitioner, &schema, None)?;
    let room = Room {
        clock: &*request.ports.clock,
        deadline: request.budget.deadline,
        folder: &request.budget.scratch,
    };
    for (row_group, range) in (1..).zip(rows.row_groups()) {
        loaded.load(&room, source.object(), range).await?;
        rows.stop_after(row_group);
        for rows in &mut rows {
            take(&mut router, &rows.map_err(unreadable)?)?;
            router.settle().await?;
            tokio::task::yield_now().await;
        }
    }
    Ok(router.routed)
}

fn take(router: &mut Router<'_>, rows: &Rows) -> Result<(), JobError> {
    let request = router.request;
    let record = |row: usize| rows.record(row).map_err(|error| unreadable(request, error));
    let mut timed = Vec::with_capacity(rows.times.len());
    for (index, time) in rows.times.iter().enumerate() {
        let offset = rows.first + index as u64;
        timed.push(match time {
            Ok(time) => Some(Row {
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
    router.routed.rows_in += timed.len() as u64;
    router.routed.fields_dropped += rows.dropped;
    router.routed.values_dropped += rows.mismatched;
    router.take(&rows.batch, &timed, |_, row| record(row).map(Cow::Owned))
}

fn unreadable(request: Request<'_>, error: ReadError) -> JobError {
    let location = request.location.clone();
    match error {
        ReadError::FooterTooLarge { size, limit } => {
            let message = format!(
                "refused: its Parquet footer has {size} bytes, more than {limit} \
            (limits.parquet_footer)"
            );
            JobError::new(ErrorKind::ParquetFooterTooLarge, message).of(location)
        }
        ReadError::RowGroupTooLarge {
            row_group,
            size,
            limit,
        } => {
            let message = format!(
                "refused: row group {row_group} has {size} bytes decoded, more than {limit} \
            (limits.parquet_row_group)"
            );
            JobError::new(ErrorKind::ParquetRowGroupTooLarge, message).of(location)
        }
        ReadError::RowRefused { row, error } => {
            let message = format!("refused: {error}");
            JobError::new(ErrorKind::RecordRefused, message)
                .of(location)
                .at(row)
        }
        ReadError::Schema(_) | ReadError::NameCollision { .. } => {
            JobError::new(ErrorKind::SchemaUnusable, format!("{location}: {error}"))
        }
        error => JobError::unreadable(location, error.to_string()),
    }
}
