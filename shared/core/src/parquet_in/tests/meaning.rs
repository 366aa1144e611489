//! Files of other writers, and how their metadata is interpreted.

use super::*;
use crate::semantics::stated;

const GOOD: &[u8] = include_bytes!("../../../../../tests/data/good.parquet");
const FLIPPED: &[u8] = include_bytes!("../../../../../tests/data/flipped.parquet");
const VARIANT: &[u8] = include_bytes!("../../../../../tests/data/1-a-int.parquet");

fn open(file: &'static [u8]) -> ParquetFile<Bytes> {
    ParquetFile::open(Bytes::from_static(file), &Limits::default()).unwrap()
}

#[test]
fn checksums_of_pages() {
    stated(
        "A page that has a checksum is compared with it wherever it is read, by every job, and one that differs refuses its file by column and page.",
    );
    for (file, whole) in [(GOOD, true), (FLIPPED, false)] {
        let file = open(file);
        let table = file.schema().unwrap();
        let rows = file.read(&table, options("id", Policy::Fail)).unwrap();
        let rows = rows.collect::<Result<Vec<_>, _>>();
        assert_eq!(rows.is_ok(), whole);
        if let Err(error) = rows {
            let error = error.to_string();
            assert!(
                error.contains("`amount`") && error.contains("page "),
                "{error}"
            );
        }
    }
}

#[test]
fn row_groups_without_rows() {
    stated(
        "A dictionary's offset that is 0, or not before the data, is none, as for other readers, and of a row group without rows nothing is read, wherever its pages are said to be.",
    );
    let file = open(include_bytes!(
        "../../../../../tests/data/empty-groups.parquet"
    ));
    let table = file.schema().unwrap();
    let rows = file.read(&table, options("ts", Policy::Fail)).unwrap();
    let rows = rows
        .map(|rows| rows.unwrap().batch.num_rows())
        .sum::<usize>();
    assert_eq!(rows, 4);
}

#[test]
fn meanings_that_tables_lack() {
    stated(
        "A VARIANT, a GEOMETRY or a GEOGRAPHY is read only where a table has its column as the struct or the binary value that it is stored as, or lacks it; an INTERVAL, whose months have no place, a map whose keys are not single values, and an unknown logical type only where the table lacks the column; a UUID becomes its 16 bytes, FLOAT16 `float`, BSON binary, and an ENUM a string.",
    );
    let error = open(VARIANT).schema().unwrap_err().to_string();
    assert!(
        error.contains("`v`") && error.contains("VARIANT"),
        "{error}"
    );
    let keys = StructArray::from(vec![(
        Arc::new(Field::new("k", DataType::Utf8, true)),
        strings(&[Some("a")]),
    )]);
    let maps = maps(column(keys), strings(&[Some("b")]), &[1]);
    let maps = file(&batch(&[("id", strings(&[Some("1")])), ("m", maps)]), 9);
    let maps = || ParquetFile::open(maps.clone(), &Limits::default()).unwrap();
    let error = maps().schema().unwrap_err().to_string();
    assert!(
        error.contains("`m` is a map whose keys are not single values"),
        "{error}"
    );
    let without = table(&[("id", "int")]);
    maps().read(&without, options("id", Policy::Drop)).unwrap();
    let id = Field::new("id", DataType::Int32, true);
    let parts = Fields::from(vec![
        Field::new("metadata", DataType::Binary, true),
        Field::new("value", DataType::Binary, true),
    ]);
    for (column, told) in [
        (None, true),
        (Some(Field::new("v", DataType::Struct(parts), true)), true),
        (Some(Field::new("V", DataType::Utf8, true)), false),
    ] {
        let table = Schema::new([id.clone()].into_iter().chain(column).collect::<Vec<_>>());
        let rows = open(VARIANT).read(&table, options("id", Policy::Drop));
        assert_eq!(rows.is_ok(), told, "{table:?}");
    }
}
