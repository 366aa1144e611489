mod multipart;

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use lakewright_core::{config::Encryption, location::Location};
use lakewright_ports::{
    GetOptions, ListPage, Listed, MAX_DELETE_BATCH, MAX_LIST_PAGE, ObjectBody, ObjectMeta,
    Precondition, StoreErrorKind, UploadId, Written,
};
use sha2::{Digest, Sha256};

use self::multipart::Upload;

/// The longest key, in bytes of UTF-8.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
const LONGEST_KEY: usize = 1024;

/// Why S3 refuses a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) StoreErrorKind, pub(super) &'static str);

pub(super) const NO_SUCH_KEY: Refusal = Refusal(StoreErrorKind::NotFound, "NoSuchKey");
pub(super) const PRECONDITION_FAILED: Refusal =
    Refusal(StoreErrorKind::PreconditionFailed, "PreconditionFailed");

pub(super) const NOT_ENCRYPTED: Refusal = Refusal(
    StoreErrorKind::AccessDenied,
    "AccessDenied: the bucket's policy refuses what is not encrypted",
);

/// Settings that differ between buckets or regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The number of keys in a page of a listing: 1,000 as in S3, or fewer, so that small listings have several pages.
    pub page: usize,
    /// The smallest part that is not the last: 5 MiB as in S3, or less, so that tests upload little.
    pub smallest_part: usize,
    /// Whether buckets keep every version.
    pub versioned: bool,
    /// Whether equal contents have different `ETag`s, as under SSE-KMS.
    pub opaque_etags: bool,
    /// The answer to completing an upload again.
    pub completed_again: StoreErrorKind,
    /// Whether buckets refuse writes whose request does not name an encryption, as a bucket's policy may.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html>
    pub encrypted_only: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            page: MAX_LIST_PAGE,
            smallest_part: 5 << 20,
            versioned: false,
            opaque_etags: false,
            completed_again: StoreErrorKind::NotFound,
            encrypted_only: false,
        }
    }
}

/// A current object.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its content.
    pub bytes: Bytes,
    /// Including its quotes.
    pub etag: String,
    /// To the second, as in S3's answers.
    pub last_modified: Timestamp,
}

/// A change that readers can see.
#[derive(Debug, Clone)]
pub enum Change {
    /// An object was written.
    Written {
        /// Its location.
        location: Location,
        /// The object.
        object: Object,
        /// Whether it replaced another one.
        replaced: bool,
    },
    /// An object was deleted.
    Deleted {
        /// Its location.
        location: Location,
    },
}

#[derive(Debug)]
struct Version {
    id: Option<String>,
    /// `None` is a delete marker.
    object: Option<Object>,
}

/// S3's semantics, each call in one step: strong consistency, conditional writes, versions, multipart uploads.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>
#[derive(Debug)]
pub struct ModelS3 {
    pub(super) settings: Settings,
    objects: BTreeMap<Location, Vec<Version>>,
    uploads: BTreeMap<UploadId, Upload>,
    /// Conditional writes in progress: a number for each, and whether another one overlapped it.
    under_way: BTreeMap<Location, BTreeMap<u64, bool>>,
    pub(super) serial: u64,
    changes: Vec<Change>,
}

