//! Messages that list many objects.

use lakewright_ports::{MAX_SEND_BATCH, MAX_SEND_BYTES};
use serde::Serialize;

use crate::rekey::SourceObject;

/// The text around the entries of a message.
const OPENING: &str = r#"{"objects":["#;
const CLOSING: &str = "]}";

/// An object in a message, in the form of an item of a Distributed Map.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    bucket: &'a str,
    key: &'a str,
    etag: Option<&'a str>,
    size: Option<u64>,
}

/// Packs objects, in the order in which they are added, into messages of as many as rekey plans together.
pub(super) struct Packer {
    most_objects: u32,
    most_bytes: u64,
    body: String,
    objects: u32,
    bytes: u64,
}

impl Packer {
    /// A message has at most `most_objects` objects, whose sizes add up to at most `most_bytes` unless it is only one.
    pub(super) fn new(most_objects: u32, most_bytes: u64) -> Self {
        Self {
            most_objects,
            most_bytes,
            body: String::new(),
            objects: 0,
            bytes: 0,
        }
    }

    /// Adds an object. Returns the previous message if the object did not fit into it.
    pub(super) fn add(
        &mut self,
        object: &SourceObject,
    ) -> Result<Option<String>, serde_json::Error> {
        let entry = serde_json::to_string(&Entry {
            bucket: &object.location.bucket,
            key: &object.location.key,
            etag: object.etag.as_deref(),
            size: object.size,
        })?;
        let size = object.size.unwrap_or(0);
        let is_full = self.objects >= self.most_objects
            || self.bytes.saturating_add(size) > self.most_bytes
            || self.body.len() + 1 + entry.len() + CLOSING.len() > MAX_SEND_BYTES;
        let complete = if is_full { self.rest() } else { None };
        self.body
            .push_str(if self.objects == 0 { OPENING } else { "," });
        self.body.push_str(&entry);
        self.objects += 1;
        self.bytes = self.bytes.saturating_add(size);
        Ok(complete)
    }

    /// The last message, if it has objects.
    pub(super) fn rest(&mut self) -> Option<String> {
        if self.objects == 0 {
            return None;
        }
        (self.objects, self.bytes) = (0, 0);
        let mut body = std::mem::take(&mut self.body);
        body.push_str(CLOSING);
        Some(body)
    }
}

/// The messages in the groups that one call sends.
pub(super) fn calls(messages: Vec<String>) -> Vec<Vec<String>> {
    let mut calls: Vec<Vec<String>> = Vec::new();
    let mut bytes = 0;
    for message in messages {
        bytes += message.len();
        match calls.last_mut() {
            Some(call) if call.len() < MAX_SEND_BATCH && bytes <= MAX_SEND_BYTES => {
                call.push(message);
            }
            _ => {
                bytes = message.len();
                calls.push(vec![message]);
            }
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use lakewright_core::location::Location;
    use serde_json::{Value, json};

    use super::*;

    fn object(key: &str, size: u64) -> SourceObject {
        SourceObject {
            location: Location::new("landing", key),
            etag: Some("\"e\"".to_owned()),
            size: Some(size),
        }
    }

    /// The keys in each message.
    fn packed(most_objects: u32, most_bytes: u64, objects: &[SourceObject]) -> Vec<Vec<String>> {
        let mut packer = Packer::new(most_objects, most_bytes);
        let mut messages: Vec<_> = objects
            .iter()
            .filter_map(|object| packer.add(object).unwrap())
            .collect();
        messages.extend(packer.rest());
        assert_eq!(packer.rest(), None);
        let keys = |message: String| {
            assert!(message.len() <= MAX_SEND_BYTES, "{}", message.len());
            let message: Value = serde_json::from_str(&message).unwrap();
            let objects = message["objects"].as_array().unwrap().iter();
            objects
                .map(|object| object["Key"].as_str().unwrap().to_owned())
                .collect()
        };
        messages.into_iter().map(keys).collect()
    }

    #[test]
    fn a_message_ends_with_its_number_or_its_bytes() {
        let objects = ["a", "b", "c", "d", "e"].map(|key| object(key, 3));
        let large = [object("a", 1), object("b", 90), object("c", 1)];
        for (most_objects, most_bytes, objects, expected) in [
            (10, 100, &objects[..], vec!["abcde"]),
            (2, 100, &objects, vec!["ab", "cd", "e"]),
            (5, 100, &objects, vec!["abcde"]),
            (10, 6, &objects, vec!["ab", "cd", "e"]),
            (10, 8, &objects, vec!["ab", "cd", "e"]),
            // One larger than all is alone.
            (10, 50, &large, vec!["a", "b", "c"]),
            (10, 2, &objects, vec!["a", "b", "c", "d", "e"]),
            (10, 100, &[], vec![]),
        ] {
            let found = packed(most_objects, most_bytes, objects);
            let found: Vec<_> = found.iter().map(|keys| keys.concat()).collect();
            assert_eq!(found, expected, "{most_objects} {most_bytes}");
        }
    }

    #[test]
    fn a_message_names_each_object_as_a_listing_does() {
        let mut packer = Packer::new(9, 9);
        assert_eq!(packer.add(&object("a+ \"é", 7)).unwrap(), None);
        let message: Value = serde_json::from_str(&packer.rest().unwrap()).unwrap();
        let expected = json!({"Bucket": "landing", "Key": "a+ \"é", "Etag": "\"e\"", "Size": 7});
        assert_eq!(message, json!({"objects": [expected]}));
    }

    #[test]
    fn no_message_is_longer_than_the_queue_takes() {
        // The longest keys that there are.
        let key = |number: usize| format!("{number:04}{}", "k".repeat(1_020));
        let objects: Vec<_> = (0..2_100).map(|number| object(&key(number), 1)).collect();
        let found = packed(10_000, u64::MAX, &objects);
        assert_eq!(found.len(), 3, "as few as there can be");
        let keys: Vec<_> = objects.iter().map(|object| &object.location.key).collect();
        assert_eq!(found.iter().flatten().collect::<Vec<_>>(), keys);
    }

    #[test]
    fn a_call_has_as_much_as_the_queue_takes_at_once() {
        let message = |bytes: usize| "m".repeat(bytes);
        let mib = MAX_SEND_BYTES;
        for (messages, expected) in [
            (vec![], vec![]),
            (vec![1; 10], vec![10]),
            (vec![1; 21], vec![10, 10, 1]),
            (vec![mib, mib, 1], vec![1, 1, 1]),
            (vec![mib / 2, mib / 2, 1], vec![2, 1]),
            (vec![1, mib - 1, mib - 1, 1, 1], vec![2, 2, 1]),
        ] {
            let found = calls(messages.iter().map(|&bytes| message(bytes)).collect());
            let found: Vec<_> = found.iter().map(Vec::len).collect();
            assert_eq!(found, expected, "{messages:?}");
        }
    }
}
