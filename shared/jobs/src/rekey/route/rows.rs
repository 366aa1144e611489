//! Rows that were read in batches.

use std::borrow::Cow;

use lakewright_core::{location::Location, parquet_in::Rows};

use super::{Router, Row};
use crate::{kit::JobError, work::refusal::refused};

/// Routes the next rows of the member.
pub(super) fn take(
    router: &mut Router<'_>,
    location: &Location,
    rows: &Rows,
) -> Result<(), JobError> {
    let at = router.at;
    let record = |row: usize| rows.record(row).map_err(|error| refused(location, error));
    let mut timed = Vec::with_capacity(rows.times.len());
    for (index, time) in rows.times.iter().enumerate() {
        let offset = rows.first + index as u64;
        timed.push(match time {
            Ok(time) => Some(Row {
                member: at,
                time: *time,
                offset,
                bytes: rows.sizes.get(index).copied().unwrap_or(0),
            }),
            Err(refused) => {
                router.set_aside(offset, &record(index)?, refused.reason, &refused.detail)?;
                None
            }
        });
    }
    if let Some(member) = router.member() {
        member.rows_in += timed.len() as u64;
        member.fields_dropped += rows.dropped;
        member.values_dropped += rows.mismatched;
    }
    router.take(&rows.batch, &timed, |_, row| record(row).map(Cow::Owned))
}
