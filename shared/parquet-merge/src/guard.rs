//! Calls of the Parquet crate that may panic on a broken file.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::errors::ParquetError;

/// Runs a part of the decoder. It checks most of what it reads, but not all of it: what makes it panic is corrupt too.
pub(super) fn guarded<T>(run: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the decoder gave up on it".to_owned()),
    }
}
