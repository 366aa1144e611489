use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

static WHOLE: LazyLock<Bytes> = LazyLock::new(|| {
    let rows = every_type();
    let copies = vec![rows; 40];
    let rows = arrow::compute::concat_batches(&copies[0].schema(), &copies).unwrap();
    file(&rows, 50)
});

/// Reads a file to its end or to an error; nothing else may happen.
fn read_to_end(bytes: &[u8]) -> Result<u64, ReadError> {
    let limits = Limits {
        parquet_row_group: Size::mib(16),
        ..Limits::default()
    };
    let file = ParquetFile::open(Bytes::copy_from_slice(bytes), &limits)?;
    let table = file.schema().unwrap();
    let mut rows = 0;
    for batch in file.read(&table, options("g", Policy::Drop))? {
        rows += batch?.times.len() as u64;
    }
    Ok(rows)
}

#[test]
fn truncated_files_are_errors() {
    stated("Whatever the bytes of a Parquet file are, reading it ends in rows or in an error.");
    assert_eq!(read_to_end(&WHOLE).unwrap(), 120);
    for length in 0..WHOLE.len() {
        assert!(
            read_to_end(&WHOLE[..length]).is_err(),
            "the first {length} bytes"
        );
    }
}

#[test]
fn a_page_header_beyond_the_end_is_not_skipped_value_by_value() {
    let file = include_bytes!("../../../../../fuzz/seeds/parquet/list-beyond-the-end");
    let error = read_to_end(file).unwrap_err().to_string();
    assert!(error.contains("the file ends too early"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn changed_bytes_end_in_rows_or_an_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), footer: bool,
    ) {
        let mut bytes = WHOLE.to_vec();
        let start = if footer {
            let length = <[u8; 4]>::try_from(&bytes[bytes.len() - 8..bytes.len() - 4]).unwrap();
            bytes.len() - 8 - usize::try_from(u32::from_le_bytes(length)).unwrap()
        } else {
            0
        };
        for (at, value) in changes {
            let at = start + at.index(bytes.len() - start);
            bytes[at] = value;
        }
        let _ = read_to_end(&bytes);
    }
}
