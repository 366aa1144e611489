//! Simulations of split: random histories and every crash point, held to the invariants of its protocol.
//!
//! S1: `_SUCCESS` implies that every row's object stands. S2: the objects are the rows, each once, byte for byte. S3:
//! nothing that stands is written again. S4: a run ends within a bounded time, and who waits for it is told how.

mod checker;
pub mod crash;
pub mod history;
pub mod mutant;
mod table;
mod world;
