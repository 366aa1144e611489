//! Properties of every merged file.

use std::mem;

use arrow::array::{Int32Array, StringArray};
use parquet::{
    basic::{Compression as Codec, Encoding},
    bloom_filter::Sbbf,
    file::{
        metadata::ParquetMetaDataOptions,
        properties::{EnabledStatistics, WriterPropertiesBuilder, WriterVersion},
    },
    schema::types::ColumnPath,
};

use super::{
    files::{every_type, writers},
    *,
};
use crate::semantics::stated;

/// A file with a column of distinct numbers and a column of few distinct strings.
fn camera(first: i64, count: i64) -> RecordBatch {
    use arrow::array::Int64Array;
    let rows = || first..first + count;
    batch(vec![
        ("id", Arc::new(rows().collect::<Int64Array>())),
        (
            "camera",
            Arc::new(
                rows()
                    .map(|row| (row % 5 != 0).then(|| format!("camera {}", row % 300)))
                    .collect::<StringArray>(),
            ),
        ),
        (
            "plate",
            Arc::new(
                rows()
                    .map(|row| Some(format!("AB{row:06} XYZ of {row}")))
                    .collect::<StringArray>(),
            ),
        ),
    ])
}

fn snappy() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Codec::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Page)
        .build()
}

#[test]
fn row_groups() {
    stated(
        "A row group of at least half the configured size is copied where it does not fit together with the rows before it, and the others become row groups between half that size and all of it, except for the last and for one before a copied one.",
    );
    let file = |rows| written(&camera(0, rows), snappy());
    for (rows_of_files, row_groups, copied) in [
        (
            &[100, 100, 100, 100, 100, 100][..],
            &[1_000 / 2, 100][..],
            0,
        ),
        (&[260, 260, 260, 260], &[260, 260, 260, 260], 4),
        (&[10, 300, 10, 10], &[330], 0),
        (&[10, 495, 10, 10], &[10, 495, 20], 1),
        (&[200, 400, 10], &[200, 400, 10], 1),
        (&[2_000, 10, 10], &[2_000, 20], 1),
        (&[240, 240, 240, 240], &[480, 480], 0),
    ] {
        let files: Vec<Bytes> = rows_of_files.iter().map(|rows| file(*rows)).collect();
        let mut options = MergeOptions::default();
        options.row_group.rows = 500;
        let merged = merge(&files, options).unwrap();
        let found: Vec<i64> = footer(&merged.file)
            .row_groups()
            .iter()
            .map(RowGroupMetaData::num_rows)
            .collect();
        assert_eq!(found, row_groups, "{rows_of_files:?}");
        assert_eq!(merged.summary.copied, copied, "{rows_of_files:?}");
        assert_same(&rows(&merged.file), &all_rows(&files));
    }
    // By size.
    let files: Vec<Bytes> = (0..40).map(|_| file(1_000)).collect();
    let size = files[0].len();
    let mut options = MergeOptions::default();
    options.row_group.bytes = 10 * size;
    let merged = merge(&files, options).unwrap();
    let groups = footer(&merged.file);
    let groups = groups.row_groups();
    for group in &groups[..groups.len() - 1] {
        let bytes = usize::try_from(group.compressed_size()).unwrap();
        assert!((4 * size..=11 * size).contains(&bytes), "{bytes} of {size}");
    }
}

