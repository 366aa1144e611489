use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::{
    json::{Inference, MAX_DEPTH, tests::options},
    semantics::stated,
};

/// A frame as a line of text: its offset, its bytes, and why it is broken.
fn show(frame: &Frame<'_>) -> String {
    let bytes = String::from_utf8_lossy(frame.bytes);
    match frame.broken {
        None => format!("{} {bytes}", frame.offset),
        Some(broken) => format!("{} {bytes} | {}", frame.offset, broken.reason().code()),
    }
}

/// The frames of chunks; a frame error is the last line.
fn frames<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, max_record: usize) -> Vec<String> {
    let mut framer = Framer::new(max_record, MAX_DEPTH);
    let mut shown = Vec::new();
    let mut drain = |framer: &mut Framer| loop {
        match framer.next() {
            Ok(Some(frame)) => shown.push(show(&frame)),
            Ok(None) => return true,
            Err(error) => {
                shown.push(error.to_string());
                return false;
            }
        }
    };
    for chunk in chunks {
        framer.push(chunk);
        if !drain(&mut framer) {
            return shown;
        }
    }
    framer.finish();
    drain(&mut framer);
    shown
}

const MAX: usize = 1 << 20;

/// Inputs and their frames.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("", &[]),
    (" \r\n\t", &[]),
    ("{}", &["0 {}"]),
    ("{\"a\":1}\n{\"a\":2}\n", &["0 {\"a\":1}", "8 {\"a\":2}"]),
    (
        "{\"a\":1}\r\n{\"a\":2}\r\n",
        &["0 {\"a\":1}", "9 {\"a\":2}"],
    ),
    (
        "{\"a\":1}{\"a\":2} {\"a\":3}",
        &["0 {\"a\":1}", "7 {\"a\":2}", "15 {\"a\":3}"],
    ),
    ("\u{feff}{\"a\":1}", &["3 {\"a\":1}"]),
    (
        "{\n  \"a\": {\n    \"b\": [1, {}]\n  }\n}\n{\n}",
        &["0 {\n  \"a\": {\n    \"b\": [1, {}]\n  }\n}", "34 {\n}"],
    ),
    (
        "{\"a\":\"}{\\\"\\\\\"}{\"b\":\"é\\u00e9\\ud83d\\ude00\"}",
        &[
            "0 {\"a\":\"}{\\\"\\\\\"}",
            "14 {\"b\":\"é\\u00e9\\ud83d\\ude00\"}",
        ],
    ),
    // Top-level arrays.
    ("[]", &[]),
    ("[{\"a\":1},{\"a\":2}]", &["1 {\"a\":1}", "9 {\"a\":2}"]),
    ("[ {} , {} ] [{}]\n{}", &["2 {}", "7 {}", "13 {}", "17 {}"]),
    (
        "[{},1,[{}],\"x\",null,true]",
        &[
            "1 {}",
            "4 1 | not_an_object",
            "6 [{}] | not_an_object",
            "11 \"x\" | not_an_object",
            "15 null | not_an_object",
            "20 true | not_an_object",
        ],
    ),
    ("[{}", &["1 {}", "3  | truncated"]),
    ("[{},", &["1 {}", "4  | truncated"]),
    ("[", &["1  | truncated"]),
    ("[{},]", &["1 {}", "4 ] | invalid_json"]),
    ("[{} {}]", &["1 {}", "4 {}] | invalid_json"]),
    (
        "[\n{\"a\":1},\n{\"a\":x},\n{\"a\":3},\n{\"a\":4}\n]\n{\"b\":1}",
        &[
            "2 {\"a\":1}",
            "11 {\"a\":x}, | invalid_json",
            "20 {\"a\":3}",
            "29 {\"a\":4}",
            "39 {\"b\":1}",
        ],
    ),
    (
        "[{\"a\":1},{\"a\n[{\"b\":1}]\n",
        &["1 {\"a\":1}", "9 {\"a | invalid_json", "14 {\"b\":1}"],
    ),
    // What is no object.
    ("1", &["0 1 | not_an_object"]),
    (
        "12 {} -3.5e1\n\"a\"",
        &[
            "0 12 | not_an_object",
            "3 {}",
            "6 -3.5e1 | not_an_object",
            "13 \"a\" | not_an_object",
        ],
    ),
    ("-", &["0 - | truncated"]),
    ("tru", &["0 tru | truncated"]),
    ("{},{}", &["0 {}", "2 ,{} | invalid_json"]),
    ("]\n{}", &["0 ] | invalid_json", "2 {}"]),
    // Broken records, and where framing resumes.
    (
        "{\"a\":1}\n{\"a\":\n{\"a\":3}\n{\"a\":4}\n",
        &[
            "0 {\"a\":1}",
            "8 {\"a\": | invalid_json",
            "14 {\"a\":3}",
            "22 {\"a\":4}",
        ],
    ),
    (
        "{\"a\":\"x\n{\"a\":3}\n",
        &["0 {\"a\":\"x | invalid_json", "8 {\"a\":3}"],
    ),
    (
        "{\"a\":\"x\r\n{\"a\":3}\r\n",
        &["0 {\"a\":\"x | invalid_json", "9 {\"a\":3}"],
    ),
    (
        "{\"a\":1,,}\n  {\"inner\":1}\n{\"a\":2}",
        &[
            "0 {\"a\":1,,}\n  {\"inner\":1} | invalid_json",
            "24 {\"a\":2}",
        ],
    ),
    (
        "{\"a\":1,,}\n[{\"a\":2}]",
        &["0 {\"a\":1,,} | invalid_json", "11 {\"a\":2}"],
    ),
    ("{\"a\":1", &["0 {\"a\":1 | truncated"]),
    (
        "{\"a\":1}\n{\"a\":\"\\ud83d",
        &["0 {\"a\":1}", "8 {\"a\":\"\\ud83d | truncated"],
    ),
    (
        "{\"a\":[\n{\"b\":1}\n",
        &["0 {\"a\":[ | truncated", "7 {\"b\":1}"],
    ),
    (
        "{\"a\":\"\\ud800\"}",
        &["0 {\"a\":\"\\ud800\"} | invalid_json"],
    ),
    (
        "{\"a\":\"\\udc00\\ud800\"}",
        &["0 {\"a\":\"\\udc00\\ud800\"} | invalid_json"],
    ),
    ("{\"a\":01}\n{}", &["0 {\"a\":01} | invalid_json", "9 {}"]),
    ("{\"a\":1,}\n{}", &["0 {\"a\":1,} | invalid_json", "9 {}"]),
    ("{a:1}", &["0 {a:1} | invalid_json"]),
    (
        "{}\u{c}\n{\"a\":x}\u{c}\n \n\u{c}",
        &[
            "0 {}",
            "2 \u{c} | invalid_json",
            "4 {\"a\":x}\u{c}\n \n\u{c} | invalid_json",
        ],
    ),
    (
        "a,b\n1,2\n{\"late\":1}",
        &["0 a,b\n1,2 | invalid_json", "8 {\"late\":1}"],
    ),
];

