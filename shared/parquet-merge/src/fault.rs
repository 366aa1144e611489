//! Errors of a file's pages.

use super::rle::Malformed;

/// An error of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PageFault {
    /// Its bytes contradict the format.
    Corrupt(String),
    /// The page is too large: its bytes, or the bytes of its values.
    TooLarge(usize),
    /// It is valid but not supported.
    Unsupported(String),
    /// A value cannot be represented exactly in the column's type.
    Inexact(String),
}

impl From<Malformed> for PageFault {
    fn from(_: Malformed) -> Self {
        Self::Corrupt("levels or indices are malformed".to_owned())
    }
}