#[test]
fn footers() {
    stated(
        "Every column chunk of a merged file has the number of its nulls and an offset index, and where its type has an order and its values are not only `NaN` it has bounds and a column index.",
    );
    stated(
        "A merged file has the key-value metadata that is asked for, and of the files' own nothing else; files with the metadata of GeoParquet, which says what columns are, are refused.",
    );
    stated(
        "LZ4 is read in both of Parquet's forms and never written: a column that would keep it gets Snappy.",
    );
    for (name, properties) in writers() {
        let of_files = match properties.compression(&ColumnPath::new(Vec::new())) {
            Codec::LZ4 | Codec::LZ4_RAW => Codec::SNAPPY,
            codec => codec,
        };
        let files = [0, 300].map(|first| written(&every_type(first, 300, 20), properties.clone()));
        for rows_of_a_group in [1 << 20, 300] {
            let mut options = MergeOptions {
                key_values: vec![("made of".to_owned(), "two".to_owned())],
                ..MergeOptions::default()
            };
            options.row_group.rows = rows_of_a_group;
            let merged = merge(&files, options).unwrap();
            let footer = footer(&merged.file);
            let file = footer.file_metadata();
            assert_eq!(file.created_by(), Some("parquet-merge"));
            let key_values = file.key_value_metadata().unwrap();
            assert_eq!(key_values.len(), 1, "{key_values:?}");
            assert_eq!(key_values[0].key, "made of");
            for (index, group) in footer.row_groups().iter().enumerate() {
                let pages = footer.page_index_for_row_group(index);
                for (leaf, chunk) in group.columns().iter().enumerate() {
                    let path = chunk.column_path().string();
                    let statistics = chunk.statistics().unwrap();
                    let [kept, expected] =
                        [chunk.compression(), of_files].map(|codec| mem::discriminant(&codec));
                    assert_eq!(kept, expected, "{name}, {path}");
                    assert!(pages.page_locations(leaf).is_some(), "{name}, {path}");
                    assert!(statistics.null_count_opt().is_some(), "{name}, {path}");
                    let all_null =
                        statistics.null_count_opt() == u64::try_from(chunk.num_values()).ok();
                    assert!(pages.column_index(leaf).is_some(), "{name}, {path}");
                    assert!(
                        all_null || statistics.max_bytes_opt().is_some(),
                        "{name}, {path}"
                    );
                }
            }
        }
    }
}

#[test]
fn geometries_are_refused() {
    let geo = parquet::file::metadata::KeyValue::new("geo".to_owned(), "{}".to_owned());
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(vec![geo]))
        .build();
    let refused = merge(
        &[written(&camera(0, 10), properties)],
        MergeOptions::default(),
    );
    assert!(
        matches!(&refused, Err(Failure::Merge(MergeError::Unsupported { column, .. })) if column == "geo"),
        "{refused:?}"
    );
}

#[test]
fn dictionaries_become_one() {
    let files: Vec<Bytes> = (0..40)
        .map(|file| written(&camera(file * 700, 700), snappy()))
        .collect();
    let merged = merge(&files, MergeOptions::default()).unwrap();
    let options = ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false);
    let reader = ParquetMetaDataReader::new().with_metadata_options(Some(options));
    let footer = reader.parse_and_finish(&merged.file).unwrap();
    assert_eq!(footer.num_row_groups(), 1);
    let encodings = |leaf: usize| -> Vec<(Encoding, i32)> {
        let stats = footer
            .row_group(0)
            .column(leaf)
            .page_encoding_stats()
            .unwrap();
        stats
            .iter()
            .map(|stats| (stats.encoding, stats.count))
            .collect()
    };
    // One dictionary, and pages of some twenty thousand rows.
    assert_eq!(
        encodings(1),
        [(Encoding::PLAIN, 1), (Encoding::RLE_DICTIONARY, 2)]
    );
    let camera = footer.row_group(0).column(1).compressed_size();
    let before: i64 = files
        .iter()
        .map(|file| super::footer(file).row_group(0).column(1).compressed_size())
        .sum();
    assert!(camera * 2 < before * 3, "{camera} bytes of {before}");
    // The dictionary is dropped if it saves nothing.
    let plain: i32 = encodings(0)
        .iter()
        .filter(|(encoding, _)| *encoding == Encoding::PLAIN)
        .map(|(_, count)| count)
        .sum();
    assert!(plain > 1, "{:?}", encodings(0));
    assert_same(&rows(&merged.file), &all_rows(&files));
    assert_indexed(&merged.file);
}

