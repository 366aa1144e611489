//! How a merge interprets other writers' files, and how it treats logical types.

use parquet::{
    basic::{Repetition, Type as Physical},
    file::{
        metadata::{LevelHistogram, ParquetMetaDataWriter},
        statistics::Statistics,
    },
    schema::{parser::parse_message_type, types::SchemaDescriptor},
};

use arrow::{
    array::{Int64Array, StructArray},
    datatypes::{DataType, Fields},
};
use parquet::file::properties::WriterVersion;

use super::*;
use crate::semantics::stated;

const GOOD: &[u8] = include_bytes!("../../../../tests/data/good.parquet");
const FLIPPED: &[u8] = include_bytes!("../../../../tests/data/flipped.parquet");
const WRONG_BOUNDS: &[u8] = include_bytes!("../../../../tests/data/1-wrong-bounds.parquet");
const RIGHT_BOUNDS: &[u8] = include_bytes!("../../../../tests/data/2-right-bounds.parquet");
const DECIMALS: &[u8] = include_bytes!("../../../../tests/data/1-connect-minimal.parquet");
const TUPLE: &[u8] = include_bytes!("../../../../tests/data/1-tuple.parquet");
const THREE_LEVEL: &[u8] = include_bytes!("../../../../tests/data/2-three-level.parquet");
const NULL_KEY: &[u8] = include_bytes!("../../../../tests/data/null-key.parquet");
const OPTIONAL_KEY: &[u8] = include_bytes!("../../../../tests/data/optional-key.parquet");
const EMPTY_GROUPS: &[u8] = include_bytes!("../../../../tests/data/empty-groups.parquet");
const VARIANTS: [&[u8]; 3] = [
    include_bytes!("../../../../tests/data/1-a-int.parquet"),
    include_bytes!("../../../../tests/data/2-b-text.parquet"),
    include_bytes!("../../../../tests/data/3-inferred.parquet"),
];

fn files(files: &[&'static [u8]]) -> Vec<Bytes> {
    files.iter().copied().map(Bytes::from_static).collect()
}

/// A file with another footer after its own.
fn forged(file: &[u8], change: impl FnOnce(ParquetMetaData) -> ParquetMetaData) -> Bytes {
    let file = Bytes::copy_from_slice(file);
    let changed = change(
        ParquetMetaDataReader::new()
            .parse_and_finish(&file)
            .unwrap(),
    );
    let mut bytes = file.to_vec();
    ParquetMetaDataWriter::new(&mut bytes, &changed)
        .finish()
        .unwrap();
    bytes.into()
}

#[test]
fn checksums_of_pages() {
    stated(
        "A page that has a checksum is compared with it wherever it is read, by every job, and one that differs refuses its file by column and page.",
    );
    for sort_by in [Vec::new(), vec!["id".to_owned()]] {
        for pair in [[FLIPPED, GOOD], [GOOD, FLIPPED]] {
            let options = MergeOptions {
                sort_by: sort_by.clone(),
                ..MergeOptions::default()
            };
            let error = merge(&files(&pair), options.clone())
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("amount") && error.contains("page "),
                "{error}"
            );
            merge(&files(&[GOOD, GOOD]), options).unwrap();
        }
    }
    let metadata = ParquetMetaDataReader::new()
        .parse_and_finish(&Bytes::from_static(FLIPPED))
        .unwrap();
    let chunk = metadata.row_group(0).column(1);
    let range = |range: Range<u64>| {
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        Ok::<_, ()>(Bytes::from_static(&FLIPPED[range]))
    };
    let checked = check_pages(chunk, FLIPPED.len() as u64, 1 << 20, range);
    assert!(checked.unwrap().is_some());
}

