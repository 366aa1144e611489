//! What is wrong with the pages of a file.

use super::rle::Malformed;

/// What is wrong with a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PageFault {
    /// Its bytes contradict the format.
    Corrupt(String),
    /// It has so many bytes, or its values take so many.
    TooLarge(usize),
    /// It is fine, and cannot be done.
    Unsupported(String),
    /// A value has no exact counterpart in the column's type.
    Inexact(String),
}

impl From<Malformed> for PageFault {
    fn from(_: Malformed) -> Self {
        Self::Corrupt("levels or indices are malformed".to_owned())
    }
}
