use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use jiff::Timestamp;
use lakewright_core::{catalog::TableName, compact::PartitionState, location::Location};
use lakewright_jobs::rekey::{Commit, SourceObject};
use lakewright_model::{Change, ModelGlue, ModelS3, Object, Observer};

use crate::sim::{
    Violation,
    reader::{id, is_visible, records},
    source::Source,
};

/// Checks the invariants of everything that readers of the catalog can see, after every change.
pub(super) struct Checker {
    /// The locations of data: the table's, and that of its generations.
    roots: [Location; 2],
    table: TableName,
    /// The rows of each source.
    sources: BTreeMap<Location, BTreeSet<String>>,
    /// The rows of each current data file.
    files: BTreeMap<Location, Arc<Vec<String>>>,
    /// The rows of each content that was ever written.
    parsed: HashMap<Bytes, Arc<Vec<String>>>,
    committed_sources: BTreeSet<Location>,
    committed: BTreeSet<String>,
    /// The partition locations in the catalog.
    directories: BTreeSet<Location>,
    /// The directory that writers use, by the state of each partition.
    states: BTreeMap<Location, Location>,
    visible: BTreeSet<String>,
    /// How often a partition was pointed at another directory, and how many files were deleted.
    pub(super) moves: u64,
    pub(super) deletions: u64,
    violation: Option<Violation>,
}

impl Checker {
    pub(super) fn new(roots: [Location; 2], table: TableName) -> Self {
        Self {
            roots,
            table,
            sources: BTreeMap::new(),
            files: BTreeMap::new(),
            parsed: HashMap::new(),
            committed_sources: BTreeSet::new(),
            committed: BTreeSet::new(),
            directories: BTreeSet::new(),
            states: BTreeMap::new(),
            visible: BTreeSet::new(),
            moves: 0,
            deletions: 0,
            violation: None,
        }
    }

    pub(super) fn expect(&mut self, source: &Source) {
        let rows = source.rows.keys().cloned().collect();
        self.sources.insert(source.location.clone(), rows);
    }

    pub(super) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Records a violation, unless there is one already.
    pub(super) fn fail(&mut self, at: Timestamp, message: String) {
        self.violation.get_or_insert(Violation { at, message });
    }

    /// The number of files below a prefix.
    pub(super) fn existing(&self, prefix: &Location) -> usize {
        let files = self.files.keys();
        files.filter(|file| prefix.contains(file)).count()
    }

    pub(super) fn is_committed(&self, source: &SourceObject) -> bool {
        self.committed_sources.contains(&source.location)
    }

    /// The rows that every reader who starts now must see.
    pub(super) fn promised(&self) -> BTreeSet<String> {
        self.visible
            .intersection(&self.committed)
            .cloned()
            .collect()
    }

    /// After the last retry and the last compaction: checks that every row exists once, and that nothing of earlier
    /// generations is left.
    pub(super) fn finish(&mut self, now: Timestamp) {
        let all: BTreeSet<&String> = self.sources.values().flatten().collect();
        let visible: BTreeSet<&String> = self.visible.iter().collect();
        let missing = all.difference(&visible).next();
        let left = self.files.keys().find(|file| {
            let mut current = self.directories.iter();
            !current.any(|directory| directory.contains(file))
        });
        let message = match (missing, left) {
            (Some(row), _) => format!("R5: row {row} does not exist after the last retry"),
            (None, Some(file)) => {
                format!("C4: {file} is left over after the last compaction")
            }
            (None, None) => return,
        };
        self.fail(now, message);
    }

    fn rows(&mut self, location: &Location, object: &Object) -> Result<Arc<Vec<String>>, String> {
        if let Some(rows) = self.parsed.get(&object.bytes) {
            return Ok(Arc::clone(rows));
        }
        let records = records(object.bytes.clone())
            .map_err(|error| format!("C2: {location} cannot be read: {error}"))?;
        let ids = records.iter().filter_map(|record| id(record));
        let rows = Arc::new(ids.map(str::to_owned).collect::<Vec<_>>());
        self.parsed.insert(object.bytes.clone(), Arc::clone(&rows));
        Ok(rows)
    }

    fn is_data(&self, location: &Location) -> bool {
        let mut roots = self.roots.iter();
        roots.any(|root| root.contains(location) && is_visible(&location.key[root.key.len()..]))
    }

