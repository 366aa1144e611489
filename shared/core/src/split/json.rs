//! Reads the raw fields of a JSON document, and writes texts as JSON strings.

use std::{borrow::Cow, fmt};

use bytes::BytesMut;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The fields of a JSON object, in order.
pub(super) struct Fields<'a>(pub(super) Vec<(Cow<'a, str>, &'a str)>);

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &RawValue>()? {
            fields.push((name, value.get()));
        }
        Ok(Fields(fields))
    }
}

/// The text of a JSON value: that of a string, `None` for `null`, and the raw value otherwise.
pub(super) fn text(value: &str) -> Option<Cow<'_, str>> {
    match value.as_bytes().first() {
        Some(b'"') => match serde_json::from_str::<Name<'_>>(value) {
            Ok(Name(text)) => Some(text),
            // A lone surrogate is not a character: keep the raw string.
            Err(_) => Some(Cow::Borrowed(value)),
        },
        Some(b'n') => None,
        _ => Some(Cow::Borrowed(value)),
    }
}

/// Appends a string.
pub(super) fn push_string(text: &str, out: &mut BytesMut) {
    out.extend_from_slice(b"\"");
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| must_escape(*byte)) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        if let Some((byte, after)) = special.split_first() {
            push_escape(*byte, out);
            rest = after;
        }
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(b"\"");
}

fn must_escape(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..=0x1f)
}

fn push_escape(byte: u8, out: &mut BytesMut) {
    let short = match byte {
        b'"' => b"\\\"",
        b'\\' => b"\\\\",
        b'\n' => b"\\n",
        b'\r' => b"\\r",
        b'\t' => b"\\t",
        0x08 => b"\\b",
        0x0c => b"\\f",
        _ => {
            out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
            return;
        }
    };
    out.extend_from_slice(short);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_ascii_character_is_as_serde_json_writes_it() {
        for letter in '\0'..='\u{80}' {
            let text = format!("a{letter}b");
            let mut out = BytesMut::new();
            push_string(&text, &mut out);
            assert_eq!(&out[..], serde_json::to_vec(&text).unwrap(), "{letter:?}");
        }
    }

    proptest! {
        #[test]
        fn strings_are_as_serde_json_writes_them(text in any::<String>()) {
            let mut out = BytesMut::new();
            push_string(&text, &mut out);
            prop_assert_eq!(&out[..], serde_json::to_vec(&text).unwrap());
        }
    }
}
