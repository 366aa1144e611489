use serde::{Deserialize, Serialize};

use crate::location::Location;

/// Where a partition's files are to be written: the one document of its ledger that is replaced, by its `ETag`. Where
/// none stands, it is the directory that the partition was registered with, as generation 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionState {
    /// The form of this document.
    pub version: u32,
    /// Counted up by each compaction.
    pub generation: u32,
    /// Where the files of this generation stand, ending with `/`.
    pub directory: Location,
    /// Where those of the generation before stood. Until the catalog is told, readers are sent there.
    pub previous: Location,
}

impl PartitionState {
    /// The form that is written now.
    pub const VERSION: u32 = 1;
}
