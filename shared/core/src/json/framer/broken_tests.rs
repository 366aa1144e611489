use crate::{
    json::framer::tests::{MAX, frames},
    semantics::stated,
};

#[test]
fn a_broken_record_loses_itself_alone() {
    stated(
        "A record whose strings and brackets balance, but which is not JSON, ends at its closing bracket, and what follows is read.",
    );
    for broken in [
        "{\"a\":NaN}",
        "{\"a\":-Infinity,\"b\":{\"c\":[1,2,{}]}}",
        "{\"a\":1,}",
        "{\"a\":[1,2,],}",
        "{\"a\":1,,\"b\":2}",
        "{a:1}",
        "{\"a\":undefined}",
        "{\"a\":None,\"b\":True}",
        "{\"a\":01}",
        "{\"a\":\"\\x41 } ] { \"}",
        "{\"a\":\"\t}{\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":}",
        "{\n  \"a\": .5,\n  \"b\": {\n \"c\": 1 } }",
    ] {
        for between in ["", "\n", " ", "\r\n"] {
            let input =
                format!("{{\"i\":1}}{between}{broken}{between}{{\"i\":2}}{between}{{\"i\":3}}");
            let at = 7 + between.len();
            let next = at + broken.len() + between.len();
            assert_eq!(
                frames([input.as_bytes()], MAX),
                [
                    "0 {\"i\":1}".to_owned(),
                    format!("{at} {broken} | invalid_json"),
                    format!("{next} {{\"i\":2}}"),
                    format!("{} {{\"i\":3}}", next + 7 + between.len()),
                ]
            );
        }
    }
    stated(
        "Where strings or brackets do not balance, a broken record ends before the first newline that `{` or `[` follows at once, or with the input; what is before that is set aside as one record, and everything after it is read. So a line that is cut short loses only itself.",
    );
    for broken in [
        "{\"a\":\"x",
        "{\"a\":{\"b\":1",
        "{\"a\":",
        "{\"a\":\"he said \"hi\", ok\",\"b\":\"}\"}",
        "{'a':'}{'}",
        "{\"a\":1]",
        "{\"a\":1 /* } */}",
        "{\"a\" \"b\"}",
        "{\"a\":[{\"b\":1}",
    ] {
        let input = format!("{broken}\n{{\"i\":2}}\n{{\"i\":3}}\n");
        let frames = frames([input.as_bytes()], MAX);
        assert_eq!(frames.len(), 3, "{frames:?}");
        assert_eq!(frames[0], format!("0 {broken} | invalid_json"));
    }
}

#[test]
fn bytes_that_begin_no_value() {
    stated(
        "Bytes that begin no value end where the next whole record begins: one that follows neither a quote, a colon, a comma nor a backslash, and that the end, a newline or another record follows; a comma alone between two records is such bytes too.",
    );
    for (input, expected) in [
        (
            "junk{\"i\":1}",
            &["0 junk | invalid_json", "4 {\"i\":1}"][..],
        ),
        (
            "{\"i\":1}}{\"i\":2}{\"i\":3}",
            &[
                "0 {\"i\":1}",
                "7 } | invalid_json",
                "8 {\"i\":2}",
                "15 {\"i\":3}",
            ],
        ),
        (
            "{\"i\":1},{\"i\":2},\n{\"i\":3}",
            &[
                "0 {\"i\":1}",
                "7 , | invalid_json",
                "8 {\"i\":2}",
                "15 , | invalid_json",
                "17 {\"i\":3}",
            ],
        ),
        (
            "INFO {\"i\":1}\nWARN {\"i\":2}\n",
            &[
                "0 INFO | invalid_json",
                "5 {\"i\":1}",
                "13 WARN | invalid_json",
                "18 {\"i\":2}",
            ],
        ),
        // Parts of a record whose beginning is lost.
        (
            "b\":{\"c\":1}}\n{\"i\":2}",
            &["0 b\":{\"c\":1}} | invalid_json", "12 {\"i\":2}"],
        ),
        (
            "b\":[{\"c\":1},{\"d\":2}]}{\"i\":2}",
            &[
                "0 b\":[{\"c\":1},{\"d\":2}]} | invalid_json",
                "21 {\"i\":2}",
            ],
        ),
        (
            ",{\"c\":1},{\"d\":2}]}\n{\"i\":2}",
            &["0 ,{\"c\":1},{\"d\":2}]} | invalid_json", "19 {\"i\":2}"],
        ),
        (
            "x {\"a\":NaN} {\"i\":2}",
            &["0 x {\"a\":NaN} | invalid_json", "12 {\"i\":2}"],
        ),
    ] {
        assert_eq!(frames([input.as_bytes()], MAX), expected, "{input}");
    }
}

