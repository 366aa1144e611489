//! Corrupt files.

use std::{ops::Range, sync::LazyLock};

use parquet::basic::{BrotliLevel, Compression as Codec};
use proptest::prelude::*;

use super::{
    files::{every_type, writers},
    *,
};
use crate::semantics::stated;

/// Merges a file that was changed: the result is rows or an error, but never a panic.
fn attempt(files: &[Bytes]) {
    let mut inputs = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let size = file.len() as u64;
        let Ok(Footer::Read(metadata)) = read_footer(file, size, 1 << 24) else {
            return;
        };
        inputs.push(Input {
            name: format!("file {index}"),
            size,
            metadata: Arc::from(metadata),
        });
    }
    let schemas = inputs.iter().map(|input| {
        (
            input.name.as_str(),
            input.metadata.file_metadata().schema_descr(),
        )
    });
    let Ok(unified) = unify(schemas) else {
        return;
    };
    let Ok(mut merge) = Merge::new(unified, inputs, MergeOptions::default()) else {
        return;
    };
    let mut supplied = Vec::new();
    loop {
        match merge.step(std::mem::take(&mut supplied)) {
            Ok(Step::Fetch(fetches)) => {
                supplied.extend(fetches.into_iter().map(|fetch| {
                    let Range { start, end } = fetch.range;
                    let range = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
                    let bytes = files[fetch.input].slice(range);
                    (fetch, bytes)
                }));
            }
            Ok(Step::Write(_)) => {}
            Ok(Step::Done(_)) => return,
            Err(error) => {
                let text = error.to_string();
                assert!(text.starts_with("file "), "{text}");
                return;
            }
        }
    }
}

/// A file of every writer.
static GOOD: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    writers()
        .into_iter()
        .map(|(_, properties)| written(&every_type(0, 120, 9), properties))
        .collect()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_change_ends_in_rows_or_an_error(
        writer in 0_usize..13,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        in_footer: bool,
    ) {
        stated("Whatever the bytes of a file are, its merge ends in its rows or in an error that names it.");
        let mut changed = GOOD[writer].to_vec();
        let length = changed.len();
        let footer = u32::from_le_bytes(changed[length - 8..length - 4].try_into().unwrap()) as usize;
        for (index, byte) in changes {
            let at = if in_footer {
                length - 8 - footer + index.index(footer)
            } else {
                index.index(length - 8 - footer)
            };
            changed[at] = byte;
        }
        attempt(&[GOOD[(writer + 1) % 13].clone(), changed.into()]);
    }
}

#[test]
fn what_cannot_be_decompressed() {
    stated("Files with brotli or LZO are refused by file and column before anything is written.");
    let good = written(&every_type(0, 3, 3), WriterProperties::default());
    let file = input("good", &good);
    for (codec, name) in [
        (Codec::BROTLI(BrotliLevel::default()), "brotli"),
        (Codec::LZO, "lzo"),
    ] {
        // Only the footer is changed.
        let mut metadata = ParquetMetaData::clone(&file.metadata).into_builder();
        let mut group = metadata.take_row_groups().remove(0);
        let chunk = group.columns()[1]
            .clone()
            .into_builder()
            .set_compression(codec);
        group.columns_mut()[1] = chunk.build().unwrap();
        let metadata = metadata.add_row_group(group).build();
        let bad = Input {
            name: "bad".to_owned(),
            size: file.size,
            metadata: Arc::new(metadata),
        };
        let schema = file.metadata.file_metadata().schema_descr();
        let unified = unify([("good", schema)]).unwrap();
        let refused = Merge::new(unified, vec![file.clone(), bad], MergeOptions::default());
        let error = refused.expect_err("it is refused").to_string();
        assert_eq!(
            error,
            format!(
                "bad: column int: cannot be merged: its compression is {name}; write the file with Snappy, gzip, zstd, LZ4 or no compression"
            )
        );
    }
}

#[test]
fn a_chunk_that_is_not_what_the_footer_says() {
    let file = written(&every_type(0, 300, 9), WriterProperties::default());
    let metadata = input("file", &file).metadata;
    let leaves = 0..metadata.row_group(0).num_columns();
    // One byte less, one value more, one value less.
    for (leaf, (bytes, values)) in
        leaves.flat_map(|leaf| [(leaf, (-1, 0)), (leaf, (0, 1)), (leaf, (0, -1))])
    {
        let mut builder = ParquetMetaData::clone(&metadata).into_builder();
        let mut group = builder.take_row_groups().remove(0);
        let chunk = &group.columns()[leaf];
        let path = chunk.column_path().string();
        let (bytes, values) = (chunk.compressed_size() + bytes, chunk.num_values() + values);
        group.columns_mut()[leaf] = chunk
            .clone()
            .into_builder()
            .set_total_compressed_size(bytes)
            .set_num_values(values)
            .build()
            .unwrap();
        let bad = Input {
            name: "bad".to_owned(),
            size: file.len() as u64,
            metadata: Arc::new(builder.add_row_group(group).build()),
        };
        let unified = unify([("bad", metadata.file_metadata().schema_descr())]).unwrap();
        let mut merge = Merge::new(unified, vec![bad], MergeOptions::default()).unwrap();
        let mut supplied = Vec::new();
        let error = loop {
            match merge.step(std::mem::take(&mut supplied)) {
                Ok(Step::Fetch(fetches)) => supplied.extend(fetches.into_iter().map(|fetch| {
                    let range = usize::try_from(fetch.range.start).unwrap()
                        ..usize::try_from(fetch.range.end).unwrap();
                    let bytes = file.slice(range);
                    (fetch, bytes)
                })),
                Ok(Step::Write(_)) => {}
                Ok(Step::Done(_)) => panic!("{path}: it is merged"),
                Err(error) => break error.to_string(),
            }
        };
        assert!(
            error.starts_with(&format!("bad: column {path}: ")),
            "{error}"
        );
    }
}

#[test]
fn what_was_not_asked_for() {
    let file = written(&every_type(0, 300, 9), WriterProperties::default());
    let new = || {
        let input = input("file", &file);
        let unified = unify([("file", input.metadata.file_metadata().schema_descr())]).unwrap();
        Merge::new(unified, vec![input], MergeOptions::default()).unwrap()
    };
    let fetch = Fetch {
        input: 0,
        range: 4..8,
    };
    assert!(matches!(
        new().step(vec![(fetch, Bytes::from_static(b"abcd"))]),
        Err(MergeError::Supplied { .. })
    ));
    let mut merge = new();
    let fetch = loop {
        match merge.step(Vec::new()).unwrap() {
            Step::Fetch(fetches) => break fetches.into_iter().next().unwrap(),
            Step::Write(_) => {}
            Step::Done(_) => panic!("nothing was read"),
        }
    };
    assert!(matches!(
        merge.step(vec![(fetch, Bytes::from_static(b"abcd"))]),
        Err(MergeError::Supplied { .. })
    ));
}
