//! The pure part of compact: the names of ledger entries and outputs, which files are merged together, and the cost.

mod choose;
mod cost;
mod names;
mod state;

pub use self::{
    choose::{Candidate, Left, choose},
    cost::{Requests, Sizes},
    names::{
        PartitionLedger, batch_of, generation_directory, generations_beside, is_compacted,
        merge_list, output_name, partition_path, run_list,
    },
    state::PartitionState,
};
