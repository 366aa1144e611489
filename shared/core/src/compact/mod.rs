//! compact, as far as it is pure: the names of what it keeps and writes, which files are merged into which, and what
//! that costs.

mod choose;
mod cost;
mod names;
mod state;

pub use self::{
    choose::{Candidate, Left, choose},
    cost::{Requests, Sizes},
    names::{
        PartitionLedger, generation_directory, generations_beside, is_compacted, output_name,
        partition_path, run_list, source_of,
    },
    state::PartitionState,
};
