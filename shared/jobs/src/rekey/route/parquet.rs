//! Parquet: downloads one row group at a time to the temporary folder and reads it from there.

use arrow::datatypes::Schema;
use lakewright_core::{
    parquet_in::{ParquetFile, ReadError, ReadOptions},
    partition::check_columns,
    time::TimestampReader,
};

use super::{Router, rows::take};
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
