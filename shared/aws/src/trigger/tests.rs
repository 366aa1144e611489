use lakewright_core::location::Location;
use serde_json::json;

use super::*;

const BUCKET: &str = "lakewright-landing";
const SIZE: u64 = 1_843;
const KEY: &str = "flights/2026/05/01/13/sample records+1.json.gz";

macro_rules! golden {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../../../events/", $name, ".json")),
        )
    };
}

fn read(text: &str) -> Request {
    decode(&serde_json::from_str(text).unwrap())
}

fn object(key: &str, etag: Option<&str>) -> SourceObject {
    SourceObject {
        location: Location::new(BUCKET, key),
        etag: etag.map(str::to_owned),
        size: None,
    }
}

fn sized(object: SourceObject, size: u64) -> SourceObject {
    SourceObject {
        size: Some(size),
        ..object
    }
}

/// The outcome of a payload that is not a batch of messages.
fn direct(payload: &Value) -> Result<Vec<SourceObject>, TriggerError> {
    let mut request = decode(payload);
    assert_eq!(request.caller, Caller::Direct);
    assert_eq!(request.items.len(), 1);
    let item = request.items.remove(0);
    assert_eq!(item.message_id, None);
    item.outcome
}

fn sqs(bodies: &[&str]) -> Value {
    let records = bodies.iter().enumerate().map(
        |(id, body)| json!({"messageId": id.to_string(), "body": body, "eventSource": "aws:sqs"}),
    );
    json!({"Records": records.collect::<Vec<_>>()})
}

fn s3_record() -> Value {
    json!({
        "eventVersion": "2.6",
        "eventName": "ObjectCreated:CompleteMultipartUpload",
        "s3": {"bucket": {"name": BUCKET}, "object": {"key": "k", "eTag": "abc"}},
    })
}

/// The S3 record with one field changed; null stands in for a missing field.
fn s3_with(pointer: &str, value: Value) -> Value {
    let mut record = s3_record();
    *record.pointer_mut(pointer).unwrap() = value;
    json!({"Records": [record]})
}

#[test]
fn golden_payloads_name_the_same_object() {
    let by_hand = golden!("rekey-by-hand");
    for (name, text) in [
        golden!("rekey-s3"),
        golden!("rekey-eventbridge"),
        golden!("rekey-map-batch"),
        golden!("rekey-map-item"),
        golden!("rekey-objects"),
        by_hand,
    ] {
        let object = object(KEY, None);
        let object = if name == by_hand.0 {
            object
        } else {
            sized(object, SIZE)
        };
        let expected = Request {
            caller: Caller::Direct,
            items: vec![Item {
                message_id: None,
                receives: 1,
                outcome: Ok(vec![object]),
            }],
        };
        assert_eq!(read(text), expected, "{name}");
    }
    for (name, text) in [
        golden!("rekey-sqs"),
        golden!("rekey-sns-sqs"),
        golden!("rekey-eventbridge-sqs"),
        golden!("rekey-objects-sqs"),
    ] {
        let expected = Request {
            caller: Caller::Sqs,
            items: vec![Item {
                message_id: Some("059f36b4-87a3-44ab-83d2-661975830a7d".to_owned()),
                receives: 1,
                outcome: Ok(vec![sized(object(KEY, None), SIZE)]),
            }],
        };
        assert_eq!(read(text), expected, "{name}");
    }
}

#[test]
fn a_message_lists_many_objects() {
    let of = |key: &str| json!({"Bucket": BUCKET, "Key": key, "Etag": "\"abc\"", "Size": 7});
    let body = json!({"objects": [of("a+b"), format!("s3://{BUCKET}/c"), of("d%2")]}).to_string();
    let found = decode(&sqs(&[&body])).items.remove(0);
    let etag = Some("\"abc\"");
    let expected = vec![
        sized(object("a+b", etag), 7),
        object("c", None),
        sized(object("d%2", etag), 7),
    ];
    assert_eq!(found.message_id.as_deref(), Some("0"));
    assert_eq!(found.outcome, Ok(expected));
}

