//! Parquet: downloads one row group at a time to the temporary folder and reads it from there.

use arrow::datatypes::Schema;
use lakewright_core::{
    parquet_in::{ParquetFile, ReadError},
    time::TimestampReader,
};

use super::{
    Routers,
    rows::{routes, tables, take},
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
    let limits = &request.settings().job.limits;
    let location = source.location().clone();
    let unreadable = |error: ReadError| refused(&location, error);
    let loaded = Loaded::open(source.object(), source.first(), limits).await?;
    let file = ParquetFile::open(loaded.clone(), limits).map_err(unreadable)?;
    let tables = tables(routers, schemas, &location, &file.names(), &timestamps)?;
    let by = routes(routers);
    let rows = file.read_routed(tables, by.as_ref());
    let mut rows = rows.map_err(unreadable)?;
    if let Some(new) = request.adding {
        rows = rows.adding(new.clone());
    }
    let room = Room {
        clock: &*request.ports.clock,
        deadline: request.budget.deadline,
        folder: &request.budget.scratch,
    };
    for (row_group, range) in (1..).zip(rows.row_groups()) {
        loaded.load(&room, source.object(), range).await?;
        rows.stop_after(row_group);
        for rows in &mut rows {
            take(routers, &location, &rows.map_err(unreadable)?)?;
            routers.settle().await?;
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}
