//! Simulations of split: random histories and all crash points, checked against the invariants of its protocol.
//!
//! S1: `_SUCCESS` implies that every row's object exists. S2: the objects are the rows, each once, byte for byte. S3:
//! no existing object is overwritten. S4: a run ends within a bounded time, and its waiting callers are told how.

mod checker;
pub mod crash;
pub mod history;
pub mod mutant;
mod table;
mod world;
