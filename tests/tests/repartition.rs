//! repartition over the model of S3 and Glue: the reference jobs, every kind of source, and what is refused.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what is not as it should be fails the test"
)]

#[path = "repartition/lake.rs"]
mod lake;
#[path = "repartition/outputs.rs"]
mod outputs;
#[path = "repartition/reference.rs"]
mod reference;
#[path = "repartition/runs.rs"]
mod runs;
#[path = "repartition/sources.rs"]
mod sources;
