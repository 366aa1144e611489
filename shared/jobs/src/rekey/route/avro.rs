//! Avro: decodes blocks of records into batches.

use arrow::datatypes::Schema;
use lakewright_core::{
    avro::AvroError, parquet_in::ReadOptions, partition::check_columns, time::TimestampReader,
};

use super::{Router, rows::take};
use crate::{
    kit::JobError,
    rekey::read::{Pieces, check_fields, no_such_column, open_avro},
    work::{refusal::refused_avro, source::Source, timestamps},
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