#[test]
fn null_keys_of_maps() {
    stated(
        "No map has a null key: one that has, as the schemas of some writers allow, does not fit its column in rekey and repartition, refuses a result of split, and refuses its merge by file and column.",
    );
    for (sort_by, rows) in [("", 1 << 20), ("", 1), ("t", 1 << 20)] {
        let mut options = MergeOptions::default();
        options.row_group.rows = rows;
        if !sort_by.is_empty() {
            options.sort_by = vec![sort_by.to_owned()];
        }
        let merged = merge(&files(&[OPTIONAL_KEY, OPTIONAL_KEY]), options.clone()).unwrap();
        assert_eq!(merged.summary.rows, 4);
        for pair in [[OPTIONAL_KEY, NULL_KEY], [NULL_KEY, OPTIONAL_KEY]] {
            let error = merge(&files(&pair), options.clone())
                .unwrap_err()
                .to_string();
            let says = "column m.key_value.key: cannot be merged: a map has a null key";
            assert!(error.contains(says), "{error}");
        }
    }
}

#[test]
fn bounds_are_of_the_values() {
    stated(
        "The bounds and the numbers of nulls of a merged file are of its values: what a file that Lakewright wrote says of them is taken over, and those of any other writer's pages are computed, even if the pages are copied.",
    );
    for rows in [1 << 20, 2] {
        for pair in [[WRONG_BOUNDS, RIGHT_BOUNDS], [RIGHT_BOUNDS, WRONG_BOUNDS]] {
            let mut options = MergeOptions::default();
            options.row_group.rows = rows;
            let merged = merge(&files(&pair), options).unwrap();
            let footer = ParquetMetaDataReader::new()
                .parse_and_finish(&merged.file)
                .unwrap();
            let greatest = footer.row_groups().iter().filter_map(|group| {
                let statistics = group
                    .column(0)
                    .statistics()
                    .and_then(Statistics::max_bytes_opt);
                statistics.map(<[u8]>::to_vec)
            });
            assert_eq!(greatest.max().unwrap(), b"zzz", "{rows}");
        }
    }
}

#[test]
fn levels_beyond_the_deepest_of_their_column() {
    stated(
        "A page with a level that its column does not have refuses the merge by file and column, even if the page is copied.",
    );
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
    let fields = Fields::from(vec![Field::new("id", DataType::Int64, true)]);
    let both: ArrayRef = Arc::new(StructArray::new(fields, vec![ids], None));
    for (version, is_copied) in [(1, false), (1, true), (2, false), (2, true)] {
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_writer_version(if version == 1 {
                WriterVersion::PARQUET_1_0
            } else {
                WriterVersion::PARQUET_2_0
            })
            .set_encoding(Encoding::PLAIN);
        let good = written(&batch(vec![("s", both.clone())]), properties.build());
        // A run of a hundred levels, of 2 in place of the deepest.
        let run = [200, 1, 2];
        let at = good.windows(3).position(|bytes| bytes == run).unwrap();
        let mut bad = good.to_vec();
        bad[at + 2] = 3;
        let mut options = MergeOptions::default();
        if is_copied {
            options.row_group.rows = 1;
        } else {
            options.sort_by = vec!["s.id".to_owned()];
        }
        assert!(merge(&[good.clone(), good.clone()], options.clone()).is_ok());
        let refused = merge(&[good, bad.into()], options).unwrap_err().to_string();
        assert_eq!(
            refused, "file 1: column s.id: a level is too great",
            "{version} {is_copied}"
        );
    }
}

