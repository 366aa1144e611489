//! Stripes that contradict themselves, and large ones.

use super::*;

/// A run of so many ones, as integers without a sign.
const ONES: [u8; 3] = [0, 0, 1];

#[test]
fn stripes_that_contradict_themselves() {
    stated(
        "A stripe whose streams have fewer nulls, lengths or scales than it has values, a text that is cut off, a row or a key that is null, a decimal of another scale or of more digits than its type, a number beyond its type, and a stream that is there twice or of an unknown kind refuse an ORC file by the stripe.",
    );
    let number = |rows, streams: &[(u32, i32, &[u8])], change: fn(&mut proto::StripeFooter)| {
        file(vec![root(&[1]), of_kind(2, &[])], rows, streams, change)
    };
    let text =
        |streams: &[(u32, i32, &[u8])]| file(vec![root(&[1]), of_kind(7, &[])], 3, streams, |_| {});
    let none = |_: &mut proto::StripeFooter| {};
    // Signed integers 0, and the bits 101.
    let (zeros, bits): (&[u8], &[u8]) = (&[0, 0, 0], &[0xff, 0b1010_0000]);
    assert_eq!(
        read(&number(3, &[(1, 1, zeros)], none)).unwrap(),
        ["0", "0", "0"]
    );
    let with_null = &[(1, 0, bits), (1, 1, &[0xfe, 0, 2][..])];
    assert_eq!(read(&number(3, with_null, none)).unwrap(), ["0", "-", "1"]);
    assert_eq!(
        read(&text(&[(1, 1, b"abc"), (1, 2, &ONES)])).unwrap(),
        ["a", "b", "c"]
    );
    for (object, says) in [
        (
            number(30, &[(1, 0, bits), (1, 1, zeros)], none),
            "which values are null",
        ),
        (
            number(3, &[(0, 0, bits), (1, 1, zeros)], none),
            "a row of it is null",
        ),
        (number(4, &[(1, 1, zeros)], none), "not enough values"),
        // 40,000 in a `smallint`.
        (
            number(3, &[(1, 1, &[0, 0, 0x80, 0xf1, 0x04])], none),
            "stripe 0: column 1",
        ),
        (
            number(3, &[(1, 1, zeros), (1, 1, zeros)], none),
            "a stream twice",
        ),
        (number(3, &[(1, 1, zeros), (1, 9, zeros)], none), "kind 9"),
        (
            number(3, &[(1, 1, zeros)], |footer| {
                footer.columns[1].kind = Some(3);
            }),
            "the encoding 3",
        ),
        (
            number(3, &[(1, 1, zeros)], |footer| footer.columns.truncate(1)),
            "does not have the columns",
        ),
        (
            number(3, &[(1, 1, zeros)], |footer| {
                footer.streams[0].length = Some(99);
            }),
            "streams are longer",
        ),
        (text(&[(1, 1, b"ab"), (1, 2, &ONES)]), "a text is cut off"),
        (
            text(&[(1, 1, b"ab"), (1, 2, &[0xff, 1])]),
            "a length is missing",
        ),
        (
            text(&[(1, 1, b"abc"), (1, 2, &[0, 0xff, 1])]),
            "a length is negative",
        ),
        (text(&[(1, 1, b"a\xffc"), (1, 2, &ONES)]), "stripe 0"),
    ] {
        let found = refusal(&object);
        assert!(found.contains(says), "{found}, not {says}");
    }
}

