//! Avro: decodes blocks of records into batches.

use arrow::datatypes::Schema;
use lakewright_core::{avro::AvroError, time::TimestampReader};

use super::{
    Router,
    rows::{options, take},
};
use crate::{
    kit::JobError,
    rekey::read::{Pieces, open_avro},
    work::{refusal::refused_avro, source::Source},
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
    let unreadable = |error: AvroError| refused_avro(&location, error);
    let mut pieces = Pieces::new(request.ports, request.budget, &job.limits, source);
    let file = open_avro(&mut pieces, &job.limits).await?;
    let options = options(job, &location, &file.names(), timestamps)?;
    let mut rows = file.read(schema, options).map_err(unreadable)?;
    loop {
        while let Some(rows) = rows.next_rows().map_err(unreadable)? {
            take(router, &location, &rows)?;
            router.settle().await?;
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