impl ModelS3 {
    /// Starts empty; every bucket exists.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
            under_way: BTreeMap::new(),
            serial: 0,
            changes: Vec::new(),
        }
    }

    /// The current object, if any.
    pub fn object(&self, location: &Location) -> Option<&Object> {
        self.objects.get(location)?.last()?.object.as_ref()
    }

    /// All current objects at or below a prefix, in key order.
    pub fn below<'a>(
        &'a self,
        prefix: &'a Location,
    ) -> impl Iterator<Item = (&'a Location, &'a Object)> {
        self.objects
            .range(prefix..)
            .take_while(|(location, _)| prefix.contains(location))
            .filter_map(|(location, versions)| Some((location, versions.last()?.object.as_ref()?)))
    }

    /// The keys of the uploads that are neither completed nor aborted.
    pub fn uploads_under_way(&self) -> impl Iterator<Item = &Location> {
        self.uploads
            .values()
            .filter(|upload| !upload.completed)
            .map(|upload| &upload.object)
    }

    /// Applies the bucket's policy to a write.
    pub(super) fn admit(&self, encryption: Option<&Encryption>) -> Result<(), Refusal> {
        if self.settings.encrypted_only && encryption.is_none() {
            return Err(NOT_ENCRYPTED);
        }
        Ok(())
    }

    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// A conditional write of the key has begun.
    pub(super) fn begin_conditional(&mut self, location: &Location) -> u64 {
        self.serial += 1;
        let writes = self.under_way.entry(location.clone()).or_default();
        let overlaps = !writes.is_empty();
        for overlapped in writes.values_mut() {
            *overlapped = true;
        }
        writes.insert(self.serial, overlaps);
        self.serial
    }

    /// The write has ended. Returns whether another conditional write of the key overlapped it.
    pub(super) fn end_conditional(&mut self, location: &Location, write: u64) -> bool {
        let Some(writes) = self.under_way.get_mut(location) else {
            return false;
        };
        let overlapped = writes.remove(&write).unwrap_or_default();
        if writes.is_empty() {
            self.under_way.remove(location);
        }
        overlapped
    }

    pub(super) fn head(
        &self,
        now: Timestamp,
        location: &Location,
        version: Option<&str>,
    ) -> Result<ObjectMeta, Refusal> {
        let (object, id) = self.find(location, version)?;
        Ok(meta(object, id, now))
    }

    pub(super) fn get(
        &self,
        now: Timestamp,
        location: &Location,
        options: &GetOptions,
    ) -> Result<ObjectBody, Refusal> {
        let (object, id) = self.find(location, options.version.as_deref())?;
        if options
            .if_match
            .as_ref()
            .is_some_and(|etag| unquoted(etag) != unquoted(&object.etag))
        {
            return Err(PRECONDITION_FAILED);
        }
        let bytes = match &options.range {
            None => object.bytes.clone(),
            Some(range) if range.is_empty() => {
                return Err(Refusal(StoreErrorKind::Other, "the range is empty"));
            }
            Some(range) => {
                let size = object.bytes.len();
                let start = usize::try_from(range.start).unwrap_or(usize::MAX);
                if start >= size {
                    return Err(Refusal(StoreErrorKind::InvalidRange, "InvalidRange"));
                }
                let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(size);
                object.bytes.slice(start..end)
            }
        };
        Ok(ObjectBody {
            meta: meta(object, id, now),
            bytes,
        })
    }

    pub(super) fn put(
        &mut self,
        now: Timestamp,
        location: &Location,
        bytes: Bytes,
        precondition: &Precondition,
    ) -> Result<Written, Refusal> {
        self.check(location, precondition)?;
        let etag = self.etag(&bytes, None);
        Ok(self.write(now, location, bytes, etag))
    }

    pub(super) fn copy(
        &mut self,
        now: Timestamp,
        source: &Location,
        if_source_matches: Option<&str>,
        target: &Location,
        precondition: &Precondition,
    ) -> Result<Written, Refusal> {
        let (object, _) = self.find(source, None)?;
        if if_source_matches.is_some_and(|etag| unquoted(etag) != unquoted(&object.etag)) {
            return Err(PRECONDITION_FAILED);
        }
        let bytes = object.bytes.clone();
        self.put(now, target, bytes, precondition)
    }

    pub(super) fn list(&self, now: Timestamp, prefix: &Location, after: Option<&str>) -> ListPage {
        let from = match after {
            Some(after) if after >= prefix.key.as_str() => {
                Location::new(&prefix.bucket, format!("{after}\0"))
            }
            _ => prefix.clone(),
        };
        let mut found = self
            .objects
            .range(&from..)
            .take_while(|(location, _)| prefix.contains(location))
            .filter_map(|(location, versions)| Some((location, versions.last()?.object.as_ref()?)));
        let objects = found
            .by_ref()
            .take(self.settings.page)
            .map(|(location, object)| Listed {
                key: location.key.clone(),
                size: object.bytes.len() as u64,
                etag: object.etag.clone(),
                last_modified: object.last_modified,
            })
            .collect();
        ListPage {
            objects,
            truncated: found.next().is_some(),
            answered_at: to_second(now),
        }
    }

    pub(super) fn delete(&mut self, bucket: &str, keys: &[String]) -> Result<(), Refusal> {
        if keys.is_empty() || keys.len() > MAX_DELETE_BATCH {
            return Err(Refusal(StoreErrorKind::Other, "MalformedXML"));
        }
        for key in keys {
            let location = Location::new(bucket, key);
            let existed = self.object(&location).is_some();
            if self.settings.versioned {
                self.serial += 1;
                let marker = Version {
                    id: Some(format!("v{}", self.serial)),
                    object: None,
                };
                self.objects
                    .entry(location.clone())
                    .or_default()
                    .push(marker);
            } else {
                self.objects.remove(&location);
            }
            if existed {
                self.changes.push(Change::Deleted { location });
            }
        }
        Ok(())
    }

    pub(super) fn check(
        &self,
        location: &Location,
        precondition: &Precondition,
    ) -> Result<(), Refusal> {
        if location.key.len() > LONGEST_KEY {
            return Err(Refusal(StoreErrorKind::Other, "KeyTooLongError"));
        }
        match (precondition, self.object(location)) {
            (Precondition::None, _) | (Precondition::Absent, None) => Ok(()),
            (Precondition::Absent, Some(_)) => Err(PRECONDITION_FAILED),
            (Precondition::Matches(_), None) => Err(NO_SUCH_KEY),
            (Precondition::Matches(etag), Some(object)) => {
                if unquoted(etag) == unquoted(&object.etag) {
                    Ok(())
                } else {
                    Err(PRECONDITION_FAILED)
                }
            }
        }
    }

    pub(super) fn write(
        &mut self,
        now: Timestamp,
        location: &Location,
        bytes: Bytes,
        etag: String,
    ) -> Written {
        self.serial += 1;
        let id = self.settings.versioned.then(|| format!("v{}", self.serial));
        let object = Object {
            bytes,
            etag: etag.clone(),
            last_modified: to_second(now),
        };
        let replaced = self.object(location).is_some();
        let versions = self.objects.entry(location.clone()).or_default();
        if !self.settings.versioned {
            versions.clear();
        }
        versions.push(Version {
            id: id.clone(),
            object: Some(object.clone()),
        });
        self.changes.push(Change::Written {
            location: location.clone(),
            object,
            replaced,
        });
        Written { etag, version: id }
    }

    /// The `ETag` of an object written in one piece, or of an upload with this number of parts.
    pub(super) fn etag(&mut self, content: &[u8], parts: Option<usize>) -> String {
        let mut hasher = Sha256::new();
        hasher.update(content);
        if self.settings.opaque_etags {
            self.serial += 1;
            hasher.update(self.serial.to_be_bytes());
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&hasher.finalize()[..16]);
        let digest = u128::from_be_bytes(digest);
        match parts {
            None => format!("\"{digest:032x}\""),
            Some(parts) => format!("\"{digest:032x}-{parts}\""),
        }
    }

    fn find(
        &self,
        location: &Location,
        version: Option<&str>,
    ) -> Result<(&Object, Option<&str>), Refusal> {
        let versions = self.objects.get(location).ok_or(NO_SUCH_KEY)?;
        let found = match version {
            None => versions.last(),
            Some(wanted) => versions
                .iter()
                .find(|version| version.id.as_deref() == Some(wanted)),
        };
        let found = found.ok_or(NO_SUCH_KEY)?;
        let object = found.object.as_ref().ok_or(NO_SUCH_KEY)?;
        Ok((object, found.id.as_deref()))
    }
}

fn meta(object: &Object, id: Option<&str>, now: Timestamp) -> ObjectMeta {
    ObjectMeta {
        size: object.bytes.len() as u64,
        etag: object.etag.clone(),
        version: id.map(str::to_owned),
        last_modified: object.last_modified,
        answered_at: to_second(now),
    }
}

/// HTTP dates have whole seconds.
fn to_second(time: Timestamp) -> Timestamp {
    let down = TimestampRound::new()
        .smallest(Unit::Second)
        .mode(RoundMode::Floor);
    time.round(down).unwrap_or(time)
}

fn unquoted(etag: &str) -> &str {
    etag.trim_matches('"')
}
