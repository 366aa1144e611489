//! Guards calls of the Parquet crate that may panic on a corrupt file.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use parquet::errors::ParquetError;

/// Runs a part of the decoder and catches panics. It checks most of its input but not all, so input that makes it panic
/// is corrupt.
pub(super) fn guarded<T>(run: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(panic_reason(&*panic)),
    }
}

/// What a panic of the decoder says. A message that was put together may quote a value of the file, so only its words
/// before the first number or quote are kept.
pub fn panic_reason(panic: &(dyn Any + Send)) -> String {
    if let Some(literal) = panic.downcast_ref::<&'static str>() {
        return format!("the decoder panicked: {literal}");
    }
    let Some(text) = panic.downcast_ref::<String>() else {
        return "the decoder panicked without a message".to_owned();
    };
    let is_value = |c: char| c.is_numeric() || matches!(c, '"' | '\'' | '`');
    let words = text.split(is_value).next().unwrap_or_default();
    let rest = if words.len() < text.len() { "…" } else { "" };
    format!("the decoder panicked: {words}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_quoted_without_its_values() {
        let said = |run: fn()| {
            guarded(|| -> Result<(), ParquetError> {
                run();
                Ok(())
            })
            .unwrap_err()
        };
        for (run, expected) in [
            (
                (|| panic!("not a length")) as fn(),
                "the decoder panicked: not a length",
            ),
            (
                || panic!("{}", String::from("plain")),
                "the decoder panicked: plain",
            ),
            (
                || panic!("it is '{}' and {}", String::from("Zürich"), 42),
                "the decoder panicked: it is …",
            ),
            (
                || std::panic::panic_any(7),
                "the decoder panicked without a message",
            ),
        ] {
            assert_eq!(said(run), expected);
        }
    }
}
