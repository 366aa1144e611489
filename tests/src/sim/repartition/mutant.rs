//! Mutants of the protocol, made by wrapping the store. The simulation must detect each of them.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use lakewright_core::location::Location;
use lakewright_jobs::repartition::Done;
use lakewright_ports::{
    DeleteFailure, Deletion, GetOptions, ListPage, ObjectBody, Precondition, PutOptions, Store,
    StoreError, StoreErrorKind, StoreLayer, Written,
};

/// The error in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Replaced objects are removed before the commit is written.
    RemovesBeforeCommit,
    /// Replaced objects are removed before the manifest is swapped.
    RemovesBeforeManifest,
    /// The manifest is swapped before the commit is written.
    ManifestBeforeCommit,
    /// More is removed than the plan lists.
    RemovesMore,
    /// Nothing is removed.
    RemovesNothing,
    /// A task is marked as done before its last file is written.
    DoneBeforeLastFile,
    /// An existing plan is not adopted.
    PlanNotAdopted,
    /// Existing files are overwritten.
    Overwrites,
    /// The bookmark of earlier runs is ignored.
    BookmarkForgotten,
    /// A task does not check again whether its run is over.
    LooksOnce,
    /// The written files are not compared with what the tasks noted.
    FilesNotVerified,
}

impl Mutant {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::RemovesBeforeCommit,
        Self::RemovesBeforeManifest,
        Self::ManifestBeforeCommit,
        Self::RemovesMore,
        Self::RemovesNothing,
        Self::DoneBeforeLastFile,
        Self::PlanNotAdopted,
        Self::Overwrites,
        Self::BookmarkForgotten,
        Self::LooksOnce,
        Self::FilesNotVerified,
    ];

    /// The invariants of which at least one must be violated.
    pub fn breaks(self) -> &'static [&'static str] {
        match self {
            Self::RemovesBeforeCommit => &["P1", "P4"],
            Self::RemovesBeforeManifest | Self::ManifestBeforeCommit => &["P4"],
            Self::RemovesMore => &["P2", "P4"],
            Self::FilesNotVerified => &["P2"],
            // The commit finds a missing file: the run never ends.
            Self::RemovesNothing | Self::DoneBeforeLastFile | Self::LooksOnce => &["P3"],
            Self::PlanNotAdopted | Self::Overwrites => &["P5"],
            Self::BookmarkForgotten => &["P2", "P3", "P4"],
        }
    }
}

/// The store as a broken protocol would use it.
pub(super) struct BrokenStore {
    inner: Arc<dyn Store>,
    mutant: Mutant,
    held: Mutex<Option<(Location, Bytes, PutOptions)>>,
    /// Whether the commit was looked up.
    looked: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    File,
    Plan,
    Done,
    Commit,
    Taken,
    Manifest,
    Finished,
    Other,
}

