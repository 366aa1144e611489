//! Simulations of the jobs over the models: random histories and all crash points, checked against the invariants of
//! the commit protocols.
//!
//! R1: one plan for each source object. R2: no object is ever overwritten. R3: a commit implies its outputs and
//! their registration. R4: rows in = rows out + rows quarantined. R5: after the last retry every row stands
//! exactly once, and no reader ever sees a row twice or misses one that was seen.

mod checker;
pub mod compact;
pub mod crash;
pub mod history;
mod invocation;
pub mod mutant;
mod reader;
pub mod repartition;
mod source;
pub mod split;
mod world;

pub use checker::Violation;
