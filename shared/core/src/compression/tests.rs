use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::semantics::stated;

const RATIO: u32 = 1_000;

fn compress(codec: Codec, data: &[u8]) -> Vec<u8> {
    match codec {
        Codec::None => data.to_vec(),
        Codec::Gzip => {
            let mut encoder = flate2::GzBuilder::new()
                .filename("a name")
                .comment("a comment")
                .write(Vec::new(), flate2::Compression::fast());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Zstd => zstd::stream::encode_all(data, 1).unwrap(),
        Codec::Bzip2 => {
            let level = bzip2::Compression::fast();
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), level);
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Codec::SnappyFramed => {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            encoder.write_all(data).unwrap();
            encoder.into_inner().unwrap()
        }
        Codec::HadoopSnappy => {
            // As Hadoop does: each block has the bytes of one buffer, in chunks.
            let mut out = Vec::new();
            for block in data.chunks(1_000) {
                out.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
                for chunk in block.chunks(400) {
                    let chunk = snap::raw::Encoder::new().compress_vec(chunk).unwrap();
                    out.extend(u32::try_from(chunk.len()).unwrap().to_be_bytes());
                    out.extend(chunk);
                }
            }
            out
        }
    }
}

const COMPRESSED: [Codec; 5] = [
    Codec::Gzip,
    Codec::Zstd,
    Codec::Bzip2,
    Codec::SnappyFramed,
    Codec::HadoopSnappy,
];

fn take(output: &mut Chunk, all: &mut Vec<u8>) {
    assert!(output.len() <= MAX_OUTPUT);
    all.extend(output.bytes());
    output.clear();
}

/// The decompressed chunks and the detected codec.
fn decompress_with<'a>(
    mut decompressor: Decompressor,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, Result<Option<Codec>, DecompressError>) {
    let mut all = Vec::new();
    let run = || {
        for mut chunk in chunks {
            loop {
                let status = decompressor.push(&mut chunk);
                take(decompressor.output(), &mut all);
                if status? == Status::NeedsInput {
                    break;
                }
            }
            assert_eq!(chunk, b"", "input is left over");
        }
        decompressor.finish()?;
        take(decompressor.output(), &mut all);
        Ok(decompressor.codec())
    };
    let result = run();
    (all, result)
}

fn decompress<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, Result<Option<Codec>, DecompressError>) {
    decompress_with(Decompressor::new(RATIO), chunks)
}

fn text(lines: usize) -> Vec<u8> {
    let lines: Vec<_> = (0..lines)
        .map(|i| format!("{{\"line\":{i},\"é\":{}}}\n", i * i))
        .collect();
    lines.concat().into_bytes()
}

#[test]
fn every_codec_is_found_and_read() {
    stated(
        "An object's compression is found from its first bytes, never from its name: gzip, zstd, bzip2, framed Snappy, Hadoop's Snappy blocks, or none.",
    );
    for data in [b"{}".to_vec(), text(100), text(100_000)] {
        for codec in COMPRESSED.into_iter().chain([Codec::None]) {
            let compressed = compress(codec, &data);
            let (out, result) = decompress([compressed.as_slice()]);
            assert_eq!(result, Ok(Some(codec)));
            assert!(out == data, "{codec}");
        }
    }
}

#[test]
fn empty_streams() {
    for codec in [Codec::Gzip, Codec::Zstd, Codec::Bzip2] {
        let compressed = compress(codec, b"");
        assert_eq!(
            decompress([compressed.as_slice()]),
            (vec![], Ok(Some(codec)))
        );
    }
    // For empty input, the Snappy encoder writes nothing, and Hadoop's writes an empty block.
    assert_eq!(decompress([]), (vec![], Ok(Some(Codec::None))));
    assert_eq!(
        decompress([[0; 4].as_slice()]),
        (vec![], Ok(Some(Codec::HadoopSnappy)))
    );
}

#[test]
fn several_members() {
    stated(
        "Several gzip members, zstd frames, bzip2 streams or Snappy streams one after the other are read as one, and zstd's skippable frames are skipped.",
    );
    for codec in COMPRESSED {
        let parts = [text(10), Vec::new(), text(2_000), text(1)];
        let compressed: Vec<u8> = parts
            .iter()
            .flat_map(|part| compress(codec, part))
            .collect();
        let (out, result) = decompress([compressed.as_slice()]);
        assert_eq!(result, Ok(Some(codec)));
        assert_eq!(out, parts.concat(), "{codec}");
    }
}

