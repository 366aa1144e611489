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
fn an_avro_object_of_lists_of_nulls() {
    const NULLS: usize = 100;
    let _alone = alone();
    let zigzag = |value: usize| {
        let mut rest = value << 1;
        let mut bytes = Vec::new();
        while rest >= 0x80 {
            bytes.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        bytes.push(u8::try_from(rest).unwrap());
        bytes
    };
    let fields = (0..250).map(|n| format!(r#"{{"name":"c{n}","type":["null","long"]}}"#));
    let fields = fields.collect::<Vec<_>>().join(",");
    let schema = format!(
        r#"{{"type":"record","name":"r","fields":[{{"name":"l","type":{{"type":"array","items":["null",{{"type":"record","name":"e","fields":[{fields}]}}]}}}}]}}"#
    );
    let record = [&zigzag(NULLS)[..], &[0; NULLS + 1]].concat();
    // In a file a record has 103 bytes, and in memory some 225,000.
    let records = record.repeat(500);
    let mut object = b"Obj\x01\x02\x16avro.schema".to_vec();
    object.extend([&zigzag(schema.len())[..], schema.as_bytes(), &[0], SYNC].concat());
    for _ in 0..20 {
        object.extend([&zigzag(500)[..], &zigzag(records.len()), &records, SYNC].concat());
    }
    let (rows, mebibytes) = peak(async {
        let mut file = AvroFile::new(&Limits::default());
        file.push(&mut Chunk::of(&object));
        file.finish();
        assert!(file.is_open().unwrap());
        let table = file.schema();
        let rows = file.read_columns(&table, Policy::Fail, Policy::Fail, Box::new(|_| None));
        let (mut rows, mut read) = (rows.unwrap(), 0);
        while let Some(rows) = rows.next_rows().unwrap() {
            read += rows.batch.num_rows();
        }
        read
    });
    assert_eq!(rows, 10_000);
    assert!(mebibytes < 64, "{mebibytes} MiB");
}

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
