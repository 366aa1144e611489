//! Results in Parquet.

use super::*;

fn parquet_file() -> Bytes {
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(
        (0..10).map(|row| Some(vec![Some(row), None])),
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..10))),
        (
            "s",
            Arc::new(
                (0..10)
                    .map(|row| (row % 3 != 0).then(|| format!("v{row}")))
                    .collect::<StringArray>(),
            ),
        ),
        ("l", Arc::new(lists)),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap();
    let mut file = Vec::new();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(4))
        .build();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    file.into()
}

fn pieces(file: &Bytes, ranges: &[Range<u64>]) -> Vec<Bytes> {
    let piece = |range: &Range<u64>| file.slice(size(range.start)..size(range.end));
    ranges.iter().map(piece).collect()
}

#[test]
fn parquet_rows() {
    stated("Of UNLOAD's Parquet the values are written as other JSON is, and a null is `null`.");
    let file = parquet_file();
    let mut footer = ParquetFooter::new(file.len() as u64);
    let metadata = loop {
        match footer.step().unwrap() {
            Step::Needs(ranges) => {
                let bytes = pieces(&file, &ranges);
                footer.push(bytes);
            }
            Step::Found(metadata) => break metadata,
            Step::Over => panic!("no metadata"),
        }
    };
    for range in [0..10, 0..1, 3..9, 4..8, 9..10] {
        let mut rows = ParquetRows::new(&metadata, &range, 1 << 20).unwrap();
        let named = columns(&[("id", ""), ("s", ""), ("l", "")]);
        assert_eq!(rows.names(), ["id", "s", "l"]);
        let reader = RowReader::new(
            SourceFormat::Parquet,
            Column::all(&named, Types::Query),
            Types::Query,
        );
        let mut found = Vec::new();
        loop {
            match rows.step().unwrap() {
                Step::Needs(ranges) => {
                    let bytes = pieces(&file, &ranges);
                    rows.push(ranges, bytes).unwrap();
                }
                Step::Found(lines) => {
                    for line in super::rows(Framing::JsonLines, &lines) {
                        found.push(job("").text(&reader.read(line).unwrap()));
                    }
                }
                Step::Over => break,
            }
        }
        let expected = range.clone().map(|row| {
            let text = if row % 3 == 0 {
                "null".to_owned()
            } else {
                format!("\"v{row}\"")
            };
            format!("{{\"id\":{row},\"s\":{text},\"l\":[{row},null]}}")
        });
        assert_eq!(found, expected.collect::<Vec<_>>(), "{range:?}");
    }
    let mut starved = ParquetRows::new(&metadata, &(0..10), 10).unwrap();
    assert!(matches!(
        starved.step(),
        Err(ParquetReadError::TooLarge { .. })
    ));
}

/// All rows of a file, or why there are none.
fn read_all(file: &Bytes) -> Result<usize, ParquetReadError> {
    let mut footer = ParquetFooter::new(file.len() as u64);
    let metadata = loop {
        match footer.step()? {
            Step::Needs(ranges) => {
                let bytes = pieces(file, &ranges);
                footer.push(bytes);
            }
            Step::Found(metadata) => break metadata,
            Step::Over => panic!("no metadata"),
        }
    };
    let all = u64::try_from(metadata.file_metadata().num_rows()).unwrap();
    let mut found = 0;
    // By rows of the middle, which need some pages only, and by all of them.
    for range in [all / 2..all, 0..all] {
        let mut rows = ParquetRows::new(&metadata, &range, 1 << 20)?;
        found = 0;
        loop {
            match rows.step()? {
                Step::Needs(ranges) => {
                    let bytes = pieces(file, &ranges);
                    rows.push(ranges, bytes)?;
                }
                Step::Found(lines) => found += memchr::memchr_iter(b'\n', &lines).count(),
                Step::Over => break,
            }
        }
    }
    Ok(found)
}

#[test]
fn files_that_contradict_themselves() {
    stated(
        "A footer that counts other rows than its row groups, or a row group whose columns have other numbers of values than it has rows, refuses the file in every job, and what is read is counted once more.",
    );
    stated(
        "A page that has a checksum is compared with it wherever it is read, by every job, and one that differs refuses its file by column and page.",
    );
    let good = include_bytes!("../../../../../tests/data/good.parquet");
    assert_eq!(read_all(&Bytes::from_static(good)).unwrap(), 100);
    let mut lying = good.to_vec();
    let number = [0x16, 0xc8, 0x01, 0x19];
    let place = lying
        .windows(4)
        .rposition(|window| window == number)
        .unwrap();
    for count in [[0x80, 0x00], [0xc6, 0x01], [0xca, 0x01]] {
        lying[place + 1..place + 3].copy_from_slice(&count);
        let error = read_all(&lying.clone().into()).unwrap_err().to_string();
        assert!(error.contains("row groups have 100"), "{error}");
    }
    stated(
        "A file whose columns are encrypted and whose footer is not is refused as encrypted, and one with brotli or LZO by column and codec, by every job; LZ4 is read.",
    );
    let files: [(&[u8], &str); 2] = [
        (
            include_bytes!("../../../../../tests/data/plain-footer.parquet"),
            "is encrypted",
        ),
        (
            include_bytes!("../../../../../tests/data/brotli.parquet"),
            "column `id` is compressed with brotli",
        ),
    ];
    for (bytes, says) in files {
        let error = read_all(&Bytes::from_static(bytes)).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    stated(
        "No map has a null key: one that has, as the schemas of some writers allow, does not fit its column in rekey and repartition, refuses a result of split, and refuses its merge by file and column.",
    );
    let optional = include_bytes!("../../../../../tests/data/optional-key.parquet");
    assert_eq!(read_all(&Bytes::from_static(optional)).unwrap(), 2);
    let null = include_bytes!("../../../../../tests/data/null-key.parquet");
    let error = read_all(&Bytes::from_static(null)).unwrap_err().to_string();
    assert!(error.contains("null"), "{error}");
    stated(
        "A dictionary's offset that is 0, or not before the data, is none, as for other readers, and of a row group without rows nothing is read, wherever its pages are said to be.",
    );
    let empty_groups = include_bytes!("../../../../../tests/data/empty-groups.parquet");
    assert_eq!(read_all(&Bytes::from_static(empty_groups)).unwrap(), 4);
    let lz4 = include_bytes!("../../../../../tests/data/lz4.parquet");
    assert_eq!(read_all(&Bytes::from_static(lz4)).unwrap(), 3);
    let flipped = include_bytes!("../../../../../tests/data/flipped.parquet");
    let error = read_all(&Bytes::from_static(flipped))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("row group 0, column `") && error.contains("page "),
        "{error}"
    );
}
