//! Records like those of a number plate camera, for what is measured.

use std::error::Error;

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema},
};
use lakewright_core::{
    chunk::Chunk,
    config::Policy,
    json::{Columns, ColumnsOptions, MAX_DEPTH},
    records::Records,
};

/// The first `count` records as JSON Lines.
pub fn json(count: usize) -> String {
    let record = |n: usize| {
        format!(
            "{{\"id\":{n},\"plate\":\"AB{:02} XYZ\",\"t\":\"2026-05-01T{:02}:{:02}:00.123Z\",\"speed\":{}.5,\"camera\":{{\"site\":\"M25 junction {}\",\"lane\":{}}},\"image\":\"s3://images/2026/05/01/{n:020}.jpg\",\"note\":\"éà\",\"flagged\":{}}}\n",
            n % 97,
            n / 60 % 24,
            n % 60,
            n % 130,
            n % 31,
            n % 4,
            n.is_multiple_of(50)
        )
    };
    (0..count).map(record).collect()
}

/// The first `count` records as CSV with a header.
pub fn csv(count: usize) -> String {
    let record = |n: usize| {
        format!(
            "{n},AB{:02} XYZ,2026-05-01T00:00:00Z,{}.5,\"a, b\"\n",
            n % 97,
            n % 130
        )
    };
    "id,plate,t,speed,note\n".to_owned() + &(0..count).map(record).collect::<String>()
}

/// The columns of the table that the records go into.
pub fn schema() -> Schema {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let camera = DataType::Struct(
        vec![
            field("site", DataType::Utf8),
            field("lane", DataType::Int32),
        ]
        .into(),
    );
    Schema::new(vec![
        field("id", DataType::Int64),
        field("plate", DataType::Utf8),
        field("t", DataType::Utf8),
        field("speed", DataType::Float64),
        field("camera", camera),
        field("image", DataType::Utf8),
        field("note", DataType::Utf8),
        field("flagged", DataType::Boolean),
    ])
}

/// Reads the records of `text` into the table's columns.
///
/// # Errors
/// `text` is not what `records` reads, or a record does not fit the columns.
pub fn columns(records: &mut dyn Records, text: &str) -> Result<RecordBatch, Box<dyn Error>> {
    let options = ColumnsOptions {
        on_unknown: Policy::Drop,
        on_mismatch: Policy::Quarantine,
        timestamp: vec!["t".to_owned()],
        parse_timestamp: Box::new(|_| None),
        raw_column: None,
        max_depth: MAX_DEPTH,
    };
    let mut columns = Columns::new(&schema(), options)?;
    records.push(&mut Chunk::of(text.as_bytes()));
    records.finish();
    while let Some(filled) = records.next_into(&mut columns)? {
        filled.result?;
    }
    Ok(columns.finish()?)
}
