//! Payloads that invoke functions.

use lakewright_aws::trigger::{self, Caller, TriggerError};
use serde_json::Value;

/// Decoding a payload does not panic; each message of a batch has a separate outcome, and every object has a location.
pub fn check(data: &[u8]) {
    let Ok(payload) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    let request = trigger::decode(&payload);
    let messages = match request.caller {
        Caller::Sqs => payload["Records"].as_array().map_or(0, Vec::len),
        Caller::Direct => 1,
    };
    assert_eq!(request.items.len(), messages);
    for item in request.items {
        match item.outcome {
            Ok(objects) => {
                for object in objects {
                    assert!(!object.location.bucket.is_empty(), "{object:?}");
                    assert!(!object.location.key.is_empty(), "{object:?}");
                }
            }
            Err(error) => assert!(!matches!(error, TriggerError::Panicked(_)), "{error}"),
        }
    }
}
