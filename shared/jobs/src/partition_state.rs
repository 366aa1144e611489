//! Where a partition's files are to be written, for those who write them and those who compact them.

use lakewright_core::compact::{PartitionLedger, PartitionState};

use crate::{
    document::{self, DocumentError},
    ports::Store,
};

/// The state that stands, and its `ETag`; `None` for a partition that was never compacted.
pub(crate) async fn read(
    store: &dyn Store,
    ledger: &PartitionLedger,
) -> Result<Option<(PartitionState, String)>, DocumentError> {
    let location = ledger.state();
    match document::read::<PartitionState>(store, &location).await? {
        None => Ok(None),
        Some((state, meta)) if state.version == PartitionState::VERSION => {
            Ok(Some((state, meta.etag)))
        }
        Some((state, _)) => Err(DocumentError::Json {
            location,
            message: format!("form {} is not {}", state.version, PartitionState::VERSION),
        }),
    }
}
