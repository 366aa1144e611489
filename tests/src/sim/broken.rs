//! The ports as a broken protocol would use them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use lakewright_core::{
    catalog::{Column, Table, TableName},
    location::Location,
};
use lakewright_model::Client;
use lakewright_ports::{
    Catalog, CatalogError, GetOptions, ListPage, Listed, ObjectBody, ObjectMeta, Partition,
    PartitionFailure, PartitionPage, Precondition, PutOptions, Store, StoreError, StoreErrorKind,
    StoreLayer, Written,
};
use serde_json::{Value, json};

use super::{
    mutant::Mutant,
    reader::{is_visible, recut},
    source::OF_BROKEN,
};

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
    /// What the invocation takes for the content of a document that it wished to write.
    untrue: BTreeMap<Location, Bytes>,
    /// The claims that it takes for another batch's when it reads them next.
    disowned: BTreeSet<Location>,
    /// The pages of the listings that were made too early.
    listed: BTreeMap<(String, Option<String>), ListPage>,
    /// Whether a member was lost.
    has_lost: bool,
}

/// The role of an object in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Source,
    Output,
    Batch,
    Claim,
    Column,
    Plan,
    Lost,
    Commit,
    Quarantine,
    Other,
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
            return Role::Output;
        }
        match path.split('/').nth(1) {
            Some("batch") => Role::Batch,
            Some("claim") => Role::Claim,
            Some("columns") => Role::Column,
            Some("plan") => Role::Plan,
            Some("lost") => Role::Lost,
            Some("commit") => Role::Commit,
            Some("quarantine") => Role::Quarantine,
            _ => Role::Other,
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

    fn hold(&self, object: &Location, body: Bytes, options: PutOptions) -> Written {
        self.memory().held.push((object.clone(), body, options));
        Self::untrue()
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

    /// Creates it and takes it for written, whatever is there already.
    async fn insist(
        &self,
        location: &Location,
        body: Bytes,
        options: PutOptions,
    ) -> Result<Written, StoreError> {
        self.create(location, body.clone(), options).await?;
        self.memory().untrue.insert(location.clone(), body);
        Ok(Self::untrue())
    }

    /// Deletes the outputs of batches without a commit, as a careless cleanup would.
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
            let bid = name.split('-').next().unwrap_or_default();
            listed
                .iter()
                .any(|object| object.key.contains("/commit/") && object.key.contains(bid))
        };
        let abandoned: Vec<_> = listed
            .iter()
            .map(|object| &object.key)
            .filter(|key| is_visible(&key[self.target.key.len()..]))
            .filter(|key| !is_committed(key.rsplit('/').next().unwrap_or_default()))
            .map(|key| key.clone().into())
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

    /// Cuts the files that were held back again, by the rows that are in them.
    fn cut_again(&self) {
        let mut memory = self.memory();
        let mut directories = BTreeMap::<String, Vec<usize>>::new();
        for (index, (location, _, _)) in memory.held.iter().enumerate() {
            let directory = location.key.rsplit_once('/').map_or("", |(path, _)| path);
            directories
                .entry(directory.to_owned())
                .or_default()
                .push(index);
        }
        for mut indexes in directories.into_values() {
            indexes.sort_by(|a, b| memory.held[*a].0.cmp(&memory.held[*b].0));
            let bodies = indexes.iter().map(|index| memory.held[*index].1.clone());
            if let Some(cut) = recut(&bodies.collect::<Vec<_>>()) {
                for (index, body) in indexes.into_iter().zip(cut) {
                    memory.held[index].1 = body;
                }
            }
        }
    }
}

