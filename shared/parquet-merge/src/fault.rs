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

impl PageFault {
    pub(super) fn no_dictionary() -> Self {
        Self::Corrupt("a page lacks its dictionary".to_owned())
    }

    pub(super) fn beyond_dictionary() -> Self {
        Self::Corrupt("an index is beyond its dictionary".to_owned())
    }

    /// A level that is greater than its column's deepest.
    pub(super) fn too_deep() -> Self {
        Self::Corrupt("a level is too great".to_owned())
    }
}

impl From<Malformed> for PageFault {
    fn from(_: Malformed) -> Self {
        Self::Corrupt("levels or indices are malformed".to_owned())
    }
}
