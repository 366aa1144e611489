//! repartition over the models of S3 and Glue: the reference jobs, every kind of source, and refusals.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::format_collect,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "what is not as it should be fails the test, each tells one story, and the names are ours"
)]

#[path = "repartition/avro.rs"]
mod avro;
#[path = "repartition/catalog.rs"]
mod catalog;
#[path = "repartition/content.rs"]
mod content;
#[path = "repartition/hashed.rs"]
mod hashed;
#[path = "repartition/honoured.rs"]
mod honoured;
#[path = "repartition/lake.rs"]
mod lake;
#[path = "repartition/orc.rs"]
mod orc;
#[path = "repartition/outputs.rs"]
mod outputs;
#[path = "repartition/reference.rs"]
mod reference;
#[path = "repartition/runs.rs"]
mod runs;
#[path = "repartition/sources.rs"]
mod sources;
#[path = "repartition/united.rs"]
mod united;
#[path = "repartition/verify.rs"]
mod verify;
