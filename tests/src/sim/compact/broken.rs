//! The store as a broken protocol would use it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use lakewright_core::{compact::PartitionState, config::Encryption, location::Location};
use lakewright_ports::{
    GetOptions, ListPage, Listed, ObjectBody, ObjectMeta, Precondition, PutOptions, Store,
    StoreError, StoreLayer, Written,
};

use super::{mutant::Mutant, role::Role};

/// The store of one invocation.
pub(super) struct BrokenStore {
    inner: Arc<dyn Store>,
    mutant: Mutant,
    role: Role,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// The first answer for each state.
    states: BTreeMap<Location, Result<ObjectBody, StoreError>>,
    /// The directory that the state named when it was last read or written.
    current: Option<Location>,
}

impl BrokenStore {
    pub(super) fn new(inner: Arc<dyn Store>, mutant: Mutant, role: Role) -> Self {
        Self {
            inner,
            mutant,
            role,
            memory: Mutex::default(),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, mutant: Mutant, role: Role) -> bool {
        self.mutant == mutant && self.role == role
    }

    fn note(&self, location: &Location, body: &[u8]) {
        if location.key.ends_with("/state") {
            let state = serde_json::from_slice::<PartitionState>(body);
            self.memory().current = state.ok().map(|state| state.directory);
        }
    }

    /// Whether an object's age is faked.
    fn is_aged(&self, key: &str) -> bool {
        let is_data = key.ends_with(".parquet");
        match (self.mutant, self.role) {
            (Mutant::NoAgeRule, Role::Plan) => is_data || key.contains("/commit/"),
            (Mutant::NoSweep | Mutant::SweepTooEarly, Role::Sweep) => key.contains("/published/"),
            (Mutant::EarlyDeletion, Role::Plan | Role::Delete) => key.contains("/swept/"),
            (Mutant::ClearedTooEarly, Role::Plan | Role::Abandon) => key.contains("/abandoned/"),
            _ => false,
        }
    }

    /// Whether a copy is left out.
    fn is_left_out(&self, target: &Location) -> bool {
        match (self.mutant, self.role) {
            (Mutant::NoSweep, Role::Sweep) => true,
            (Mutant::OneCarry, Role::Publish) => {
                let memory = self.memory();
                let current = memory.current.as_ref();
                current.is_some_and(|current| current.contains(target))
            }
            _ => false,
        }
    }

    fn untrue() -> Written {
        Written {
            etag: "\"unknown\"".to_owned(),
            version: None,
        }
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
        let mut meta = self.inner.head(object, version).await?;
        if self.is_aged(&object.key) {
            meta.last_modified = Timestamp::UNIX_EPOCH;
        }
        Ok(meta)
    }

    async fn get(&self, object: &Location, options: GetOptions) -> Result<ObjectBody, StoreError> {
        let is_state = object.key.ends_with("/state");
        if is_state && self.is(Mutant::NoReread, Role::Rekey) {
            let known = self.memory().states.get(object).cloned();
            if let Some(known) = known {
                return known;
            }
        }
        let answer = self.inner.get(object, options).await;
        if is_state {
            self.memory().states.insert(object.clone(), answer.clone());
            if let Ok(body) = &answer {
                self.note(object, &body.bytes);
            }
        }
        answer
    }

    async fn put(
        &self,
        object: &Location,
        body: Bytes,
        options: PutOptions,
    ) -> Result<Written, StoreError> {
        if object.key.ends_with("/state") && self.is(Mutant::AbandonedInWords, Role::Abandon) {
            return Ok(Self::untrue());
        }
        let written = self.inner.put(object, body.clone(), options).await?;
        self.note(object, &body);
        Ok(written)
    }

    async fn list(&self, prefix: &Location, after: Option<&str>) -> Result<ListPage, StoreError> {
        let mut page = self.inner.list(prefix, after).await?;
        for object in &mut page.objects {
            if self.is_aged(&object.key) {
                object.last_modified = Timestamp::UNIX_EPOCH;
            }
        }
        if self.is(Mutant::NoGate, Role::Plan) {
            let plans = page
                .objects
                .iter()
                .filter(|object| object.key.contains("/plan/"));
            let swept = plans.map(|plan| Listed {
                key: plan.key.replace("/plan/", "/swept/"),
                ..plan.clone()
            });
            let swept = swept.collect::<Vec<_>>();
            page.objects.splice(0..0, swept);
        }
        Ok(page)
    }

    async fn copy(
        &self,
        source: &Location,
        if_source_matches: Option<&str>,
        target: &Location,
        precondition: Precondition,
        encryption: Option<&Encryption>,
    ) -> Result<Written, StoreError> {
        if self.is_left_out(target) {
            return Ok(Self::untrue());
        }
        self.inner
            .copy(source, if_source_matches, target, precondition, encryption)
            .await
    }
}
