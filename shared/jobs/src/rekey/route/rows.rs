//! Rows that were read in batches.

use std::borrow::Cow;

use arrow::datatypes::Schema;
use lakewright_core::{
    location::Location,
    parquet_in::{ReadOptions, Rows},
    partition::check_columns,
    routes::Routes,
    time::TimestampReader,
};

use super::{Router, Routers, Row};
use crate::{
    kit::JobError,
    rekey::read::{check_fields, no_such_column},
    work::{refusal::refused, timestamps},
};

/// The tables that a member with the columns `names` is read into, one for each destination. The member is refused if it lacks
/// a column that a destination names.
pub(super) fn tables<'s>(
    routers: &Routers<'_>,
    schemas: &'s [Schema],
    location: &Location,
    names: &[String],
    timestamps: &TimestampReader,
) -> Result<Vec<(&'s Schema, ReadOptions)>, JobError> {
    let mut tables = Vec::new();
    for (schema, Router { job, .. }) in schemas.iter().zip(&routers.of) {
        check_columns(&job.fields_of_path(), names)
            .map_err(|error| no_such_column(location, "partition_by", &error))?;
        check_fields(job.fields_of_columns(), names)
            .map_err(|error| no_such_column(location, "column", &error))?;
        let options = ReadOptions {
            on_unknown: job.on_unknown.policy(),
            on_mismatch: job.on_mismatch,
            timestamp: job.timestamp.column.clone(),
            timestamps: timestamps.clone(),
            parse_timestamp: timestamps::timestamps(None, job.timestamp.zone.as_deref())?,
        };
        tables.push((schema, options));
    }
    Ok(tables)
}

/// The routes of the job.
pub(super) fn routes(routers: &Routers<'_>) -> Option<Routes> {
    let job = &routers.account.request.settings().job;
    job.route.as_ref().map(Routes::new)
}

/// Routes the next rows of the member.
pub(super) fn take(
    routers: &mut Routers<'_>,
    location: &Location,
    rows: &Rows,
) -> Result<(), JobError> {
    let Routers { account, of } = routers;
    let at = account.at;
    let record = |row: usize| rows.record(row).map_err(|error| refused(location, error));
    let mut timed = Vec::with_capacity(rows.times.len());
    for (index, time) in rows.times.iter().enumerate() {
        let offset = rows.number(index);
        timed.push(match time {
            Ok(time) => Some(Row {
                member: at,
                time: *time,
                offset,
                bytes: rows.sizes.get(index).copied().unwrap_or(0),
            }),
            Err(refused) => {
                account.set_aside(offset, &record(index)?, refused.reason, &refused.detail)?;
                None
            }
        });
    }
    if let Some(member) = account.member() {
        member.rows_in += timed.len() as u64;
        member.fields_dropped += rows.dropped;
        member.values_dropped += rows.mismatched;
    }
    // Rows without a destination were all set aside.
    if let Some(router) = rows.destination.and_then(|number| of.get_mut(number)) {
        let partitions = router.take(account, &rows.batch, &timed, |_, row| {
            record(row).map(Cow::Owned)
        })?;
        let new = (0..timed.len()).filter_map(|row| Some((row, rows.new_fields(row)?)));
        account.bring(Router::routed(&timed, &partitions, new));
    }
    account.measure();
    Ok(())
}
