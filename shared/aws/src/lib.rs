//! The outer layer of Lakewright: implements with AWS services what the jobs need.
//!
//! - [`adapters`] implement the ports of `lakewright-jobs`, and [`Clients`] creates them;
//! - [`trigger`] decodes any payload that can invoke a function into work items;
//! - [`settings`] and [`config`] are what a function reads at cold start;
//! - [`serve`] is the main of every function; `handler` has the parts that they share, [`invocation`] runs the work
//!   items of one invocation, [`telemetry`] and `metrics` write logs and metrics;
//! - [`rekey`], [`split`], [`compact`] and [`repartition`] have the functions of these jobs, each with its requests and
//!   answers;
//! - `again` makes SQS redeliver messages soon if their failure is temporary;
//! - `no_start` tells Lambda why a function does not start.

pub mod adapters;
mod again;
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
