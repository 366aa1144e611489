use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use lakewright_core::{
    config::{Output, OutputFormat, Repartition},
    location::Location,
    repartition::is_data,
};
use lakewright_jobs::repartition::{Commit, Ledger};
use lakewright_model::{Change, ModelGlue, ModelS3, Observer};

use super::scene::{Rows, Scene, parquet_lines};
use crate::sim::Violation;

/// Checks the invariants after every change below the target.
pub(super) struct Checker {
    scene: Scene,
    job: Repartition,
    /// The current run.
    run: u64,
    /// The objects that existed when it began, by key.
    old: BTreeMap<String, Bytes>,
    violation: Option<Violation>,
}

impl Checker {
    pub(super) fn new(scene: Scene) -> Self {
        Self {
            scene,
            job: scene.job(),
            run: 0,
            old: BTreeMap::new(),
            violation: None,
        }
    }

    pub(super) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Records a violation, unless there is one already.
    pub(super) fn fail(&mut self, at: Timestamp, message: String) {
        self.violation.get_or_insert(Violation { at, message });
    }

    /// A run starts, with the current objects.
    pub(super) fn begin(&mut self, run: u64, s3: &ModelS3) {
        self.run = run;
        self.old = data(&self.job.target, s3);
    }

    /// A file that the run wrote.
    pub(super) fn file(&self, s3: &ModelS3) -> Option<(Location, Bytes)> {
        let existing = data(&self.job.target, s3);
        let mut new = existing
            .into_iter()
            .filter(|(key, _)| !self.old.contains_key(key));
        new.next()
            .map(|(key, bytes)| (Location::new("lake", key), bytes))
    }

    /// The run is over.
    pub(super) fn end(&mut self, now: Timestamp, s3: &ModelS3, glue: &ModelGlue) {
        if let Err(message) = self.ended(s3, glue) {
            self.fail(now, message);
        }
    }

    fn ended(&self, s3: &ModelS3, glue: &ModelGlue) -> Result<(), String> {
        if !self.committed(s3) {
            return Err(format!("P3: run {} is not committed", self.run));
        }
        for output in &self.job.output {
            let directory = self.job.directory(output);
            let expected = self.expected(self.run, output);
            let existing = data(&directory, s3);
            let found = rows(&directory, output, existing.iter());
            if found != expected {
                return Err(format!(
                    "P3: {directory} has {found:?} instead of {expected:?}"
                ));
            }
            match self.by_manifest(output, s3)? {
                Some(found) if found == expected => {}
                other => return Err(format!("P4: the manifest gives {other:?} after the run")),
            }
            if s3.object(&directory.join("_SUCCESS")).is_none() {
                return Err(format!("P3: {directory} has no _SUCCESS"));
            }
        }
        if let Some(table) = &self.job.table {
            let registered = glue
                .registered(table)
                .map(|partition| partition.values.clone());
            let registered = registered.collect::<Vec<_>>();
            if registered != [["a"], ["b"]] {
                return Err(format!("P3: the catalog has {registered:?}"));
            }
        }
        Ok(())
    }

    fn committed(&self, s3: &ModelS3) -> bool {
        let at = Ledger::new(&self.job, self.run).commit();
        let commit = s3
            .object(&at)
            .and_then(|object| serde_json::from_slice::<Commit>(&object.bytes).ok());
        commit.is_some_and(|commit| !commit.withdrawn)
    }

    fn expected(&self, run: u64, output: &Output) -> Rows {
        self.scene.rows(run, output.format == OutputFormat::Csv)
    }

    /// The rows that a reader by manifest sees.
    fn by_manifest(&self, output: &Output, s3: &ModelS3) -> Result<Option<Rows>, String> {
        let directory = self.job.directory(output);
        let prefix = directory
            .key
            .strip_prefix(&self.job.target.key)
            .unwrap_or_default();
        let at = self
            .job
            .ledger()
            .join(&format!("manifest/{prefix}manifest"));
        let Some(manifest) = s3.object(&at) else {
            return Ok(None);
        };
        let mut files = BTreeMap::new();
        for line in String::from_utf8_lossy(&manifest.bytes).lines() {
            let location: Location = line.parse().map_err(|error| format!("P4: {error}"))?;
            let object = s3.object(&location);
            let object =
                object.ok_or_else(|| format!("P4: the manifest lists {line}, which is gone"))?;
            files.insert(location.key, object.bytes.clone());
        }
        Ok(Some(rows(&directory, output, files.iter())))
    }

    fn check(&self, changes: &[Change], s3: &ModelS3) -> Result<(), String> {
        for change in changes {
            if let Change::Written {
                location,
                replaced: true,
                ..
            } = change
            {
                let key = &location.key;
                if !key.ends_with("/_SUCCESS") && !key.contains("/manifest/") {
                    return Err(format!("P5: {key} was overwritten"));
                }
            }
        }
        let committed = self.committed(s3);
        if !committed {
            for (key, bytes) in &self.old {
                let object = s3.object(&Location::new("lake", key));
                if object.map(|object| &object.bytes) != Some(bytes) {
                    return Err(format!("P1: {key} is gone before the commit"));
                }
            }
        }
        for output in &self.job.output {
            let new = self.expected(self.run, output);
            let old = self
                .run
                .checked_sub(1)
                .map(|run| self.expected(run, output));
            match self.by_manifest(output, s3)? {
                found if found == old => {}
                Some(found) if committed && found == new => {}
                found => {
                    return Err(format!("P4: a reader by manifest sees {found:?}"));
                }
            }
            if committed {
                let directory = self.job.directory(output);
                let mut existing = data(&directory, s3);
                // Objects that are replaced may still exist, and those that are not replaced count.
                if self.scene != Scene::Bookmark {
                    existing.retain(|key, _| !self.old.contains_key(key));
                }
                let found = rows(&directory, output, existing.iter());
                if found != new {
                    return Err(format!("P2: {directory} has {found:?} instead of {new:?}"));
                }
            }
        }
        Ok(())
    }
}

impl Observer for Checker {
    fn step(&mut self, now: Timestamp, changes: &[Change], s3: &ModelS3, _: &ModelGlue) {
        if changes.is_empty() {
            return;
        }
        if let Err(message) = self.check(changes, s3) {
            self.fail(now, message);
        }
    }
}

/// The data objects below a prefix.
fn data(prefix: &Location, s3: &ModelS3) -> BTreeMap<String, Bytes> {
    let objects = s3
        .below(prefix)
        .filter(|(at, _)| is_data(&prefix.key, &at.key));
    objects
        .map(|(at, object)| (at.key.clone(), object.bytes.clone()))
        .collect()
}

fn rows<'a>(
    directory: &Location,
    output: &Output,
    files: impl Iterator<Item = (&'a String, &'a Bytes)>,
) -> Rows {
    let mut rows = Rows::new();
    for (key, bytes) in files {
        let below = key.strip_prefix(&directory.key).unwrap_or(key);
        let path = below.rfind('/').map_or("", |slash| &below[..=slash]);
        let header = usize::from(output.format == OutputFormat::Csv);
        let text = match output.format {
            // If the file is corrupt, the error is a row that is not expected.
            OutputFormat::Parquet => parquet_lines(bytes).unwrap_or_else(|error| error),
            _ => String::from_utf8_lossy(bytes).into_owned(),
        };
        for line in text.lines().skip(header) {
            *rows.entry((path.to_owned(), line.to_owned())).or_default() += 1;
        }
    }
    rows
}
