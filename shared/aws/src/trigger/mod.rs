//! Decodes every payload that can invoke a function into work items.
//!
//! [`decode`] takes a payload of any of these forms:
//!
//! | form | recognised by |
//! |---|---|
//! | SQS batch of any of the others | `Records[].eventSource = "aws:sqs"` |
//! | SNS notification inside an SQS message, unless delivered raw | `Type = "Notification"` and `Message` |
//! | S3 notification | `Records`, each with `eventVersion` and `s3` |
//! | S3's `s3:TestEvent` | `Event` |
//! | S3 event through EventBridge | `detail-type` and `source = "aws.s3"` |
//! | Distributed Map batch over a listing | `Items`, with `BatchInput.bucket` |
//! | one item of a Distributed Map | `Key`, with `Bucket` or `BatchInput.bucket` |
//! | by hand | `objects`, a list of `s3://bucket/key` |
//! | many objects, from the sweep | `objects`, a list of items with `Bucket` and `Key` |
//! | list of any of these, as `EventBridge` Pipes send it | it is a list |
//!
//! Fields that are not listed here are ignored. An event that is known not to be the creation of an object has no work and is
//! logged. An unknown event is an error, because no other function would process its object.

mod events;

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use lakewright_core::location::LocationError;
use lakewright_jobs::rekey::SourceObject;
use serde_json::Value;
use thiserror::Error;

/// The longest SQS message.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
pub const MAX_BODY: usize = 1 << 20;

/// SNS inside SQS is one envelope; a second one allows for a forwarder between them.
const MAX_ENVELOPES: usize = 2;

/// The work of one invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The caller, which determines the form of the answer.
    pub caller: Caller,
    /// The work items: one for each message of an SQS batch, in order; otherwise exactly one.
    pub items: Vec<Item>,
}

/// The caller of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// An event source mapping of SQS, which expects an answer for each message.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>
    Sqs,
    /// Any other caller, which expects one answer or one error.
    Direct,
}

/// One message, or a whole payload that is not a batch of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The SQS message's id. `None` if this is not a message, or if the message has no valid id: then it cannot be
    /// reported alone.
    pub message_id: Option<String>,
    /// How often the message was received, with this time; 1 if this is not a message.
    pub receives: u32,
    /// The objects that it names. Empty for an event without work.
    pub outcome: Result<Vec<SourceObject>, TriggerError>,
}

/// Why a payload or a message could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TriggerError {
    /// An envelope contains text that is not JSON.
    #[error("{place} is not JSON: {message}")]
    NotJson {
        /// Which text.
        place: &'static str,
        /// The position and the cause.
        message: String,
    },
    /// A field is missing or empty, or has the wrong type.
    #[error("field `{0}` is missing, empty or of another type")]
    Field(&'static str),
    /// The payload has none of the known forms.
    #[error(
        "not a known trigger (its fields are {fields}): expected an S3 notification, an EventBridge event, an item or batch of a Distributed Map, or {{\"objects\": [\"s3://bucket/key\"]}}"
    )]
    UnknownForm {
        /// The names of its fields, or its JSON type.
        fields: String,
    },
    /// An event that is neither the creation of an object nor known to be something else.
    #[error(
        "the event `{0}` is not known: it could be the creation of an object, so it is not ignored"
    )]
    Event(String),
    /// A record of another service.
    #[error(
        "a record is from `{0}`, not from S3: have that service's records come through an SQS queue as S3 notifications, or send S3's events to the function"
    )]
    Source(String),
    /// A notification of another major version.
    #[error("eventVersion `{0}` is not of major version 2")]
    Version(String),
    /// A notification's key is not form-urlencoded UTF-8.
    #[error("key `{key}` is not form-urlencoded UTF-8: {reason}")]
    Key {
        /// The key as it was sent.
        key: String,
        /// The reason.
        reason: &'static str,
    },
    /// An entry of `objects` is not a valid location.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// An entry of `objects` names a whole bucket.
    #[error("`{0}` names no object")]
    NoKey(String),
    /// A message is longer than SQS allows.
    #[error("the message has {0} bytes, more than {MAX_BODY}")]
    TooLong(usize),
    /// Envelopes are nested too deep.
    #[error("more than {MAX_ENVELOPES} envelopes inside one another")]
    TooDeep,
    /// The decoder failed.
    #[error("the decoder panicked: {0}")]
    Panicked(String),
}

