//! A log event as a record: the fields of its envelope, its own and, if its message is a JSON object, the fields of the
//! message.

use std::collections::HashSet;

use crate::json::{
    Lack,
    lex::{self, Kind, Member, Stop},
};

/// The field whose text may be a JSON object.
const MESSAGE: &str = "message";

/// The prefix of a message's field whose name is also that of a field of the envelope or the event.
const PREFIX: &str = "message_";

/// Writes the event at `at` into `record`, after `prefix`, the envelope's fields. Returns the event's end, and why it is not
/// a record, if it is not.
pub(super) fn unfold(
    buf: &[u8],
    at: usize,
    depth: usize,
    prefix: &[u8],
    record: &mut Vec<u8>,
) -> Result<(usize, Option<Lack>), Stop> {
    let end = lex::skip_value(buf, at, depth)?;
    record.clear();
    record.extend_from_slice(prefix);
    let mut taken = HashSet::new();
    members(prefix, 0, depth, |_, name, _| {
        taken.insert(name.to_lowercase());
    })?;
    let mut message = None;
    members(buf, at, depth, |key, name, value| {
        if name == MESSAGE {
            message = Some((key, value));
        } else {
            taken.insert(name.to_lowercase());
            push(record, key, value);
        }
    })?;
    let mut fault = None;
    if let Some((key, value)) = message {
        match object(value, depth) {
            Some(text) => fault = spread(&text, depth, &taken, record)?,
            None => push(record, key, value),
        }
    }
    // Each field is followed by a comma.
    if let Some(last) = record.last_mut() {
        *last = b'}';
    }
    Ok((end, fault))
}

fn push(record: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    record.extend_from_slice(key);
    record.push(b':');
    record.extend_from_slice(value);
    record.push(b',');
}

/// Writes the fields of a message.
fn spread(
    text: &str,
    depth: usize,
    taken: &HashSet<String>,
    record: &mut Vec<u8>,
) -> Result<Option<Lack>, Stop> {
    let mut renamed = HashSet::new();
    let mut own = HashSet::new();
    members(text.as_bytes(), 0, depth, |key, name, value| {
        if taken.contains(&name.to_lowercase()) {
            let name = format!("{PREFIX}{name}");
            let key = serde_json::Value::from(name.as_str()).to_string();
            renamed.insert(name.to_lowercase());
            push(record, key.as_bytes(), value);
        } else {
            own.insert(name.to_lowercase());
            push(record, key, value);
        }
    })?;
    let is_clear = renamed.is_disjoint(&own) && renamed.is_disjoint(taken);
    Ok((!is_clear).then_some(Lack::Renamed))
}

/// The text of a JSON string that is one JSON object, within its white space.
fn object(value: &[u8], depth: usize) -> Option<String> {
    if Kind::at(value, 0).ok()? != Kind::String {
        return None;
    }
    let text = lex::string(value, 0).ok()?.decode(value).into_owned();
    let text = text.trim_matches([' ', '\n', '\r', '\t']);
    let is_object = text.starts_with('{')
        && lex::skip_value(text.as_bytes(), 0, depth).is_ok_and(|end| end == text.len());
    is_object.then(|| text.to_owned())
}