#[test]
fn pages_of_a_dictionary_come_first() {
    stated(
        "In a column chunk no page that uses the dictionary comes after one that has values and does not, because Spark reads other values then.",
    );
    let builder = || {
        WriterProperties::builder()
            .set_data_page_row_count_limit(100)
            .set_write_batch_size(50)
    };
    let plain = || builder().set_dictionary_enabled(false);
    let delta = || plain().set_column_encoding("text".into(), Encoding::DELTA_BYTE_ARRAY);
    let texts = |properties: WriterPropertiesBuilder, spread: i64| {
        let texts = (0..200).map(|row| (row % 9 > 0).then(|| format!("text {}", row % spread)));
        written(
            &batch(vec![("text", Arc::new(texts.collect::<StringArray>()))]),
            properties.build(),
        )
    };
    let nulls = written(
        &batch(vec![("text", Arc::new(StringArray::new_null(200)))]),
        plain().build(),
    );
    // Whether each page has dictionary indices; a page of nulls has none.
    for (files, expected) in [
        // PLAIN values are added to the existing dictionary.
        (
            vec![
                texts(builder(), 7),
                texts(plain(), 8),
                nulls.clone(),
                texts(builder(), 9),
            ],
            vec![true],
        ),
        // There is no dictionary yet, so there will be none.
        (
            vec![texts(plain(), 7), texts(builder(), 8), nulls.clone()],
            vec![false],
        ),
        // A page that is copied unchanged ends the dictionary.
        (
            vec![texts(builder(), 7), texts(delta(), 8), texts(builder(), 9)],
            vec![true, false, false, false],
        ),
        (vec![nulls.clone(), texts(builder(), 7)], vec![true]),
    ] {
        let merged = merge(&files, MergeOptions::default()).unwrap();
        let reader = SerializedFileReader::new(merged.file.clone()).unwrap();
        let pages = reader
            .get_row_group(0)
            .unwrap()
            .get_column_page_reader(0)
            .unwrap();
        let found: Vec<_> = pages
            .map(Result::unwrap)
            .filter(Page::is_data_page)
            .map(|page| page.encoding() == Encoding::RLE_DICTIONARY)
            .collect();
        assert_eq!(found, expected);
        assert_same(&rows(&merged.file), &all_rows(&files));
        assert_indexed(&merged.file);
    }
}

/// Some pages of a copied chunk may not be copyable, because their bounds are not known: the others keep their
/// positions.
#[test]
fn pages_that_are_copied_keep_their_place() {
    let numbers = (0..300_i32).map(|row| (!(100..200).contains(&row)).then_some(row));
    let properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::PLAIN)
        .set_data_page_row_count_limit(100)
        .set_write_batch_size(100)
        .build();
    let file = written(
        &batch(vec![("number", Arc::new(numbers.collect::<Int32Array>()))]),
        properties,
    );
    let mut options = MergeOptions::default();
    options.row_group.rows = 300;
    let merged = merge(std::slice::from_ref(&file), options).unwrap();
    assert_eq!(merged.summary.copied, 1);
    assert_same(&rows(&merged.file), &rows(&file));
    assert_indexed(&merged.file);
}

#[test]
fn bloom_filters() {
    for (name, properties) in writers() {
        let files =
            [0, 300].map(|first| written(&every_type(first, 300, 1 << 40), properties.clone()));
        for rows_of_a_group in [1 << 20, 300] {
            let mut options = MergeOptions {
                bloom_filters: vec!["whole".to_owned(), "text".to_owned(), "struct.y".to_owned()],
                ..MergeOptions::default()
            };
            options.row_group.rows = rows_of_a_group;
            let merged = merge(&files, options).unwrap_or_else(|error| panic!("{name}: {error}"));
            let footer = footer(&merged.file);
            let mut first = 0_i64;
            for group in footer.row_groups() {
                let filter = |column: &str| {
                    let chunk = group
                        .columns()
                        .iter()
                        .find(|chunk| chunk.column_path().string() == column);
                    Sbbf::read_from_column_chunk(chunk.unwrap(), &merged.file).unwrap()
                };
                let whole = filter("whole").expect("there is a filter");
                for value in first..first + group.num_rows() {
                    assert!(whole.check(&value), "{name}: {value}");
                }
                let others = (1 << 50..(1 << 50) + 1_000)
                    .filter(|value: &i64| whole.check(value))
                    .count();
                assert!(others < 200, "{name}: {others}");
                for row in first..first + group.num_rows() {
                    if row % 7 != 3 {
                        let text = format!("text number {}", row * 7919);
                        assert!(
                            filter("text").unwrap().check(text.as_str()),
                            "{name}: {text}"
                        );
                    }
                }
                assert!(filter("int").is_none());
                first += group.num_rows();
            }
            assert_same(&rows(&merged.file), &all_rows(&files));
        }
    }
    for column in ["unknown", "list.list.item"] {
        let options = MergeOptions {
            bloom_filters: vec![column.to_owned()],
            ..MergeOptions::default()
        };
        let refused = merge(&[written(&every_type(0, 3, 3), snappy())], options);
        assert!(
            matches!(&refused, Err(Failure::Merge(MergeError::Options(_)))),
            "{refused:?}"
        );
    }
}

