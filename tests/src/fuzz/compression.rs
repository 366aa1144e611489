//! Compressed streams.

use lakewright_core::{
    chunk::Chunk,
    compression::{Codec, DecompressError, Decompressor, Layers, MAX_OUTPUT, Status},
};

/// The decompressed bytes up to the first error, and the codec or the error.
pub type Plain = (Vec<u8>, Result<Codec, String>);

/// Decompresses the chunks of a stream.
pub fn decompress<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, max_ratio: u32) -> Plain {
    let mut decompressor = Decompressor::new(max_ratio);
    let mut all = Vec::new();
    let result = feed(&mut decompressor, chunks, &mut all);
    take(decompressor.output(), &mut all);
    let codec = decompressor.codec().unwrap_or(Codec::None);
    (all, result.map(|()| codec).map_err(|error| kind(&error)))
}

fn feed<'a>(
    decompressor: &mut Decompressor,
    chunks: impl IntoIterator<Item = &'a [u8]>,
    all: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    for mut chunk in chunks {
        while decompressor.push(&mut chunk)? == Status::HasOutput {
            take(decompressor.output(), all);
        }
        assert!(chunk.is_empty(), "input is left over");
    }
    decompressor.finish()
}

fn take(output: &mut Chunk, all: &mut Vec<u8>) {
    assert!(output.bytes().len() <= MAX_OUTPUT);
    all.extend(output.bytes());
    output.clear();
}

/// The bytes that come out of all layers up to the first error.
pub fn read_through<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    max_ratio: u32,
) -> (Vec<u8>, Result<(), String>) {
    let mut layers = Layers::new(max_ratio);
    let mut all = Vec::new();
    let result = peel(&mut layers, chunks, &mut all);
    take(layers.output(), &mut all);
    (all, result.map_err(|error| kind(&error)))
}

fn peel<'a>(
    layers: &mut Layers,
    chunks: impl IntoIterator<Item = &'a [u8]>,
    all: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    for mut chunk in chunks {
        while layers.push(&mut chunk)? == Status::HasOutput {
            take(layers.output(), all);
        }
        assert!(chunk.is_empty(), "input is left over");
    }
    layers.finish()
}

/// The part of an error that does not depend on how much input was available when it was found.
fn kind(error: &DecompressError) -> String {
    match error {
        DecompressError::Corrupt { codec, .. } => format!("corrupt {codec}"),
        DecompressError::Inside { codec, error } => format!("inside {codec}: {}", kind(error)),
        error => error.to_string(),
    }
}

/// The result does not depend on the chunks, and never exceeds the ratio limit.
pub fn check(data: &[u8]) {
    const RATIO: u32 = 20;
    const FREE: usize = 1 << 20;
    let (chunks, input) = super::cut(data);
    let (whole, result) = decompress([input], u32::MAX);
    let mut cuts = vec![decompress(chunks.iter().copied(), u32::MAX)];
    if whole.len() < FREE {
        cuts.push(decompress(input.chunks(1), u32::MAX));
    }
    for (plain, cut) in cuts {
        assert_eq!(cut, result);
        // How much is returned before an error may differ.
        let alike = plain.starts_with(&whole) || whole.starts_with(&plain);
        assert!(if result.is_ok() {
            plain == whole
        } else {
            alike
        });
    }
    let (layers, read) = read_through([input], u32::MAX);
    let (cut, result_cut) = read_through(chunks.iter().copied(), u32::MAX);
    assert_eq!(result_cut, read);
    let alike = cut.starts_with(&layers) || layers.starts_with(&cut);
    assert!(if read.is_ok() { cut == layers } else { alike });
    // What comes out of both layers is what comes out of one after the other.
    if result.as_ref().is_ok_and(|codec| *codec != Codec::None) {
        let (inner, result) = decompress([&whole[..]], u32::MAX);
        assert_eq!(result.is_ok(), read.is_ok());
        assert!(inner == layers || read.is_err());
    } else if result.is_ok() {
        assert!(layers == whole);
    }
    let (plain, _) = read_through(chunks.iter().copied(), RATIO);
    assert!(plain.len() <= FREE + MAX_OUTPUT + RATIO as usize * input.len());
    let (plain, _) = decompress(chunks, RATIO);
    assert!(plain.starts_with(&whole) || whole.starts_with(&plain));
    assert!(plain.len() <= FREE + MAX_OUTPUT + RATIO as usize * input.len());
}