#[test]
fn sizes_are_taken_where_they_are_said() {
    let item = |size: Value| json!({"Bucket": BUCKET, "Key": "k", "Size": size});
    let event = |size: Value| {
        let object = json!({"key": "k", "size": size});
        let detail = json!({"bucket": {"name": BUCKET}, "object": object});
        json!({"detail-type": "Object Created", "source": "aws.s3", "detail": detail})
    };
    let notification = |size: Value| {
        let mut record = s3_record();
        record["s3"]["object"]["size"] = size;
        json!({"Records": [record]})
    };
    for (said, size) in [
        (json!(0), Some(0)),
        (json!(u64::MAX), Some(u64::MAX)),
        (json!("7"), None),
        (json!(-1), None),
        (json!(null), None),
    ] {
        for payload in [
            item(said.clone()),
            json!({"objects": [item(said.clone())]}),
            event(said.clone()),
            notification(said.clone()),
        ] {
            let found = direct(&payload).map(|objects| objects[0].size);
            assert_eq!(found, Ok(size), "{payload}");
        }
    }
}

#[test]
fn s3s_test_event_is_no_work() {
    let (_, event) = golden!("rekey-test-event");
    let envelope = json!({"Type": "Notification", "Message": event}).to_string();
    assert_eq!(direct(&serde_json::from_str(event).unwrap()), Ok(vec![]));
    for item in decode(&sqs(&[event, &envelope])).items {
        assert_eq!(item.outcome, Ok(vec![]));
    }
}

#[test]
fn a_bad_message_fails_alone() {
    let (_, text) = golden!("bad/rekey-sqs-mixed");
    let request = read(text);
    assert_eq!(request.caller, Caller::Sqs);
    let outcomes: Vec<_> = request
        .items
        .iter()
        .map(|item| {
            let id = item
                .message_id
                .as_deref()
                .and_then(|id| id.chars().last())
                .unwrap();
            (
                id,
                item.outcome
                    .as_ref()
                    .map(Vec::len)
                    .map_err(ToString::to_string),
            )
        })
        .collect();
    let says = |(id, outcome): &(char, Result<usize, String>), expected: char, text: &str| {
        let error = outcome.as_ref().unwrap_err();
        assert!(
            *id == expected && error.contains(text),
            "{id}: {error} should say {text}"
        );
    };
    let [
        bad_json,
        good,
        bad_key,
        version,
        test_event,
        unknown,
        no_body,
        by_hand,
    ] = &*outcomes
    else {
        panic!("{outcomes:?}");
    };
    says(bad_json, '0', "the message's body is not JSON");
    assert_eq!(good, &('1', Ok(1)));
    says(bad_key, '2', "broken%ZZ");
    says(version, '3', "`3.0`");
    assert_eq!(test_event, &('4', Ok(0)));
    says(unknown, '5', "its fields are hello");
    says(no_body, '6', "`body`");
    assert_eq!(by_hand, &('7', Ok(1)));
}

#[test]
fn unknown_payloads_are_refused() {
    let (_, text) = golden!("bad/rekey-unknown");
    for payload in [
        serde_json::from_str(text).unwrap(),
        json!({}),
        json!([]),
        json!(null),
        json!("s3://b/k"),
        json!({"Event": "s3:SomethingElse"}),
    ] {
        let error = direct(&payload).unwrap_err();
        assert!(
            matches!(error, TriggerError::UnknownForm { .. }),
            "{payload}: {error}"
        );
    }
}

#[test]
fn keys_of_notifications_are_form_urlencoded() {
    for (sent, key) in [
        ("a/b.json", Some("a/b.json")),
        ("a+b", Some("a b")),
        ("a%2Bb%20c", Some("a+b c")),
        ("%C3%A9%2f", Some("é/")),
        ("100%25", Some("100%")),
        ("%2525", Some("%25")),
        ("日本", Some("日本")),
        ("a%", None),
        ("a%2", None),
        ("a%zz", None),
        ("a%é1", None),
        ("%+2", None),
        ("%FF", None),
    ] {
        let found = direct(&s3_with("/s3/object/key", json!(sent)));
        match key {
            Some(key) => assert_eq!(found, Ok(vec![object(key, Some("abc"))]), "{sent}"),
            None => assert!(
                matches!(found, Err(TriggerError::Key { .. })),
                "{sent}: {found:?}"
            ),
        }
    }
}

#[test]
fn keys_of_other_forms_are_verbatim() {
    let key = "a+b%2Bc%zz é";
    let eventbridge = |kind: &str| {
        json!({
            "detail-type": kind,
            "source": "aws.s3",
            "detail": {"bucket": {"name": BUCKET}, "object": {"key": key, "etag": "abc"}},
        })
    };
    let item = json!({"Key": key, "Etag": "\"abc\""});
    let bucket = json!({"bucket": BUCKET});
    for (payload, etag) in [
        (eventbridge("Object Created"), Some("abc")),
        (
            json!({"Items": [item], "BatchInput": bucket}),
            Some("\"abc\""),
        ),
        (json!({"Key": key, "BatchInput": bucket}), None),
        (json!({"Key": key, "Bucket": BUCKET}), None),
        (json!({"objects": [format!("s3://{BUCKET}/{key}")]}), None),
    ] {
        assert_eq!(direct(&payload), Ok(vec![object(key, etag)]), "{payload}");
    }
}

