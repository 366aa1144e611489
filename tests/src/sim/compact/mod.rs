//! Simulations of compact beside rekey: random histories and every crash point, held to the invariants of its protocol.
//!
//! C1: a file's name stands for its rows, in the current directory or folded into one merged file, never both. C2: a
//! compaction leaves the rows as they are. C3: a reader through the catalog sees no row twice, and a committed row, once
//! visible, stays visible. C4: a step that crashed is finished by running it again. C5: an object is deleted only once
//! its rows stand in the partition's current generation.

mod broken;
mod checker;
pub mod crash;
pub mod history;
pub mod mutant;
mod reader;
mod world;
