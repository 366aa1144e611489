//! UNLOAD's manifest: the objects that it wrote, one per line.
//! <https://docs.aws.amazon.com/athena/latest/ug/unload.html>

use thiserror::Error;

use crate::location::{Location, LocationError};

/// Why a manifest cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// It is not UTF-8.
    #[error("the manifest is not UTF-8")]
    NotText,
    /// A line names no object.
    #[error("line {line} of the manifest: {error}")]
    Line {
        /// From 1.
        line: usize,
        /// The error.
        error: LocationError,
    },
}

/// The objects in a manifest, in order. A line is an `s3://` URI, or a key in the manifest's `bucket`.
///
/// # Errors
/// See [`ManifestError`].
pub fn manifest(bytes: &[u8], bucket: &str) -> Result<Vec<Location>, ManifestError> {
    let text = str::from_utf8(bytes).map_err(|_| ManifestError::NotText)?;
    let mut objects = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let entry = line.trim().trim_matches('"');
        if entry.is_empty() {
            continue;
        }
        objects.push(if entry.contains("://") {
            entry.parse().map_err(|error| ManifestError::Line {
                line: index + 1,
                error,
            })?
        } else {
            Location::new(bucket, entry)
        });
    }
    Ok(objects)
}