#[test]
fn zstd_skippable_frames() {
    let skippable = b"\x53\x2a\x4d\x18\x03\x00\x00\x00abc";
    let frame = compress(Codec::Zstd, b"{}");
    let compressed = [skippable, frame.as_slice(), skippable, frame.as_slice()].concat();
    assert_eq!(
        decompress([compressed.as_slice()]),
        (b"{}{}".to_vec(), Ok(Some(Codec::Zstd)))
    );
}

#[test]
fn what_follows_the_last_member() {
    stated(
        "Zeros after the last gzip member or bzip2 stream are padding, and anything else after the last member, frame or stream refuses the object.",
    );
    for codec in [Codec::Gzip, Codec::Bzip2] {
        let mut compressed = compress(codec, b"{}");
        let offset = compressed.len() as u64;
        compressed.extend([0; 700]);
        assert_eq!(
            decompress([compressed.as_slice()]),
            (b"{}".to_vec(), Ok(Some(codec)))
        );
        compressed.push(b'x');
        let offset_of_x = offset + 700;
        let error = DecompressError::TrailingGarbage {
            codec,
            offset: offset_of_x,
        };
        assert_eq!(
            decompress([compressed.as_slice()]),
            (b"{}".to_vec(), Err(error))
        );
    }
    for codec in [Codec::Gzip, Codec::Bzip2, Codec::Zstd] {
        let mut compressed = compress(codec, b"{}");
        let offset = compressed.len() as u64;
        compressed.extend(b"{\"plain\":1}");
        let error = DecompressError::TrailingGarbage { codec, offset };
        assert_eq!(
            decompress([compressed.as_slice()]),
            (b"{}".to_vec(), Err(error))
        );
    }
    // Bytes that begin like a member but are not one are corruption, not trailing garbage.
    for (codec, garbage) in [
        (Codec::Gzip, &b"\x1f garbage"[..]),
        (Codec::Bzip2, b"B garbage!"),
        (Codec::Zstd, b"( garbage"),
        (Codec::SnappyFramed, b"{} garbage"),
        (Codec::HadoopSnappy, b"{} garbage"),
    ] {
        let compressed = [compress(codec, b"{}").as_slice(), garbage].concat();
        let (out, result) = decompress([compressed.as_slice()]);
        assert!(b"{}".starts_with(&out), "{codec}: {out:?}");
        assert!(
            matches!(
                result,
                Err(DecompressError::Corrupt { .. } | DecompressError::Truncated { .. })
            ),
            "{codec}: {result:?}"
        );
    }
}

#[test]
fn truncation_is_noticed_wherever_it_happens() {
    stated(
        "A compressed stream that is cut short refuses the object, wherever the cut is; a Snappy stream, which has no end of its own, may end between two chunks or blocks.",
    );
    let data = text(60);
    for codec in COMPRESSED {
        let compressed = compress(codec, &data);
        let (_, known) = (0..compressed.len())
            .map(|length| detect(&compressed[..length], false))
            .fold((0, None), |(length, known), found| {
                (length + 1, known.or(found.map(|_| length)))
            });
        for length in known.unwrap()..compressed.len() {
            let (out, result) = decompress([&compressed[..length]]);
            assert!(data.starts_with(&out), "{codec} cut to {length}");
            // A Snappy stream may end between two chunks or blocks.
            let boundary =
                matches!(codec, Codec::SnappyFramed | Codec::HadoopSnappy) && result.is_ok();
            let offset = length as u64;
            assert!(
                boundary || result == Err(DecompressError::Truncated { codec, offset }),
                "{codec} cut to {length}: {result:?}"
            );
        }
    }
}

#[test]
fn corruption_is_noticed() {
    stated(
        "Damage that a checksum shows refuses the object; Hadoop's Snappy blocks have none, and a zstd frame has one only where its writer put it there.",
    );
    let data = text(60);
    let mut with_checksum = zstd::Encoder::new(Vec::new(), 1).unwrap();
    with_checksum.include_checksum(true).unwrap();
    with_checksum.write_all(&data).unwrap();
    for (codec, compressed) in [
        (Codec::Gzip, compress(Codec::Gzip, &data)),
        (Codec::Bzip2, compress(Codec::Bzip2, &data)),
        (Codec::SnappyFramed, compress(Codec::SnappyFramed, &data)),
        (Codec::Zstd, with_checksum.finish().unwrap()),
    ] {
        for at in [compressed.len() / 2, compressed.len() - 5] {
            let mut corrupt = compressed.clone();
            corrupt[at] ^= 0x10;
            let (_, result) = decompress([corrupt.as_slice()]);
            assert!(
                matches!(
                    result,
                    Err(DecompressError::Corrupt { .. } | DecompressError::Truncated { .. })
                ),
                "{codec} at {at}: {result:?}"
            );
        }
    }
}

