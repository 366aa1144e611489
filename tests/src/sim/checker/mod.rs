//! Checks the invariants of rekey after every change below the target, and every answer.

mod columns;
mod files;
mod ledger;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use jiff::Timestamp;
use lakewright_core::{catalog::TableName, location::Location, naming::source_id};
use lakewright_jobs::{
    ErrorKind, JobError,
    rekey::SourceObject,
    report::{ObjectReport, Status},
};
use lakewright_model::{Change, ModelGlue, ModelS3, Object, Observer};

pub(super) use self::columns::Columns;
use self::files::File;
use super::{
    documents::{Batch, Plan, Version},
    reader::is_visible,
    source::{Flaw, Source},
};

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

/// What the ledger says of an object at last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Committed,
    Lost,
}

/// The state of everything that was written, as far as the invariants speak of it.
pub(super) struct Checker {
    target: Location,
    /// The tables and where their files lie.
    tables: Vec<(Location, TableName)>,
    /// The columns of the first one, if the job adds any.
    columns: Option<Columns>,
    sources: BTreeMap<Version, Source>,
    /// The name of each object in the ledger.
    sids: BTreeMap<String, Version>,
    /// The object of each row.
    owners: BTreeMap<String, Version>,
    /// The objects that were removed or replaced at some time.
    vanished: BTreeSet<Version>,
    batches: BTreeMap<String, Batch>,
    /// The batch of each claim, by the object and the claim's number.
    claims: BTreeMap<(Version, u32), String>,
    plans: BTreeMap<String, Plan>,
    /// The attempts at batches of one object that were begun, less those that ended by an error: now, and the most there were.
    alone: BTreeMap<String, (usize, usize)>,
    /// The batch whose plan each object is a member of, and since when.
    member_of: BTreeMap<Version, (String, Timestamp)>,
    /// What each output and quarantine that a plan names must hold.
    files: BTreeMap<String, File>,
    /// The marks of lost members, by batch.
    marks: BTreeSet<(String, Version)>,
    fates: BTreeMap<Version, Fate>,
    /// The last answer for each object: its status, or the name of its error.
    answers: BTreeMap<Version, Result<Status, ErrorKind>>,
    /// The file of each row.
    visible: BTreeMap<String, String>,
    /// The first violation.
    violation: Option<Violation>,
}

impl Checker {
    pub(super) fn new(
        target: Location,
        tables: Vec<(Location, TableName)>,
        columns: Option<Columns>,
    ) -> Self {
        Self {
            target,
            tables,
            columns,
            sources: BTreeMap::new(),
            sids: BTreeMap::new(),
            owners: BTreeMap::new(),
            vanished: BTreeSet::new(),
            batches: BTreeMap::new(),
            claims: BTreeMap::new(),
            plans: BTreeMap::new(),
            alone: BTreeMap::new(),
            member_of: BTreeMap::new(),
            files: BTreeMap::new(),
            marks: BTreeSet::new(),
            fates: BTreeMap::new(),
            answers: BTreeMap::new(),
            visible: BTreeMap::new(),
            violation: None,
        }
    }

    pub(super) fn expect(&mut self, etag: String, source: Source) {
        let version = (source.location.clone(), etag);
        let sid = source_id(&version.0.bucket, &version.0.key, &version.1);
        self.sids.insert(sid, version.clone());
        for id in source.rows.keys() {
            self.owners.insert(id.clone(), version.clone());
        }
        self.sources.insert(version, source);
    }

    /// The source is about to be removed or replaced.
    pub(super) fn lose(&mut self, source: &SourceObject) {
        self.vanished.insert(version(source));
    }

