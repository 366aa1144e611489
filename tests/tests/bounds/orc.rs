//! An ORC file that is much larger than the memory that it takes.

use bytes::Bytes;
use lakewright_core::{
    config::{Limits, Policy},
    orc::OrcFile,
};
use lakewright_tests::semantics::stated;

use super::{alone, peak};

/// A number of a message of Protocol Buffers.
fn number(field: usize, value: usize) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// Bytes of one.
fn bytes(field: usize, bytes: &[u8]) -> Vec<u8> {
    [&varint(field << 3 | 2)[..], &varint(bytes.len()), bytes].concat()
}

fn varint(mut rest: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// A chunk with this bit: whether it is not compressed.
fn chunk(bytes: &[u8], plain: usize) -> Vec<u8> {
    let [low, middle, high, ..] = (bytes.len() << 1 | plain).to_le_bytes();
    [&[low, middle, high], bytes].concat()
}

#[test]
fn an_orc_file_of_two_hundred_megabytes() {
    const CHUNK: usize = 256 << 10;
    const ROWS: usize = 1 << 20;
    const STRIPES: usize = 25;
    stated(
        "An ORC object is read one stripe at a time, whatever its size, and a stripe is in memory decompressed.",
    );
    let _alone = alone();
    // A stripe of a million doubles, 8 MiB, which is in the file as often as its footer says.
    let zeros = chunk(&zstd::encode_all(&vec![0; CHUNK][..], 0).unwrap(), 0);
    let stream = zeros.repeat(8 * ROWS / CHUNK);
    let data = [number(1, 1), number(2, 1), number(3, stream.len())].concat();
    let column = bytes(2, &number(1, 0));
    let own = chunk(&[bytes(1, &data), column.repeat(2)].concat(), 1);
    let stripe = [(1, 3), (3, stream.len()), (4, own.len()), (5, ROWS)];
    let stripe = bytes(
        3,
        &stripe.map(|(field, value)| number(field, value)).concat(),
    );
    let root = [number(1, 12), bytes(2, &[1]), bytes(3, b"a")].concat();
    let types = [bytes(4, &root), bytes(4, &number(1, 6))].concat();
    let footer = [stripe.repeat(STRIPES), types, number(6, ROWS * STRIPES)].concat();
    let footer = chunk(&footer, 1);
    let postscript = [number(1, footer.len()), number(2, 5), bytes(8000, b"ORC")].concat();
    let size = u8::try_from(postscript.len()).unwrap();
    let file = [&b"ORC"[..], &stream, &own, &footer, &postscript, &[size]].concat();
    let (rows, mebibytes) = peak(async {
        let file = OrcFile::open(Bytes::from(file), &Limits::default(), 8 << 20).unwrap();
        let table = file.schema();
        let rows = file.read_columns(&table, Policy::Fail, Policy::Fail, Box::new(|_| None));
        let rows = rows.unwrap();
        rows.map(|rows| rows.unwrap().batch.num_rows())
            .sum::<usize>()
    });
    assert_eq!(rows, ROWS * STRIPES);
    assert!(mebibytes < 64, "{mebibytes} MiB");
}
