//! docs/SEMANTICS.md and the tests say the same: every statement is quoted by a test. That a test quotes nothing
//! else is what `stated` sees to, in `lakewright_core` and here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, path::Path};

use lakewright_tests::semantics::{SEMANTICS, statements};

/// The Rust sources below a folder, one after the other.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_statement_is_quoted_by_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut text = String::new();
    for folder in ["shared", "tests"] {
        sources(&root.join(folder), &mut text);
    }
    let unproven = statements().filter(|statement| {
        let literal = statement.replace('\\', "\\\\").replace('"', "\\\"");
        !text.contains(&format!("\"{literal}\"")) && !text.contains(&format!("r\"{statement}\""))
    });
    let unproven = unproven.collect::<Vec<_>>();
    assert!(unproven.is_empty(), "no test quotes: {unproven:#?}");
}

#[test]
fn the_document_is_statements_under_headings() {
    let other = SEMANTICS
        .lines()
        .filter(|line| !(line.is_empty() || line.starts_with("- ") || line.starts_with("## ")));
    assert_eq!(
        other.collect::<Vec<_>>(),
        [
            "# What happens to data",
            "Every statement here has a test that quotes it."
        ]
    );
    // A statement that is in two sections would be proven by the same test for both.
    let mut seen = BTreeSet::new();
    let twice = statements().filter(|statement| !seen.insert(*statement));
    assert_eq!(twice.collect::<Vec<_>>(), Vec::<&str>::new());
}