#[test]
fn examples() {
    stated(
        "Records are JSON objects: one a line, one after the other with nothing between, spread over lines, or the elements of top-level arrays, in any mixture.",
    );
    stated(
        "Lines may end with a carriage return and a newline, and a byte order mark at the start is skipped.",
    );
    stated("A value that is no object is set aside alone, and reading goes on behind it.");
    stated(
        "A broken record ends before the first newline that `{` or `[` follows at once, or with the input; what is before that is set aside as one record, and everything after it is read.",
    );
    stated(
        "So a line that is cut short loses only itself, and an indented part of a broken record is never taken for a record.",
    );
    stated(
        "A record that the input ends inside of is set aside as truncated, and a top-level array that the input ends inside of leaves an empty truncated record after its last element.",
    );
    let wrong: Vec<_> = EXAMPLES
        .iter()
        .map(|(input, expected)| (input, expected, frames([input.as_bytes()], MAX)))
        .filter(|(_, expected, actual)| *actual != **expected)
        .collect();
    assert!(wrong.is_empty(), "input, expected, actual: {wrong:#?}");
}

#[test]
fn only_json_is_json() {
    stated(
        "JSON is what RFC 8259 says, in UTF-8: comments, trailing commas, control characters in strings, lone surrogates and leading zeros are errors.",
    );
    for value in [
        "1 /* one */",
        "1 // one",
        "[1,]",
        "{\"b\":1,}",
        "\"\t\"",
        "\"\u{0}\"",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"\\x41\"",
        "01",
        "-01",
        "+1",
        ".5",
        "5.",
        "1e",
        "0x10",
        "NaN",
        "Infinity",
        "'a'",
        "True",
        "nul",
        "",
    ] {
        let input = format!("{{\"a\":{value}}}\n{{}}");
        let frames = frames([input.as_bytes()], MAX);
        assert_eq!(frames.len(), 2, "{value}: {frames:?}");
        assert!(
            frames[0].ends_with(" | invalid_json"),
            "{value}: {frames:?}"
        );
    }
    for value in [
        "\"\u{7f}\u{2028}\u{ffff}\"",
        "\"\\u0000\\/\"",
        "-0",
        "1E+2",
        "0.0e-0",
    ] {
        let input = format!("{{\"a\":{value}}}");
        assert_eq!(frames([input.as_bytes()], MAX), [format!("0 {input}")]);
    }
}

