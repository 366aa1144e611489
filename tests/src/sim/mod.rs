//! Simulations of the jobs over the models: random histories and all crash points, checked against the invariants of
//! the commit protocols.
//!
//! R1: a source object is a member of one plan at most, and every file holds the rows that its plan says: of each member
//! all or, once it is marked as lost, none. R2: no object is ever overwritten. R3: a commit implies its outputs, with the
//! rows of each member that it does not call lost, and their registration. R4: rows in = rows out + rows quarantined, for
//! each object. R5: after the last retry every row of each object that never vanished and is not refused exists exactly
//! once, every answer is true, and no reader ever sees a row twice or misses one that was seen.

mod broken;
mod checker;
pub mod compact;
pub mod crash;
mod documents;
pub mod history;
mod invocation;
pub mod mutant;
mod reader;
pub mod repartition;
mod source;
pub mod split;
mod world;

pub use checker::Violation;
