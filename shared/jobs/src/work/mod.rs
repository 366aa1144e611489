//! The common parts of jobs: reading objects, spooling rows, uploading objects.

pub(crate) mod footer;
pub(crate) mod foreign;
pub(crate) mod list;
pub(crate) mod merge;
pub(crate) mod metered;
pub(crate) mod parquet;
pub(crate) mod plain;
pub(crate) mod pool;
pub(crate) mod ranged;
pub(crate) mod refusal;
pub(crate) mod secrets;
pub(crate) mod source;
pub(crate) mod spool;
pub(crate) mod timestamps;
pub(crate) mod upload;