/// A list, as `EventBridge` Pipes hand one over: of messages, or of anything else that is decoded by itself.
fn listed(entries: &[Value]) -> Request {
    if entries.iter().any(is_sqs) {
        return Request {
            caller: Caller::Sqs,
            items: entries.iter().map(message).collect(),
        };
    }
    let objects = || {
        let mut objects = Vec::new();
        for entry in entries {
            objects.extend(document(entry, 0)?);
        }
        Ok(objects)
    };
    Request {
        caller: Caller::Direct,
        items: vec![Item {
            message_id: None,
            receives: 1,
            outcome: isolated(objects),
        }],
    }
}

/// Decodes a payload. An error is in the outcome of its item and does not affect other items.
pub fn decode(payload: &Value) -> Request {
    if let Value::Array(entries) = payload
        && !entries.is_empty()
    {
        return listed(entries);
    }
    match payload.get("Records").and_then(Value::as_array) {
        Some(records) if records.iter().any(is_sqs) => Request {
            caller: Caller::Sqs,
            items: records.iter().map(message).collect(),
        },
        _ => Request {
            caller: Caller::Direct,
            items: vec![Item {
                message_id: None,
                receives: 1,
                outcome: isolated(|| document(payload, 0)),
            }],
        },
    }
}

fn is_sqs(record: &Value) -> bool {
    record.get("eventSource").and_then(Value::as_str) == Some("aws:sqs")
}

/// How often an SQS message was received, with this time.
pub(crate) fn receives(record: &Value) -> u32 {
    let receives = record.pointer("/attributes/ApproximateReceiveCount");
    let receives = receives.and_then(Value::as_str).unwrap_or("1");
    receives.parse().unwrap_or(1)
}

fn message(record: &Value) -> Item {
    Item {
        message_id: record
            .get("messageId")
            .and_then(Value::as_str)
            .map(str::to_owned),
        receives: receives(record),
        outcome: isolated(|| {
            let body = text(record, "/body", "body")?;
            if body.len() > MAX_BODY {
                return Err(TriggerError::TooLong(body.len()));
            }
            document(&parse(body, "the message's body")?, 0)
        }),
    }
}

/// Catches panics. The decoder has no known panic, but an unknown one must not fail the other messages of a batch.
fn isolated<T>(decode: impl FnOnce() -> Result<T, TriggerError>) -> Result<T, TriggerError> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|panic| {
        Err(TriggerError::Panicked(
            crate::invocation::panic_message(&*panic).to_owned(),
        ))
    })
}

/// The objects in a list of a request: `s3://bucket/key`, or items with `Bucket` and `Key`.
///
/// # Errors
/// The field is no such list.
pub(crate) fn objects(
    request: &Value,
    field: &'static str,
) -> Result<Vec<SourceObject>, TriggerError> {
    isolated(|| events::listed(request, field))
}

fn document(value: &Value, depth: usize) -> Result<Vec<SourceObject>, TriggerError> {
    let Value::Object(fields) = value else {
        return Err(unknown(value));
    };
    let has = |name: &str| fields.contains_key(name);
    if has("Records") {
        events::notification(value)
    } else if has("Message") && has("Type") {
        if depth == MAX_ENVELOPES {
            return Err(TriggerError::TooDeep);
        }
        let message = text(value, "/Message", "Message")?;
        document(&parse(message, "the notification's Message")?, depth + 1)
    } else if has("detail-type") {
        events::eventbridge(value)
    } else if fields.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
        Ok(Vec::new())
    } else if has("Items") {
        events::map_batch(value)
    } else if has("Key") {
        Ok(vec![events::item(value, None, "BatchInput.bucket")?])
    } else if has("objects") {
        events::listed(value, "objects")
    } else {
        Err(unknown(value))
    }
}

fn unknown(value: &Value) -> TriggerError {
    let fields: Cow<'_, str> = match value {
        Value::Object(fields) if fields.is_empty() => "none".into(),
        Value::Object(fields) => {
            let names: Vec<_> = fields.keys().take(8).map(String::as_str).collect();
            names.join(", ").into()
        }
        Value::Array(_) => "those of a list".into(),
        _ => "those of a scalar".into(),
    };
    TriggerError::UnknownForm {
        fields: fields.into_owned(),
    }
}

fn parse(text: &str, place: &'static str) -> Result<Value, TriggerError> {
    serde_json::from_str(text).map_err(|error| TriggerError::NotJson {
        place,
        message: error.to_string(),
    })
}

fn text<'a>(value: &'a Value, pointer: &str, name: &'static str) -> Result<&'a str, TriggerError> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .ok_or(TriggerError::Field(name))
}

fn list<'a>(value: &'a Value, name: &'static str) -> Result<&'a [Value], TriggerError> {
    match value.get(name) {
        Some(Value::Array(list)) => Ok(list),
        _ => Err(TriggerError::Field(name)),
    }
}

#[cfg(test)]
mod tests;
