//! Avro: decodes blocks of records into batches.

use arrow::datatypes::Schema;
use lakewright_core::{avro::AvroError, time::TimestampReader};

use super::{
    Routers,
    rows::{routes, tables, take},
};
use crate::{
    kit::JobError,
    rekey::read::{Pieces, open_avro},
    work::{refusal::refused_avro, source::Source},
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
    let unreadable = |error: AvroError| refused_avro(&location, error);
    let mut pieces = Pieces::new(request.ports, request.budget, limits, source);
    let file = open_avro(&mut pieces, limits).await?;
    let tables = tables(routers, schemas, &location, &file.names(), &timestamps)?;
    let by = routes(routers);
    let rows = file.read_routed(tables, by.as_ref());
    let mut rows = rows.map_err(unreadable)?;
    if let Some(new) = request.adding {
        rows = rows.adding(new);
    }
    loop {
        while let Some(rows) = rows.next_rows().map_err(unreadable)? {
            take(routers, &location, &rows)?;
            routers.settle().await?;
            tokio::task::yield_now().await;
        }
        if pieces.ended() {
            return Ok(());
        }
        rows.push(pieces.next().await?);
        if pieces.ended() {
            rows.finish();
        }
    }
}
