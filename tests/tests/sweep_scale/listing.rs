//! A store, a queue and a clock for sweeps over any number of objects.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use lakewright_core::{
    config::{Encryption, Rekey},
    location::Location,
    naming::source_id,
};
use lakewright_jobs::{
    rekey::{Claim, Commit},
    report::{ObjectReport, Status},
};
use lakewright_model::SimClock;
use lakewright_ports::{
    Attributes, Clock, CompletedPart, DeleteFailure, Deletion, GetOptions, ListPage, Listed,
    MAX_LIST_PAGE, ObjectBody, ObjectMeta, Precondition, PutOptions, Queue, QueueError,
    SendFailure, Store, StoreError, StoreErrorKind, UploadId, Written,
};
use serde_json::{Value, json};

pub(super) const BUCKET: &str = "landing";

pub(super) const PREFIX: &str = "anpr/2026/";

/// How long calls take, and how many were made.
#[derive(Default)]
pub(super) struct Calls {
    takes: Option<(SimClock, Duration)>,
    made: AtomicU64,
}

impl Calls {
    pub(super) fn taking(clock: SimClock, milliseconds: u64) -> Self {
        Self {
            takes: Some((clock, Duration::from_millis(milliseconds))),
            made: AtomicU64::default(),
        }
    }

    async fn call(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
        if let Some((clock, takes)) = &self.takes {
            clock.sleep(*takes).await;
        }
    }

    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}

/// Which objects have no claim.
pub(super) enum Missing {
    All,
    /// Their sids.
    These(HashSet<String>),
}

/// A store whose listing is computed page by page. Every object is committed, each page as a batch, but those that are
/// missing.
pub(super) struct Listing {
    pub(super) job: Rekey,
    pub(super) keys: u64,
    pub(super) missing: Missing,
    pub(super) lists: Calls,
    pub(super) lookups: Calls,
    /// The sids of the page that was listed last but one, and last.
    pub(super) listed: Mutex<[Page; 2]>,
}

/// The sids of a page, and the id of its batch.
pub(super) type Page = (String, HashSet<String>);

pub(super) fn key(number: u64) -> String {
    format!("{PREFIX}{number:08}.gz")
}

/// When an object landed: one in each microsecond.
pub(super) fn landed(number: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_micros(number)
}

pub(super) fn etag(number: u64) -> String {
    format!("\"{number:032x}\"")
}

impl Listing {
    pub(super) fn new(keys: u64, job: Rekey, missing: &[u64]) -> Self {
        let missing = missing.iter().map(|&number| sid(number));
        Self {
            job,
            keys,
            missing: Missing::These(missing.collect()),
            lists: Calls::default(),
            lookups: Calls::default(),
            listed: Mutex::default(),
        }
    }

    /// The entry of the ledger at this key.
    fn entry(&self, object: &Location) -> Option<Value> {
        let path = object.key.strip_prefix(&self.job.ledger().key)?;
        let listed = self.listed.lock().unwrap();
        if let Some(claim) = path.strip_prefix("claim/") {
            let sid = claim.strip_suffix("/0")?;
            match &self.missing {
                Missing::All => return None,
                Missing::These(missing) if missing.contains(sid) => return None,
                Missing::These(_) => {}
            }
            let (batch, _) = listed.iter().find(|(_, sids)| sids.contains(sid))?;
            return Some(json!({"version": Claim::VERSION, "batch": batch}));
        }
        let bid = path.strip_prefix("commit/")?;
        let (_, sids) = listed.iter().find(|(batch, _)| batch == bid)?;
        let report = ObjectReport::without_rows(Location::new(BUCKET, PREFIX), Status::Committed);
        let commit = Commit {
            version: Commit::VERSION,
            objects: sids
                .iter()
                .map(|sid| (sid.clone(), report.clone()))
                .collect(),
            left_out: BTreeMap::new(),
            lost: BTreeSet::new(),
            outputs: Vec::new(),
            quarantine: None,
        };
        Some(json!(commit))
    }
}

pub(super) fn sid(number: u64) -> String {
    source_id(BUCKET, &key(number), &etag(number))
}

fn unexpected<T>(operation: &'static str, location: &Location) -> Result<T, StoreError> {
    Err(StoreError {
        kind: StoreErrorKind::Other,
        operation,
        location: location.clone(),
        message: "a sweep lists, and reads claims and commits, and nothing else".to_owned(),
    })
}