    pub(super) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Whether the source is committed, or cannot be committed any more.
    pub(super) fn is_settled(&self, source: &SourceObject) -> bool {
        let version = version(source);
        self.fates.contains_key(&version)
            || self.vanished.contains(&version)
            || self.flaw(&version).is_some_and(|flaw| flaw != Flaw::Long)
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

    /// The function, called at `began`, answered for a source. In `fair` weather nothing but the source itself can be
    /// the reason of an error.
    pub(super) fn answered(
        &mut self,
        [began, now]: [Timestamp; 2],
        source: &SourceObject,
        answer: &Result<ObjectReport, Arc<JobError>>,
        fair: bool,
    ) {
        if source.etag.is_none() {
            // Which object was meant is known to the function alone.
            return;
        }
        let version = version(source);
        let result = match answer {
            Ok(report) => self.is_true(began, &version, report.status),
            Err(error) if fair => self.is_due(&version, error),
            Err(_) => Ok(()),
        };
        if let Err(message) = result {
            self.fail(now, format!("R5: {message}"));
        }
        let answer = match answer {
            Ok(report) => Ok(report.status),
            Err(error) => Err(error.kind()),
        };
        self.answers.insert(version, answer);
    }

    fn is_true(&self, began: Timestamp, version: &Version, status: Status) -> Result<(), String> {
        let location = &version.0;
        let rows = || {
            let source = self.sources.get(version);
            source.into_iter().flat_map(|source| source.rows.keys())
        };
        match status {
            Status::Committed | Status::Duplicate => {
                if self.fates.get(version) != Some(&Fate::Committed) {
                    return Err(format!(
                        "{location} was answered for as {status:?} without a commit of it"
                    ));
                }
                if let Some(row) = rows().find(|id| !self.visible.contains_key(*id)) {
                    return Err(format!(
                        "{location} was answered for as {status:?} without its row {row}"
                    ));
                }
            }
            Status::Gone | Status::Superseded => {
                if !self.vanished.contains(version) {
                    return Err(format!(
                        "{location} was answered for as {status:?}, and was never away"
                    ));
                }
                // It may be back, and planned, since it was looked for.
                if let Some((bid, since)) = self.member_of.get(version)
                    && *since < began
                {
                    return Err(format!(
                        "{location} was answered for as {status:?}, and is a member of {bid}"
                    ));
                }
            }
            Status::Ignored => {
                if self.flaw(version) != Some(Flaw::Empty) {
                    return Err(format!("{location} was ignored, and has rows"));
                }
            }
        }
        Ok(())
    }

    /// Whether an error is one that the object itself is the reason of.
    fn is_due(&self, version: &Version, error: &JobError) -> Result<(), String> {
        let due = match error.kind() {
            ErrorKind::SourceLost => self.fates.get(version) == Some(&Fate::Lost),
            ErrorKind::Unreadable => self.flaw(version) == Some(Flaw::CutShort),
            ErrorKind::RecordTooLong => self.flaw(version) == Some(Flaw::Long),
            _ => false,
        };
        if due {
            Ok(())
        } else {
            Err(format!("{} fails in fair weather: {error}", version.0))
        }
    }

    fn flaw(&self, version: &Version) -> Option<Flaw> {
        self.sources.get(version)?.flaw
    }

    /// After the last retry: checks that every object is answered for, and that what is committed exists.
    pub(super) fn finish(&mut self, now: Timestamp) {
        if let Err(message) = self.complete() {
            self.fail(now, format!("R5: {message}"));
        }
    }

    fn complete(&self) -> Result<(), String> {
        for (version, source) in &self.sources {
            let location = &version.0;
            let is_away = self.vanished.contains(version);
            match self.fates.get(version) {
                Some(Fate::Committed) => {
                    let mut rows = source.rows.keys();
                    if let Some(id) = rows.find(|id| !self.visible.contains_key(*id)) {
                        return Err(format!("row {id} of {location} does not exist"));
                    }
                }
                Some(Fate::Lost) if is_away => {}
                Some(Fate::Lost) => {
                    return Err(format!("{location} counts as lost, and was never away"));
                }
                None if is_away || !matches!(source.flaw, None | Some(Flaw::Long)) => {
                    let mut rows = source.rows.keys();
                    if let Some(id) = rows.find(|id| self.visible.contains_key(*id)) {
                        return Err(format!(
                            "row {id} of {location} exists, which is not committed"
                        ));
                    }
                }
                None => {
                    return Err(format!("{location} is not committed after the last retry"));
                }
            }
        }
        Ok(())
    }

    fn changed(
        &mut self,
        change: &Change,
        now: Timestamp,
        s3: &ModelS3,
        glue: &ModelGlue,
    ) -> Result<(), String> {
        match change {
            Change::Written {
                location,
                object,
                replaced,
            } if self.target.contains(location) => {
                if *replaced {
                    return Err(format!("R2: {location} was overwritten"));
                }
                self.written(location, object, now, s3, glue)
            }
            Change::Deleted { location }
                if self.target.contains(location) && !is_spooled(location) =>
            {
                Err(format!("R5: {location}, which had been seen, is missing"))
            }
            Change::Written { .. } | Change::Deleted { .. } => Ok(()),
        }
    }

    fn written(
        &mut self,
        location: &Location,
        object: &Object,
        now: Timestamp,
        s3: &ModelS3,
        glue: &ModelGlue,
    ) -> Result<(), String> {
        let path = &location.key[self.target.key.len()..];
        if is_visible(path) {
            return self.output(location, object);
        }
        let path = path.strip_prefix("_lakewright/").unwrap_or_default();
        let unreadable = |error: String| format!("R1: {location} cannot be read: {error}");
        match path.split('/').collect::<Vec<_>>().as_slice() {
            ["batch", bid] => self.batch(bid, object).map_err(unreadable),
            ["claim", sid, number] => self.claim(sid, number, object),
            ["columns", _] => self.column(object),
            ["plan", bid] => self.plan(bid, object, now),
            ["lost", bid, sid] => self.mark(bid, sid),
            ["alone", bid, number] => self.alone(bid, number),
            ["failed", sid] => self.given_up(sid, object),
            ["commit", bid] => self.commit(bid, object, s3, glue),
            ["quarantine", _] if self.files.contains_key(&location.key) => Ok(()),
            ["spool" | "progress", ..] => Ok(()),
            _ => Err(format!("R1: no existing plan names {location}")),
        }
    }
}

/// Whether it contains spooled rows of a batch that is still being processed: no plan names these, and they are
/// deleted.
fn is_spooled(location: &Location) -> bool {
    location.key.contains("/_lakewright/spool/")
}

pub(super) fn version(source: &SourceObject) -> Version {
    let etag = source.etag.clone().unwrap_or_default();
    (source.location.clone(), etag)
}

impl Observer for Checker {
    fn step(&mut self, now: Timestamp, changes: &[Change], s3: &ModelS3, glue: &ModelGlue) {
        if let Err(message) = self.catalog(glue) {
            self.fail(now, message);
        }
        for change in changes {
            if let Err(message) = self.changed(change, now, s3, glue) {
                self.fail(now, message);
            }
        }
    }
}
