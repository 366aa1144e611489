//! Parquet: downloads one row group at a time to the temporary folder and reads it from there.

use arrow::datatypes::Schema;
use lakewright_core::{
    parquet_in::{ParquetFile, ReadError},
    time::TimestampReader,
};

use super::{
    Routers,
    rows::{only, options, take},
};
use crate::{
    kit::JobError,
    work::{
        parquet::{Loaded, Room},
        refusal::refused,
        source::Source,
    },
};

/// Reads a member into the columns of each destination.
pub(super) async fn member(
    routers: &mut Routers<'_>,
    schemas: &[Schema],
    source: Source,
    timestamps: TimestampReader,
) -> Result<(), JobError> {
    let request = routers.account.request;
    let (schema, router) = only(schemas, &mut routers.of)?;
    let job = router.job;
    let location = source.location().clone();
    let unreadable = |error: ReadError| refused(&location, error);
    let loaded = Loaded::open(source.object(), source.first(), &job.limits).await?;
    let file = ParquetFile::open(loaded.clone(), &job.limits).map_err(unreadable)?;
    let options = options(job, &location, &file.names(), timestamps)?;
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
            let (_, router) = only(schemas, &mut routers.of)?;
            take(
                &mut routers.account,
                router,
                &location,
                &rows.map_err(unreadable)?,
            )?;
            routers.settle().await?;
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}