#[test]
fn decimals_and_maps_that_contradict_themselves() {
    stated(
        "A stripe whose streams have fewer nulls, lengths or scales than it has values, a text that is cut off, a row or a key that is null, a decimal of another scale or of more digits than its type, a number beyond its type, and a stream that is there twice or of an unknown kind refuse an ORC file by the stripe.",
    );
    let decimal = |streams: &[(u32, i32, &[u8])]| {
        let decimal = proto::Type {
            precision: Some(3),
            scale: Some(1),
            ..of_kind(14, &[])
        };
        file(vec![root(&[1]), decimal], 3, streams, |_| {})
    };
    let map = |streams: &[(u32, i32, &[u8])]| {
        let types = [
            root(&[1]),
            of_kind(11, &[2, 3]),
            of_kind(1, &[]),
            of_kind(1, &[]),
        ];
        file(types.to_vec(), 3, streams, |_| {})
    };
    let (bytes, bits): (&[u8], &[u8]) = (&[0, 7], &[0xff, 0b1010_0000]);
    // 0.1 with the scale 1, and 2 with the scale 0.
    let decimals = &[(1, 1, &[2, 4, 1][..]), (1, 5, &[0xfd, 2, 0, 2])];
    assert_eq!(read(&decimal(decimals)).unwrap(), ["0.1", "2.0", "-0.1"]);
    let maps: &[(u32, i32, &[u8])] = &[(1, 2, &ONES), (2, 1, bytes), (3, 1, bytes)];
    assert_eq!(read(&map(maps)).unwrap().len(), 3);
    for (object, says) in [
        (
            decimal(&[(1, 1, &[2, 4, 1]), (1, 5, &[0xfe, 2, 0])]),
            "lacks its scale",
        ),
        (
            decimal(&[(1, 1, &[2, 4, 1]), (1, 5, &[0xfd, 2, 0, 4])]),
            "lacks its scale",
        ),
        (
            decimal(&[(1, 1, &[2, 0xc8, 0x01, 1]), (1, 5, &[0xfd, 2, 0, 2])]),
            "stripe 0: column 1",
        ),
        (
            map(&[(1, 2, &ONES), (2, 0, bits), (2, 1, bytes), (3, 1, bytes)]),
            "a key of a map is null",
        ),
    ] {
        let found = refusal(&object);
        assert!(found.contains(says), "{found}, not {says}");
    }
}

#[test]
fn sizes() {
    stated(
        "A footer of more than `limits.parquet_footer` bytes, a stripe of more than `limits.parquet_row_group` bytes of values, or of more than an eighth of the function's memory, but at least 16 MiB, decompressed, and a row that may have more than `limits.record_size` bytes refuse an ORC file, each by its limit.",
    );
    stated(
        "Rows of an ORC file come in batches of at most 8,192 rows and about 8 MiB, even if a long text of a dictionary is in every row.",
    );
    let with = |limits: Limits, room| {
        let file = OrcFile::open(Bytes::from_static(ORDERS), &limits, room)?;
        shown(file)
    };
    let small = |footer, row_group| Limits {
        parquet_footer: Size(footer),
        parquet_row_group: Size(row_group),
        ..Limits::default()
    };
    assert!(with(small(10_000, 10_000), 1_000).is_ok());
    for (limits, room, says) in [
        (small(100, 10_000), 1_000, "the ORC footer has"),
        (small(10_000, 50), 1_000, "stripe 0 has"),
        (small(10_000, 10_000), 50, "more than 50 bytes decompressed"),
    ] {
        let found = with(limits, room).unwrap_err().to_string();
        assert!(found.contains(says), "{found}");
    }
    // Ten thousand rows that are all the text of 100,000 bytes in a dictionary.
    let long = vec![b'x'; 100_000];
    let rows = 130 * 77;
    let dictionary = |footer: &mut proto::StripeFooter| {
        footer.columns[1] = proto::ColumnEncoding {
            kind: Some(1),
            dictionary_size: Some(1),
            ..proto::ColumnEncoding::default()
        };
    };
    let indexes = [127, 0, 0].repeat(77);
    let length: &[u8] = &[0xff, 0xa0, 0x8d, 0x06];
    let streams = &[(1, 1, &indexes[..]), (1, 2, length), (1, 3, &long)];
    let object = file(vec![root(&[1]), of_kind(7, &[])], rows, streams, dictionary);
    let opened = open(&object).unwrap();
    let table = opened.schema();
    let read = opened.read_columns(&table, Policy::Fail, Policy::Fail, Box::new(|_| None));
    let mut batches = read.unwrap();
    let first = batches.next().unwrap().unwrap();
    assert_eq!(first.batch.num_rows(), 16);
    // A dictionary may say that it has any number of entries, whose lengths are few bytes.
    let entries = |footer: &mut proto::StripeFooter| {
        dictionary(footer);
        footer.columns[1].dictionary_size = Some(u32::MAX);
    };
    let object = file(vec![root(&[1]), of_kind(7, &[])], rows, streams, entries);
    let found = refusal(&object);
    assert!(found.contains("more than 16777216 bytes"), "{found}");
    // A list in a row may say that it has any number of elements.
    let types = vec![root(&[1]), of_kind(10, &[2]), of_kind(0, &[])];
    for (length, says) in [
        (
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f][..],
            "stripe 0 has 9223372036854775",
        ),
        (
            &[0xff, 0x80, 0x80, 0x80, 0x10],
            "a row of stripe 0 may have",
        ),
    ] {
        let found = refusal(&file(types.clone(), 1, &[(1, 2, length)], |_| {}));
        assert!(found.contains(says), "{found}");
    }
}
