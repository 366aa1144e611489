//! Compares the framer with a reference implementation on generated documents.

use proptest::prelude::*;

use super::*;

/// A slow and simple reference: it sees the whole document, and `serde_json` decides what is valid.
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
    // `None` at top level; in an array, what may follow: `v`alue, `,`, `]`.
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

/// Fragments that often, but not always, form valid documents.
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

/// The reference has one reason for all broken stretches.
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
