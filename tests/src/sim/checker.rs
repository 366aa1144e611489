use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::Timestamp;
use lakewright_core::{catalog::TableName, location::Location};
use lakewright_jobs::{
    rekey::{Commit, Intent, SourceObject},
    report::{ObjectReport, Status},
};
use serde_json::Value;

use super::{
    reader::{id, is_visible, records},
    source::Source,
};
use crate::model::{Change, ModelGlue, ModelS3, Object, Observer};

/// An invariant that did not hold: its name, and the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When, in virtual time.
    pub at: Timestamp,
    /// Begins with the invariant's name, such as `R2`.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} {}", self.at, self.message)
    }
}

/// A source object: its location and its `ETag`.
type Version = (Location, String);

/// Checks the invariants after every change below the target.
pub(super) struct Checker {
    target: Location,
    table: Option<TableName>,
    sources: BTreeMap<Version, Source>,
    /// The sources that were removed or replaced before they were committed.
    lost: BTreeSet<Version>,
    /// The plan of each source.
    plans: BTreeMap<Version, Intent>,
    /// The source and the rows of each output and quarantine that a plan names.
    planned: BTreeMap<String, (Version, u64)>,
    committed: BTreeSet<Version>,
    /// The file of each row.
    visible: BTreeMap<String, String>,
    /// The first violation.
    violation: Option<Violation>,
}

impl Checker {
    pub(super) fn new(target: Location, table: Option<TableName>) -> Self {
        Self {
            target,
            table,
            sources: BTreeMap::new(),
            lost: BTreeSet::new(),
            plans: BTreeMap::new(),
            planned: BTreeMap::new(),
            committed: BTreeSet::new(),
            visible: BTreeMap::new(),
            violation: None,
        }
    }

    pub(super) fn expect(&mut self, etag: String, source: Source) {
        self.sources.insert((source.location.clone(), etag), source);
    }

    /// The source is about to be removed or replaced.
    pub(super) fn lose(&mut self, source: &SourceObject) {
        self.lost.insert(version(source));
    }

    /// The source was answered without a commit, as gone or superseded. This is a violation if some of its rows may
    /// exist.
    pub(super) fn given_up(&mut self, now: Timestamp, source: &SourceObject, status: Status) {
        let version = version(source);
        if self.plans.contains_key(&version) && !self.committed.contains(&version) {
            let message = format!(
                "R5: {} was answered for as {status:?}, though its plan stands uncommitted",
                source.location
            );
            self.fail(now, message);
        }
    }

    pub(super) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    pub(super) fn is_committed(&self, source: &SourceObject) -> bool {
        self.committed.contains(&version(source))
    }

    /// Whether the source is committed, or can no longer be committed.
    pub(super) fn is_settled(&self, source: &SourceObject) -> bool {
        self.is_committed(source) || self.lost.contains(&version(source))
    }

    /// Records a violation, unless there is one already.
    pub(super) fn fail(&mut self, at: Timestamp, message: String) {
        self.violation.get_or_insert(Violation { at, message });
    }

    /// The rows of `old` are about to move to `new`, by a compaction.
    pub(super) fn fold(&mut self, old: &str, new: &str) {
        for place in self.visible.values_mut() {
            if place == old {
                new.clone_into(place);
            }
        }
    }

    /// After the last retry: checks that everything is committed and every row exists.
    pub(super) fn finish(&mut self, now: Timestamp) {
        if let Err(message) = self.complete() {
            self.fail(now, message);
        }
    }

    fn complete(&self) -> Result<(), String> {
        for (version, source) in &self.sources {
            let location = &version.0;
            if !self.committed.contains(version) {
                if self.lost.contains(version) {
                    continue;
                }
                return Err(format!(
                    "R5: {location} is not committed after the last retry"
                ));
            }
            if let Some(lost) = source
                .rows
                .keys()
                .find(|id| !self.visible.contains_key(*id))
            {
                return Err(format!("R5: row {lost} of {location} does not stand"));
            }
        }
        Ok(())
    }

