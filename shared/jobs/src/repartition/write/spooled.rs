//! The rows of units, spooled by their partitions.

use std::sync::Arc;

use lakewright_core::{
    location::Location,
    repartition::{Router, Span},
};

use super::{
    super::{
        files::{Files, path_room},
        replay::WrittenRows,
        rows::Rows,
    },
    Work,
};
use crate::{
    kit::JobError,
    work::spool::{Room, STAGED, Spool},
};

/// The rows of units by partition.
pub(super) struct Spooled {
    pub(super) router: Router,
    pub(super) spool: Spool,
    pub(super) written: WrittenRows,
}

impl Work<'_> {
    /// Reads units, and spools their rows by partition.
    pub(super) async fn spool(
        &self,
        files: &Files<'_>,
        prefix: Location,
        span: Span,
    ) -> Result<Spooled, JobError> {
        let shape = &self.plan.shape;
        let (schema, columns) = (shape.written_schema()?, shape.files.len());
        let limit = self.plan.settings.limits.partitions;
        let mut router = Router::new(&schema, columns, path_room(self.plan), limit);
        let mut spool = Spool::new(shape.files_schema()?, None, self.room(prefix));
        let units = self.units(span.indices())?;
        let mut rows = Rows::new(self.context(), units)?;
        let mut read = 0;
        while let Some(batch) = rows.next().await? {
            read += batch.num_rows() as u64;
            let numbers = router.route(batch.columns().get(columns..).unwrap_or_default())?;
            spool.push(&files.columns(&batch)?, &numbers)?;
            if spool.is_over() {
                spool.spill().await?;
            }
        }
        Ok(Spooled {
            written: WrittenRows {
                rows: read,
                values_dropped: rows.values_dropped(),
            },
            router,
            spool,
        })
    }

    /// The limits of a spool; rows beyond them go to the ledger.
    pub(super) fn room(&self, prefix: Location) -> Room {
        let budget = self.budget;
        // The row group that is being read, or the run that is being staged, is there too.
        let scratch = if self.plan.reading.by_ranges().is_some() {
            budget.scratch_bytes / 2
        } else {
            budget.scratch_bytes.saturating_sub(STAGED)
        };
        Room {
            memory: budget.memory / 4,
            folder: budget.scratch.clone(),
            scratch: scratch.saturating_sub(budget.memory / 4),
            store: Arc::clone(&self.ports.store),
            prefix,
        }
    }
}
