use lakewright_core::location::Location;
use lakewright_jobs::rekey::SourceObject;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{TriggerError, list, text};

/// Events that create an object.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html>
const CREATIONS: [&str; 4] = ["Put", "Post", "Copy", "CompleteMultipartUpload"];

/// Events that `MinIO` counts as creations although they do not change an object's bytes.
/// <https://min.io/docs/minio/linux/administration/monitoring/bucket-notifications.html>
const NO_CREATIONS: [&str; 4] = [
    "PutTagging",
    "DeleteTagging",
    "PutRetention",
    "PutLegalHold",
];

/// The families of other events, of S3, `MinIO` and Ceph.
const OTHERS: [&str; 16] = [
    "ObjectRemoved",
    "ObjectAccessed",
    "ObjectRestore",
    "ObjectTagging",
    "ObjectAcl",
    "ObjectAnnotation",
    "ObjectTransition",
    "ObjectLifecycle",
    "ObjectSynced",
    "ReducedRedundancyLostObject",
    "Replication",
    "LifecycleExpiration",
    "LifecycleTransition",
    "IntelligentTiering",
    "BucketCreated",
    "BucketRemoved",
];

/// The other kinds of events through `EventBridge`.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html>
const OTHER_DETAILS: [&str; 9] = [
    "Object Deleted",
    "Object Restore Initiated",
    "Object Restore Completed",
    "Object Restore Expired",
    "Object Storage Class Changed",
    "Object Access Tier Changed",
    "Object ACL Updated",
    "Object Tags Added",
    "Object Tags Deleted",
];

/// Whether an event is the creation of an object; `MinIO` and Ceph put `s3:` before its name.
fn is_creation(name: &str) -> Result<bool, TriggerError> {
    let plain = name.strip_prefix("s3:").unwrap_or(name);
    let (family, what) = plain.split_once(':').unwrap_or((plain, ""));
    let known = match family {
        "ObjectCreated" if CREATIONS.contains(&what) => return Ok(true),
        "ObjectCreated" => NO_CREATIONS.contains(&what),
        "TestEvent" => true,
        family => OTHERS.contains(&family),
    };
    if known {
        tracing::info!(event = name, "an event without work");
        return Ok(false);
    }
    Err(TriggerError::Event(name.to_owned()))
}

/// The service that a record names as its source, if it is neither S3 nor a compatible one.
fn foreign_source(record: &Value) -> Option<&str> {
    let source = record
        .get("eventSource")
        .or_else(|| record.get("EventSource"));
    let source = source.and_then(Value::as_str)?;
    let like_s3 = source.split([':', '.']).any(|part| part == "s3") || record.get("s3").is_some();
    (!like_s3).then_some(source)
}

/// An S3 notification. Its version says that fields may be added but not changed.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>
pub(super) fn notification(value: &Value) -> Result<Vec<SourceObject>, TriggerError> {
    let mut objects = Vec::new();
    for record in list(value, "Records")? {
        if let Some(source) = foreign_source(record) {
            return Err(TriggerError::Source(source.to_owned()));
        }
        let version = text(record, "/eventVersion", "eventVersion")?;
        if version.split('.').next() != Some("2") {
            return Err(TriggerError::Version(version.to_owned()));
        }
        if !is_creation(text(record, "/eventName", "eventName")?)? {
            continue;
        }
        let bucket = text(record, "/s3/bucket/name", "s3.bucket.name")?;
        let key = form_decoded(text(record, "/s3/object/key", "s3.object.key")?)?;
        let of_object = |field| {
            record
                .pointer("/s3/object")
                .and_then(|object| object.get(field))
        };
        objects.push(object(bucket, key, of_object("eTag"), of_object("size")));
    }
    Ok(objects)
}

/// An S3 event through EventBridge, whose key is not encoded.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>
pub(super) fn eventbridge(value: &Value) -> Result<Vec<SourceObject>, TriggerError> {
    let source = text(value, "/source", "source")?;
    let kind = text(value, "/detail-type", "detail-type")?;
    // A rule's schedule names no object.
    if source == "aws.events" && kind == "Scheduled Event" {
        tracing::info!(event = kind, "an event without work");
        return Ok(Vec::new());
    }
    if source != "aws.s3" {
        return Err(TriggerError::Source(source.to_owned()));
    }
    if kind != "Object Created" {
        if OTHER_DETAILS.contains(&kind) {
            tracing::info!(event = kind, "an event without work");
            return Ok(Vec::new());
        }
        return Err(TriggerError::Event(kind.to_owned()));
    }
    let bucket = text(value, "/detail/bucket/name", "detail.bucket.name")?;
    let key = text(value, "/detail/object/key", "detail.object.key")?;
    Ok(vec![object(
        bucket,
        key.to_owned(),
        value.pointer("/detail/object/etag"),
        value.pointer("/detail/object/size"),
    )])
}

/// A batch of a Distributed Map over a listing.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html>
pub(super) fn map_batch(value: &Value) -> Result<Vec<SourceObject>, TriggerError> {
    let bucket = value.pointer("/BatchInput/bucket").and_then(Value::as_str);
    list(value, "Items")?
        .iter()
        .map(|one| item(one, bucket, "BatchInput.bucket"))
        .collect()
}

/// One object as `ListObjectsV2` returns it; the key is not encoded. `named` is the field that should name its bucket.
pub(super) fn item(
    value: &Value,
    bucket: Option<&str>,
    named: &'static str,
) -> Result<SourceObject, TriggerError> {
    let own = value
        .get("Bucket")
        .or_else(|| value.pointer("/BatchInput/bucket"));
    let bucket = own
        .and_then(Value::as_str)
        .or(bucket)
        .filter(|bucket| !bucket.is_empty())
        .ok_or(TriggerError::Field(named))?;
    let key = text(value, "/Key", "Key")?;
    let (etag, size) = (value.get("Etag"), value.get("Size"));
    Ok(object(bucket, key.to_owned(), etag, size))
}

/// Many objects: `s3://bucket/key`, as a person writes it, or items, as the sweep writes them.
pub(super) fn listed(
    value: &Value,
    field: &'static str,
) -> Result<Vec<SourceObject>, TriggerError> {
    list(value, field)?
        .iter()
        .map(|entry| {
            if entry.is_object() {
                return item(entry, None, "Bucket");
            }
            let text = entry.as_str().ok_or(TriggerError::Field(field))?;
            let location: Location = text.parse()?;
            if location.key.is_empty() {
                return Err(TriggerError::NoKey(text.to_owned()));
            }
            Ok(SourceObject {
                location,
                etag: None,
                size: None,
            })
        })
        .collect()
}

fn object(bucket: &str, key: String, etag: Option<&Value>, size: Option<&Value>) -> SourceObject {
    SourceObject {
        location: Location::new(bucket, key),
        etag: etag.and_then(Value::as_str).map(str::to_owned),
        size: size.and_then(Value::as_u64),
    }
}

/// Decodes <https://url.spec.whatwg.org/#urlencoded-parsing>, but strictly: an invalid escape is an error. If it were
/// kept, the key would name another object.
fn form_decoded(key: &str) -> Result<String, TriggerError> {
    let error = |reason| TriggerError::Key {
        key: key.to_owned(),
        reason,
    };
    let mut escapes = key.split('%');
    escapes.next();
    let is_escape = |rest: &str| {
        rest.as_bytes()
            .get(..2)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !escapes.all(is_escape) {
        return Err(error("a `%` is not followed by two hexadecimal digits"));
    }
    let spaced = key.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err(error("its bytes are not UTF-8")),
    }
}
