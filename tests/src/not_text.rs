//! Objects with one fault each, which every job must refuse by its name.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

/// The bytes as a gzip stream.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // A vector takes all that is written.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// Objects in the place of `text`, and what a refusal says of each: other encodings, other formats, more than two
/// compressions, NULs.
pub fn objects(text: &str, parquet: &Bytes) -> Vec<(&'static str, Vec<u8>)> {
    let units = |mark: &str| format!("{mark}{text}").encode_utf16().collect::<Vec<_>>();
    let le = |mark: &str| units(mark).into_iter().flat_map(u16::to_le_bytes);
    let be = |mark: &str| units(mark).into_iter().flat_map(u16::to_be_bytes);
    let wide = text.chars().map(u32::from);
    let with = |magic: &[u8]| [magic, &[0x15, 2, 0, 7], text.as_bytes()].concat();
    vec![
        ("UTF-16LE", le("\u{feff}").collect()),
        ("UTF-16BE", be("\u{feff}").collect()),
        ("UTF-16LE", le("").collect()),
        ("UTF-16BE", be("").collect()),
        (
            "UTF-32LE",
            wide.clone().flat_map(u32::to_le_bytes).collect(),
        ),
        ("UTF-32BE", wide.flat_map(u32::to_be_bytes).collect()),
        ("NULs", vec![0; 5000]),
        ("NULs", [&[0; 16], text.as_bytes()].concat()),
        ("Parquet", parquet.to_vec()),
        ("ORC", with(b"ORC")),
        ("Avro", with(b"Obj\x01")),
        ("zip", with(b"PK\x03\x04")),
        ("xz", with(b"\xfd7zXZ\0")),
        ("LZ4", with(b"\x04\x22\x4d\x18")),
        ("gzip", gzip(&gzip(&gzip(text.as_bytes())))),
        ("zstd", gzip(&gzip(&with(b"\x28\xb5\x2f\xfd")))),
        ("bzip2", gzip(&gzip(&with(b"BZh91AY&SY")))),
        ("framed snappy", gzip(&gzip(&with(b"\xff\x06\0\0sNaPpY")))),
        ("Parquet", gzip(parquet)),
        ("UTF-16LE", gzip(&le("\u{feff}").collect::<Vec<_>>())),
    ]
}
