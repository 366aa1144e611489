//! docs/OPERATIONS.md explains every name under which something fails, and no other.

use std::{collections::BTreeSet, fs, path::Path};

use lakewright_jobs::kit::ErrorKind;

const OPERATIONS: &str = include_str!("../../docs/OPERATIONS.md");
const HEADING: &str = "| name | meaning | what to do |";

/// Names that no job gives, and the source that does.
const OTHERS: [(&str, &str); 7] = [
    ("BadTrigger", "shared/aws/src/handler.rs"),
    ("RekeyFailed", "shared/aws/src/rekey/answer.rs"),
    ("Panicked", "shared/aws/src/invocation.rs"),
    ("ChunkFailed", "shared/jobs/src/split/ledger.rs"),
    ("Cancelled", "shared/jobs/src/split/ledger.rs"),
    ("Stalled", "infra/lib/split-machine.ts"),
    ("PartitionsFailed", "infra/lib/compact-machine.ts"),
];

/// The names in the first cells of the tables of errors.
fn documented() -> BTreeSet<&'static str> {
    let mut inside = false;
    let rows = OPERATIONS.lines().filter(|line| {
        inside = *line == HEADING || (inside && line.starts_with('|'));
        inside && *line != HEADING
    });
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect()
}

#[test]
fn every_name_is_documented_and_every_documented_name_exists() {
    let jobs = ErrorKind::ALL.iter().map(|kind| kind.name());
    let given: BTreeSet<_> = jobs.chain(OTHERS.map(|(name, _)| name)).collect();
    let documented = documented();
    let missing: Vec<_> = given.difference(&documented).collect();
    assert!(
        missing.is_empty(),
        "OPERATIONS.md explains not: {missing:?}"
    );
    let unknown: Vec<_> = documented.difference(&given).collect();
    assert!(unknown.is_empty(), "nothing fails under: {unknown:?}");
}

#[test]
fn the_other_names_are_given_by_these_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (name, source) in OTHERS {
        let text = fs::read_to_string(root.join(source)).unwrap();
        let given =
            text.contains(&format!("\"{name}\"")) || text.contains(&format!("'Lakewright.{name}'"));
        assert!(given, "{source} does not give {name}");
    }
}

/// What the state machines retry or catch by name is a name of the code.
#[test]
fn the_state_machines_know_no_other_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let known: BTreeSet<_> = ErrorKind::ALL
        .iter()
        .map(|kind| kind.name())
        .chain(OTHERS.map(|(name, _)| name))
        .collect();
    for entry in fs::read_dir(root.join("infra/lib")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "ts") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let spelled = text.split("Lakewright.").skip(1).filter_map(|rest| {
            let name = rest.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
            (!name.is_empty()).then_some(name)
        });
        // `['StoreFailed', 'Deadline'].map((name) => `Lakewright.${name}`)`
        let mapped = text
            .lines()
            .filter(|line| line.contains("`Lakewright.${name}`"));
        let mapped = mapped.flat_map(|line| line.split('\'').skip(1).step_by(2));
        for name in spelled.chain(mapped) {
            assert!(known.contains(name), "{}: {name}", path.display());
        }
    }
}
