//! Mutants of the protocol, made by wrapping the ports. The simulation must detect each of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use lakewright_core::location::Location;
use lakewright_model::Client;
use lakewright_ports::{
    Callback, CallbackError, ListPage, Precondition, PutOptions, Queue, QueueError, SendFailure,
    Store, StoreError, StoreErrorKind, StoreLayer, Written,
};

/// The error in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A chunk is marked as done before its last row is written.
    DoneBeforeLastRow,
    /// An existing object under a row's key counts as the row.
    TakenForTheRow,
    /// Existing objects are overwritten.
    Overwrites,
    /// A row counts as written although its connection failed.
    LostAnswerTakenForSuccess,
    /// An existing plan is not adopted.
    PlanNotAdopted,
    /// The writer of a marker does not see it in the listing.
    StaleListing,
    /// Chunks that fail are not marked.
    FailuresNotNoted,
    /// Messages that the queue rejected are not sent again.
    SendFailuresIgnored,
    /// Waiting callers are not told.
    NobodyTold,
    /// The chunks of a run that failed count as done.
    FailedTakenForDone,
}

impl Mutant {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::DoneBeforeLastRow,
        Self::TakenForTheRow,
        Self::Overwrites,
        Self::LostAnswerTakenForSuccess,
        Self::PlanNotAdopted,
        Self::StaleListing,
        Self::FailuresNotNoted,
        Self::SendFailuresIgnored,
        Self::NobodyTold,
        Self::FailedTakenForDone,
    ];

    /// The invariants of which at least one must be violated.
    pub fn breaks(self) -> &'static [&'static str] {
        match self {
            Self::DoneBeforeLastRow
            | Self::TakenForTheRow
            | Self::LostAnswerTakenForSuccess
            | Self::FailedTakenForDone => &["S1"],
            Self::Overwrites => &["S3"],
            Self::PlanNotAdopted => &["S1", "S2", "S4"],
            Self::StaleListing
            | Self::FailuresNotNoted
            | Self::SendFailuresIgnored
            | Self::NobodyTold => &["S4"],
        }
    }

    /// Whether the error is in the adapter, below the retries.
    pub(super) fn is_below_retries(self) -> bool {
        self == Self::LostAnswerTakenForSuccess
    }
}

/// The store as a broken protocol would use it.
pub(super) struct BrokenStore {
    inner: Arc<dyn Store>,
    mutant: Mutant,
    target: Location,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    held: Option<(Location, Bytes, PutOptions)>,
    marked: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Source,
    Row,
    Plan,
    Done,
    Failed,
    Other,
}

impl BrokenStore {
    pub(super) fn new(inner: Arc<dyn Store>, mutant: Mutant, target: Location) -> Self {
        Self {
            inner,
            mutant,
            target,
            memory: Mutex::default(),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn role(&self, location: &Location) -> Role {
        if !self.target.contains(location) {
            return Role::Source;
        }
        let key = &location.key;
        if !key.contains("/_lakewright/") {
            Role::Row
        } else if key.ends_with("/plan") {
            Role::Plan
        } else if key.contains("/done/") {
            Role::Done
        } else if key.contains("/failed/") {
            Role::Failed
        } else {
            Role::Other
        }
    }

    fn untrue() -> Written {
        Written {
            etag: "\"untrue\"".to_owned(),
            version: None,
        }
    }

    async fn release(&self) -> Result<(), StoreError> {
        let held = self.memory().held.take();
        if let Some((location, body, options)) = held {
            match self.inner.put(&location, body, options).await {
                Err(error) if error.kind != StoreErrorKind::PreconditionFailed => {
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[async_trait]
impl StoreLayer for BrokenStore {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn put(
        &self,
        object: &Location,
        body: Bytes,
        options: PutOptions,
    ) -> Result<Written, StoreError> {
        let role = self.role(object);
        match (self.mutant, role) {
            (Mutant::DoneBeforeLastRow, Role::Row) => {
                // Those held before were not the last.
                self.release().await?;
                self.memory().held = Some((object.clone(), body, options));
                Ok(Self::untrue())
            }
            (Mutant::DoneBeforeLastRow, Role::Done) => {
                let written = self.inner.put(object, body, options).await;
                self.release().await?;
                written
            }
            (Mutant::TakenForTheRow, Role::Row) | (Mutant::PlanNotAdopted, Role::Plan) => {
                match self.inner.put(object, body, options).await {
                    Err(error) if error.kind == StoreErrorKind::PreconditionFailed => {
                        Ok(Self::untrue())
                    }
                    answer => answer,
                }
            }
            (Mutant::Overwrites, Role::Row) => {
                let options = PutOptions {
                    precondition: Precondition::None,
                    ..options
                };
                self.inner.put(object, body, options).await
            }
            (Mutant::LostAnswerTakenForSuccess, Role::Row) => {
                match self.inner.put(object, body, options).await {
                    Err(error) if error.kind == StoreErrorKind::Network => Ok(Self::untrue()),
                    answer => answer,
                }
            }
            (Mutant::StaleListing, Role::Done | Role::Failed) => {
                self.memory().marked.push(object.key.clone());
                self.inner.put(object, body, options).await
            }
            (Mutant::FailuresNotNoted, Role::Failed) => Ok(Self::untrue()),
            (Mutant::FailedTakenForDone, Role::Failed) => {
                let chunk = object.key.rsplit('/').next().unwrap_or_default();
                let number: u64 = chunk.parse().unwrap_or_default();
                let done = object.key.split("failed/").next().unwrap_or_default();
                let at = Location::new(&object.bucket, format!("{done}done/{chunk}"));
                let marker = format!(
                    r#"{{"version":1,"chunk":{number},"rows":0,"objects":0,"bytes":0,"hash":""}}"#
                );
                self.inner.put(&at, marker.into(), options).await
            }
            _ => self.inner.put(object, body, options).await,
        }
    }

    async fn list(&self, prefix: &Location, after: Option<&str>) -> Result<ListPage, StoreError> {
        let mut page = self.inner.list(prefix, after).await?;
        let marked = self.memory().marked.clone();
        page.objects.retain(|object| !marked.contains(&object.key));
        Ok(page)
    }
}

/// The queue with or without a broken protocol.
pub(super) struct BrokenQueue {
    pub(super) inner: Client,
    pub(super) mutant: Option<Mutant>,
}

#[async_trait]
impl Queue for BrokenQueue {
    async fn send(
        &self,
        queue_url: &str,
        bodies: &[String],
    ) -> Result<Vec<SendFailure>, QueueError> {
        let failures = self.inner.send(queue_url, bodies).await?;
        Ok(match self.mutant {
            Some(Mutant::SendFailuresIgnored) => Vec::new(),
            _ => failures,
        })
    }
}

/// The callbacks with or without a broken protocol.
pub(super) struct BrokenCallback {
    pub(super) inner: Client,
    pub(super) mutant: Option<Mutant>,
}

impl BrokenCallback {
    fn is_deaf(&self) -> bool {
        self.mutant == Some(Mutant::NobodyTold)
    }
}

#[async_trait]
impl Callback for BrokenCallback {
    async fn succeed(&self, token: &str, output: &str) -> Result<(), CallbackError> {
        if self.is_deaf() {
            return Ok(());
        }
        self.inner.succeed(token, output).await
    }

    async fn fail(&self, token: &str, error: &str, cause: &str) -> Result<(), CallbackError> {
        if self.is_deaf() {
            return Ok(());
        }
        self.inner.fail(token, error, cause).await
    }

    async fn heartbeat(&self, token: &str) -> Result<(), CallbackError> {
        self.inner.heartbeat(token).await
    }
}
