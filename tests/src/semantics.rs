//! Ties the tests of this crate to docs/SEMANTICS.md, as `lakewright_core` does for its tests.

/// The document.
pub const SEMANTICS: &str = include_str!("../../docs/SEMANTICS.md");

/// Fails unless `sentence` is a statement of docs/SEMANTICS.md. The calling test proves the statement.
#[track_caller]
pub fn stated(sentence: &str) {
    assert!(
        statements().any(|statement| statement == sentence),
        "docs/SEMANTICS.md does not say: {sentence}"
    );
}

/// Every statement of docs/SEMANTICS.md.
pub fn statements() -> impl Iterator<Item = &'static str> {
    SEMANTICS.lines().filter_map(|line| line.strip_prefix("- "))
}
