//! What the jobs share: reading objects, keeping rows, bringing objects up.

mod error;
pub(crate) mod footer;
pub(crate) mod foreign;
pub(crate) mod parquet;
pub(crate) mod source;
pub(crate) mod spool;
pub(crate) mod task;
pub(crate) mod upload;

pub use self::error::Stage;
pub(crate) use self::error::WorkError;
