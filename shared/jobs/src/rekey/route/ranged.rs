//! Parquet and ORC: downloads one row group or stripe at a time to the temporary folder and reads it from there.

use arrow::datatypes::Schema;
use lakewright_core::{config::Ranged, time::TimestampReader};

use super::{
    Routers,
    rows::{routes, tables, take},
};
use crate::{
    kit::JobError,
    work::{parquet::Room, ranged::RangedFile, source::Source},
};

/// Reads a member into the columns of each destination.
pub(super) async fn member(
    format: Ranged,
    routers: &mut Routers<'_>,
    schemas: &[Schema],
    source: Source,
    timestamps: TimestampReader,
) -> Result<(), JobError> {
    let request = routers.account.request;
    let limits = &request.settings().job.limits;
    let location = source.location().clone();
    let (object, first) = (source.object(), source.first());
    let memory = request.budget.memory;
    let file = RangedFile::open(format, object, &location, first, limits, memory).await??;
    let tables = tables(routers, schemas, &location, &file.names(), &timestamps)?;
    let by = routes(routers);
    let mut rows = file.read_routed(tables, by.as_ref())?;
    if let Some(new) = request.adding {
        rows = rows.adding(new);
    }
    let room = Room {
        clock: &*request.ports.clock,
        deadline: request.budget.deadline,
        folder: &request.budget.scratch,
    };
    for row_group in 0..rows.row_groups().len() {
        rows.load(&room, source.object(), row_group).await?;
        while let Some(rows) = rows.next()? {
            take(routers, &location, &rows)?;
            routers.settle().await?;
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}
