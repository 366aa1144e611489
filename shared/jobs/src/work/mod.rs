//! What the jobs share: reading objects, keeping rows, bringing objects up.

pub(crate) mod footer;
pub(crate) mod foreign;
pub(crate) mod parquet;
pub(crate) mod source;
pub(crate) mod spool;
pub(crate) mod upload;