    fn changed(&mut self, change: &Change, s3: &ModelS3, glue: &ModelGlue) -> Result<(), String> {
        match change {
            Change::Written {
                location,
                object,
                replaced,
            } if self.target.contains(location) => {
                if *replaced {
                    return Err(format!("R2: {location} was overwritten"));
                }
                let path = location.key[self.target.key.len()..].to_owned();
                if is_visible(&path) {
                    self.output(&path, location, object)
                } else if path.contains("/intent/") {
                    self.intent(location, object)
                } else if path.contains("/commit/") {
                    self.commit(location, object, s3, glue)
                } else if self.planned.contains_key(&location.key) || is_spooled(location) {
                    Ok(())
                } else {
                    Err(format!("R1: no plan that stands names {location}"))
                }
            }
            Change::Deleted { location }
                if self.target.contains(location) && !is_spooled(location) =>
            {
                Err(format!("R5: {location}, which had been seen, is missing"))
            }
            Change::Written { .. } | Change::Deleted { .. } => Ok(()),
        }
    }

    fn output(&mut self, path: &str, location: &Location, object: &Object) -> Result<(), String> {
        let Some((source, rows)) = self.planned.get(&location.key) else {
            return Err(format!("R1: no plan that stands names {location}"));
        };
        let records =
            records(object.bytes.clone()).map_err(|error| format!("R5: {location}: {error}"))?;
        if records.len() as u64 != *rows {
            return Err(format!(
                "R1: {location} has {} rows, its plan says {rows}",
                records.len()
            ));
        }
        let expected = self.sources.get(source).map(|source| &source.rows);
        for record in &records {
            let id = id(record).unwrap_or_default();
            match expected.and_then(|rows| rows.get(id)) {
                Some((partition, wanted)) if wanted == record && path.starts_with(partition) => {}
                wanted => {
                    return Err(format!(
                        "R5: {location} has the record {record:?}, wanted is {wanted:?}"
                    ));
                }
            }
            if let Some(other) = self.visible.insert(id.to_owned(), location.key.clone()) {
                return Err(format!("R5: row {id} stands in {other} and in {location}"));
            }
        }
        Ok(())
    }

    fn intent(&mut self, location: &Location, object: &Object) -> Result<(), String> {
        let intent: Intent = serde_json::from_slice(&object.bytes)
            .map_err(|error| format!("R1: {location} cannot be read: {error}"))?;
        if intent.withdrawn {
            return Ok(());
        }
        let planner = (intent.source.clone(), intent.etag.clone());
        for output in intent.outputs.iter().chain(&intent.quarantine) {
            let entry = (planner.clone(), output.rows);
            if let Some((other, _)) = self.planned.insert(output.key.clone(), entry) {
                return Err(format!(
                    "R1: the plans of {other:?} and of {planner:?} both name {}",
                    output.key
                ));
            }
        }
        match self.plans.insert(planner, intent) {
            None => Ok(()),
            Some(other) => Err(format!("R1: {} has two plans", other.source)),
        }
    }

