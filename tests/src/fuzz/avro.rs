//! Avro object container files.

use lakewright_core::{
    avro::{AvroError, AvroFile},
    chunk::Chunk,
    config::{Limits, Policy, Size},
    parquet_in::{ReadError, ReadOptions},
};

use super::{cut, parse_timestamp, timestamps};

/// Reading returns rows or an error, with the columns of the file and with those of a table, however the file is cut.
pub fn check(data: &[u8]) {
    let (chunks, whole) = cut(data);
    for policy in [Policy::Drop, Policy::Quarantine] {
        for own_columns in [true, false] {
            let in_chunks = read(&chunks, policy, own_columns).map_err(|error| error.to_string());
            let at_once = read(&[whole], policy, own_columns).map_err(|error| error.to_string());
            assert_eq!(in_chunks, at_once, "the chunks matter");
        }
    }
}

/// The rows, as text.
fn read(chunks: &[&[u8]], policy: Policy, own_columns: bool) -> Result<Vec<String>, AvroError> {
    let limits = Limits {
        record_size: Size::kib(64),
        ..Limits::default()
    };
    let open = || {
        let mut file = AvroFile::new(&limits);
        let mut chunks = chunks.iter();
        while !file.is_open()? {
            match chunks.next() {
                Some(chunk) => file.push(&mut Chunk::of(chunk)),
                None => file.finish(),
            }
        }
        Ok::<_, AvroError>((file, chunks))
    };
    let (file, mut chunks) = open()?;
    let table = if own_columns {
        file.schema()
    } else {
        super::table()
    };
    let options = ReadOptions {
        on_unknown: policy,
        on_mismatch: policy,
        timestamp: "g".to_owned(),
        timestamps: timestamps(),
        parse_timestamp: parse_timestamp(),
    };
    let rows = match file.read(&table, options) {
        Err(AvroError::Rows(ReadError::Name(_) | ReadError::NotATime { .. })) => {
            let (file, again) = open()?;
            chunks = again;
            file.read_columns(&table, policy, policy, parse_timestamp())
        }
        rows => rows,
    };
    let (mut rows, mut ended, mut texts) = (rows?, false, Vec::new());
    loop {
        while let Some(rows) = rows.next_rows()? {
            assert_eq!(rows.first, texts.len() as u64);
            assert_eq!(rows.times.len(), rows.batch.num_rows());
            assert_eq!(rows.sizes.len(), rows.batch.num_rows());
            for (row, time) in rows.times.iter().enumerate() {
                let record = rows.record(row);
                let record = record.map_err(|error| error.to_string());
                texts.push(format!(
                    "{:?} {time:?} {record:?}",
                    rows.batch.slice(row, 1)
                ));
            }
        }
        match chunks.next() {
            Some(chunk) => rows.push(&mut Chunk::of(chunk)),
            None if ended => return Ok(texts),
            None => {
                rows.finish();
                ended = true;
            }
        }
    }
}