#[test]
fn memory_is_bounded() {
    stated("The memory of a merge is bounded, whatever the number and the size of the files.");
    // The merge holds what was supplied and not yet written: both are counted here.
    let files: Vec<Bytes> = (0..60)
        .map(|file| written(&camera(file * 30_000, 30_000), WriterProperties::default()))
        .collect();
    let total: usize = files.iter().map(Bytes::len).sum();
    let memory = 64 << 20;
    assert!(total > 60 << 20, "{total}");
    let inputs: Vec<Input> = files.iter().map(|file| input("file", file)).collect();
    let schemas = inputs.iter().map(|input| {
        (
            input.name.as_str(),
            input.metadata.file_metadata().schema_descr(),
        )
    });
    let unified = unify(schemas).unwrap();
    let options = MergeOptions {
        memory,
        reads: 1_000,
        ..MergeOptions::default()
    };
    let mut merge = Merge::new(unified, inputs, options).unwrap();
    let mut supplied = Vec::new();
    let (mut taken, mut given, mut most) = (0_usize, 0_usize, 0);
    loop {
        match merge.step(mem::take(&mut supplied)).unwrap() {
            Step::Fetch(fetches) => {
                for fetch in fetches {
                    let range = usize::try_from(fetch.range.start).unwrap()
                        ..usize::try_from(fetch.range.end).unwrap();
                    taken += range.len();
                    supplied.push((fetch.clone(), files[fetch.input].slice(range)));
                }
                most = most.max(taken.saturating_sub(given));
            }
            Step::Write(bytes) => given += bytes.len(),
            Step::Done(_) => break,
        }
    }
    assert!(most < memory * 3 / 4, "{most} of {total}");
}

/// Files that are too large for one read, some with footers longer than the first read of the file's end. [`merge`]
/// asserts that the bytes are those of a merge that knows all footers.
#[test]
fn footers_of_large_files_are_read_on_the_way() {
    stated("The memory of a merge is bounded, whatever the number and the size of the files.");
    let in_groups = |rows| {
        WriterProperties::builder()
            .set_max_row_group_row_count(Some(rows))
            .build()
    };
    let memory = 64 << 20;
    let files: Vec<Bytes> = [
        (150_000, 300),
        (100, 300),
        (150_000, 70_000),
        (90_000, 90_000),
    ]
    .into_iter()
    .cycle()
    .take(12)
    .scan(0, |first, (count, rows)| {
        let file = written(&camera(*first, count), in_groups(rows));
        *first += count;
        Some(file)
    })
    .collect();
    let sizes = |file: &Bytes| (file.len() > memory / 32, footer_size(file) > FOOTER_TAIL);
    let kinds: Vec<_> = files.iter().take(4).map(sizes).collect();
    let expected = [(true, true), (false, false), (true, false), (true, false)];
    assert_eq!(kinds, expected);
    let options = MergeOptions {
        memory,
        ..MergeOptions::default()
    };
    let merged = merge(&files, options).unwrap();
    assert_eq!(merged.summary.rows, 3 * 390_100);
}
