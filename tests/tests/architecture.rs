//! Checks that dependencies point in one direction and that the core is pure: the absence of some dependencies is part
//! of the architecture.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

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
        (
            "lakewright-jobs",
            &["aws-", "lambda_runtime", "hyper", "lakewright-aws"],
        ),
        ("lakewright-aws", &["openssl-sys", "native-tls", "aws-lc"]),
    ] {
        let linked = linked(package);
        assert!(linked.len() > 5, "{package}: {linked:?}");
        for name in absent {
            let found = linked.iter().find(|linked| linked.starts_with(name));
            assert_eq!(found, None, "{package} links {name}");
        }
    }
}
