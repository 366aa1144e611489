//! Records how far a task came before its time ran out.

use lakewright_core::location::Location;

use super::{
    super::ledger::{self, File, Reached},
    Work,
};
use crate::kit::{ErrorKind, JobError, Stage, Unfinished};

impl Work<'_> {
    /// If the time ran out, records which files of the task exist. Returns the error to answer with.
    pub(super) async fn stopped(
        &self,
        progress: &Location,
        further: Option<Vec<File>>,
        error: JobError,
    ) -> JobError {
        if error.kind() != ErrorKind::Deadline {
            return error;
        }
        match self.reached(progress, further).await {
            // The first may have begun late in its invocation.
            Ok(reached) if reached.tries > 1 => self.too_short(&reached),
            Ok(_) => error,
            Err(unnoted) => {
                tracing::warn!(%progress, error = %unnoted, "how far the attempt came was not recorded");
                error
            }
        }
    }

    /// Records how far the task came, or that it came no further.
    async fn reached(
        &self,
        progress: &Location,
        further: Option<Vec<File>>,
    ) -> Result<Reached, JobError> {
        let store = &*self.ports.store;
        let (files, tries) = if let Some(files) = further {
            (files, 0)
        } else {
            let existing = ledger::furthest::<Reached>(store, progress).await?;
            existing.map_or((Vec::new(), 1), |reached| {
                (reached.files, reached.tries + 1)
            })
        };
        let reached = Reached {
            version: Reached::VERSION,
            files,
            tries,
        };
        let place = ledger::place(reached.files.len(), tries);
        ledger::reach(store, progress, place, &reached).await?;
        Ok(reached)
    }

    fn too_short(&self, reached: &Reached) -> JobError {
        let done = self.metered.bytes();
        let unfinished = Unfinished {
            begun: self.begun,
            done,
            all: self.all,
            of: "bytes of the source",
            tries: reached.tries,
            instead: "choose a smaller task_size for the next run",
        };
        unfinished
            .too_short(&*self.ports.clock, Stage::Read)
            .of(self.ledger.plan())
    }
}
