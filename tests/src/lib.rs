//! The project's test bed: the conformance suite of stores, and simulations of the jobs over `lakewright-model`.

pub mod conformance;
pub mod counting;
pub mod fuzz;
pub mod not_text;
pub mod plates;
pub mod semantics;
pub mod sim;