fn role(location: &Location) -> Role {
    let key = &location.key;
    let ends = |name: &str| key.ends_with(name);
    if !key.starts_with("out/") {
        Role::Other
    } else if !key.contains("/_") {
        Role::File
    } else if ends("/plan") {
        Role::Plan
    } else if key.contains("/done/") {
        Role::Done
    } else if ends("/commit") {
        Role::Commit
    } else if ends("/taken") {
        Role::Taken
    } else if key.contains("/manifest/") {
        Role::Manifest
    } else if ends("/finished") {
        Role::Finished
    } else {
        Role::Other
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl BrokenStore {
    pub(super) fn new(inner: Arc<dyn Store>, mutant: Mutant) -> Self {
        Self {
            inner,
            mutant,
            held: Mutex::default(),
            looked: AtomicBool::new(false),
        }
    }

    /// Whether the write of an object is held back until [`Self::release`].
    fn holds(&self, role: Role) -> bool {
        match self.mutant {
            Mutant::RemovesBeforeCommit | Mutant::ManifestBeforeCommit => role == Role::Commit,
            Mutant::RemovesBeforeManifest => role == Role::Manifest,
            Mutant::DoneBeforeLastFile => role == Role::File,
            _ => false,
        }
    }

    /// Whether held back objects are written before an object.
    fn releases(&self, role: Role) -> bool {
        match self.mutant {
            // One file is always in flight.
            Mutant::DoneBeforeLastFile => role == Role::File,
            _ => role == Role::Finished || self.holds(role),
        }
    }

    /// A file without any of these roles.
    async fn another(
        &self,
        bucket: &str,
        objects: &[Deletion],
    ) -> Result<Option<Deletion>, StoreError> {
        let mut after: Option<String> = None;
        loop {
            let all = Location::new(bucket, "out/");
            let page = self.inner.list(&all, after.as_deref()).await?;
            after = page.objects.last().map(|object| object.key.clone());
            let mut files = page.objects.into_iter().map(|object| object.key);
            let found = files.find(|key| {
                role(&Location::new(bucket, key)) == Role::File
                    && !objects.iter().any(|object| object.key == *key)
            });
            if found.is_some() || !page.truncated {
                return Ok(found.map(Deletion::from));
            }
        }
    }

    /// The files of a page, each as the task says that it wrote it.
    async fn claimed(&self, page: &mut ListPage) -> Result<(), StoreError> {
        let all = Location::new("lake", "out/_lakewright/");
        let mut after: Option<String> = None;
        loop {
            let entries = self.inner.list(&all, after.as_deref()).await?;
            for entry in &entries.objects {
                let at = Location::new(&all.bucket, &entry.key);
                if role(&at) != Role::Done {
                    continue;
                }
                let body = self.inner.get(&at, GetOptions::default()).await?;
                let done = serde_json::from_slice::<Done>(&body.bytes).ok();
                for file in done.into_iter().flat_map(|done| done.files) {
                    let mut objects = page.objects.iter_mut();
                    if let Some(object) = objects.find(|object| object.key == file.key) {
                        (object.size, object.etag) = (file.bytes, file.etag);
                    }
                }
            }
            after = entries.objects.last().map(|entry| entry.key.clone());
            if !entries.truncated {
                return Ok(());
            }
        }
    }

    async fn release(&self) -> Result<(), StoreError> {
        let held = lock(&self.held).take();
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

    async fn get(&self, object: &Location, options: GetOptions) -> Result<ObjectBody, StoreError> {
        let forgotten = match (self.mutant, role(object)) {
            (Mutant::BookmarkForgotten, Role::Taken) => true,
            (Mutant::LooksOnce, Role::Commit) => self.looked.swap(true, Ordering::Relaxed),
            _ => false,
        };
        if forgotten {
            return Err(StoreError {
                kind: StoreErrorKind::NotFound,
                operation: "GetObject",
                location: object.clone(),
                message: "forgotten".to_owned(),
            });
        }
        self.inner.get(object, options).await
    }

    async fn put(
        &self,
        object: &Location,
        body: Bytes,
        mut options: PutOptions,
    ) -> Result<Written, StoreError> {
        let role = role(object);
        if self.releases(role) {
            self.release().await?;
        }
        if self.holds(role) {
            *lock(&self.held) = Some((object.clone(), body, options));
            return Ok(Written {
                etag: "\"untrue\"".to_owned(),
                version: None,
            });
        }
        if (self.mutant == Mutant::PlanNotAdopted && role == Role::Plan)
            || (self.mutant == Mutant::Overwrites && role == Role::File)
        {
            options.precondition = Precondition::None;
        }
        self.inner.put(object, body, options).await
    }

    async fn list(&self, prefix: &Location, after: Option<&str>) -> Result<ListPage, StoreError> {
        let mut page = self.inner.list(prefix, after).await?;
        if self.mutant == Mutant::FilesNotVerified {
            self.claimed(&mut page).await?;
        }
        Ok(page)
    }

    async fn delete(
        &self,
        bucket: &str,
        objects: &[Deletion],
    ) -> Result<Vec<DeleteFailure>, StoreError> {
        let mut objects = objects.to_vec();
        match self.mutant {
            Mutant::RemovesNothing => return Ok(Vec::new()),
            Mutant::RemovesMore => objects.extend(self.another(bucket, &objects).await?),
            _ => {}
        }
        self.inner.delete(bucket, &objects).await
    }
}