/// A document with another content.
fn changed(body: &Bytes, change: impl FnOnce(&mut Value)) -> Bytes {
    let Ok(mut document) = serde_json::from_slice::<Value>(body) else {
        return body.clone();
    };
    change(&mut document);
    document.to_string().into()
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
        if matches!(
            (self.mutant, role),
            (Mutant::PlanNotAdopted, Role::Plan)
                | (Mutant::NoCommitCheck, Role::Commit)
                | (Mutant::OwnColumnType, Role::Column)
        ) {
            return Err(Self::not_found(object));
        }
        let range = options.range.clone();
        let mut body = self.inner.get(object, options).await?;
        if let Some(untrue) = self.memory().untrue.get(object) {
            body.bytes = untrue.clone();
        }
        if self.memory().disowned.remove(object) {
            body.bytes = changed(&body.bytes, |claim| claim["batch"] = json!("another"));
        }
        match (self.mutant, role) {
            (Mutant::TruncatedBodyAccepted, Role::Source) if body.bytes.len() % 3 == 0 => {
                let end = body.bytes.iter().rposition(|byte| *byte == b'{');
                body.bytes.truncate(end.unwrap_or(0));
            }
            (Mutant::RangeReadTwice, Role::Source) => {
                let start = range.map_or(0, |range| range.start);
                let key = (object.clone(), start);
                if body.bytes.first() == Some(&b'{') && !self.memory().ranges_read.insert(key) {
                    body.bytes = [&body.bytes[..], b"\n", &body.bytes[..]].concat().into();
                }
            }
            (Mutant::IgnoreLeftOut, Role::Plan) => {
                body.bytes = changed(&body.bytes, |plan| plan["left_out"] = json!({}));
            }
            (Mutant::LostLookedUpEarly, Role::Plan) => self.look_up_lost(object).await?,
            _ => {}
        }
        Ok(body)
    }

    async fn list(&self, prefix: &Location, after: Option<&str>) -> Result<ListPage, StoreError> {
        if self.mutant == Mutant::LostLookedUpEarly && self.role(prefix) == Role::Lost {
            let key = (prefix.key.clone(), after.map(str::to_owned));
            if let Some(page) = self.memory().listed.get(&key) {
                return Ok(page.clone());
            }
        }
        self.inner.list(prefix, after).await
    }

    async fn put(
        &self,
        object: &Location,
        body: Bytes,
        options: PutOptions,
    ) -> Result<Written, StoreError> {
        let role = self.role(object);
        match (self.mutant, role) {
            (Mutant::NoClaims, Role::Claim)
            | (Mutant::PlanNotAdopted, Role::Plan)
            | (Mutant::OwnColumnType, Role::Column) => self.insist(object, body, options).await,
            (Mutant::PlansOldColumns, Role::Plan) => {
                let old = changed(&body, |plan| plan["table"] = Value::Null);
                self.create(object, old, options).await?;
                self.memory().untrue.insert(object.clone(), body);
                Ok(Self::untrue())
            }
            (Mutant::ColumnOfQuarantined, Role::Column) => {
                let other = changed(&body, |column| column["name"] = json!(OF_BROKEN));
                let beside = self
                    .target
                    .join(&format!("_lakewright/columns/{OF_BROKEN}"));
                self.create(&beside, other, options.clone()).await?;
                self.inner.put(object, body, options).await
            }
            (Mutant::OwnClaimsOnly, Role::Claim) => {
                let written = self.inner.put(object, body, options).await;
                if written.is_err() {
                    self.memory().disowned.insert(object.clone());
                }
                written
            }
            (Mutant::SilentMembers, Role::Plan) => {
                let silent = changed(&body, |plan| plan["members"] = json!([]));
                self.create(object, silent, options).await?;
                self.memory().untrue.insert(object.clone(), body);
                Ok(Self::untrue())
            }
            (Mutant::PlanOverwrites, Role::Plan) | (Mutant::Overwrites, Role::Output) => {
                let options = PutOptions {
                    precondition: Precondition::None,
                    ..options
                };
                self.inner.put(object, body, options).await
            }
            (Mutant::CommitFirst, Role::Output) | (Mutant::OutputsBeforePlan, Role::Plan) => {
                Ok(self.hold(object, body, options))
            }
            (Mutant::LostUnmarked, Role::Lost) | (Mutant::QuarantineDropped, Role::Quarantine) => {
                Ok(Self::untrue())
            }
            (Mutant::LostLookedUpEarly, Role::Plan) => {
                self.look_up_lost(object).await?;
                self.inner.put(object, body, options).await
            }
            (Mutant::CutsByWriter, Role::Lost) => {
                self.memory().has_lost = true;
                self.inner.put(object, body, options).await
            }
            (Mutant::CutsByWriter, Role::Output) if self.memory().has_lost => {
                Ok(self.hold(object, body, options))
            }
            (Mutant::CutsByWriter, Role::Commit) => {
                self.cut_again();
                self.release().await?;
                self.inner.put(object, body, options).await
            }
            (Mutant::CommitBeforeLastOutput, Role::Output) => {
                // Those held before were not the last.
                self.release().await?;
                Ok(self.hold(object, body, options))
            }
            (Mutant::CommitFirst | Mutant::CommitBeforeLastOutput, Role::Commit) => {
                let written = self.inner.put(object, body, options).await?;
                self.release().await?;
                Ok(written)
            }
            (Mutant::OutputsBeforePlan, Role::Commit) => {
                self.release().await?;
                self.inner.put(object, body, options).await
            }
            (Mutant::NamesByWriter, Role::Output) => {
                let renamed = self.renamed(object);
                self.inner.put(&renamed, body, options).await
            }
            (Mutant::DeletesUncommitted, Role::Commit) => {
                let written = self.inner.put(object, body, options).await?;
                self.delete_uncommitted().await?;
                Ok(written)
            }
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

impl BrokenStore {
    /// Lists the marks of the batch of a plan, and keeps the answer for later.
    async fn look_up_lost(&self, plan: &Location) -> Result<(), StoreError> {
        let bid = plan.key.rsplit('/').next().unwrap_or_default();
        let prefix = self.target.join(&format!("_lakewright/lost/{bid}/"));
        let page = self.inner.list(&prefix, None).await?;
        let mut memory = self.memory();
        memory.listed.entry((prefix.key, None)).or_insert(page);
        Ok(())
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

    async fn page_of_partitions(
        &self,
        table: &TableName,
        expression: Option<&str>,
        page: Option<&str>,
    ) -> Result<PartitionPage, CatalogError> {
        self.inner.page_of_partitions(table, expression, page).await
    }

    async fn create_table(&self, table: &Table) -> Result<(), CatalogError> {
        self.inner.create_table(table).await
    }

    async fn update_table(&self, table: &Table) -> Result<(), CatalogError> {
        let mut table = table.clone();
        let mut add = |name: &str| {
            table.storage.columns.push(Column {
                name: name.to_owned(),
                hive_type: "bigint".to_owned(),
            });
        };
        match self.mutant {
            Some(Mutant::ColumnOfQuarantined) => add(OF_BROKEN),
            Some(Mutant::AddsPartitionKey) => add("year"),
            Some(Mutant::ColumnsUnconditional) => {
                let now = self.inner.table(&table.name).await?;
                table.version_id = now.and_then(|now| now.version_id);
            }
            _ => {}
        }
        self.inner.update_table(&table).await
    }
}