#[test]
fn events_that_create_nothing_are_no_work() {
    for payload in [
        s3_with("/eventName", json!("ObjectRemoved:Delete")),
        s3_with("/eventName", json!("ObjectRestore:Post")),
        json!({"Records": []}),
        json!({"detail-type": "Object Deleted", "source": "aws.s3", "detail": {}}),
        json!({"detail-type": "Scheduled Event", "source": "aws.events"}),
        json!({"objects": []}),
        json!({"Items": [], "BatchInput": {"bucket": BUCKET}}),
    ] {
        assert_eq!(direct(&payload), Ok(vec![]), "{payload}");
    }
}

#[test]
fn versions_of_notifications() {
    for (version, is_known) in [
        ("2.0", true),
        ("2.5", true),
        ("2.99", true),
        ("2", true),
        ("1.0", false),
        ("20.1", false),
        ("", false),
    ] {
        let found = direct(&s3_with("/eventVersion", json!(version)));
        assert_eq!(found.is_ok(), is_known, "{version}: {found:?}");
    }
}

#[test]
fn missing_fields_are_named() {
    for (payload, field) in [
        (s3_with("/eventVersion", json!(2.5)), "eventVersion"),
        (s3_with("/eventName", json!(null)), "eventName"),
        (s3_with("/s3/bucket/name", json!(null)), "s3.bucket.name"),
        (s3_with("/s3/object/key", json!(7)), "s3.object.key"),
        (json!({"Records": {}}), "Records"),
        (json!({"Records": ["text"]}), "eventVersion"),
        (
            json!({"detail-type": "Object Created", "source": "aws.s3"}),
            "detail.bucket.name",
        ),
        (json!({"Items": [{"Key": "k"}]}), "BatchInput.bucket"),
        (json!({"Items": [{}], "BatchInput": {"bucket": "b"}}), "Key"),
        (json!({"Items": 3}), "Items"),
        (json!({"objects": "s3://b/k"}), "objects"),
        (json!({"objects": [1]}), "objects"),
        (json!({"objects": [{"Key": "k"}]}), "Bucket"),
        (json!({"objects": [{"Bucket": "b"}]}), "Key"),
        (json!({"Type": "Notification", "Message": {}}), "Message"),
        (s3_with("/s3/bucket/name", json!("")), "s3.bucket.name"),
        (s3_with("/s3/object/key", json!("")), "s3.object.key"),
        (json!({"Key": "k", "Bucket": ""}), "BatchInput.bucket"),
        (json!({"Key": "", "Bucket": "b"}), "Key"),
    ] {
        assert_eq!(
            direct(&payload),
            Err(TriggerError::Field(field)),
            "{payload}"
        );
    }
}

#[test]
fn locations_by_hand_are_checked() {
    for location in ["b/k", "http://b/k", "", "s3://", "s3://b", "s3://b/"] {
        let found = direct(&json!({"objects": [location]}));
        assert!(
            matches!(
                found,
                Err(TriggerError::Location(_) | TriggerError::NoKey(_))
            ),
            "{location}: {found:?}"
        );
    }
}

#[test]
fn envelopes_are_bounded() {
    let mut body = json!({"objects": ["s3://lakewright-landing/k"]}).to_string();
    for depth in 0..4 {
        let outcome = decode(&sqs(&[&body])).items.remove(0).outcome;
        let expected = if depth <= MAX_ENVELOPES {
            Ok(vec![object("k", None)])
        } else {
            Err(TriggerError::TooDeep)
        };
        assert_eq!(outcome, expected, "{depth}");
        body = json!({"Type": "Notification", "Message": body}).to_string();
    }
}

