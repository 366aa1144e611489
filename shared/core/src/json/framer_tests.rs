#[path = "framer_properties.rs"]
mod properties;

use std::fmt::Write;

use super::*;
use crate::{
    json::{Inference, MAX_DEPTH, tests::options},
    semantics::stated,
};

/// A frame as text: its offset, its bytes, and why it is broken.
fn show(frame: &Frame<'_>) -> String {
    let bytes = String::from_utf8_lossy(frame.bytes);
    match frame.broken {
        None => format!("{} {bytes}", frame.offset),
        Some(broken) => format!("{} {bytes} | {}", frame.offset, broken.reason().code()),
    }
}

/// The frames of chunks; a frame error is the last line.
pub(super) fn frames<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    max_record: usize,
) -> Vec<String> {
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
        framer.push(&mut Chunk::of(chunk));
        if !drain(&mut framer) {
            return shown;
        }
    }
    framer.finish();
    drain(&mut framer);
    shown
}

pub(super) const MAX: usize = 1 << 20;

/// Inputs and their frames.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("", &[]),
    (" \r\n\t", &[]),
    ("{}", &["0 {}"]),
    ("{\"a\":1}\n{\"a\":2}\n", &["0 {\"a\":1}", "8 {\"a\":2}"]),
    (
        "\\n{\"a\":1}\\n{\"a\":\"\\n\"}\\n\\n\n[{\"a\":2}]\\n",
        &["2 {\"a\":1}", "11 {\"a\":\"\\n\"}", "27 {\"a\":2}"],
    ),
    // Not in an array, and nothing else after a backslash.
    (
        "[{\"a\":1}\\n]\n{\"b\":1}\\r{\"b\":2}\\",
        &[
            "1 {\"a\":1}",
            "8 \\n] | invalid_json",
            "12 {\"b\":1}",
            "19 \\r{\"b\":2}\\ | invalid_json",
        ],
    ),
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
    ("[{} {}]", &["1 {}", "4  | truncated", "4 {}"]),
    (
        "[\n{\"a\":1},\n{\"a\":x},\n{\"a\":3},\n{\"a\":4}\n]\n{\"b\":1}",
        &[
            "2 {\"a\":1}",
            "11 {\"a\":x} | invalid_json",
            "20 {\"a\":3}",
            "29 {\"a\":4}",
            "39 {\"b\":1}",
        ],
    ),
    (
        "[{\"a\":1},{\"a\n[{\"b\":1}]\n",
        &["1 {\"a\":1}", "9 {\"a | invalid_json", "14 {\"b\":1}"],
    ),
    // Values that are not objects.
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
    ("{},{}", &["0 {}", "2 , | invalid_json", "3 {}"]),
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
            "0 {\"a\":1,,} | invalid_json",
            "12 {\"inner\":1}",
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
            "4 {\"a\":x} | invalid_json",
            "11 \u{c}\n \n\u{c} | invalid_json",
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
        "The two characters `\\` and `n` between records separate them, as producers write that escape a newline once too often; inside a record they are what JSON says.",
    );
    stated(
        "Records are JSON objects: one a line, one after the other with nothing between, spread over lines, or the elements of top-level arrays, in any mixture.",
    );
    stated(
        "Lines may end with a carriage return and a newline, and a byte order mark at the start is skipped.",
    );
    stated("A value that is not an object is set aside alone, and reading continues after it.");
    stated(
        "A record that the input ends inside of is set aside as truncated, and a top-level array that is not closed, where the input ends or something else than a comma comes before the next object or array, leaves an empty truncated record there; what comes next is read.",
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
        "A record nested deeper than the limit, itself included, is set aside, and reading continues after it.",
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
    stated(
        "A record longer than `limits.record_size` refuses the object, and a broken stretch longer than that is set aside in pieces of that size.",
    );
    let record = "{\"a\":\"0123456789\"}";
    let limit = record.len();
    let twice = format!("{record}\n{record}\n");
    assert_eq!(frames([twice.as_bytes()], limit).len(), 2);
    assert_eq!(
        frames([twice.as_bytes()], limit - 1),
        ["the record at byte 0 is longer than 17 bytes"]
    );
    let truncated = &record[..limit - 1];
    assert!(frames([truncated.as_bytes()], limit - 1)[0].ends_with("| truncated"));
    assert_eq!(
        frames([truncated.as_bytes()], limit - 2),
        ["the record at byte 0 is longer than 16 bytes"]
    );
    let pieces = [
        (
            "{\"a\":x,01234567}\n{}",
            vec![
                "0 {\"a\":x,0 | invalid_json",
                "8 1234567} | invalid_json",
                "17 {}",
            ],
        ),
        (
            "{\"a\":x'\n  \n     \n{}",
            vec!["0 {\"a\":x' | invalid_json", "17 {}"],
        ),
        (
            "aaaaaaaébb\n{}",
            vec!["0 aaaaaaa | invalid_json", "7 ébb | invalid_json", "12 {}"],
        ),
        (
            "aaaaaaaabbbbbbbbc{} ",
            vec![
                "0 aaaaaaaa | invalid_json",
                "8 bbbbbbbb | invalid_json",
                "16 c | invalid_json",
                "17 {}",
            ],
        ),
    ];
    for (input, expected) in pieces {
        assert_eq!(frames([input.as_bytes()], 8), expected, "{input}");
    }
}

#[test]
fn a_long_record_in_small_chunks_is_not_read_over_and_over() {
    let record = format!("{{\"a\":[{}1]}}", "1,".repeat(1 << 19));
    let frames = frames(record.as_bytes().chunks(7), MAX + 100);
    assert_eq!(frames, [format!("0 {record}")]);
}
