//! The rim of Lakewright: what the jobs need from the outside, given by AWS.
//!
//! - [`adapters`] implement the ports of `lakewright-jobs`, and [`Clients`] makes them;
//! - [`trigger`] turns any payload that a function may be invoked with into work items;
//! - [`settings`] and [`config`] are what a function knows at its cold start;
//! - [`serve`] is the main of every function; `handler` has what they do alike, [`invocation`] runs the work items
//!   of one invocation, [`telemetry`] and `metrics` are what a function tells about itself;
//! - [`rekey`], [`split`], [`compact`] and [`repartition`] have the functions of these jobs: a table of requests, and what
//!   answers each;
//! - `no_start` tells Lambda why a function does not start.

pub mod adapters;
mod clients;
pub mod compact;
pub mod config;
mod handler;
pub mod invocation;
mod metrics;
mod no_start;
pub mod rekey;
pub mod repartition;
pub mod settings;
pub mod split;
pub mod telemetry;
pub mod trigger;

pub use clients::Clients;
pub use handler::{FunctionError, serve};
