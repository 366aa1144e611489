//! Checks that dependencies point in one direction and that the core is pure: the absence of some dependencies is part
//! of the architecture. And that each invariant in docs/ARCHITECTURE.md is named at code that upholds it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path, process::Command};

/// The crates that a package links, by name, without what only its tests or build scripts need.
fn linked(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--package", package])
        .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    tree.lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(String::from)
        .collect()
}

#[test]
fn what_is_never_linked() {
    for (package, absent) in [
        (
            "parquet-merge",
            &["lakewright", "tokio", "aws-", "jiff", "schemars"][..],
        ),
        (
            "lakewright-core",
            &[
                "tokio",
                "aws-",
                "lambda_runtime",
                "hyper",
                "lakewright-jobs",
            ][..],
        ),
        ("lakewright-ports", &["tokio", "aws-", "lakewright-jobs"]),
        ("lakewright-model", &["aws-", "lakewright-jobs"]),
        (
            "lakewright-jobs",
            &[
                "aws-",
                "lambda_runtime",
                "hyper",
                "lakewright-aws",
                "lakewright-model",
            ],
        ),
        (
            "lakewright-aws",
            &["openssl-sys", "native-tls", "aws-lc", "lakewright-model"],
        ),
    ] {
        let linked = linked(package);
        assert!(linked.len() > 5, "{package}: {linked:?}");
        for name in absent {
            let found = linked.iter().find(|linked| linked.starts_with(name));
            assert_eq!(found, None, "{package} links {name}");
        }
    }
}

/// The comments of all files below a folder.
fn comments(folder: &Path) -> String {
    let mut found = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found += &comments(&path);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(str::trim);
        // The comment of a whole file may name them all.
        for line in lines.filter(|line| line.starts_with("//") && !line.starts_with("//!")) {
            found.extend([line, "\n"]);
        }
    }
    found
}

#[test]
fn each_invariant_is_named_where_it_is_upheld() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("docs/ARCHITECTURE.md")).unwrap();
    let is_number = |name: &&str| {
        let mut letters = name.chars();
        letters
            .next()
            .is_some_and(|first| first.is_ascii_uppercase())
            && letters.next().is_some_and(|second| second.is_ascii_digit())
    };
    let names: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next())
        .filter(is_number)
        .collect();
    assert!(names.len() > 15, "{names:?}");
    let comments = comments(&root.join("shared/jobs/src"));
    let words: Vec<&str> = comments
        .split(|letter: char| !letter.is_alphanumeric())
        .collect();
    let missing: Vec<_> = names.iter().filter(|name| !words.contains(name)).collect();
    assert!(missing.is_empty(), "no comment names {missing:?}");
}
