//! Ties tests to docs/SEMANTICS.md.

const SEMANTICS: &str = include_str!("../../../docs/SEMANTICS.md");

/// Fails unless `sentence` is a statement of docs/SEMANTICS.md. The calling test proves the statement.
#[track_caller]
pub(crate) fn stated(sentence: &str) {
    let bullet = format!("- {sentence}");
    assert!(
        SEMANTICS.lines().any(|line| line == bullet),
        "docs/SEMANTICS.md does not say: {sentence}"
    );
}
