//! The rim of Lakewright: what the jobs need from the outside, given by AWS.
//!
//! - [`s3`], [`glue`], [`sqs`], [`athena`], [`step_functions`] and [`clock`] implement the ports of `lakewright-jobs`;
//! - [`trigger`] turns any payload that a function may be invoked with into work items;
//! - [`settings`] and [`config`] are what a function knows at its cold start;
//! - [`telemetry`] and [`metrics`] are what it tells about itself;
//! - [`invocation`] runs the work items of one invocation, [`rekey`] is the function of that name, and [`split`],
//!   [`compact`] and [`repartition`] have those of these jobs.

pub mod athena;
pub mod clock;
pub mod compact;
pub mod config;
mod function;
pub mod glue;
pub mod invocation;
pub mod metrics;
pub mod rekey;
pub mod repartition;
pub mod s3;
mod sdk;
pub mod settings;
pub mod split;
pub mod sqs;
mod start;
pub mod step_functions;
pub mod telemetry;
pub mod trigger;

pub use sdk::Clients;
