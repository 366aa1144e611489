//! The pages of docs/: the site's summary names each of them, and every link leads somewhere.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files below a folder whose name ends so.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// A page without its code, in which brackets mean something else.
fn prose(page: &str) -> String {
    let mut in_block = false;
    let mut prose = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            // Every second part lies between backticks.
            prose.extend(line.split('`').step_by(2));
            prose.push('\n');
        }
    }
    prose
}

/// What the links of a page lead to.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let after = prose.split("](").skip(1);
    after
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned())
        .collect()
}

/// The anchor that GitHub and mdBook give a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'))
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

/// Why a link of the page at `path` leads nowhere.
fn broken(path: &Path, link: &str) -> Option<String> {
    if link.starts_with("https://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() {
        path.to_owned()
    } else {
        path.parent()?.join(file)
    };
    if !target.exists() {
        return Some(format!("{}: there is no {link}", path.display()));
    }
    if heading.is_empty() {
        return None;
    }
    let there = fs::read_to_string(&target).unwrap_or_default();
    (!anchors(&there).contains(heading))
        .then(|| format!("{}: there is no heading {link}", path.display()))
}

#[test]
fn every_link_leads_somewhere() {
    let root = root();
    let mut pages = files(&root.join("docs"), ".md");
    pages.extend(
        [
            "README.md",
            "CHANGELOG.md",
            "infra/README.md",
            "bench/RESULTS.md",
        ]
        .map(|page| root.join(page)),
    );
    let broken: Vec<_> = pages
        .iter()
        .flat_map(|path| {
            let links = links(&fs::read_to_string(path).unwrap());
            links.into_iter().filter_map(|link| broken(path, &link))
        })
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let page = root().join("docs/index.md");
    assert_eq!(broken(&page, "tutorial.md"), None);
    assert_eq!(broken(&page, "gotchas.md#rows-are-a-few-hours-off"), None);
    assert!(broken(&page, "nowhere.md").is_some());
    assert!(broken(&page, "gotchas.md#nothing").is_some());
    assert_eq!(links("[a](b.md) `[c](d)`\n```\n[e](f)\n```\n"), ["b.md"]);
}

#[test]
fn the_summary_names_every_page_once() {
    let docs = root().join("docs");
    let summary = docs.join("SUMMARY.md");
    let mut named = links(&fs::read_to_string(&summary).unwrap());
    named.sort();
    let mut pages: Vec<_> = files(&docs, ".md")
        .into_iter()
        .filter(|path| *path != summary)
        .map(|path| path.strip_prefix(&docs).unwrap().display().to_string())
        .collect();
    pages.sort();
    assert_eq!(named, pages);
}