#[test]
fn invalid_utf8_is_broken() {
    let input = b"{\"a\":\"\xff\"}\n{\"\xc3\x28\":1}\n{}\n\xff";
    let reasons: Vec<_> = frames([input.as_slice()], MAX)
        .iter()
        .map(|frame| frame.ends_with("| invalid_json"))
        .collect();
    assert_eq!(reasons, [true, true, false, true]);
}

#[test]
fn nesting_has_a_limit() {
    stated(
        "A record nested deeper than the limit, itself included, is set aside, and reading goes on after its line.",
    );
    let nested = |depth: usize| {
        format!(
            "{{\"a\":{}{}}}\n{{}}",
            "[".repeat(depth - 1),
            "]".repeat(depth - 1)
        )
    };
    let (fits, deep) = (nested(MAX_DEPTH), nested(MAX_DEPTH + 1));
    assert_eq!(frames([fits.as_bytes()], MAX).len(), 2);
    assert!(!frames([fits.as_bytes()], MAX)[0].contains('|'));
    assert!(frames([deep.as_bytes()], MAX)[0].ends_with("| too_deep"));
    assert_eq!(
        frames([deep.as_bytes()], MAX)[1],
        format!("{} {{}}", deep.len() - 2)
    );
    let endless = "{\"a\":".repeat(200_000);
    assert!(frames([endless.as_bytes()], MAX)[0].ends_with("| too_deep"));
}

#[test]
fn length_has_a_limit() {
    stated("A record longer than `limits.record_size`, broken or not, refuses the object.");
    let record = "{\"a\":\"0123456789\"}";
    let broken = "{\"a\":x,0123456789}";
    let limit = record.len();
    for input in [record, broken] {
        let twice = format!("{input}\n{input}\n");
        assert_eq!(frames([twice.as_bytes()], limit).len(), 2, "{input}");
        assert_eq!(
            frames([twice.as_bytes()], limit - 1),
            ["the record at byte 0 is longer than 17 bytes"]
        );
    }
    let truncated = &record[..limit - 1];
    assert!(frames([truncated.as_bytes()], limit - 1)[0].ends_with("| truncated"));
    assert_eq!(
        frames([truncated.as_bytes()], limit - 2),
        ["the record at byte 0 is longer than 16 bytes"]
    );
}

#[test]
fn a_long_record_in_small_chunks_is_not_read_over_and_over() {
    let record = format!("{{\"a\":[{}1]}}", "1,".repeat(1 << 19));
    let frames = frames(record.as_bytes().chunks(7), MAX + 100);
    assert_eq!(frames, [format!("0 {record}")]);
}

/// The rules once more, as slow and plain as can be: one document, seen whole, and `serde_json` to say what is valid.
fn reference(input: &[u8]) -> Vec<String> {
    fn value_end(input: &[u8], start: usize) -> Option<(usize, serde_json::Value)> {
        (start + 1..=input.len()).find_map(|end| {
            let value = serde_json::from_slice(&input[start..end]).ok()?;
            let ends = matches!(
                input.get(end),
                None | Some(b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t' | b'{' | b'[' | b'"')
            );
            (ends || !matches!(value, serde_json::Value::Number(_))).then_some((end, value))
        })
    }
    let mut at = if input.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let mut shown = Vec::new();
    // None at top level; in an array what may come: `v`alue, `,`, `]`.
    let mut array: Option<&str> = None;
    let mut resumed = false;
    loop {
        while at < input.len() && b" \n\r\t".contains(&input[at]) {
            at += 1;
        }
        let Some(&byte) = input.get(at) else { break };
        let punctuation = match (array, byte) {
            (None, b'[') => Some((Some("v]"), false)),
            (None, b',') if resumed => Some((None, true)),
            (None, b']') if resumed => Some((None, false)),
            (Some(allowed), b',') if allowed.contains(',') => Some((Some("v"), false)),
            (Some(allowed), b']') if allowed.contains(']') => Some((None, false)),
            _ => None,
        };
        if let Some(next) = punctuation {
            (array, resumed) = next;
            at += 1;
            continue;
        }
        let value = match array {
            Some(allowed) if !allowed.contains('v') => None,
            _ => value_end(input, at),
        };
        if let Some((end, value)) = value {
            let why = if value.is_object() {
                ""
            } else {
                " | not_an_object"
            };
            shown.push(format!(
                "{at} {}{why}",
                String::from_utf8_lossy(&input[at..end])
            ));
            at = end;
            array = array.map(|_| ",]");
        } else {
            let end = (at..input.len())
                .find(|&i| input[i] == b'\n' && matches!(input.get(i + 1), Some(b'{' | b'[')));
            let bytes = &input[at..end.unwrap_or(input.len())];
            let length = bytes.iter().rposition(|b| !b" \n\r\t".contains(b));
            let bytes = &bytes[..length.map_or(0, |last| last + 1)];
            shown.push(format!("{at} {} | broken", String::from_utf8_lossy(bytes)));
            at = end.map_or(input.len(), |end| end + 1);
            resumed = resumed || array.is_some();
            array = None;
        }
    }
    if array.is_some() {
        shown.push(format!("{at}  | broken"));
    }
    shown
}

/// Pieces that make documents which are often, but not always, right.
fn document() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "{}",
        "{\"a\":1}",
        "{\"b\":\"x{y}\\\"\"}",
        "{\"é\":[1,2.5e3,{}]}",
        "{\n\"a\":\n{\"b\":null}\n}",
        "[",
        "]",
        ",",
        "{",
        "}",
        "\n",
        "\r\n",
        " ",
        "\"",
        "12",
        "true",
        "\\",
        "\"s\"",
        ":",
        "{\"a\":",
        "\n{\"c\":3}",
        "\n[",
        "\u{feff}",
        "nul",
        "-",
        "\t",
        "{\"k\":\"\\u12",
    ]);
    let byte = prop::sample::select(vec![0_u8, 0xc, 0x1f, b'{', b'"', 0x80, 0xc3, 0xa9, 0xff]);
    prop::collection::vec(
        prop_oneof![9 => piece.prop_map(|s| s.as_bytes().to_vec()), 1 => byte.prop_map(|b| vec![b])],
        0..14,
    )
    .prop_map(|pieces| pieces.concat())
}

