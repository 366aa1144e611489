//! Compressed streams.

use lakewright_core::compression::{Codec, DecompressError, Decompressor, MAX_OUTPUT, Status};

/// The decompressed bytes up to the first error, and the codec or the error.
pub type Plain = (Vec<u8>, Result<Codec, String>);

/// Decompresses the chunks of a stream.
pub fn decompress<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, max_ratio: u32) -> Plain {
    let mut decompressor = Decompressor::new(max_ratio);
    let mut all = Vec::new();
    let result = feed(&mut decompressor, chunks, &mut all);
    let codec = decompressor.codec().unwrap_or(Codec::None);
    (all, result.map(|()| codec).map_err(|error| kind(&error)))
}

fn feed<'a>(
    decompressor: &mut Decompressor,
    chunks: impl IntoIterator<Item = &'a [u8]>,
    all: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    for mut chunk in chunks {
        loop {
            let status = decompressor.push(&mut chunk);
            assert!(decompressor.output().len() <= MAX_OUTPUT);
            all.extend(decompressor.output());
            if status? == Status::NeedsInput {
                break;
            }
        }
        assert!(chunk.is_empty(), "input is left over");
    }
    decompressor.finish()?;
    all.extend(decompressor.output());
    Ok(())
}

/// The part of an error that does not depend on how much input was available when it was found.
fn kind(error: &DecompressError) -> String {
    match error {
        DecompressError::Corrupt { codec, .. } => format!("corrupt {codec}"),
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
    let (plain, _) = decompress(chunks, RATIO);
    assert!(plain.starts_with(&whole) || whole.starts_with(&plain));
    assert!(plain.len() <= FREE + MAX_OUTPUT + RATIO as usize * input.len());
}
