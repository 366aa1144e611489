//! In-memory models of S3, Glue, SQS, Athena and Step Functions, with one seed and a virtual clock.
//!
//! [`ModelS3`], [`ModelGlue`], [`ModelSqs`], [`ModelAthena`], [`ModelSecrets`] and [`ModelStepFunctions`] apply each call at once and
//! without faults. A [`Client`] is the port in front of them: its calls take time, fail, are lost and arrive late as
//! the [`Cloud`]'s seed determines, and are recorded in the cloud's [`History`].

mod athena;
mod client;
mod clock;
mod cloud;
mod fault;
mod glue;
mod history;
mod ports;
mod s3;
mod secrets;
mod sqs;
mod step_functions;

pub use athena::ModelAthena;
pub use client::{Client, Death, Plan};
pub use clock::SimClock;
pub use cloud::{Cloud, Observer, State};
pub use fault::{Fault, FaultCounts, FaultRates};
pub use glue::ModelGlue;
pub use history::{Entry, History};
pub use ports::NoSecrets;
pub use s3::{Change, ModelS3, Object, Settings};
pub use secrets::ModelSecrets;
pub use sqs::{ModelSqs, Received};
pub use step_functions::{Answer, ModelStepFunctions};

/// Runs a future to its end on one thread, in virtual time: the clock advances when nothing else can happen.
pub fn virtual_time<T>(future: impl Future<Output = T>) -> T {
    #[expect(
        clippy::expect_used,
        reason = "a runtime without I/O has nothing that can fail to open"
    )]
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime in virtual time");
    tokio::task::LocalSet::new().block_on(&runtime, future)
}
