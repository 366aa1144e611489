//! Formats, timestamps, partition values, key names and planners, as pure functions over values.
//!
//! This crate has no network, clock, environment or randomness, and no async code.

pub mod avro;
pub mod catalog;
pub mod chunk;
pub mod columns;
pub mod compact;
pub mod compression;
pub mod config;
pub mod content;
pub mod csv;
mod decimal;
pub mod encode;
pub mod hive_type;
pub mod json;
pub mod lateness;
pub mod lines;
pub mod location;
pub mod naming;
mod nearest;
pub mod operations;
pub mod orc;
pub mod parquet_in;
pub mod parquet_out;
pub mod partition;
pub mod pattern;
pub mod quarantine;
pub mod reading;
pub mod records;
pub mod repartition;
pub mod routes;
#[cfg(test)]
mod semantics;
pub mod shown;
pub mod split;
pub mod time;
