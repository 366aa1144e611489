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
    /// The last generation that was planned and given up; 0 where none was. Its number is not used again.
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
    /// The form that is written now.
    pub const VERSION: u32 = 1;

    /// That of a partition which lies where it was registered.
    pub fn registered(directory: Location) -> Self {
        Self {
            version: Self::VERSION,
            generation: 0,
            previous: directory.clone(),
            directory,
            abandoned: 0,
        }
    }

    /// The last generation that was planned and is not to be planned again.
    pub fn last(&self) -> u32 {
        self.generation.max(self.abandoned)
    }
}
