//! Checks whether a run is over, so that nothing more of it is written.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use lakewright_ports::{Clock, Store};
use tokio::sync::Mutex;

use super::{
    Ports,
    ledger::{self, Commit, Ledger, Plan},
    refusal::withdrawn,
};
use crate::kit::{ErrorKind, JobError};

/// How long the result of a check is used.
const FRESH: SignedDuration = SignedDuration::from_secs(1);

/// Looks up the commit of a run before each of its files is created. So an invocation that was overtaken by its twin, or was
/// suspended, does not write files again that a later run has removed (P3).
pub(super) struct Over {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ledger: Ledger,
    /// When the run was last found not to be over.
    seen: Mutex<Option<Timestamp>>,
}

impl Over {
    pub(super) fn new(ports: &Ports, plan: &Plan) -> Self {
        Self {
            store: Arc::clone(&ports.store),
            clock: Arc::clone(&ports.clock),
            ledger: Ledger::new(&plan.settings, plan.run),
            seen: Mutex::default(),
        }
    }

    /// Fails if the run is committed or withdrawn.
    pub(super) async fn check(&self) -> Result<(), JobError> {
        let mut seen = self.seen.lock().await;
        let now = self.clock.now();
        if seen.is_some_and(|seen| now.duration_since(seen) < FRESH) {
            return Ok(());
        }
        match ledger::read::<Commit>(&*self.store, &self.ledger.commit()).await? {
            None => {
                *seen = Some(now);
                Ok(())
            }
            Some(commit) if commit.withdrawn => Err(withdrawn(self.ledger.plan())),
            Some(_) => Err(JobError::new(
                ErrorKind::RunOver,
                "the run is committed: nothing more of it is written",
            )
            .of(self.ledger.plan())),
        }
    }
}