/// The decoder itself misses this if the frame arrives in pieces.
#[test]
fn a_zstd_frame_whose_size_is_not_what_its_header_says_is_corrupt() {
    // A single segment of 171 bytes, and an empty last block.
    let frame = b"\x28\xb5\x2f\xfd\x20\xab\x01\x00\x00";
    for cut in 1..=frame.len() {
        let found = decompress(frame.chunks(cut));
        assert!(
            matches!(found.1, Err(DecompressError::Corrupt { .. })),
            "{cut}: {found:?}"
        );
    }
}

#[test]
fn bombs_are_refused() {
    stated(
        "An object that more than `limits.compression_ratio` bytes come out of for each byte that was read is refused; its first MiB is decompressed whatever the ratio.",
    );
    let zeros = vec![0; 8 << 20];
    for codec in [Codec::Gzip, Codec::Zstd, Codec::Bzip2] {
        let compressed = compress(codec, &zeros);
        let (out, result) = decompress_with(Decompressor::new(20), [compressed.as_slice()]);
        let offset = compressed.len() as u64;
        assert!(
            matches!(result, Err(DecompressError::Ratio { offset: at, limit: 20 }) if at <= offset),
            "{codec}: {result:?}"
        );
        assert!(
            out.len() < 4 << 20,
            "{codec}: {} bytes before the refusal",
            out.len()
        );
        let generous = Decompressor::new(1_000_000);
        assert_eq!(
            decompress_with(generous, [compressed.as_slice()]).0.len(),
            zeros.len()
        );
    }
    // The first MiB is exempt.
    let compressed = compress(Codec::Gzip, &zeros[..1 << 20]);
    assert!(
        decompress_with(Decompressor::new(1), [compressed.as_slice()])
            .1
            .is_ok()
    );
}

#[test]
fn large_zstd_windows_are_refused() {
    stated("A zstd frame with a window beyond 8 MiB is refused.");
    // A frame header with a window of 2^31 bytes, then an empty last block.
    let frame = b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00";
    let (_, result) = decompress([frame.as_slice()]);
    assert!(
        matches!(result, Err(DecompressError::Corrupt { .. })),
        "{result:?}"
    );
}

#[test]
fn what_only_resembles_a_codec_is_plain() {
    stated("What only resembles a compressed stream is read as it is.");
    let cases: &[&[u8]] = &[
        b"{}",
        b"\x1f\x8b",
        b"\x1f\x8b\x07 not deflate",
        b"BZh",
        b"BZh9 is a name",
        b"BZhou,1\nx,2\n",
        b"PAR1\x15\x04\x15\x10",
        b"(\xb5/",
        b"P*M",
        b"\xff\x06\x00\x00sNaPp",
        b"\xef\xbb\xbf{}",
        b"\0{\0\"\0a\0\"\0:\x001\0}\0",
        b"\0\0\0\x05",
        b"\0\0\0\0\0\0\0\0\0",
        b"\0\0\0\x05\0\0\0\x05\x06abcd",
        b"\0\0\0\x05\x7f\0\0\x05\x05abcd",
        b"\0",
    ];
    for input in cases {
        assert_eq!(
            decompress([*input]),
            (input.to_vec(), Ok(Some(Codec::None)))
        );
        let bytes: Vec<_> = input.chunks(1).collect();
        assert_eq!(decompress(bytes), (input.to_vec(), Ok(Some(Codec::None))));
    }
}

#[test]
fn hadoop_lengths_that_do_not_agree() {
    let good = compress(Codec::HadoopSnappy, &text(60));
    for (at, value) in [(2, 0), (6, 0xff)] {
        let mut bad = good.clone();
        bad[at] = value;
        // The first lengths are inconsistent, so this is not a Hadoop stream; after a valid block it is a corrupt one.
        assert_eq!(decompress([bad.as_slice()]).1, Ok(Some(Codec::None)));
        let (_, result) = decompress([good.as_slice(), bad.as_slice()]);
        assert!(
            matches!(result, Err(DecompressError::Corrupt { .. })),
            "{at}: {result:?}"
        );
    }
}

