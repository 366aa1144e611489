//! Searches all texts of a column at once for bytes.

use arrow::array::StringArray;

/// The concatenated texts of a column, including those of nulls.
pub(super) fn values(texts: &StringArray) -> &[u8] {
    let offsets = texts.value_offsets();
    let place = |offset: Option<&i32>| offset.and_then(|&offset| usize::try_from(offset).ok());
    let bounds = place(offsets.first()).unwrap_or(0)..place(offsets.last()).unwrap_or(0);
    texts.value_data().get(bounds).unwrap_or_default()
}

/// Whether one of the bytes matches. It tests many bytes before it checks for a match, which is faster than stopping at
/// the first.
pub(super) fn any_byte(bytes: &[u8], is_like_that: impl Fn(u8) -> bool) -> bool {
    let found = |chunk: &[u8]| {
        chunk
            .iter()
            .fold(false, |found, &byte| found | is_like_that(byte))
    };
    bytes.chunks(1024).any(found)
}