/// The reference knows one reason for all broken stretches.
fn without_reasons(frames: Vec<String>) -> Vec<String> {
    frames
        .into_iter()
        .map(|frame| {
            let codes = [" | invalid_json", " | truncated", " | too_deep"];
            match codes.iter().find_map(|code| frame.strip_suffix(code)) {
                Some(stretch) => format!("{stretch} | broken"),
                None => frame,
            }
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn frames_are_those_of_the_reference(input in document()) {
        prop_assert_eq!(without_reasons(frames([input.as_slice()], MAX)), reference(&input));
    }

    #[test]
    fn no_cut_changes_the_frames(input in document(), limit in prop_oneof![Just(MAX), 1..40_usize]) {
        let whole = frames([input.as_slice()], limit);
        for cut in 0..=input.len() {
            let (head, tail) = input.split_at(cut);
            prop_assert_eq!(&frames([head, tail], limit), &whole, "cut at {}", cut);
        }
        for size in [1, 2, 3, 7] {
            prop_assert_eq!(&frames(input.chunks(size), limit), &whole, "chunks of {}", size);
        }
    }

    #[test]
    fn one_pass_gives_what_two_give(input in document(), size in 1..20_usize) {
        let mut inference = Inference::new(MAX_DEPTH);
        let mut expected = String::new();
        let mut framer = Framer::new(MAX, MAX_DEPTH);
        framer.push(&input);
        framer.finish();
        while let Some(frame) = framer.next().unwrap() {
            if frame.broken.is_none() {
                inference.observe(frame.bytes).unwrap();
            }
        }
        // The last column is left out, so that there are unknown fields.
        let schema = inference.schema();
        let kept: Vec<_> = schema.fields.iter().skip(1).cloned().collect();
        let schema = arrow::datatypes::Schema::new(kept);

        let mut columns = Columns::new(&schema, options()).unwrap();
        let mut framer = Framer::new(MAX, MAX_DEPTH);
        framer.push(&input);
        framer.finish();
        while let Some(frame) = framer.next().unwrap() {
            let result = match frame.broken {
                None => columns.append(frame.bytes),
                Some(broken) => Err(RecordError::Broken(broken)),
            };
            writeln!(expected, "{} {:?} {result:?}", frame.offset, frame.bytes).unwrap();
        }
        let expected_rows = columns.finish().unwrap();

        let mut actual = String::new();
        let mut framer = Framer::new(MAX, MAX_DEPTH);
        for chunk in input.chunks(size).map(Some).chain([None]) {
            match chunk {
                Some(chunk) => framer.push(chunk),
                None => framer.finish(),
            }
            while let Some(filled) = framer.next_into(&mut columns).unwrap() {
                writeln!(actual, "{} {:?} {:?}", filled.offset, filled.bytes, filled.result).unwrap();
            }
        }
        prop_assert_eq!(actual, expected);
        prop_assert_eq!(columns.finish().unwrap(), expected_rows);
    }
}
