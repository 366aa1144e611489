//! Reads the state that names the directory for a partition's files, for writers and for compaction.

use lakewright_core::compact::{PartitionLedger, PartitionState};
use lakewright_ports::Store;

use crate::kit::{
    JobError,
    ledger::{self as entries, Document},
};

/// The current state and its `ETag`; `None` for a partition that was never compacted.
pub(crate) async fn read(
    store: &dyn Store,
    ledger: &PartitionLedger,
) -> Result<Option<(PartitionState, String)>, JobError> {
    let state = entries::read_with_meta(store, &ledger.state()).await?;
    Ok(state.map(|(state, meta)| (state, meta.etag)))
}

impl Document for PartitionState {
    const FORM: u32 = Self::VERSION;

    fn form(&self) -> u32 {
        self.version
    }
}
