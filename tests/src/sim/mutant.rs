//! Mutants of the protocol: what rekey would do if one of its steps were wrong, made by wrapping its ports. The
//! simulation must detect each of them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use lakewright_core::{
    catalog::{Table, TableName},
    location::Location,
};
use lakewright_jobs::ports::{
    Catalog, CatalogError, GetOptions, Listed, ObjectBody, ObjectMeta, Partition, PartitionFailure,
    Precondition, PutOptions, Store, StoreError, StoreErrorKind, StoreLayer, Written,
};

use super::reader::is_visible;
use crate::model::Client;

/// The error in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The last output is written after the commit.
    CommitBeforeLastOutput,
    /// The outputs are written before the plan.
    OutputsBeforePlan,
    /// It is not checked whether the source is already committed.
    NoCommitCheck,
    /// An existing plan is not adopted: 412 counts as success without a comparison.
    PlanNotAdopted,
    /// Each invocation chooses random names for the outputs.
    RandomNames,
    /// Files without a commit are deleted.
    DeletesUncommitted,
    /// Existing objects are overwritten.
    Overwrites,
    /// New partitions are not registered.
    NotRegistered,
    /// The failures of a batch of partitions are ignored.
    BatchFailuresIgnored,
    /// The quarantined records are not written.
    QuarantineDropped,
    /// An output counts as written although its connection failed.
    LostAnswerTakenForSuccess,
    /// A truncated body counts as complete.
    TruncatedBodyAccepted,
    /// A range that is read again is used twice.
    RangeReadTwice,
}

impl Mutant {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::CommitBeforeLastOutput,
        Self::OutputsBeforePlan,
        Self::NoCommitCheck,
        Self::PlanNotAdopted,
        Self::RandomNames,
        Self::DeletesUncommitted,
        Self::Overwrites,
        Self::NotRegistered,
        Self::BatchFailuresIgnored,
        Self::QuarantineDropped,
        Self::LostAnswerTakenForSuccess,
        Self::TruncatedBodyAccepted,
        Self::RangeReadTwice,
    ];

    /// The invariants of which at least one must be violated.
    pub fn breaks(self) -> &'static [&'static str] {
        match self {
            Self::CommitBeforeLastOutput | Self::NotRegistered | Self::BatchFailuresIgnored => {
                &["R3"]
            }
            Self::OutputsBeforePlan | Self::PlanNotAdopted | Self::RandomNames => &["R1"],
            Self::NoCommitCheck => &["R5"],
            Self::Overwrites => &["R2"],
            Self::QuarantineDropped => &["R4"],
            Self::DeletesUncommitted | Self::LostAnswerTakenForSuccess => &["R3", "R5"],
            Self::TruncatedBodyAccepted | Self::RangeReadTwice => &["R1", "R4", "R5"],
        }
    }

    /// Whether the error is in the adapter, below the retries, rather than in the protocol above them.
    pub(super) fn is_below_retries(self) -> bool {
        self == Self::LostAnswerTakenForSuccess
    }
}

/// The store of `invocation`, for writes below `target`.
pub(super) struct BrokenStore {
    inner: Arc<dyn Store>,
    mutant: Mutant,
    target: Location,
    invocation: u32,
    memory: Mutex<Memory>,
}

/// The state of an invocation with a broken protocol.
#[derive(Default)]
struct Memory {
    held: Vec<(Location, Bytes, PutOptions)>,
    ranges_read: BTreeSet<(Location, u64)>,
}

/// The role of an object in the protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Source,
    Output,
    Intent,
    Commit,
    Quarantine,
}

impl BrokenStore {
    pub(super) fn new(
        inner: Arc<dyn Store>,
        mutant: Mutant,
        target: Location,
        invocation: u32,
    ) -> Self {
        Self {
            inner,
            mutant,
            target,
            invocation,
            memory: Mutex::default(),
        }
    }