    /// Applies a change. Returns the rows of a deleted file.
    fn changed(&mut self, change: &Change) -> Result<Option<Arc<Vec<String>>>, String> {
        match change {
            Change::Written {
                location,
                object,
                replaced,
            } => {
                if *replaced && location.bucket == "lake" && !location.key.ends_with("/state") {
                    return Err(format!("R2: {location} was overwritten"));
                }
                if self.is_data(location) {
                    let rows = self.rows(location, object)?;
                    self.files.insert(location.clone(), rows);
                } else if location.key.contains("/_lakewright/commit/") {
                    self.commit(location, object)?;
                } else if location.key.ends_with("/state") {
                    let state: PartitionState = serde_json::from_slice(&object.bytes)
                        .map_err(|error| format!("C4: {location} cannot be read: {error}"))?;
                    self.states.insert(location.clone(), state.directory);
                }
                Ok(None)
            }
            Change::Deleted { location } => {
                let rows = self.files.remove(location);
                self.deletions += u64::from(rows.is_some());
                Ok(rows)
            }
        }
    }

    fn commit(&mut self, location: &Location, object: &Object) -> Result<(), String> {
        let commit: Commit = serde_json::from_slice(&object.bytes)
            .map_err(|error| format!("R3: {location} cannot be read: {error}"))?;
        for output in &commit.outputs {
            let output = Location::new("lake", &output.key);
            if !self.files.contains_key(&output) {
                return Err(format!(
                    "R3: {location} names {output}, which does not exist"
                ));
            }
        }
        // Readers see them, or will when the catalog follows the state.
        let files = self.files.iter();
        let to_come = files
            .filter(|(file, _)| self.states.values().any(|current| current.contains(file)))
            .flat_map(|(_, rows)| rows.iter())
            .collect::<BTreeSet<_>>();
        for report in commit.objects.into_values() {
            let source = report.source;
            let rows = self.sources.get(&source).cloned().unwrap_or_default();
            let exists = |row: &&String| self.visible.contains(*row) || to_come.contains(row);
            if let Some(row) = rows.iter().find(|row| !exists(row)) {
                return Err(format!(
                    "R3: row {row} of {source} is committed, where no reader looks or will look"
                ));
            }
            self.committed.extend(rows);
            self.committed_sources.insert(source);
        }
        Ok(())
    }

    /// What a reader sees now.
    fn look(&mut self) -> Result<(), String> {
        let mut seen: BTreeMap<&str, &Location> = BTreeMap::new();
        for directory in &self.directories {
            let files = self
                .files
                .range(directory..)
                .take_while(|(file, _)| directory.contains(file));
            for (file, rows) in files {
                for row in rows.iter() {
                    if let Some(other) = seen.insert(row, file) {
                        return Err(format!("C3: row {row} is seen in {other} and in {file}"));
                    }
                }
            }
        }
        let lost = self
            .visible
            .iter()
            .find(|row| self.committed.contains(*row) && !seen.contains_key(row.as_str()));
        if let Some(row) = lost {
            return Err(format!(
                "C3: the committed row {row} was visible and is not"
            ));
        }
        self.visible = seen.into_keys().map(str::to_owned).collect();
        Ok(())
    }

    fn stepped(&mut self, changes: &[Change], glue: &ModelGlue) -> Result<(), String> {
        let mut deleted = Vec::new();
        for change in changes {
            deleted.extend(self.changed(change)?);
        }
        let directories = glue
            .registered(&self.table)
            .filter_map(|partition| Location::directory(&partition.storage.location).ok())
            .collect::<BTreeSet<_>>();
        let has_moved = directories != self.directories;
        if has_moved {
            let stayed = self.directories.iter();
            self.moves += stayed
                .filter(|directory| !directories.contains(*directory))
                .count() as u64;
            self.directories = directories;
        }
        if has_moved || !changes.is_empty() {
            self.look()?;
        }
        let mut rows = deleted.iter().flat_map(|rows| rows.iter());
        match rows.find(|row| !self.visible.contains(*row)) {
            None => Ok(()),
            Some(row) => Err(format!("C5: row {row} was deleted and is nowhere else")),
        }
    }
}

impl Observer for Checker {
    fn step(&mut self, now: Timestamp, changes: &[Change], _: &ModelS3, glue: &ModelGlue) {
        if self.violation.is_none()
            && let Err(message) = self.stepped(changes, glue)
        {
            self.fail(now, message);
        }
    }
}