fn kind(result: Result<Option<Codec>, DecompressError>) -> String {
    match result {
        Ok(codec) => format!("{codec:?}"),
        Err(DecompressError::Corrupt { codec, .. }) => format!("corrupt {codec}"),
        Err(error) => error.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_cut_changes_the_output(
        parts in prop::collection::vec("[a-c{}\":,0-9\n]{0,60}", 1..4),
        tail in prop_oneof![3 => Just(&b""[..]), 1 => Just(&b"\0\0"[..]), 1 => Just(&b"x"[..])],
    ) {
        let plain = parts.concat().into_bytes();
        for codec in COMPRESSED.into_iter().chain([Codec::None]) {
            let mut input: Vec<u8> = parts.iter().flat_map(|part| compress(codec, part.as_bytes())).collect();
            input.extend(tail);
            let (expected, result) = decompress([input.as_slice()]);
            if result == Ok(Some(codec)) && codec != Codec::None {
                prop_assert_eq!(&expected, &plain);
            }
            let expected = (expected, kind(result));
            for cut in 0..=input.len() {
                let (head, tail) = input.split_at(cut);
                let (out, result) = decompress([head, tail]);
                prop_assert_eq!(&(out, kind(result)), &expected, "{} cut at {}", codec, cut);
            }
            let (out, result) = decompress(input.chunks(1));
            prop_assert_eq!(&(out, kind(result)), &expected, "{} by the byte", codec);
        }
    }
}

/// What comes out of all layers of the chunks.
fn read_through<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    max_ratio: u32,
) -> (Vec<u8>, Result<(), DecompressError>) {
    let mut layers = Layers::new(max_ratio);
    let mut all = Vec::new();
    let run = || {
        for mut chunk in chunks {
            loop {
                let status = layers.push(&mut chunk);
                take(layers.output(), &mut all);
                if status? == Status::NeedsInput {
                    break;
                }
            }
            assert_eq!(chunk, b"", "input is left over");
        }
        layers.finish()?;
        take(layers.output(), &mut all);
        Ok(())
    };
    let result = run();
    (all, result)
}

#[test]
fn what_is_compressed_twice_is_read_through() {
    stated(
        "An object that is compressed twice, as Firehose compresses records that are compressed already, is read through: the second compression is found from the first bytes that come out of the first, whatever the two are, and `limits.compression_ratio` counts what comes out at last for what was read.",
    );
    for data in [
        Vec::new(),
        b"{}".to_vec(),
        b"B".to_vec(),
        text(100),
        text(50_000),
    ] {
        for outer in COMPRESSED.into_iter().chain([Codec::None]) {
            for inner in COMPRESSED.into_iter().chain([Codec::None]) {
                // Each record is a member of its own, as Firehose joins them.
                let records = data.chunks(data.len() / 3 + 1);
                let records = records.map(|record| compress(inner, record));
                let records: Vec<_> = records.collect();
                let whole = compress(outer, &records.concat());
                for size in [1_000_000, 4_096, 7] {
                    if size == 7 && data.len() > 10_000 {
                        continue;
                    }
                    let (out, result) = read_through(whole.chunks(size), RATIO);
                    assert_eq!(result, Ok(()), "{inner} in {outer}");
                    assert!(out == data, "{inner} in {outer}");
                }
            }
        }
    }
    // A third layer is what comes out.
    let twice = compress(Codec::Zstd, &compress(Codec::Gzip, b"x"));
    let (out, result) = read_through([&compress(Codec::Gzip, &twice)[..]], RATIO);
    assert_eq!((out, result), (compress(Codec::Gzip, b"x"), Ok(())));
}

#[test]
fn faults_of_the_second_layer_say_where_they_are() {
    let inner = compress(Codec::Gzip, &text(1_000));
    let mixed = [&inner[..], b"{}"].concat();
    for (bytes, says) in [
        (
            &inner[..inner.len() - 9],
            "inside the zstd stream: truncated gzip stream",
        ),
        (&mixed[..], "and something else follows"),
    ] {
        let whole = compress(Codec::Zstd, bytes);
        let (out, result) = read_through([&whole[..]], RATIO);
        let error = result.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(text(1_000).starts_with(&out));
    }
    // Each layer is within the limit, and the two together are not.
    let zeros = compress(Codec::Gzip, &vec![b' '; 40 << 20]);
    let whole = compress(Codec::Zstd, &zeros);
    assert!(
        whole.len() * 100 < zeros.len() * 90,
        "{} of {}",
        whole.len(),
        zeros.len()
    );
    let ratio = |limit| read_through(whole.chunks(1_000), limit).1;
    let needed = u32::try_from((39 << 20) / whole.len() + 1).unwrap();
    assert_eq!(ratio(needed + 1), Ok(()));
    assert!(matches!(
        ratio(needed - 1),
        Err(DecompressError::Ratio { .. })
    ));
    assert_eq!(decompress([&zeros[..]]).1, Ok(Some(Codec::Gzip)));
}
