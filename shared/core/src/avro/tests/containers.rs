//! Headers and blocks: right, broken, and cut into chunks.

use super::*;

const NUMBERS: &str = r#"{"type":"record","name":"r","fields":[{"name":"n","type":"long"},{"name":"s","type":"string"}]}"#;

fn row(n: i64, s: &str) -> Bytes {
    Bytes::default().long(n).bytes(s.as_bytes())
}

#[test]
fn what_contradicts_the_format() {
    stated(
        "A block that another sync marker than the header's follows, or that holds another number of records than it says, a record that is not of the schema, and a decimal of more digits than its type refuse the object by the block's offset.",
    );
    stated("Whatever the bytes of an Avro file are, reading it ends in rows or in an error.");
    let start = header(NUMBERS, "null").0;
    let one = row(1, "one").0;
    let good = block(1, &one);
    let with = |blocks: &[&[u8]]| [&start[..], &blocks.concat()].concat();
    let negative = Bytes::default().long(-1).bytes(&one).raw(SYNC).0;
    let negative_size = Bytes::default().long(1).long(-5).raw(SYNC).0;
    let endless = [&[0xff; 10][..], SYNC].concat();
    let mut other_sync = good.clone();
    *other_sync.last_mut().unwrap() ^= 1;
    let rest = (start.len() + good.len()) as u64;
    for (name, blocks, says) in [
        ("no block", &[][..], None),
        ("two blocks", &[&good[..], &good[..]], None),
        ("an empty block", &[&block(0, b""), &good], None),
        ("another sync", &[&good, &other_sync], Some("sync marker")),
        (
            "a record too few",
            &[&good, &block(2, &one)],
            Some("varint"),
        ),
        (
            "a record too many",
            &[&good, &block(1, &one.repeat(2))],
            Some("longer than its records"),
        ),
        (
            "bytes without records",
            &[&good, &block(0, &one)],
            Some("another number of records"),
        ),
        (
            "more records than bytes",
            &[&good, &block(9, &one)],
            Some("another number of records"),
        ),
        ("a negative count", &[&good, &negative], Some("is negative")),
        (
            "a negative size",
            &[&good, &negative_size],
            Some("is negative"),
        ),
        (
            "a long number",
            &[&good, &endless],
            Some("more than … bits"),
        ),
        (
            "no text",
            &[&good, &block(1, &row(1, "").long(1).raw(b"\xff").0)],
            Some("longer than its records"),
        ),
        (
            "no UTF-8",
            &[&good, &block(1, &Bytes::default().long(1).bytes(b"\xff").0)],
            Some("UTF-…"),
        ),
        (
            "a string too long",
            &[&good, &block(1, &Bytes::default().long(1).long(99).0)],
            Some("EOF"),
        ),
        (
            "a negative string",
            &[&good, &block(1, &Bytes::default().long(1).long(-99).0)],
            Some("offset overflow"),
        ),
    ] {
        let found = read(&with(blocks));
        match says {
            None => assert!(found.is_ok(), "{name}: {found:?}"),
            Some(says) => {
                let error = found.unwrap_err();
                assert!(error.to_string().contains(says), "{name}: {error}");
                let AvroError::Corrupt { offset, .. } = error else {
                    panic!("{name}: {error}");
                };
                // The rows before it are decoded with those of a block whose text is none.
                let expected = if name == "no UTF-8" {
                    start.len() as u64
                } else {
                    rest
                };
                assert_eq!(offset, expected, "{name}");
            }
        }
    }
}

#[test]
fn every_cut() {
    stated(
        "An Avro object that ends inside its header or a block is refused as truncated; one that ends between two blocks is whole, because the format has no end of its own.",
    );
    let start = header(NUMBERS, "null").0;
    let good = block(1, &row(1, "one").0);
    let whole = [&start[..], &good, &good].concat();
    for cut in 0..whole.len() {
        let found = read(&whole[..cut]);
        let between = cut >= start.len() && (cut - start.len()).is_multiple_of(good.len());
        assert_eq!(found.is_ok(), between, "{cut}: {found:?}");
        if cut > 4 && !between {
            let error = found.unwrap_err();
            assert!(
                matches!(error, AvroError::Truncated { .. }),
                "{cut}: {error}"
            );
        }
    }
}

