use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

use super::*;
use crate::semantics::stated;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A text in each of the four encodings, with its name.
fn encoded(text: &str) -> [(&'static str, Vec<u8>); 4] {
    let units = || text.encode_utf16();
    let characters = || text.chars().map(u32::from);
    [
        ("UTF-16LE", units().flat_map(u16::to_le_bytes).collect()),
        ("UTF-16BE", units().flat_map(u16::to_be_bytes).collect()),
        (
            "UTF-32LE",
            characters().flat_map(u32::to_le_bytes).collect(),
        ),
        (
            "UTF-32BE",
            characters().flat_map(u32::to_be_bytes).collect(),
        ),
    ]
}

fn found(bytes: &[u8]) -> String {
    NotText::find(bytes).map_or_else(String::new, |not| not.to_string())
}

const TEXTS: [&str; 9] = [
    "id,name\n1,Anna\n",
    "{\"id\":1,\"name\":\"Zürich\"}\r\n",
    "1",
    "\n1,2\n",
    "\t",
    "列,値\n1,東京都\n2,大阪府\n",
    "{\"街\":\"上海\",\"t\":1}",
    "a,😀\n",
    // In UTF-16BE a quote of UTF-16LE, among characters of which none is of ASCII.
    "id,name,✀\u{ffff}\n",
];

#[test]
fn encodings() {
    stated(
        "An object of text that is UTF-16 or UTF-32, by its byte order mark or by its zeros, or begins with NULs, is refused by every job by that name.",
    );
    for text in TEXTS {
        for (name, bytes) in encoded(text) {
            assert!(
                found(&bytes).contains(&format!("{name} (by its zeros)")),
                "{name} {text:?}: {}",
                found(&bytes)
            );
        }
        for (name, bytes) in encoded(&format!("\u{feff}{text}")) {
            assert!(
                found(&bytes).contains(&format!("{name} (by its byte order mark)")),
                "{name} {text:?}: {}",
                found(&bytes)
            );
        }
    }
    // A long one, cut anywhere.
    let long = "2026-05-01T10:00:00Z,😀 ünï,15\n".repeat(100);
    for (name, bytes) in encoded(&long) {
        let head = &bytes[..HEAD];
        assert!(found(head).contains(name), "{name}");
    }
    for nuls in [&b"\0"[..], b"\0\0", &[0; HEAD], b"\0\0\0\0\0{\"a\":1}\n"] {
        assert!(found(nuls).contains("NULs"), "{nuls:?}: {}", found(nuls));
    }
}

#[test]
fn other_formats() {
    stated(
        "An object of text that is a Parquet, ORC, Avro or Arrow file, an archive, or a stream of xz, LZ4 or another compression that is not read, and one that is compressed more than twice, is refused by every job by that name.",
    );
    let again = [
        gzip(b"x"),
        zstd::encode_all(&b"x"[..], 1).unwrap(),
        b"\xff\x06\x00\x00sNaPpY".to_vec(),
        b"BZh91AY&SY\0".to_vec(),
    ];
    for (bytes, codec) in again.iter().zip(["gzip", "zstd", "framed snappy", "bzip2"]) {
        assert!(
            found(bytes).contains(&format!(
                "compressed more than twice: what comes out of it is {codec} again"
            )),
            "{codec}: {}",
            found(bytes)
        );
    }
    for format in FORMATS {
        let mut bytes = vec![0; format.at];
        bytes.extend_from_slice(format.magic);
        bytes.extend_from_slice(b"\x15\x02");
        let found = found(&bytes);
        assert!(found.contains(format.name), "{}: {found}", format.name);
    }
    // These are texts, if odd ones.
    for text in [
        "PAR1,PAR2\n1,2\n",
        "ORC\n",
        "ORC,elf\n1,2\n",
        "SEQ,1\n",
        "",
        "{}",
        "\u{feff}id\n",
        "PK,FK\n",
        "a\0,b\n",
        "ab,c\0\n",
        "id,name\n1,\"a\0b\"\n",
        "\r\n\r\n",
        "ÿþ",
    ] {
        assert_eq!(found(text.as_bytes()), "", "{text:?}");
    }
    // An aggregate of Kinesis, and text in Latin-1, are broken records.
    for bytes in [
        &b"\xf3\x89\x9a\xc2\x0a\x01a\x1a\x08\x08\0\x1a\x04\x0a\x02{}"[..],
        b"name,city\nAnna,Z\xfcrich\n",
        b"\xa0\x0c\xfeM{\"a\":1}",
    ] {
        assert_eq!(found(bytes), "");
    }
}

#[test]
fn what_is_there_instead_of_parquet() {
    for (bytes, said) in [
        (gzip(b"x"), Some("it is a gzip stream")),
        (b"ORC\x0a\x03".to_vec(), Some("it is an ORC file")),
        (b"PAR1\x15\x02".to_vec(), Some("it was not written whole")),
        (
            b"\x04\x22\x4d\x18\x40".to_vec(),
            Some("compressed with LZ4"),
        ),
        (b"{\"a\":1}\n".to_vec(), Some("it is text")),
        (
            "é".repeat(700).into_bytes()[..1023].to_vec(),
            Some("it is text"),
        ),
        (
            encoded("a,b\n")[0].1.clone(),
            Some("it is text in UTF-16LE"),
        ),
        (b"\x01\x02\x03".to_vec(), None),
        (Vec::new(), None),
    ] {
        let found = instead_of_parquet(&bytes);
        match (&found, said) {
            (None, None) => {}
            (Some(found), Some(said)) => assert!(found.contains(said), "{found}"),
            _ => panic!("{found:?} {said:?}"),
        }
    }
}

proptest! {
    /// Text without control characters is never taken for something else, and the encodings always are.
    #[test]
    fn text_is_text(text in "[^\u{0}-\u{8}\u{e}-\u{1f}\u{7f}\u{fffe}\u{feff}\u{40000}-\u{10ffff}]{1,80}") {
        prop_assert_eq!(found(text.as_bytes()), "");
        // The name of a column, in each encoding.
        for (name, bytes) in encoded(&format!("id,name,{text}\n")) {
            let found = found(&bytes);
            prop_assert!(found.contains(name) || text.len() > 20, "{} {}", name, found);
        }
    }

    #[test]
    fn pieces_do_not_matter(bytes: Vec<u8>, cut in 1..50_usize) {
        let mut head = Head::default();
        let mut result = Ok(());
        for piece in bytes.chunks(cut) {
            result = result.and_then(|()| head.push(Some(piece)));
        }
        result = result.and_then(|()| head.push(None));
        let first = &bytes[..bytes.len().min(HEAD)];
        prop_assert_eq!(result.err(), NotText::find(first));
    }
}
