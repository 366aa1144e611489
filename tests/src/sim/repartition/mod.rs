//! Simulations of repartition: random histories and all crash points, checked against the invariants of its protocol.
//!
//! P1: the old data under the target is complete until the run is committed. P2: a commit implies that every row of the
//! source is in a file of each output, and every file exists. P3: once a run is finished, exactly the new data exists.
//! P4: a reader by manifest sees either the old rows or the new ones, all of them, at every step. P5: no file and no
//! ledger entry is ever overwritten, and with a bookmark the rows of each object exist exactly once.

mod checker;
pub mod crash;
pub mod history;
pub mod mutant;
pub mod scene;
mod world;
