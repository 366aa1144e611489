use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use lakewright_core::location::Location;
use lakewright_jobs::split::{Plan, Summary};
use lakewright_model::{Change, ModelGlue, ModelS3, Object, Observer};

use super::table::Expected;
use crate::sim::Violation;

/// Checks the invariants after every change below the target.
pub(super) struct Checker {
    target: Location,
    ledger: Location,
    expected: Expected,
    /// The objects below the target before the job, by full key.
    foreign: BTreeMap<String, Bytes>,
    succeeded: bool,
    violation: Option<Violation>,
}

impl Checker {
    pub(super) fn new(target: Location, ledger: Location, expected: Expected) -> Self {
        Self {
            target,
            ledger,
            expected,
            foreign: BTreeMap::new(),
            succeeded: false,
            violation: None,
        }
    }

    pub(super) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    pub(super) fn succeeded(&self) -> bool {
        self.succeeded
    }

    /// Records a violation, unless there is one already.
    pub(super) fn fail(&mut self, at: Timestamp, message: String) {
        self.violation.get_or_insert(Violation { at, message });
    }

    pub(super) fn add_foreign(&mut self, key: String, bytes: Bytes) {
        self.foreign.insert(key, bytes);
    }

    pub(super) fn remove_foreign(&mut self) -> Vec<String> {
        std::mem::take(&mut self.foreign).into_keys().collect()
    }

    fn at(&self, name: &str) -> Location {
        self.target.join(name)
    }

    /// Whether the object of this name exists and has the expected content.
    fn exists(&self, name: &str, s3: &ModelS3) -> bool {
        let object = s3.object(&self.at(name));
        object.map(|object| &object.bytes) == self.expected.objects.get(name)
    }

    /// After the last run.
    pub(super) fn finish(&mut self, now: Timestamp, s3: &ModelS3) {
        if !self.succeeded {
            self.fail(now, "S4: the last run has not succeeded".to_owned());
        } else if let Err(message) = self.complete(s3) {
            self.fail(now, message);
        }
    }

    fn complete(&self, s3: &ModelS3) -> Result<(), String> {
        for name in self.expected.objects.keys() {
            if !self.exists(name, s3) {
                return Err(format!("S1: {name} does not exist"));
            }
        }
        let is_row = |location: &Location| {
            !self.ledger_parent().contains(location) && !self.foreign.contains_key(&location.key)
        };
        let below = s3.below(&self.target);
        let count = below.filter(|(location, _)| is_row(location)).count();
        if count != self.expected.objects.len() {
            let wanted = self.expected.objects.len();
            return Err(format!("S2: there are {count} objects, not {wanted}"));
        }
        Ok(())
    }

    fn ledger_parent(&self) -> Location {
        self.target.join("_lakewright/")
    }

    fn changed(&mut self, change: &Change, s3: &ModelS3) -> Result<(), String> {
        let (location, object, replaced) = match change {
            Change::Written {
                location,
                object,
                replaced,
            } => (location, object, replaced),
            Change::Deleted { location } if self.target.contains(location) => {
                return Err(format!("S1: {location} was deleted"));
            }
            Change::Deleted { .. } => return Ok(()),
        };
        if !self.target.contains(location) {
            return Ok(());
        }
        if *replaced {
            return Err(format!("S3: {location} was overwritten"));
        }
        if self.ledger.contains(location) {
            let entry = location.key[self.ledger.key.len()..].to_owned();
            self.entry(&entry, object, s3)
        } else {
            let name = &location.key[self.target.key.len()..];
            match self.expected.objects.get(name) {
                Some(expected) if *expected == object.bytes => Ok(()),
                expected => Err(format!(
                    "S2: {location} is {:?}, wanted is {expected:?}",
                    object.bytes
                )),
            }
        }
    }

    fn entry(&mut self, entry: &str, object: &Object, s3: &ModelS3) -> Result<(), String> {
        if entry == "_SUCCESS" {
            self.complete(s3)?;
            let summary: Summary = serde_json::from_slice(&object.bytes)
                .map_err(|error| format!("S1: _SUCCESS cannot be read: {error}"))?;
            let bytes: usize = self.expected.objects.values().map(Bytes::len).sum();
            let counts = (summary.rows, summary.objects, summary.bytes);
            let (rows, objects) = (self.expected.rows.len(), self.expected.objects.len());
            if counts != (rows as u64, objects as u64, bytes as u64) {
                return Err(format!(
                    "S1: the summary counts {counts:?}, not {:?}",
                    (rows, objects, bytes)
                ));
            }
            self.succeeded = true;
        } else if let Some(chunk) = entry.strip_prefix("done/") {
            return self.done(chunk, s3);
        } else if let Some(run) = entry.strip_prefix("outcome/") {
            return self.outcome(run, s3);
        }
        Ok(())
    }

    fn plan(&self, s3: &ModelS3) -> Result<Plan, String> {
        let plan = s3.object(&self.ledger.join("plan"));
        let plan = plan.ok_or("S1: there is no plan")?;
        serde_json::from_slice(&plan.bytes).map_err(|error| format!("S1: plan: {error}"))
    }

    fn done(&self, chunk: &str, s3: &ModelS3) -> Result<(), String> {
        let plan = self.plan(s3)?;
        let index: usize = chunk.parse().map_err(|_| format!("S1: done/{chunk}"))?;
        let rows = plan.chunks.get(index).map(|chunk| {
            let first = usize::try_from(chunk.first_row).unwrap_or(usize::MAX);
            self.expected
                .rows
                .iter()
                .skip(first)
                .take(usize::try_from(chunk.rows).unwrap_or(0))
        });
        let rows = rows.ok_or_else(|| format!("S1: done/{chunk} is no chunk of the plan"))?;
        match rows.flatten().find(|name| !self.exists(name, s3)) {
            None => Ok(()),
            Some(name) => Err(format!("S1: chunk {chunk} is done, but not {name}")),
        }
    }

    fn outcome(&self, run: &str, s3: &ModelS3) -> Result<(), String> {
        let chunks = self.plan(s3)?.chunks.len();
        for chunk in 0..chunks {
            let exists = |prefix: &str| {
                let entry = self.ledger.join(&format!("{prefix}{chunk:010}"));
                s3.object(&entry).is_some()
            };
            if !exists("done/") && !exists(&format!("failed/{run}/")) {
                return Err(format!(
                    "S4: the run {run} is over, but not its chunk {chunk}"
                ));
            }
        }
        Ok(())
    }
}

impl Observer for Checker {
    fn step(&mut self, now: Timestamp, changes: &[Change], s3: &ModelS3, _: &ModelGlue) {
        for change in changes {
            if let Err(message) = self.changed(change, s3) {
                self.fail(now, message);
            }
        }
    }
}