    fn role(&self, location: &Location) -> Role {
        if !self.target.contains(location) {
            return Role::Source;
        }
        let path = &location.key[self.target.key.len()..];
        if is_visible(path) {
            Role::Output
        } else if path.contains("/intent/") {
            Role::Intent
        } else if path.contains("/commit/") {
            Role::Commit
        } else {
            Role::Quarantine
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_found(location: &Location) -> StoreError {
        StoreError {
            kind: StoreErrorKind::NotFound,
            operation: "HeadObject",
            location: location.clone(),
            message: "not looked at".to_owned(),
        }
    }

    fn untrue() -> Written {
        Written {
            etag: "\"untrue\"".to_owned(),
            version: None,
        }
    }

    /// Writes what was held back.
    async fn release(&self) -> Result<(), StoreError> {
        let held = std::mem::take(&mut self.memory().held);
        for (location, body, options) in held {
            self.create(&location, body, options).await?;
        }
        Ok(())
    }

    async fn create(
        &self,
        location: &Location,
        body: Bytes,
        options: PutOptions,
    ) -> Result<(), StoreError> {
        match self.inner.put(location, body, options).await {
            Err(error) if error.kind != StoreErrorKind::PreconditionFailed => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes the outputs of sources without a commit, as a careless cleanup would.
    async fn delete_uncommitted(&self) -> Result<(), StoreError> {
        let mut listed: Vec<Listed> = Vec::new();
        loop {
            let after = listed.last().map(|object| object.key.clone());
            let page = self.inner.list(&self.target, after.as_deref()).await?;
            listed.extend(page.objects);
            if !page.truncated {
                break;
            }
        }
        let is_committed = |name: &str| {
            let sid = name.split('-').next().unwrap_or_default();
            listed
                .iter()
                .any(|object| object.key.contains("/commit/") && object.key.contains(sid))
        };
        let abandoned: Vec<String> = listed
            .iter()
            .map(|object| &object.key)
            .filter(|key| is_visible(&key[self.target.key.len()..]))
            .filter(|key| !is_committed(key.rsplit('/').next().unwrap_or_default()))
            .cloned()
            .collect();
        if !abandoned.is_empty() {
            self.inner.delete(&self.target.bucket, &abandoned).await?;
        }
        Ok(())
    }

    fn renamed(&self, location: &Location) -> Location {
        let name = format!("-{}.parquet", self.invocation);
        Location::new(&location.bucket, location.key.replace(".parquet", &name))
    }
}

#[async_trait]
impl StoreLayer for BrokenStore {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn head(
        &self,
        object: &Location,
        version: Option<&str>,
    ) -> Result<ObjectMeta, StoreError> {
        match (self.mutant, self.role(object)) {
            (Mutant::NoCommitCheck, Role::Commit) => Err(Self::not_found(object)),
            _ => self.inner.head(object, version).await,
        }
    }

    async fn get(&self, object: &Location, options: GetOptions) -> Result<ObjectBody, StoreError> {
        let role = self.role(object);
        if self.mutant == Mutant::PlanNotAdopted && role == Role::Intent {
            return Err(Self::not_found(object));
        }
        let range = options.range.clone();
        let mut body = self.inner.get(object, options).await?;
        if role == Role::Source {
            match self.mutant {
                Mutant::TruncatedBodyAccepted if body.bytes.len() % 3 == 0 => {
                    let end = body.bytes.iter().rposition(|byte| *byte == b'{');
                    body.bytes.truncate(end.unwrap_or(0));
                }
                Mutant::RangeReadTwice => {
                    let start = range.map_or(0, |range| range.start);
                    let key = (object.clone(), start);
                    if body.bytes.first() == Some(&b'{') && !self.memory().ranges_read.insert(key) {
                        body.bytes = [&body.bytes[..], b"\n", &body.bytes[..]].concat().into();
                    }
                }
                _ => {}
            }
        }
        Ok(body)
    }

    async fn put(
        &self,
        object: &Location,
        body: Bytes,
        options: PutOptions,
    ) -> Result<Written, StoreError> {
        match (self.mutant, self.role(object)) {
            (Mutant::CommitBeforeLastOutput, Role::Output) => {
                // Those held before were not the last.
                self.release().await?;
                self.memory().held.push((object.clone(), body, options));
                Ok(Self::untrue())
            }
            (Mutant::CommitBeforeLastOutput, Role::Commit) => {
                let written = self.inner.put(object, body, options).await?;
                self.release().await?;
                Ok(written)
            }
            (Mutant::OutputsBeforePlan, Role::Intent) => {
                self.memory().held.push((object.clone(), body, options));
                Ok(Self::untrue())
            }
            (Mutant::OutputsBeforePlan, Role::Commit) => {
                self.release().await?;
                self.inner.put(object, body, options).await
            }
            (Mutant::PlanNotAdopted, Role::Intent) => {
                self.create(object, body, options).await?;
                Ok(Self::untrue())
            }
            (Mutant::Overwrites, Role::Output) => {
                let options = PutOptions {
                    precondition: Precondition::None,
                    ..options
                };
                self.inner.put(object, body, options).await
            }
            (Mutant::RandomNames, Role::Output) => {
                let renamed = self.renamed(object);
                self.inner.put(&renamed, body, options).await
            }
            (Mutant::DeletesUncommitted, Role::Commit) => {
                let written = self.inner.put(object, body, options).await?;
                self.delete_uncommitted().await?;
                Ok(written)
            }
            (Mutant::QuarantineDropped, Role::Quarantine) => Ok(Self::untrue()),
            (Mutant::LostAnswerTakenForSuccess, Role::Output) => {
                match self.inner.put(object, body, options).await {
                    Err(error) if error.kind != StoreErrorKind::PreconditionFailed => {
                        Ok(Self::untrue())
                    }
                    answer => answer,
                }
            }
            _ => self.inner.put(object, body, options).await,
        }
    }
}

/// The catalog with or without a broken adapter.
pub(super) struct BrokenCatalog {
    pub(super) inner: Client,
    pub(super) mutant: Option<Mutant>,
}

#[async_trait]
impl Catalog for BrokenCatalog {
    async fn table(&self, name: &TableName) -> Result<Option<Table>, CatalogError> {
        self.inner.table(name).await
    }

    async fn partitions(
        &self,
        table: &TableName,
        values: &[Vec<String>],
    ) -> Result<Vec<Partition>, CatalogError> {
        self.inner.partitions(table, values).await
    }

    async fn create_partitions(
        &self,
        table: &TableName,
        partitions: &[Partition],
    ) -> Result<Vec<PartitionFailure>, CatalogError> {
        match self.mutant {
            Some(Mutant::NotRegistered) => Ok(Vec::new()),
            Some(Mutant::BatchFailuresIgnored) => {
                self.inner.create_partitions(table, partitions).await?;
                Ok(Vec::new())
            }
            _ => self.inner.create_partitions(table, partitions).await,
        }
    }

    async fn update_partitions(
        &self,
        table: &TableName,
        partitions: &[Partition],
    ) -> Result<Vec<PartitionFailure>, CatalogError> {
        self.inner.update_partitions(table, partitions).await
    }

    async fn matching_partitions(
        &self,
        table: &TableName,
        expression: Option<&str>,
    ) -> Result<Vec<Partition>, CatalogError> {
        self.inner.matching_partitions(table, expression).await
    }

    async fn create_table(&self, table: &Table) -> Result<(), CatalogError> {
        self.inner.create_table(table).await
    }

    async fn update_table(&self, table: &Table) -> Result<(), CatalogError> {
        self.inner.update_table(table).await
    }
}
