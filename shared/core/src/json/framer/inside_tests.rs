use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    chunk::Chunk,
    json::{Columns, Envelope, Inference, PathError, tests::options},
    records::Records as _,
    semantics::stated,
};

fn envelope(records: &str, keep: &[&str]) -> Envelope {
    let keep: Vec<_> = keep.iter().map(|text| (*text).to_owned()).collect();
    Envelope::new(records, &keep).unwrap()
}

/// The frames of chunks, as text; a frame error is the last.
fn frames<'a>(
    envelope: &Envelope,
    chunks: impl IntoIterator<Item = &'a [u8]>,
    max_record: usize,
) -> Vec<String> {
    let mut framer = Framer::new(max_record, MAX_DEPTH).within(envelope.clone());
    let mut shown = Vec::new();
    for chunk in chunks.into_iter().map(Some).chain([None]) {
        match chunk {
            Some(chunk) => framer.push(&mut Chunk::of(chunk)),
            None => framer.finish(),
        }
        loop {
            match framer.next() {
                Ok(Some(frame)) => {
                    let bytes = String::from_utf8_lossy(frame.bytes);
                    shown.push(match frame.broken {
                        None => format!("{} {bytes}", frame.offset),
                        Some(broken) => {
                            format!(
                                "{} {bytes} | {}: {broken}",
                                frame.offset,
                                broken.reason().code()
                            )
                        }
                    });
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(framer.next().unwrap_err(), error);
                    shown.push(error.to_string());
                    return shown;
                }
            }
        }
    }
    shown
}

const MAX: usize = 1 << 20;

/// `records`, `keep`, an input, and its frames.
type Example = (
    &'static str,
    &'static [&'static str],
    &'static str,
    &'static [&'static str],
);

