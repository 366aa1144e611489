//! The readers of outside bytes: every cut of small streams, and the seeds of `fuzz/` through what holds of each.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use lakewright_core::{compression::Codec, config::Csv};
use lakewright_tests::{
    fuzz::{
        CUTS, TARGETS,
        compression::decompress,
        csv, json,
        split::{self, FRAMINGS},
    },
    semantics::stated,
};
use proptest::prelude::*;

const CODECS: [Codec; 6] = [
    Codec::None,
    Codec::Gzip,
    Codec::Zstd,
    Codec::Bzip2,
    Codec::SnappyFramed,
    Codec::HadoopSnappy,
];

fn compress(codec: Codec, data: &[u8]) -> Vec<u8> {
    match codec {
        Codec::None => data.to_vec(),
        Codec::Gzip => {
            let level = flate2::Compression::fast();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
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
            let chunk = snap::raw::Encoder::new().compress_vec(data).unwrap();
            let lengths = [data.len(), chunk.len()];
            let [block, inner] = lengths.map(|n| u32::try_from(n).unwrap().to_be_bytes());
            [&block[..], &inner, &chunk].concat()
        }
    }
}

/// Small streams of every framing, right and broken.
const STREAMS: &[(Framing, &str)] = &[
    (Framing::Json, "{\"a\":1}\n{\"a\":2}\n"),
    (Framing::Json, "\u{feff}{\"a\":\"é\"}\r\n{\"b\":null}\r\n"),
    (Framing::Json, "{\"a\":1}{\"b\":[{}]}{\"a\":\"}{\"}"),
    (Framing::Json, "[{\"a\":1.5},\n {\"a\":\"\\ud83d\\ude00\"}]"),
    (Framing::Json, "{\"a\":\n{\"a\":2}\n{\"a\":3,}\n 7 {\"a\":"),
    (Framing::Json, "[{\"a\":1},{\"a\":x},\n{\"a\":2}"),
    (Framing::Csv, "a,b\n1,\"x\ny\"\n,\"\"\n"),
    (Framing::Csv, "\u{feff}a,b\r\n\"1\"\"\",é\r\n2\r\n3,\"4"),
];

#[derive(Clone, Copy)]
enum Framing {
    Json,
    Csv,
}

/// What a stream of these chunks is read as.
fn read<'a>(framing: Framing, chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
    let (plain, result) = decompress(chunks, 1_000);
    // The framers have cuts of their own, which must not matter either.
    let chunks = || plain.chunks(plain.len() / 2 + 1);
    match framing {
        Framing::Json => format!("{result:?} {:?}", json::frames(chunks(), 1 << 20)),
        Framing::Csv => {
            let records = csv::records(&Csv::default(), chunks(), 1 << 20);
            format!("{result:?} {records:?}")
        }
    }
}

#[test]
fn every_cut_of_small_streams() {
    stated(
        "However the stream is cut into chunks, the result is the same, for every compression and every framing.",
    );
    for (framing, text) in STREAMS {
        for codec in CODECS {
            // Two members, and one of them cut short.
            let member = compress(codec, text.as_bytes());
            let twice = [&member[..], &member].concat();
            for stream in [&twice[..], &twice[..twice.len() - 3]] {
                let whole = read(*framing, [stream]);
                for cut in 0..=stream.len() {
                    let (head, tail) = stream.split_at(cut);
                    assert_eq!(read(*framing, [head, tail]), whole, "{codec} cut at {cut}");
                }
                for size in 1..5 {
                    let cut = read(*framing, stream.chunks(size));
                    assert_eq!(cut, whole, "{codec} in chunks of {size}");
                }
            }
            let right = read(*framing, [&twice[..]]);
            let plain = read(*framing, [text.repeat(2).as_bytes()]);
            assert_eq!(
                right,
                plain.replace("Ok(None)", &format!("Ok({codec:?})")),
                "{codec}"
            );
        }
    }
}

/// The files that fuzzing of a target begins with.
fn seeds(target: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut folders = vec![root.join("fuzz/seeds").join(target)];
    if target == "triggers" {
        folders.extend([root.join("events"), root.join("events/bad")]);
    }
    let folders = folders.iter().filter(|folder| folder.exists());
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap());
    let files = files.map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).collect()
}

#[test]
fn what_fuzzing_begins_with_and_has_found() {
    for (target, check) in TARGETS {
        let seeds = seeds(target);
        assert!(seeds.len() > 3, "{target}: {seeds:?}");
        for seed in seeds {
            check(&fs::read(seed).unwrap());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_result_is_scanned_as_a_slow_search_finds(
        framing in 0..FRAMINGS.len(),
        cuts in any::<[u8; CUTS]>(),
        text in "[\"\n\r, a{}]{0,60}",
    ) {
        stated("However the bytes of a result are cut, the rows are the same.");
        let framing = u8::try_from(framing).unwrap();
        split::check(&[&[framing], &cuts.map(|cut| cut % 9)[..], text.as_bytes()].concat());
    }
}
