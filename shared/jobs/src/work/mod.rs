//! The common parts of jobs: reading objects, spooling rows, uploading objects.

pub(crate) mod footer;
pub(crate) mod foreign;
pub(crate) mod parquet;
pub(crate) mod source;
pub(crate) mod spool;
pub(crate) mod upload;