    fn commit(
        &mut self,
        location: &Location,
        object: &Object,
        s3: &ModelS3,
        glue: &ModelGlue,
    ) -> Result<(), String> {
        let commit: Commit = serde_json::from_slice(&object.bytes)
            .map_err(|error| format!("R3: {location} cannot be read: {error}"))?;
        let (etag, commit) = (commit.etag, commit.report);
        let version = (commit.source.clone(), etag);
        let (Some(source), Some(plan)) = (self.sources.get(&version), self.plans.get(&version))
        else {
            return Err(format!("R1: {} is committed without a plan", commit.source));
        };
        let place = |key: &str| Location::new(&self.target.bucket, key);
        for output in &plan.outputs {
            if s3.object(&place(&output.key)).is_none() {
                return Err(format!(
                    "R3: {} is committed, but its {} does not stand",
                    commit.source, output.key
                ));
            }
        }

        let planned: BTreeSet<_> = plan.outputs.iter().map(|o| (&o.key, o.rows)).collect();
        let reported: BTreeSet<_> = commit.outputs.iter().map(|o| (&o.key, o.rows)).collect();
        if planned != reported {
            return Err(format!(
                "R3: the commit of {} says {reported:?}, its plan {planned:?}",
                commit.source
            ));
        }
        for output in &commit.outputs {
            let size = s3.object(&place(&output.key)).map(|o| o.bytes.len() as u64);
            if size != Some(output.bytes) {
                return Err(format!(
                    "R3: the commit of {} says that {} has {} bytes, not {size:?}",
                    commit.source, output.key, output.bytes
                ));
            }
        }
        self.is_registered(&commit, glue)?;
        let rows_out: u64 = commit.outputs.iter().map(|output| output.rows).sum();
        let counts = (commit.rows_in, commit.rows_out, commit.rows_quarantined);
        let wanted = (
            source.records(),
            source.rows.len() as u64,
            source.quarantined.len() as u64,
        );
        if counts != wanted || rows_out != commit.rows_out {
            return Err(format!(
                "R4: the commit of {} counts (in, out, quarantined) {counts:?}, of which {rows_out} in files, not {wanted:?}",
                commit.source
            ));
        }
        let object = commit.quarantine.as_ref().map(|key| s3.object(&place(key)));
        let quarantined = match object {
            None => Vec::new(),
            Some(None) => {
                return Err(format!(
                    "R4: the quarantine of {} does not stand",
                    commit.source
                ));
            }
            Some(Some(object)) => quarantined(object)?,
        };
        if quarantined != source.quarantined {
            return Err(format!(
                "R4: the quarantine of {} holds {quarantined:?}, not {:?}",
                commit.source, source.quarantined
            ));
        }
        self.committed.insert(version);
        Ok(())
    }

    /// Whether the partition of each output has the catalog's location.
    fn is_registered(&self, commit: &ObjectReport, glue: &ModelGlue) -> Result<(), String> {
        let Some(table) = &self.table else {
            return Ok(());
        };
        let registered: BTreeSet<&str> = glue
            .registered(table)
            .map(|partition| partition.storage.location.trim_end_matches('/'))
            .collect();
        for output in &commit.outputs {
            let directory = output.key.rsplit_once('/').map_or("", |(path, _)| path);
            let directory = format!("s3://{}/{directory}", self.target.bucket);
            if !registered.contains(directory.as_str()) {
                return Err(format!(
                    "R3: {} is committed, but the partition of {} is not registered",
                    commit.source, output.key
                ));
            }
        }
        Ok(())
    }
}

/// Whether it contains spooled rows of an object that is still being processed: no plan names these, and they are
/// deleted.
fn is_spooled(location: &Location) -> bool {
    location.key.contains("/_lakewright/spool/")
}

fn version(source: &SourceObject) -> Version {
    let etag = source.etag.clone().unwrap_or_default();
    (source.location.clone(), etag)
}

/// The records of a quarantine, sorted.
fn quarantined(object: &Object) -> Result<Vec<String>, String> {
    let mut records = Vec::new();
    for line in object
        .bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let line: Value =
            serde_json::from_slice(line).map_err(|error| format!("R4: quarantine: {error}"))?;
        records.push(line["record"].as_str().unwrap_or_default().to_owned());
    }
    records.sort_unstable();
    Ok(records)
}

impl Observer for Checker {
    fn step(&mut self, now: Timestamp, changes: &[Change], s3: &ModelS3, glue: &ModelGlue) {
        for change in changes {
            if let Err(message) = self.changed(change, s3, glue) {
                self.fail(now, message);
            }
        }
    }
}