const EXAMPLES: &[Example] = &[
    ("r", &[], "", &[]),
    ("r", &[], r#"{"r":[]}"#, &[]),
    (
        "r",
        &[],
        r#"{"r":[{"a":1}, {} ,{"a":2}]}"#,
        &[r#"6 {"a":1}"#, "15 {}", r#"19 {"a":2}"#],
    ),
    // Envelopes one after the other, on lines and in arrays.
    (
        "r",
        &[],
        "\u{feff}{\"x\":[{\"r\":[1]},\"\\\"]\"],\"r\":[{\"a\":1}],\"y\":2}{\"r\":[{\"a\":2}]}\n[{\"r\":[{\"a\":3}]},\n{\"r\":[]}]\n",
        &[r#"31 {"a":1}"#, r#"52 {"a":2}"#, r#"69 {"a":3}"#],
    ),
    // Deeper.
    (
        "a.*.b.c.*.d",
        &[],
        r#"{"a":[{"b":{"c":[{"d":[{"n":1}]},{"d":[]},{"d":[{"n":2}]}]}},{"b":{"c":[{"d":[{"n":3}]}]}}]}"#,
        &[r#"23 {"n":1}"#, r#"48 {"n":2}"#, r#"78 {"n":3}"#],
    ),
    // Kept fields.
    (
        "r",
        &["k", "x.y"],
        r#"{"x":{"z":1,"y":{"a":[1, 2]}},"k":null,"r":[{"a":1},{ } ]}"#,
        &[
            r#"44 {"k":null,"y":{"a":[1, 2]},"a":1}"#,
            r#"52 {"k":null,"y":{"a":[1, 2]}  }"#,
        ],
    ),
    (
        "r.*.s",
        &["r.*.k", "top"],
        r#"{"top":"t","r":[{"k":1,"k":2,"s":[{"a":1}]},{"s":[{"a":2}],"k":3}]}"#,
        &[
            r#"34 {"k":2,"top":"t","a":1}"#,
            r#"50 {"a":2} | bad_envelope: a part of the envelope does not come before the records"#,
        ],
    ),
    // What lacks.
    (
        "r",
        &[],
        "{\"q\":[{}]} {\"r\":{\"a\":[]}, \"b\":1}\n{\"r\":[{\"a\":1}]}",
        &[
            r#"0 {"q":[{}]} | bad_envelope: a part of the envelope is missing"#,
            r#"11 {"r":{"a":[]}, "b":1} | bad_envelope: a part of the envelope is not a list"#,
            r#"39 {"a":1}"#,
        ],
    ),
    (
        "r.*.s.t",
        &[],
        r#"{"r":[{"s":[]},7,{"t":1},{"s":{"t":[{"a":1}]}},[{}]]}"#,
        &[
            r#"6 {"s":[]} | bad_envelope: a part of the envelope is not an object"#,
            "15 7 | not_an_object: a number instead of an object",
            r#"17 {"t":1} | bad_envelope: a part of the envelope is missing"#,
            r#"36 {"a":1}"#,
            "47 [{}] | not_an_object: an array instead of an object",
        ],
    ),
    // The first of two.
    (
        "r",
        &[],
        r#"{"r":null,"r":[{"a":1}],"r":[{"a":2}],"b":1}"#,
        &[
            r#"15 {"a":1}"#,
            r#"28 [{"a":2}] | bad_envelope: a part of the envelope comes a second time"#,
        ],
    ),
    (
        "r",
        &[],
        "7 []",
        &["0 7 | not_an_object: a number instead of an object"],
    ),
    // Broken elements, and what is cut short.
    (
        "r",
        &["k"],
        "{\"k\":1,\"r\":[{\"a\":x},{\"a\":2},null,{\"a\":\n",
        &[
            r#"12 {"a":x} | invalid_json: unexpected byte where a value is expected (at byte 5 of the record)"#,
            r#"20 {"k":1,"a":2}"#,
            "28 null | not_an_object: null instead of an object",
            "33 {\"a\": | truncated: the input ends inside the record",
        ],
    ),
    (
        "r",
        &[],
        "{\"r\":[{\"a\":1},x{\"a\":2} {\"a\":3}\n {\"a\":4}\n{\"r\":[{\"a\":5}]}",
        &[
            r#"6 {"a":1}"#,
            "14 x{\"a\":2} {\"a\":3}\n {\"a\":4} | invalid_json: unexpected byte where a value is expected (at byte 0 of the record)",
            r#"46 {"a":5}"#,
        ],
    ),
    (
        "r",
        &[],
        "{\"r\":[{\"a\":1},\n{\"r\":[{\"a\":2}\n{\"r\":[{\"a\":3}],\"b\n{\"r\":[{\"a\":4}],\n{\"r\":[{\"a\":5}]}",
        &[
            r#"6 {"a":1}"#,
            r#"15 {"r":[{"a":2} | invalid_json: expected `,` or the end of the object or array (at byte 14 of the record)"#,
            r#"35 {"a":3}"#,
            "43 ,\"b | invalid_json: control character in a string (at byte 3 of the record)",
            r#"53 {"a":4}"#,
            "63  | truncated: a part of the envelope is not closed",
            r#"69 {"a":5}"#,
        ],
    ),
    (
        "r",
        &[],
        "{\"r\":[{\"a\":1}, ",
        &[
            r#"6 {"a":1}"#,
            "15  | truncated: a part of the envelope is not closed",
        ],
    ),
    (
        "r",
        &[],
        "{\"r\":[{\"a\":1}]",
        &[
            r#"6 {"a":1}"#,
            "14  | truncated: a part of the envelope is not closed",
        ],
    ),
    (
        "r",
        &[],
        "{\"r\":[{\"a\":1}],\"b\":[1",
        &[
            r#"6 {"a":1}"#,
            "20 1 | truncated: the input ends inside the record",
        ],
    ),
    (
        "r",
        &[],
        "{\"b\":1,\"r\":",
        &["0 {\"b\":1,\"r\": | truncated: the input ends inside the record"],
    ),
    (
        "r",
        &[],
        "{\"b\":tru,\"r\":[{\"a\":1}]} {\"r\":[{\"a\":2}]}",
        &[
            "0 {\"b\":tru,\"r\":[{\"a\":1}]} | invalid_json: unexpected byte where a value is expected (at byte 5 of the record)",
            r#"30 {"a":2}"#,
        ],
    ),
    // An object on the path that is broken is set aside alone.
    (
        "r.*.s",
        &[],
        r#"{"r":[{"q":x,"s":[{}]},{"s":[{"a":1}]}]}"#,
        &[
            r#"6 {"q":x,"s":[{}]} | invalid_json: unexpected byte where a value is expected (at byte 5 of the record)"#,
            r#"29 {"a":1}"#,
        ],
    ),
];

#[test]
fn examples_in_chunks_of_any_size() {
    stated(
        "With `records`, a path of keys with dots between and `*` for each element of a list, the objects are envelopes, one after the other as records are, and each element of the list at the path is a record.",
    );
    stated(
        "The fields of `keep` come before each record's own, in the order of `keep`, under the last name of their paths, and as they are written in the envelope.",
    );
    stated(
        "A field of `keep` that is missing in an envelope, or comes after its records, sets each of these records aside by its name.",
    );
    stated(
        "An object on the path that lacks its next part, or has a value in its place that is neither the list nor the object that should be there, is set aside whole, by the part's path; of two lists of one key the second is set aside.",
    );
    stated(
        "An element that is broken loses only itself if its strings and brackets balance; otherwise what is left of its envelope is set aside until a line begins the next one.",
    );
    stated(
        "Of an envelope that is cut short, the records that are whole are read, the one that is cut is set aside as truncated, and otherwise an empty truncated record takes its place.",
    );
    let mut wrong = Vec::new();
    for &(records, keep, input, expected) in EXAMPLES {
        let envelope = envelope(records, keep);
        for size in [1, 2, 3, 7, input.len() + 1] {
            let found = frames(&envelope, input.as_bytes().chunks(size), MAX);
            if found != expected {
                wrong.push((input, size, found));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_envelope_may_be_longer_than_a_record() {
    stated(
        "An envelope may be of any size: `limits.record_size` counts for a record with its kept fields, for one kept field, and for an envelope without records.",
    );
    let long = "x".repeat(50);
    let filler = format!(r#"[{}"{long}"]"#, "12345678,".repeat(30));
    let elements: Vec<_> = (0..50).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    let list = elements.join(",");
    let text = format!(r#"{{"x":{filler},"k":1,"r":[{list}],"y":{filler}}}"#);
    let kept = envelope("r", &["k"]);
    for size in [1, 10, 100, 10_000] {
        let found = frames(&kept, text.as_bytes().chunks(size), 60);
        assert_eq!(found.len(), 50, "{found:?}");
        assert!(found[49].ends_with(r#" {"k":1,"n":49}"#), "{}", found[49]);
    }
    let records = r#"{"k":1,"r":[{"a":"0123456789"}]}"#;
    assert_eq!(
        frames(&kept, [records.as_bytes()], 24),
        [r#"12 {"k":1,"a":"0123456789"}"#]
    );
    for (text, limit, offset) in [
        // 24 bytes with the kept field.
        (records.to_owned(), 23, 12),
        (format!(r#"{{"k":"{long}","r":[]}}"#), 40, 1),
        (format!(r#" {{"x":{filler}}}"#), 60, 1),
    ] {
        for size in [1, 10_000] {
            let found = frames(&kept, text.as_bytes().chunks(size), limit);
            let expected = format!("the record at byte {offset} is longer than {limit} bytes");
            assert_eq!(found, [expected], "{text}");
        }
    }
}

#[test]
fn paths_that_mean_nothing() {
    let long = vec!["a"; MAX_DEPTH].join(".");
    for (records, keep, says) in [
        ("", &[][..], "without a name"),
        ("a..b", &[], "without a name"),
        ("*.a", &[], "begins with"),
        ("a.*", &[], "ends with"),
        ("a.*.*.b", &[], "twice"),
        (&long, &[], "64 parts"),
        ("a.b", &["a"], "holds the records"),
        ("a.b", &["a.b"], "holds the records"),
        ("a.*.b", &["a.c"], "is in a list"),
        ("a.b", &["c.*.d"], "is in a list"),
        ("a.b", &["a.b.c"], "is in a list"),
        ("a", &["b", "c.B"], "`B`"),
    ] {
        let keep: Vec<_> = keep.iter().map(|text| (*text).to_owned()).collect();
        let error: PathError = Envelope::new(records, &keep).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// The rows and results of filling columns, one batch for each `rows` records.
fn fill(framer: &mut Framer, input: &[u8], size: usize) -> (Vec<String>, Vec<String>) {
    let mut inference = Inference::new(MAX_DEPTH);
    let schema = {
        let mut framer = Framer::new(MAX, MAX_DEPTH).within(envelope("r", &["k"]));
        framer.push(&mut Chunk::of(input));
        framer.finish();
        framer.infer(&mut inference).unwrap();
        inference.schema()
    };
    let names = schema.fields().iter().map(|field| field.name().clone());
    let names = names.collect();
    let mut columns = Columns::new(&schema, options()).unwrap();
    let mut results = Vec::new();
    for chunk in input.chunks(size).map(Some).chain([None]) {
        match chunk {
            Some(chunk) => framer.push(&mut Chunk::of(chunk)),
            None => framer.finish(),
        }
        while let Some(filled) = framer.next_into(&mut columns).unwrap() {
            let bytes = String::from_utf8_lossy(filled.bytes).into_owned();
            let result = filled.result.map(|appended| appended.unknown);
            let result = result.map_err(|error| error.to_string());
            results.push(format!("{} {bytes} {result:?}", filled.offset));
        }
    }
    (names, results)
}

#[test]
fn kept_fields_fill_columns() {
    stated(
        "A record that has a field of `keep` itself, by the same name, has the one that it has itself; a name that differs in case sets it aside.",
    );
    let text = r#"{"k":"x","r":[{"a":1},{"k":2,"a":3},{"K":1},[]]}{"r":[{"a":4}],"k":1}"#;
    for size in [1, 5, 100] {
        let mut framer = Framer::new(MAX, MAX_DEPTH).within(envelope("r", &["k"]));
        // Two keys that differ in case refuse to be inferred, so that they are in no column here.
        let (names, results) = fill(
            &mut framer,
            text.replace("\"K\":1", "\"b\":1").as_bytes(),
            size,
        );
        assert_eq!(names, ["k", "a", "b"]);
        assert_eq!(
            results,
            [
                r#"14 {"k":"x","a":1} Ok(0)"#,
                r#"22 {"k":"x","k":2,"a":3} Ok(0)"#,
                r#"36 {"k":"x","b":1} Ok(0)"#,
                r#"44 [] Err("an array instead of an object")"#,
                r#"54 {"a":4} Err("in the envelope, `k` does not come before the records")"#,
            ]
        );
    }
    let schema = arrow::datatypes::Schema::new(vec![arrow::datatypes::Field::new(
        "k",
        arrow::datatypes::DataType::Utf8,
        true,
    )]);
    let mut columns = Columns::new(&schema, options()).unwrap();
    let mut framer = Framer::new(MAX, MAX_DEPTH).within(envelope("r", &["k"]));
    framer.push(&mut Chunk::of(text.as_bytes()));
    framer.finish();
    let mut errors = 0;
    while let Some(filled) = framer.next_into(&mut columns).unwrap() {
        errors += usize::from(matches!(
            filled.result.map_err(|error| *error),
            Err(RecordError::KeyCollision { .. })
        ));
    }
    assert_eq!(errors, 1);
    let rows = columns.finish().unwrap();
    let rows = format!("{:?}", rows.column(0));
    assert!(rows.contains("\"x\",\n  \"2\""), "{rows}");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z\"\\\\{}\\[\\],: é\n]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            object(inner).prop_map(Value::Object),
        ]
    })
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec(("[a-cr]", value), 0..4).prop_map(|fields| fields.into_iter().collect())
}

/// The records of an envelope, looked up in its tree.
fn of_tree(envelope: &Map<String, Value>) -> Option<Vec<Value>> {
    // serde_json's maps are sorted, so that `k` comes before `r`.
    let kept = envelope.get("k")?;
    let list = envelope.get("r")?.as_array()?;
    let records = list.iter().filter_map(Value::as_object).map(|record| {
        let mut whole = Map::new();
        whole.insert("k".to_owned(), kept.clone());
        whole.extend(record.clone());
        Value::Object(whole)
    });
    Some(records.collect())
}

proptest! {
    #[test]
    fn envelopes_are_what_their_trees_are(
        envelopes in prop::collection::vec((object(value()), prop::option::of(value()), prop::option::of(prop::collection::vec(value(), 0..5))), 0..4),
        pretty in any::<bool>(),
        size in 1_usize..40,
    ) {
        let mut text = String::new();
        let mut expected = Vec::new();
        for (mut envelope, kept, list) in envelopes {
            if let Some(kept) = kept {
                envelope.insert("k".to_owned(), kept);
            }
            if let Some(list) = list {
                envelope.insert("r".to_owned(), Value::from(list));
            }
            expected.extend(of_tree(&envelope).unwrap_or_default());
            let envelope = Value::Object(envelope);
            text += &if pretty {
                serde_json::to_string_pretty(&envelope).unwrap()
            } else {
                envelope.to_string()
            };
        }
        let mut framer = Framer::new(MAX, MAX_DEPTH).within(envelope("r", &["k"]));
        let mut found = Vec::new();
        for chunk in text.as_bytes().chunks(size).map(Some).chain([None]) {
            match chunk {
                Some(chunk) => framer.push(&mut Chunk::of(chunk)),
                None => framer.finish(),
            }
            while let Some(frame) = framer.next().unwrap() {
                match frame.broken {
                    None => found.push(serde_json::from_slice::<Value>(frame.bytes).unwrap()),
                    Some(broken) => assert!(matches!(broken, Broken::Envelope(_) | Broken::NotAnObject(_)), "{broken}"),
                }
            }
        }
        prop_assert_eq!(json!(found), json!(expected));
    }
}