#[test]
fn what_is_no_text_is_set_aside_whole() {
    stated(
        "A broken stretch that is not text, because it is not UTF-8 or has control characters, ends only before a line that is a whole record and that the end or another line of a record follows, so that nothing inside it is taken for a row.",
    );
    // An aggregate of the Kinesis Producer Library: the length of a record in it is a newline.
    let aggregate = b"\xf3\x89\x9a\xc2\x0a\x01k\x1a\x0e\x08\x00\x1a\x09{\"t\":12}\x1a\x0e\x08\x00\x1a\n{\"t\":1234}\x1a\x0e\x08\x00\x1a\x09{\"t\":56}\xd4\x1d\x8c\xd9\x8f\x00\xb2\x04";
    let mut input = b"{\"i\":1}\n".to_vec();
    input.extend_from_slice(aggregate);
    input.extend_from_slice(b"\n{\"i\":2}\n{\"i\":3}\n");
    let found = frames([input.as_slice()], MAX);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found[1].starts_with("8 ") && found[1].ends_with(" | invalid_json"));
    assert_eq!(found[2], format!("{} {{\"i\":2}}", 9 + aggregate.len()));
    let nothing = frames([&aggregate[..]], MAX);
    assert_eq!(nothing.len(), 1, "{nothing:?}");
}

#[test]
fn an_array_that_is_not_closed() {
    stated(
        "A record that the input ends inside of is set aside as truncated, and a top-level array that is not closed, where the input ends or something else than a comma comes before the next object or array, leaves an empty truncated record there; what comes next is read.",
    );
    for (input, expected) in [
        (
            "[1\n{\"i\":1}\n{\"i\":2}",
            &[
                "1 1 | not_an_object",
                "3  | truncated",
                "3 {\"i\":1}",
                "11 {\"i\":2}",
            ][..],
        ),
        (
            "[{\"i\":1}\n{\"i\":2}\n",
            &["1 {\"i\":1}", "9  | truncated", "9 {\"i\":2}"],
        ),
        (
            "[\"x\"\n{\"i\":1}",
            &["1 \"x\" | not_an_object", "5  | truncated", "5 {\"i\":1}"],
        ),
        (
            "[{\"i\":1}\n[{\"i\":2}]\n{\"i\":3}",
            &[
                "1 {\"i\":1}",
                "9  | truncated",
                "10 {\"i\":2}",
                "19 {\"i\":3}",
            ],
        ),
        (
            "[1,\n{\"i\":1}",
            &["1 1 | not_an_object", "4 {\"i\":1}", "11  | truncated"],
        ),
        ("[\n{\"i\":1}", &["2 {\"i\":1}", "9  | truncated"]),
        (
            "[{\"i\":1}x\n{\"i\":2}",
            &["1 {\"i\":1}", "8 x | invalid_json", "10 {\"i\":2}"],
        ),
        (
            "[{\"i\":NaN},{\"i\":2}]{\"i\":3}",
            &[
                "1 {\"i\":NaN} | invalid_json",
                "11 {\"i\":2}",
                "19 {\"i\":3}",
            ],
        ),
    ] {
        assert_eq!(frames([input.as_bytes()], MAX), expected, "{input}");
    }
}
