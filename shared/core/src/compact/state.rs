use serde::{Deserialize, Serialize};

use crate::location::Location;

/// Names the directory that a partition's files are written to. It is the only ledger document of the partition that is ever
/// replaced, conditionally on its `ETag`. Without it, the directory is the one that the partition was registered with, as
/// generation 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionState {
    /// The version of this document's format.
    pub version: u32,
    /// Incremented by each compaction.
    pub generation: u32,
    /// The directory of this generation's files, ending with `/`.
    pub directory: Location,
    /// The directory of the previous generation. Until the catalog is updated, readers use it.
    pub previous: Location,
    /// The last generation that was planned and given up; 0 if there is none. Its number is not used again.
    #[serde(default, skip_serializing_if = "is_none")]
    pub abandoned: u32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_none(abandoned: &u32) -> bool {
    *abandoned == 0
}

impl PartitionState {
    /// The version that is written now.
    pub const VERSION: u32 = 1;

    /// The state of a partition that was never compacted.
    pub fn registered(directory: Location) -> Self {
        Self {
            version: Self::VERSION,
            generation: 0,
            previous: directory.clone(),
            directory,
            abandoned: 0,
        }
    }

    /// The highest generation that was planned and must not be planned again.
    pub fn last(&self) -> u32 {
        self.generation.max(self.abandoned)
    }
}
