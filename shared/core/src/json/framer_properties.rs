//! Compares the framer with a reference implementation on generated documents.

use proptest::prelude::*;

use super::*;

/// The end of the value at `start`, and the value.
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

/// The end of the bracket at `start`, token by token.
fn closed(input: &[u8], start: usize) -> Option<usize> {
    let (mut open, mut at, mut before) = (String::new(), start, ':');
    if !matches!(input[start], b'{' | b'[') {
        return None;
    }
    loop {
        let token = *input.get(at)? as char;
        at += 1;
        if token.is_ascii_whitespace() && token != '\u{c}' {
            continue;
        }
        let may_begin = "{[,:".contains(before);
        match token {
            '"' if may_begin => loop {
                match *input.get(at)? {
                    b'"' => break at += 1,
                    b'\n' => return None,
                    b'\\' => at += 2,
                    _ => at += 1,
                }
            },
            '{' | '[' if may_begin && before != '{' => open.push(token),
            '}' | ']' => {
                let opening = open.pop()?;
                if (opening == '{') != (token == '}') {
                    return None;
                }
                if open.is_empty() {
                    return Some(at);
                }
            }
            ',' | ':' => {}
            _ if (token.is_ascii_alphanumeric() || "_+-.".contains(token))
                && !"\"}]".contains(before) => {}
            _ => return None,
        }
        before = token;
    }
}

/// Whether a record begins at `place` that ends the broken stretch from `start`.
fn begins(input: &[u8], start: usize, place: usize) -> bool {
    if !matches!(input[place], b'{' | b'[') {
        return false;
    }
    let line = input[place - 1] == b'\n' && place - 1 > start;
    let end = if line { place - 1 } else { place };
    let text = str::from_utf8(&input[start..end])
        .is_ok_and(|text| text.chars().all(|c| c >= ' ' || "\t\n\r\u{c}".contains(c)));
    // Not inside of a value that was passed over.
    let inside = (start + 1..place).any(|earlier| {
        let lines = matches!(input[start], b'{' | b'[' | b'"') || !text;
        let is_candidate = matches!(input[earlier], b'{' | b'[')
            && (!lines || input[earlier - 1] == b'\n' && earlier - 1 > start);
        is_candidate && value_end(input, earlier).is_some_and(|(end, _)| end > place)
    });
    if line && text {
        return !inside;
    }
    if !line && (!text || matches!(input[start], b'{' | b'[' | b'"')) {
        return false;
    }
    let Some((end, _)) = value_end(input, place) else {
        return false;
    };
    let space = |b: &&u8| b" \n\r\t".contains(*b);
    let after: Vec<u8> = input[end..].iter().take_while(space).copied().collect();
    let newline = after.contains(&b'\n');
    let mut before = input[start..place].iter().rev().skip_while(space);
    let last = before.next();
    let comma = last == Some(&b',') && before.next().is_none() && start > 0;
    let follows = match input.get(end + after.len()) {
        None => true,
        Some(b'{' | b'[') => !line || newline,
        Some(b',') => comma,
        Some(b'}' | b']') => false,
        Some(_) => !line && newline,
    };
    let between = line || comma || !last.is_some_and(|b| b"\":,\\".contains(b));
    !inside && follows && between
}

/// A slow and simple reference: it sees the whole document, and `serde_json` decides what is valid.
fn reference(input: &[u8]) -> Vec<String> {
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
        if array.is_none() && input[at..].starts_with(b"\\n") {
            at += 2;
            continue;
        }
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
        } else if matches!(byte, b'{' | b'[') && array.is_some_and(|allowed| !allowed.contains('v'))
        {
            shown.push(format!("{at}  | broken"));
            (array, resumed) = (None, true);
        } else {
            let (end, next, is_closed) = if let Some(end) = closed(input, at) {
                (end, end, true)
            } else {
                let next = (at + 1..input.len()).find(|&place| begins(input, at, place));
                let line = next.is_some_and(|next| input[next - 1] == b'\n' && next - 1 > at);
                let next = next.unwrap_or(input.len());
                (if line { next - 1 } else { next }, next, false)
            };
            let bytes = &input[at..end];
            let length = bytes.iter().rposition(|b| !b" \n\r\t".contains(b));
            let bytes = &bytes[..length.map_or(0, |last| last + 1)];
            shown.push(format!("{at} {} | broken", String::from_utf8_lossy(bytes)));
            at = next;
            if is_closed && array.is_some() {
                array = Some(",]");
            } else {
                resumed = resumed || array.is_some();
                array = None;
            }
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
        "\\n",
        "{\"a\":\"\\n\"}\\n",
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
        framer.push(&mut Chunk::of(&input));
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
        framer.push(&mut Chunk::of(&input));
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
                Some(chunk) => framer.push(&mut Chunk::of(chunk)),
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