#[test]
fn digits() {
    stated(
        "A block that another sync marker than the header's follows, or that holds another number of records than it says, a record that is not of the schema, and a decimal of more digits than its type refuse the object by the block's offset.",
    );
    let digits = record(
        r#"{"name":"d","type":{"type":"array","items":{"type":"bytes","logicalType":"decimal","precision":2}}}"#,
    );
    let list = |bytes: &[u8]| Bytes::default().long(1).bytes(bytes).long(0);
    assert!(read(&object(&digits, &[(1, list(&[99]))])).is_ok());
    let error = read(&object(&digits, &[(1, list(&[100]))])).unwrap_err();
    assert!(matches!(error, AvroError::Corrupt { .. }), "{error}");
}

#[test]
fn headers() {
    stated(
        "An object that is no Avro file and should be one is refused by what its first bytes say that it is.",
    );
    stated(
        "The blocks of an Avro file may be compressed with deflate, zstandard, bzip2, or snappy, whose checksum is compared; any other codec, such as xz, refuses the object by its name.",
    );
    for (bytes, says) in [
        (
            b"".to_vec(),
            "not an Avro object container file: it does not begin",
        ),
        (b"Ob".to_vec(), "it is text"),
        (b"{\"a\":1}".to_vec(), "it is text"),
        (b"PAR1\0\0".to_vec(), "it is a Parquet file"),
        (
            b"\x1f\x8b\x08more".to_vec(),
            "it is compressed more than twice",
        ),
        (b"ORC\0".repeat(400), "it is an ORC file"),
        (
            header(NUMBERS, "xz").0,
            "compressed with `xz`, which is not read",
        ),
        (
            Bytes::default().raw(b"Obj\x01").long(0).raw(SYNC).0,
            "it has no schema",
        ),
        (
            Bytes::default().raw(b"Obj\x01").long(1).long(-1).0,
            "a length is negative",
        ),
    ] {
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    // Entries with their size before them, of which one is not known, and no codec.
    let entries = Bytes::default()
        .bytes(b"avro.schema")
        .bytes(NUMBERS.as_bytes())
        .bytes(b"writer")
        .bytes(b"x");
    let size = i64::try_from(entries.0.len()).unwrap();
    let object = Bytes::default()
        .raw(b"Obj\x01")
        .long(-2)
        .long(size)
        .raw(&entries.0);
    let object = object.long(0).raw(SYNC).raw(&block(1, &row(7, "x").0)).0;
    assert_eq!(cells_of(&read(&object).unwrap()), [["7", "x"]]);
}

#[test]
fn limits() {
    stated(
        "A header or a block of an Avro file of more than `limits.record_size` bytes, compressed or decompressed, refuses the object, and so does one whose records take more in memory by its schema alone; `limits.compression_ratio` counts what comes out of its blocks too.",
    );
    let limits = |record_size: u64, compression_ratio: u32| Limits {
        record_size: Size(record_size),
        compression_ratio,
        ..Limits::default()
    };
    let long = row(1, &"x".repeat(3_000)).0;
    let mut packed = header(NUMBERS, "deflate").0;
    for _ in 0..600 {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&long).unwrap();
        packed.extend(block(1, &encoder.finish().unwrap()));
    }
    let plain = object(NUMBERS, &[(1, Bytes(long))]);
    let wide = record(
        &(0..20)
            .map(|n| {
                format!(r#"{{"name":"c{n}","type":{{"type":"fixed","name":"f{n}","size":900}}}}"#)
            })
            .collect::<Vec<_>>()
            .join(","),
    );
    let at = header(NUMBERS, "null").0.len() as u64;
    for (object, limits, expected) in [
        (&plain, limits(4_000, 1_000), "ok"),
        (&plain, limits(3_000, 1_000), "the block at byte"),
        (&plain, limits(100, 1_000), "the header at byte 0"),
        (&packed, limits(4_000, 1_000), "ok"),
        (&packed, limits(3_000, 1_000), "the block at byte"),
        (&packed, limits(4_000, 10), "more than 10 bytes come out"),
        (
            &object(&wide, &[]),
            limits(8_000, 1_000),
            "beyond 8000 bytes",
        ),
    ] {
        let found = read_chunks([&object[..]], Asked::Own, &limits);
        match found {
            Ok(_) => assert_eq!(expected, "ok"),
            Err(error) => {
                assert!(error.to_string().contains(expected), "{error}");
                if let AvroError::TooLarge {
                    what: "block",
                    offset,
                    ..
                } = error
                {
                    assert!(offset >= at);
                }
            }
        }
    }
    // A header that does not end is refused before all of it is there.
    let endless = Bytes::default()
        .raw(b"Obj\x01")
        .long(1)
        .bytes(b"avro.schema")
        .long(1 << 40);
    let chunks = std::iter::once(&endless.0[..]).chain(std::iter::repeat_n(&[b'x'; 500][..], 9));
    let error = read_chunks(chunks, Asked::Own, &limits(2_000, 1_000)).unwrap_err();
    assert!(
        matches!(error, AvroError::TooLarge { what: "header", .. }),
        "{error}"
    );
}

#[test]
fn batches_are_bounded() {
    stated("Rows of an Avro file come in batches of at most 8,192 rows and about 8 MiB.");
    let rows = (0..20_000).map(|n| row(n, "")).collect::<Vec<_>>();
    let bytes = rows
        .iter()
        .flat_map(|row| row.0.clone())
        .collect::<Vec<_>>();
    let found = read(&object(NUMBERS, &[(20_000, Bytes(bytes))])).unwrap();
    let counts = found.iter().map(|rows| (rows.first, rows.batch.num_rows()));
    assert_eq!(
        counts.collect::<Vec<_>>(),
        [(0, 8_192), (8_192, 8_192), (16_384, 3_616)]
    );
    let long = row(1, &"x".repeat(1 << 20));
    let blocks = vec![(1, long); 20];
    let found = read(&object(NUMBERS, &blocks)).unwrap();
    let counts = found.iter().map(|rows| rows.batch.num_rows());
    assert_eq!(counts.collect::<Vec<_>>(), [8, 8, 4]);
    // A null takes the room of its type.
    let wide = record(r#"{"name":"f","type":["null",{"type":"fixed","name":"f","size":1000000}]}"#);
    let found = read(&object(&wide, &[(100, Bytes(vec![0; 100]))])).unwrap();
    assert!(found.iter().all(|rows| rows.batch.num_rows() <= 8));
    assert_eq!(
        found
            .iter()
            .map(|rows| rows.batch.num_rows())
            .sum::<usize>(),
        100
    );
}

/// A schema of a list of records that may be null, each of twenty texts of a fixed size of 100 bytes.
fn lists(of: fn(String) -> String) -> String {
    let fixed =
        |n| format!(r#"{{"name":"c{n}","type":{{"type":"fixed","name":"f{n}","size":100}}}}"#);
    let fields = (0..20).map(fixed).collect::<Vec<_>>().join(",");
    let element = format!(r#"["null",{{"type":"record","name":"e","fields":[{fields}]}}]"#);
    record(&format!(r#"{{"name":"l","type":{}}}"#, of(element)))
}

#[test]
fn nulls_in_lists_are_bounded() {
    const NULL: usize = 2_001;
    stated(
        "A null in a list or a map of an Avro record takes the memory of what it stands for: a record whose nulls there take more than `limits.record_size` refuses the object, and a batch ends where its bytes and they are about 8 MiB.",
    );
    let array: fn(String) -> String = |of| format!(r#"{{"type":"array","items":{of}}}"#);
    let map: fn(String) -> String = |of| format!(r#"{{"type":"map","values":{of}}}"#);
    let inside: fn(String) -> String = |of| {
        let array = format!(r#"{{"type":"array","items":{of}}}"#);
        format!(
            r#"["null",{{"type":"record","name":"i","fields":[{{"name":"n","type":"long"}},{{"name":"l","type":{array}}}]}}]"#
        )
    };
    let nulls = |count: i64| {
        Bytes::default()
            .long(count)
            .raw(&vec![0; usize::try_from(count).unwrap()])
    };
    let limits = Limits {
        record_size: Size(5 * NULL as u64),
        ..Limits::default()
    };
    let value = Bytes::default().long(1).raw(&[b'x'; 2_000]).0;
    let keyed = |count: i64| {
        let entries = (0..count).flat_map(|_| [2, b'k', 0]).collect::<Vec<_>>();
        Bytes::default().long(count).raw(&entries).long(0)
    };
    for (of, bytes, expected) in [
        (array, nulls(5).long(0), Ok(1)),
        (array, nulls(6).long(0), Err(())),
        (array, nulls(3).raw(&nulls(3).0).long(0), Err(())),
        // A block with the number of its bytes.
        (
            array,
            Bytes::default().long(-6).long(6).raw(&[0; 6]).long(0),
            Err(()),
        ),
        (
            array,
            Bytes::default().long(5).raw(&[0; 4]).raw(&value).long(0),
            Ok(1),
        ),
        (
            array,
            Bytes::default()
                .long(4)
                .raw(&value)
                .raw(&value)
                .raw(&[0; 2])
                .long(0),
            Ok(1),
        ),
        (map, keyed(5), Ok(1)),
        (map, keyed(6), Err(())),
        (
            inside,
            Bytes::default().long(1).long(-7).raw(&nulls(5).0).long(0),
            Ok(1),
        ),
        (
            inside,
            Bytes::default().long(1).long(-7).raw(&nulls(6).0).long(0),
            Err(()),
        ),
    ] {
        let shown = format!("{:?}", bytes.0);
        let object = object(&lists(of), &[(1, bytes)]);
        let found = read_chunks([&object[..]], Asked::Own, &limits);
        match (found, expected) {
            (Ok(rows), Ok(count)) => {
                let read = rows.iter().map(|rows| rows.batch.num_rows()).sum::<usize>();
                assert_eq!(read, count, "{shown}");
            }
            (
                Err(AvroError::Nulls {
                    record: 0, limit, ..
                }),
                Err(()),
            ) => assert_eq!(limit, 5 * NULL),
            (found, _) => panic!("{shown}: {found:?}"),
        }
    }
    // What contradicts the format is said by the decoder.
    for bytes in [
        nulls(4),
        Bytes::default().long(i64::MAX),
        Bytes(vec![0xff; 12]),
    ] {
        let object = object(&lists(array), &[(1, bytes)]);
        let error = read(&object).unwrap_err();
        assert!(
            matches!(error, AvroError::Corrupt { what: "block", .. }),
            "{error}"
        );
    }
    let rows = (0..4_000)
        .flat_map(|_| nulls(3).long(0).0)
        .collect::<Vec<_>>();
    let found = read(&object(&lists(array), &[(4_000, Bytes(rows))])).unwrap();
    let counts = found.iter().map(|rows| rows.batch.num_rows());
    assert_eq!(counts.collect::<Vec<_>>(), [1_397, 1_397, 1_206]);
}

/// Compresses a block.
type Compress = fn(&[u8]) -> Vec<u8>;

proptest! {
    #[test]
    fn rows_come_back_however_they_are_cut(
        blocks in prop::collection::vec(prop::collection::vec((any::<i64>(), "[a-zé]{0,9}"), 0..9), 0..5),
        codec in 0..5_usize,
        sizes in prop::collection::vec(1_usize..40, 1..9),
        broken in prop::option::of((any::<prop::sample::Index>(), 1_u8..)),
    ) {
        let (name, compress): (_, Compress) = [
            ("null", (|plain| plain.to_vec()) as Compress),
            ("deflate", |plain| {
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }),
            ("snappy", |plain| {
                let mut crc = flate2::Crc::new();
                crc.update(plain);
                let block = snap::raw::Encoder::new().compress_vec(plain).unwrap();
                [&block[..], &crc.sum().to_be_bytes()].concat()
            }),
            ("zstandard", |plain| zstd::encode_all(plain, 1).unwrap()),
            ("bzip2", |plain| {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }),
        ][codec];
        let mut object = header(NUMBERS, name).0;
        for rows in &blocks {
            let plain = rows.iter().flat_map(|(n, s)| row(*n, s).0).collect::<Vec<_>>();
            object.extend(block(rows.len(), &compress(&plain)));
        }
        if let Some((at, change)) = &broken {
            *at.get_mut(&mut object) ^= change;
        }
        let mut rest = &object[..];
        let chunks = sizes.iter().cycle().map_while(|size| {
            let (chunk, after) = rest.split_at(rest.len().min(*size));
            rest = after;
            (!chunk.is_empty()).then_some(chunk)
        });
        let in_chunks = read_chunks(chunks, Asked::Own, &Limits::default());
        let whole = read(&object);
        let text = |found: &Result<Vec<Rows>, AvroError>| match found {
            Ok(rows) => format!("{:?}", cells_of(rows)),
            Err(error) => error.to_string(),
        };
        prop_assert_eq!(text(&in_chunks), text(&whole));
        if broken.is_none() {
            let expected = blocks.iter().flatten().map(|(n, s)| vec![n.to_string(), s.clone()]);
            prop_assert_eq!(cells_of(&whole.unwrap()), expected.collect::<Vec<_>>());
        }
    }
}