/// Calls `each` with the key, its name and the value of each member of the object at `at`. The last member may be followed
/// by the end of the buffer.
fn members<'b>(
    buf: &'b [u8],
    mut at: usize,
    depth: usize,
    mut each: impl FnMut(&'b [u8], &str, &'b [u8]),
) -> Result<(), Stop> {
    at += 1;
    let mut first = true;
    loop {
        let key = match lex::next_member(buf, at, first) {
            Ok(Member::Key(key)) => key,
            Ok(Member::End(_)) => return Ok(()),
            Err(Stop::Incomplete) if buf.get(at..).is_some_and(|rest| rest == b",") => {
                return Ok(());
            }
            Err(stop) => return Err(stop),
        };
        first = false;
        let string = lex::string(buf, key)?;
        let value = lex::value_of_key(buf, string.next())?;
        at = lex::skip_value(buf, value, depth)?;
        each(
            buf.get(key..string.next()).unwrap_or_default(),
            &string.decode(buf),
            buf.get(value..at).unwrap_or_default(),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        chunk::Chunk,
        json::{Envelope, Framer, MAX_DEPTH},
        records::Records as _,
        semantics::stated,
    };

    const FIELDS: &str =
        r#""owner":"1","logGroup":"g","logStream":"s","subscriptionFilters":["f"]"#;

    #[test]
    fn events() {
        stated(
            "With `records = \"cloudwatch-logs\"` each event in the `logEvents` of a subscription's envelopes is a record: `owner`, `logGroup`, `logStream` and `subscriptionFilters` of the envelope, then the event's own fields, such as `id` and `timestamp`, then `message`; other fields of the envelope are left out.",
        );
        stated(
            "Where an event's `message` is a text that is one JSON object, the object's fields are those of the record in place of `message`; any other message stays as it is.",
        );
        stated(
            "A field of a message that is called as a field of its envelope or its event, whatever the case, is called `message_` and its name; a message that has a field of that name too sets its record aside.",
        );
        stated(
            "An envelope whose `messageType` is `CONTROL_MESSAGE` has no records and counts in the report as `control_messages`; one of any other type than `DATA_MESSAGE` sets its records aside.",
        );
        for (event, expected) in [
            (
                r#"{"id":"7","timestamp":5,"message":"text {}"}"#,
                r#","id":"7","timestamp":5,"message":"text {}"}"#,
            ),
            (
                r#"{"id":"7","message":null}"#,
                r#","id":"7","message":null}"#,
            ),
            (r#"{ "id" : "7" }"#, r#","id":"7"}"#),
            ("{}", "}"),
            (r#"{"message":"{}","id":"7"}"#, r#","id":"7"}"#),
            (
                r#"{"id":"7","message":" {\"a\": [1,{\"b\":\"\\n\"}],\"message\":\"m\"}\n","timestamp":5}"#,
                r#","id":"7","timestamp":5,"a":[1,{"b":"\n"}],"message":"m"}"#,
            ),
            (
                r#"{"id":"7","timestamp":5,"message":"{\"Timestamp\":1,\"owner\":2,\"id\":3}"}"#,
                r#","id":"7","timestamp":5,"message_Timestamp":1,"message_owner":2,"message_id":3}"#,
            ),
            (
                r#"{"message":"{\"a\":1} {\"a\":2}"}"#,
                r#","message":"{\"a\":1} {\"a\":2}"}"#,
            ),
            (r#"{"message":"[{}]"}"#, r#","message":"[{}]"}"#),
            (r#"{"message":"{\"a\":"}"#, r#","message":"{\"a\":"}"#),
            (
                r#"{"id":"7","message":"{\"id\":1,\"message_id\":2}"}"#,
                "in the envelope, `logEvents.*.message` has a field `message_…` that another one would be called too",
            ),
        ] {
            let data = format!(
                r#"{{"messageType":"DATA_MESSAGE",{FIELDS},"policyLevel":"x","logEvents":[{event},{event}]}}"#
            );
            let control = format!(
                r#"{{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logEvents":[{event}]}}"#
            );
            let text = format!("{data}{control}{data}");
            for size in [1, 9, 10_000] {
                let (found, controls) = read(&text, size);
                let own = |found: &String| match found.strip_prefix("{") {
                    Some(record) => record.strip_prefix(FIELDS).map(str::to_owned),
                    None => Some(found.clone()),
                };
                let found: Vec<_> = found.iter().map(|(_, record)| own(record)).collect();
                assert_eq!(found, vec![Some(expected.to_owned()); 4], "{event}");
                assert_eq!(controls, 1);
            }
        }
        let (found, _) = read(
            &format!(r#"{{"messageType":"X",{FIELDS},"logEvents":[{{}}]}}"#),
            3,
        );
        assert!(found[0].1.contains("`messageType` is neither"), "{found:?}");
        let (found, _) = read(&format!(r#"{{{FIELDS},"logEvents":[{{}}]}}"#), 3);
        assert!(
            found[0].1.contains("`messageType` does not come"),
            "{found:?}"
        );
        assert_eq!(found[0].0, 85);
        let error = Envelope::new("cloudwatch-logs", &["a".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("keeps every field"), "{error}");
    }

    /// The offset and the bytes, or the error, of each record, and how many control messages there were.
    fn read(text: &str, size: usize) -> (Vec<(u64, String)>, u64) {
        let schema = arrow::datatypes::Schema::empty();
        let mut columns =
            crate::json::Columns::new(&schema, crate::json::tests::options()).unwrap();
        let envelope = Envelope::new("cloudwatch-logs", &[]).unwrap();
        let mut framer = Framer::new(1 << 20, MAX_DEPTH).within(envelope);
        let mut found = Vec::new();
        for chunk in text.as_bytes().chunks(size).map(Some).chain([None]) {
            match chunk {
                Some(chunk) => framer.push(&mut Chunk::of(chunk)),
                None => framer.finish(),
            }
            while let Some(filled) = framer.next_into(&mut columns).unwrap() {
                let bytes = String::from_utf8_lossy(filled.bytes).into_owned();
                let shown = filled
                    .result
                    .map_or_else(|error| error.to_string(), |_| bytes);
                found.push((filled.offset, shown));
            }
        }
        (found, framer.controls())
    }
}
