//! Avro: decodes blocks of records into batches.

use arrow::datatypes::Schema;
use lakewright_core::{avro::AvroError, time::TimestampReader};

use super::{
    Routers,
    rows::{only, options, take},
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
    let (schema, router) = only(schemas, &mut routers.of)?;
    let job = router.job;
    let location = source.location().clone();
    let unreadable = |error: AvroError| refused_avro(&location, error);
    let mut pieces = Pieces::new(request.ports, request.budget, &job.limits, source);
    let file = open_avro(&mut pieces, &job.limits).await?;
    let options = options(job, &location, &file.names(), timestamps)?;
    let mut rows = file.read(schema, options).map_err(unreadable)?;
    loop {
        while let Some(rows) = rows.next_rows().map_err(unreadable)? {
            let (_, router) = only(schemas, &mut routers.of)?;
            take(&mut routers.account, router, &location, &rows)?;
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
