//! Checks the dependencies of the workspace: licences, sources, versions, and that none is unused. Known
//! vulnerabilities are not checked, because their database is not in a registry: `cargo deny check` reads it
//! (deny.toml).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use serde_json::Value;

/// Licences that ask for no more than a notice.
const LICENCES: [&str; 11] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
    "bzip2-1.0.6",
];

/// Crates that are there in several versions, and what needs the older ones.
const TWICE: [(&str, &str); 26] = [
    ("arrow", ORC),
    ("arrow-arith", ORC),
    ("arrow-array", ORC),
    ("arrow-buffer", ORC),
    ("arrow-cast", ORC),
    ("arrow-data", ORC),
    ("arrow-ipc", ORC),
    ("arrow-json", ORC),
    ("arrow-ord", ORC),
    ("arrow-row", ORC),
    ("arrow-schema", ORC),
    ("arrow-select", ORC),
    ("arrow-string", ORC),
    ("atoi", ORC),
    (
        "base64",
        "lambda_runtime has 0.22, arrow and hyper-util 0.23",
    ),
    ("comfy-table", ORC),
    ("crypto-common", "with digest"),
    ("digest", "aws-smithy-checksums has 0.10 through crc-fast"),
    (
        "getrandom",
        "ring has 0.2, ahash 0.3, and tempfile and others 0.4",
    ),
    ("lz4_flex", "orc-rust has 0.11"),
    ("num-bigint", ORC),
    ("syn", "derive macros, which are linked nowhere"),
    ("thiserror", "lzokay-native, of orc-rust, has 1.0"),
    ("thiserror-impl", "with thiserror"),
    ("zstd", "orc-rust has 0.13"),
    ("zstd-safe", "with zstd"),
];

/// Its newest version does not take newer ones.
const ORC: &str = "orc-rust is on arrow 59";

/// The packages of the workspace and all that they need on the machine that this runs on.
fn packages() -> (Vec<Value>, BTreeSet<String>) {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ours = metadata["workspace_members"].as_array().unwrap().iter();
    let ours = ours.map(|id| text(id).to_owned()).collect();
    let packages = metadata["packages"].as_array_mut().unwrap();
    (std::mem::take(packages), ours)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Whether one choice of each part of an expression is allowed.
fn is_allowed(licence: &str) -> bool {
    let licence = licence.replace(['(', ')'], "").replace('/', " OR ");
    licence.split(" AND ").all(|part| {
        let mut choices = part.split(" OR ").map(str::trim);
        choices.any(|choice| LICENCES.contains(&choice))
    })
}

#[test]
fn licences_sources_and_versions() {
    let (packages, ours) = packages();
    assert!(packages.len() > 100, "{}", packages.len());
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &packages {
        let name = text(&package["name"]);
        versions
            .entry(name)
            .or_default()
            .insert(text(&package["version"]));
        let licence = text(&package["license"]);
        assert!(is_allowed(licence), "{name} has the licence {licence:?}");
        if !ours.contains(text(&package["id"])) {
            let source = text(&package["source"]);
            let registry = "registry+https://github.com/rust-lang/crates.io-index";
            assert_eq!(source, registry, "{name}");
        }
    }
    let twice = versions.iter().filter(|(_, versions)| versions.len() > 1);
    let twice: Vec<_> = twice.map(|(name, _)| *name).collect();
    assert_eq!(twice, TWICE.map(|(name, _)| name), "{versions:?}");
}

#[test]
fn licences_are_read_as_expressions() {
    for (licence, expected) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0 OR MIT", true),
        ("(MIT OR GPL-3.0) AND Unicode-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("GPL-3.0-only", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(licence), expected, "{licence}");
    }
}

/// The Rust sources below a folder, one after the other.
fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_dependency_is_used() {
    let (packages, ours) = packages();
    let ours = packages
        .iter()
        .filter(|package| ours.contains(text(&package["id"])));
    let mut unused = Vec::new();
    for package in ours {
        let mut code = String::new();
        sources(
            Path::new(text(&package["manifest_path"])).parent().unwrap(),
            &mut code,
        );
        for dependency in package["dependencies"].as_array().unwrap() {
            // The library of `md-5`, for example, is called `md5`.
            let of_name = |package: &&Value| package["name"] == dependency["name"];
            let targets = packages.iter().find(of_name).map(|found| &found["targets"]);
            let targets = targets.and_then(Value::as_array).into_iter().flatten();
            let libraries = targets.map(|target| text(&target["name"]));
            let name = text(&dependency["name"]).replace('-', "_");
            let names = libraries.chain([name.as_str()]).flat_map(|name| {
                let name = name.replace('-', "_");
                ["::", ";", " as "].map(|after| format!("{name}{after}"))
            });
            let names = names.collect::<Vec<_>>();
            let is_named = names.iter().any(|name| {
                let mut places = code.match_indices(name.as_str());
                places.any(|(at, _)| {
                    let before = code[..at].chars().next_back();
                    !before.is_some_and(|before| before.is_alphanumeric() || before == '_')
                })
            });
            if !is_named {
                unused.push(format!("{} needs no {name}", text(&package["name"])));
            }
        }
    }
    assert_eq!(unused, Vec::<String>::new());
}