#[test]
fn long_and_deep_messages_fail_alone() {
    let deep = "[".repeat(100_000);
    let good = json!({"objects": ["s3://lakewright-landing/k"]}).to_string();
    let mut longest = good.clone();
    longest.push_str(&" ".repeat(MAX_BODY - good.len()));
    let longer = format!("{longest} ");
    let outcomes: Vec<_> = decode(&sqs(&[&deep, &longest, &longer, &good]))
        .items
        .into_iter()
        .map(|item| item.outcome)
        .collect();
    let [deep, longest, longer, good] = &*outcomes else {
        panic!("{outcomes:?}")
    };
    assert!(
        matches!(deep, Err(TriggerError::NotJson { .. })),
        "{deep:?}"
    );
    assert_eq!(longer, &Err(TriggerError::TooLong(MAX_BODY + 1)));
    for found in [longest, good] {
        assert_eq!(found, &Ok(vec![object("k", None)]));
    }
}

#[test]
fn records_of_a_batch_are_read_one_by_one() {
    let mut payload = sqs(&[r#"{"objects": []}"#]);
    let records = payload["Records"].as_array_mut().unwrap();
    records.extend([
        json!(null),
        json!("text"),
        json!({"messageId": 7}),
        s3_record(),
    ]);
    let request = decode(&payload);
    assert_eq!(request.caller, Caller::Sqs);
    let [first, rest @ ..] = &*request.items else {
        panic!("{request:?}")
    };
    assert_eq!(first.outcome, Ok(vec![]));
    for item in rest {
        assert_eq!(
            (&item.message_id, &item.outcome),
            (&None, &Err(TriggerError::Field("body")))
        );
    }
}

#[test]
fn a_panic_of_the_decoder_is_an_error() {
    let found = isolated::<()>(|| panic!("at byte {}", 7));
    assert_eq!(found, Err(TriggerError::Panicked("at byte 7".to_owned())));
}

#[test]
fn an_event_is_work_or_known_or_an_error() {
    for (name, expected) in [
        ("ObjectCreated:Put", Ok(1)),
        ("s3:ObjectCreated:Put", Ok(1)),
        ("s3:ObjectCreated:CompleteMultipartUpload", Ok(1)),
        ("s3:ObjectCreated:PutTagging", Ok(0)),
        ("s3:ObjectCreated:PutRetention", Ok(0)),
        ("ObjectRemoved:Delete", Ok(0)),
        ("s3:ObjectRemoved:DeleteMarkerCreated", Ok(0)),
        ("ObjectRestore:Completed", Ok(0)),
        ("LifecycleTransition", Ok(0)),
        ("ObjectCreated:Append", Err("ObjectCreated:Append")),
        ("objectCreated:Put", Err("objectCreated:Put")),
        ("gcs:ObjectCreated:Put", Err("gcs:ObjectCreated:Put")),
        ("Unheard", Err("Unheard")),
    ] {
        let found = direct(&s3_with("/eventName", json!(name)));
        match expected {
            Ok(count) => assert_eq!(found.map(|objects| objects.len()), Ok(count), "{name}"),
            Err(says) => assert!(found.unwrap_err().to_string().contains(says), "{name}"),
        }
    }
    for (source, kind, expected) in [
        ("aws.s3", "Object Created", Some(1)),
        ("aws.s3", "Object Deleted", Some(0)),
        ("aws.s3", "Object Grown", None),
        ("acme.s3", "Object Created", None),
    ] {
        let event = json!({
            "source": source, "detail-type": kind,
            "detail": {"bucket": {"name": BUCKET}, "object": {"key": "k"}},
        });
        let found = direct(&event).ok().map(|objects| objects.len());
        assert_eq!(found, expected, "{source} {kind}");
    }
    for (field, source) in [("EventSource", "aws:sns"), ("eventSource", "aws:kinesis")] {
        let error = direct(&json!({"Records": [{field: source}]})).unwrap_err();
        assert!(error.to_string().contains(source), "{error}");
    }
}

#[test]
fn a_bare_list_is_read() {
    let body = json!({"Records": [s3_record()]}).to_string();
    let message =
        |id: &str, body: &str| json!({"messageId": id, "body": body, "eventSource": "aws:sqs"});
    let request = decode(&json!([message("1", &body), message("2", "{broken")]));
    assert_eq!(request.caller, Caller::Sqs);
    let outcomes = request.items.iter().map(|item| {
        let count = item.outcome.as_ref().ok().map(Vec::len);
        (item.message_id.as_deref(), count)
    });
    let outcomes = outcomes.collect::<Vec<_>>();
    assert_eq!(outcomes, [(Some("1"), Some(1)), (Some("2"), None)]);
    let document = json!({"Records": [s3_record()]});
    assert_eq!(direct(&json!([document, document])).unwrap().len(), 2);
    assert!(direct(&json!([])).is_err());
    assert!(direct(&json!([1])).is_err());
}