#[test]
fn footers_are_held_against_their_row_groups() {
    stated(
        "A footer that counts other rows than its row groups, or a row group whose columns have other numbers of values than it has rows, refuses the file in every job, and what is read is counted once more.",
    );
    let tail = |file: &Bytes| read_footer(file, file.len() as u64, 1 << 20);
    // The writer would recompute the count, so the test changes it in the bytes, between its field's header and the
    // list of row groups.
    let place = GOOD
        .windows(4)
        .rposition(|window| window == [0x16, 0xc8, 0x01, 0x19])
        .unwrap()
        + 1;
    for number in [[0x80, 0x00], [0xc6, 0x01], [0xca, 0x01]] {
        let mut file = GOOD.to_vec();
        file[place..place + 2].copy_from_slice(&number);
        let file = Bytes::from(file);
        let error = tail(&file).unwrap_err().to_string();
        assert!(error.contains("row groups have 100"), "{error}");
    }
    for rows in [0, 99, 101] {
        let file = forged(GOOD, |metadata| {
            let group = metadata.row_group(0).clone().into_builder();
            let group = group.set_num_rows(rows).build().unwrap();
            metadata.into_builder().set_row_groups(vec![group]).build()
        });
        assert!(tail(&file).is_err(), "{rows}");
    }
    stated(
        "A column whose footer counts other levels than its schema has refuses the file in every job.",
    );
    for (levels, is_good) in [(0, true), (3, false)] {
        let file = forged(GOOD, |metadata| {
            let group = metadata.row_group(0).clone();
            let mut columns = group.columns().to_vec();
            let chunk = columns[0].clone().into_builder();
            let histogram = LevelHistogram::try_new(levels);
            let chunk = chunk.set_repetition_level_histogram(histogram).build();
            columns[0] = chunk.unwrap();
            let group = group.into_builder().set_column_metadata(columns);
            let groups = vec![group.build().unwrap()];
            metadata.into_builder().set_row_groups(groups).build()
        });
        match tail(&file) {
            Ok(_) => assert!(is_good),
            Err(error) => {
                assert!(
                    !is_good && error.to_string().contains("repetition levels"),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn offsets_of_dictionaries_that_are_none() {
    stated(
        "A dictionary's offset that is 0, or not before the data, is none, as for other readers, and of a row group without rows nothing is read, wherever its pages are said to be.",
    );
    for offset in [0, -1, 4, 1 << 20] {
        let file = forged(RIGHT_BOUNDS, |metadata| {
            let group = metadata.row_group(0).clone();
            let chunk = group.column(0).clone().into_builder();
            let chunk = chunk
                .set_dictionary_page_offset(Some(offset))
                .build()
                .unwrap();
            let group = group.into_builder().set_column_metadata(vec![chunk]);
            let groups = vec![group.build().unwrap()];
            metadata.into_builder().set_row_groups(groups).build()
        });
        let merged = merge(&[file.clone(), file], MergeOptions::default());
        assert_eq!(merged.unwrap().summary.rows, 4, "{offset}");
    }
    for sort_by in [Vec::new(), vec!["a".to_owned()]] {
        let options = MergeOptions {
            sort_by,
            ..MergeOptions::default()
        };
        let merged = merge(&files(&[EMPTY_GROUPS, EMPTY_GROUPS]), options);
        assert_eq!(merged.unwrap().summary.rows, 8);
    }
}

#[test]
fn decimals_of_as_many_bytes_as_they_need() {
    stated(
        "Decimals of up to 38 digits that have as many bytes as each needs get one length, with which they can be sorted and few readers have trouble; a value that does not fit its precision's bytes refuses the merge, and longer ones keep their bytes and cannot be sorted.",
    );
    for sort_by in [Vec::new(), vec!["price".to_owned()]] {
        let options = MergeOptions {
            sort_by: sort_by.clone(),
            ..MergeOptions::default()
        };
        let merged = merge(&files(&[DECIMALS, DECIMALS]), options).unwrap();
        let column = merged.unified.schema().column(0);
        assert_eq!(column.physical_type(), Physical::FIXED_LEN_BYTE_ARRAY);
        assert_eq!((column.type_precision(), column.type_scale()), (18, 2));
        let footer = ParquetMetaDataReader::new()
            .parse_and_finish(&merged.file)
            .unwrap();
        let statistics = footer.row_group(0).column(0).statistics().unwrap();
        let number = |bytes: &[u8]| i64::from_be_bytes(bytes.try_into().unwrap());
        assert_eq!(number(statistics.min_bytes_opt().unwrap()), -12345);
        assert_eq!(number(statistics.max_bytes_opt().unwrap()), 99999);
    }
}

fn schema(text: &str) -> SchemaDescriptor {
    let message = format!("message m {{ {text} }}");
    SchemaDescriptor::new(Arc::new(parse_message_type(&message).unwrap()))
}

#[test]
fn lists_are_what_their_names_say() {
    stated(
        "A list's repeated group is its element where it has several fields or one that is repeated, or is called `array` or as the list with `_tuple` after it; lists whose elements are reached in different ways do not fit together.",
    );
    let named =
        "optional group tags (LIST) { repeated group array { optional binary str (STRING); } }";
    let tuple = "optional group tags (LIST) { repeated group tags_tuple { optional binary str (STRING); } }";
    let other =
        "optional group tags (LIST) { repeated group array { optional binary other (STRING); } }";
    let three =
        "optional group tags (LIST) { repeated group list { optional binary element (STRING); } }";
    let bag =
        "optional group tags (LIST) { repeated group bag { optional binary item (STRING); } }";
    let nested =
        "optional group tags (LIST) { repeated group array (LIST) { repeated int32 array; } }";
    for (one, other, fits) in [
        (named, tuple, true),
        (three, bag, true),
        (nested, nested, true),
        (named, other, true),
        (tuple, three, false),
        (named, bag, false),
        (nested, three, false),
    ] {
        for (one, other) in [(one, other), (other, one)] {
            let (a, b) = (schema(one), schema(other));
            let unified = unify([("a", &a), ("b", &b)]);
            assert_eq!(unified.is_ok(), fits, "{one} {other}: {unified:?}");
        }
    }
    // Fields of elements that are structs are matched by name.
    let (a, b) = (schema(named), schema(other));
    let unified = unify([("a", &a), ("b", &b)]).unwrap();
    assert_eq!(unified.schema().num_columns(), 2);
    for pair in [[TUPLE, THREE_LEVEL], [THREE_LEVEL, TUPLE]] {
        assert!(merge(&files(&pair), MergeOptions::default()).is_err());
    }
}

#[test]
fn groups_with_a_meaning() {
    stated(
        "A group with a meaning of its own, such as a VARIANT, is merged where it is the same in all files and shredded alike, and refuses the merge by both files and the column otherwise; UUID, FLOAT16, INTERVAL, ENUM, BSON, JSON, GEOMETRY and GEOGRAPHY are kept where all files have the same, and an unknown logical type refuses its file.",
    );
    for (first, second) in [(0, 1), (0, 2), (1, 2), (2, 0)] {
        let error = merge(
            &files(&[VARIANTS[first], VARIANTS[second]]),
            MergeOptions::default(),
        );
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("column v") && error.contains("Variant"),
            "{error}"
        );
    }
    for variant in VARIANTS {
        let merged = merge(&files(&[variant, variant]), MergeOptions::default()).unwrap();
        let before = input("a", &Bytes::from_static(variant));
        let before = before
            .metadata
            .file_metadata()
            .schema()
            .get_fields()
            .to_vec();
        let after = merged.unified.schema().root_schema().get_fields();
        assert_eq!(after, before);
    }
    let plain = schema(
        "optional int32 id (INTEGER(32,true)); optional group v { required binary metadata; optional binary value; }",
    );
    let variant = input("a", &Bytes::from_static(VARIANTS[2]));
    let variant = variant.metadata.file_metadata().schema_descr();
    assert!(unify([("a", variant), ("b", &plain)]).is_err());
    assert!(unify([("b", &plain), ("a", variant)]).is_err());
    for (one, other) in [
        (
            "optional fixed_len_byte_array(16) u (UUID)",
            "optional fixed_len_byte_array(16) u",
        ),
        ("optional binary u (ENUM)", "optional binary u (STRING)"),
        ("optional binary u (BSON)", "optional binary u"),
        (
            "optional fixed_len_byte_array(12) u (INTERVAL)",
            "optional fixed_len_byte_array(12) u",
        ),
    ] {
        let (a, b) = (schema(&format!("{one};")), schema(&format!("{other};")));
        assert!(unify([("a", &a), ("b", &b)]).is_err(), "{one}");
        let kept = unify([("a", &a), ("b", &a)]).unwrap();
        assert_eq!(kept.schema().column(0).self_type(), a.column(0).self_type());
        assert_eq!(
            kept.schema()
                .column(0)
                .self_type()
                .get_basic_info()
                .repetition(),
            Repetition::OPTIONAL
        );
    }
}