#[async_trait]
impl Store for Listing {
    async fn head(&self, object: &Location, _: Option<&str>) -> Result<ObjectMeta, StoreError> {
        unexpected("HeadObject", object)
    }

    async fn list(&self, prefix: &Location, after: Option<&str>) -> Result<ListPage, StoreError> {
        assert_eq!(*prefix, Location::new(BUCKET, PREFIX));
        self.lists.call().await;
        let first = after.map_or(0, |after| {
            let number = after.trim_start_matches(PREFIX).trim_end_matches(".gz");
            number.parse::<u64>().unwrap() + 1
        });
        let end = self.keys.min(first + MAX_LIST_PAGE as u64);
        let page = (format!("{first:032x}"), (first..end).map(sid).collect());
        self.listed.lock().unwrap().rotate_left(1);
        self.listed.lock().unwrap()[1] = page;
        let objects = (first..end).map(|number| Listed {
            key: key(number),
            size: 1,
            etag: etag(number),
            last_modified: landed(number),
        });
        Ok(ListPage {
            objects: objects.collect(),
            truncated: end < self.keys,
            answered_at: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(2),
        })
    }

    async fn get(&self, object: &Location, _: GetOptions) -> Result<ObjectBody, StoreError> {
        self.lookups.call().await;
        let entry = self.entry(object).ok_or_else(|| StoreError {
            kind: StoreErrorKind::NotFound,
            operation: "GetObject",
            location: object.clone(),
            message: "no such key".to_owned(),
        })?;
        let bytes = Bytes::from(entry.to_string());
        Ok(ObjectBody {
            meta: ObjectMeta {
                size: bytes.len() as u64,
                etag: String::new(),
                version: None,
                last_modified: Timestamp::UNIX_EPOCH,
                answered_at: Timestamp::UNIX_EPOCH,
            },
            bytes,
        })
    }

    async fn put(&self, object: &Location, _: Bytes, _: PutOptions) -> Result<Written, StoreError> {
        unexpected("PutObject", object)
    }

    async fn copy(
        &self,
        source: &Location,
        _: Option<&str>,
        _: &Location,
        _: Precondition,
        _: Option<&Encryption>,
    ) -> Result<Written, StoreError> {
        unexpected("CopyObject", source)
    }

    async fn delete(&self, bucket: &str, _: &[Deletion]) -> Result<Vec<DeleteFailure>, StoreError> {
        unexpected("DeleteObjects", &Location::new(bucket, ""))
    }

    async fn create_multipart(
        &self,
        object: &Location,
        _: Option<&str>,
        _: Option<&Attributes>,
    ) -> Result<UploadId, StoreError> {
        unexpected("CreateMultipartUpload", object)
    }

    async fn upload_part(
        &self,
        object: &Location,
        _: &UploadId,
        _: u16,
        _: Bytes,
    ) -> Result<CompletedPart, StoreError> {
        unexpected("UploadPart", object)
    }

    async fn complete_multipart(
        &self,
        object: &Location,
        _: &UploadId,
        _: &[CompletedPart],
        _: Precondition,
    ) -> Result<Written, StoreError> {
        unexpected("CompleteMultipartUpload", object)
    }

    async fn abort_multipart(&self, object: &Location, _: &UploadId) -> Result<(), StoreError> {
        unexpected("AbortMultipartUpload", object)
    }
}

/// Counts how often each object came, in which numbers.
#[derive(Default)]
pub(super) struct Counting {
    pub(super) counts: Mutex<HashMap<String, u32>>,
    pub(super) messages: Mutex<Vec<usize>>,
    pub(super) sends: Calls,
}

#[async_trait]
impl Queue for Counting {
    async fn send(&self, _: &str, bodies: &[String]) -> Result<Vec<SendFailure>, QueueError> {
        self.sends.call().await;
        let mut counts = self.counts.lock().unwrap();
        for body in bodies {
            let message: Value = serde_json::from_str(body).unwrap();
            let objects = message["objects"].as_array().unwrap();
            for object in objects {
                *counts.entry(object.to_string()).or_default() += 1;
            }
            self.messages.lock().unwrap().push(objects.len());
        }
        Ok(Vec::new())
    }
}

/// A clock that advances one second at each call.
#[derive(Default)]
pub(super) struct Ticking(pub(super) AtomicU64);

#[async_trait]
impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        let looks = self.0.fetch_add(1, Ordering::Relaxed);
        Timestamp::UNIX_EPOCH + Duration::from_millis(looks)
    }

    async fn sleep(&self, _: Duration) {}
}
