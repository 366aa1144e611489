//! An Avro object that is much larger than the memory that it takes.

use lakewright_core::{
    avro::AvroFile,
    chunk::Chunk,
    config::{Limits, Policy},
};
use lakewright_tests::semantics::stated;

use super::{alone, peak};

const SYNC: &[u8] = b"0123456789abcdef";

#[test]
fn an_avro_object_of_two_hundred_megabytes() {
    stated(
        "Avro object container files are read block by block, whatever the size of the object, by the schema in their header; an object that is also compressed as a whole is decompressed, as text is.",
    );
    let _alone = alone();
    let file = include_bytes!("../../data/avro/snappy.avro");
    let at = file.windows(16).position(|bytes| bytes == SYNC).unwrap() + 16;
    let (header, blocks) = file.split_at(at);
    let chunk = blocks.repeat((200 << 10) / blocks.len() + 1);
    let (rows, mebibytes) = peak(async {
        let mut file = AvroFile::new(&Limits::default());
        file.push(&mut Chunk::of(header));
        assert!(file.is_open().unwrap());
        let table = file.schema();
        let rows = file.read_columns(&table, Policy::Fail, Policy::Fail, Box::new(|_| None));
        let (mut rows, mut read) = (rows.unwrap(), 0);
        for at in 0..=1_000 {
            if at < 1_000 {
                rows.push(&mut Chunk::of(&chunk));
            } else {
                rows.finish();
            }
            while let Some(rows) = rows.next_rows().unwrap() {
                read += rows.batch.num_rows();
            }
        }
        read
    });
    assert_eq!(rows, chunk.len() / blocks.len() * 3 * 1_000);
    assert!(mebibytes < 64, "{mebibytes} MiB");
}
