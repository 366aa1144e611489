//! Simulations of repartition: random histories and every crash point, held to the invariants of its protocol.
//!
//! P1: what stood under the target is whole until the run is committed. P2: a commit implies that every row of the source
//! is in a file of each output, and every file stands. P3: once a run is finished, exactly the new data stands. P4: a
//! reader by manifest sees the old rows or the new ones, all of them, at every step. P5: no file and no entry of the
//! ledger is ever overwritten, and with a bookmark each object's rows stand exactly once.

mod checker;
pub mod crash;
pub mod history;
pub mod mutant;
pub mod scene;
mod world;
