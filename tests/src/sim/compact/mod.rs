//! Simulations of compact together with rekey: random histories and all crash points, checked against the invariants of
//! the protocol.
//!
//! C1: a file's name identifies its rows, in the current directory or merged into one file, never both. C2: a
//! compaction does not change the rows. C3: a reader through the catalog sees no row twice, and a committed row, once
//! visible, stays visible. C4: a step that crashed is finished by running it again. C5: an object is deleted only once
//! its rows are in the partition's current generation.

mod broken;
mod checker;
pub mod crash;
pub mod history;
pub mod mutant;
mod reader;
mod role;
mod world;
