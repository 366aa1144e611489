//! ORC files.

use bytes::Bytes;
use lakewright_core::{
    config::{Limits, Policy, Size},
    orc::{OrcError, OrcFile},
    parquet_in::{ReadError, ReadOptions},
};

use super::{parse_timestamp, timestamps};

/// Reading returns rows or an error, with the columns of the file and with those of a table.
pub fn check(data: &[u8]) {
    for policy in [Policy::Drop, Policy::Quarantine] {
        for own_columns in [true, false] {
            // Any result is fine, as long as it does not panic.
            let _ = read(data, policy, own_columns);
        }
    }
}

fn read(data: &[u8], policy: Policy, own_columns: bool) -> Result<(), OrcError> {
    let limits = Limits {
        parquet_row_group: Size::mib(16),
        ..Limits::default()
    };
    let open = || OrcFile::open(Bytes::copy_from_slice(data), &limits, 1 << 24);
    let file = open()?;
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
    let rows = match file.read_routed(vec![(&table, options)], None) {
        Err(OrcError::Rows(ReadError::Name(_) | ReadError::NotATime { .. })) => {
            open()?.read_columns(&table, policy, policy, parse_timestamp())
        }
        rows => rows,
    };
    let mut first = 0;
    for rows in rows? {
        let rows = rows?;
        assert_eq!(rows.first, first);
        assert_eq!(rows.times.len(), rows.batch.num_rows());
        first += rows.times.len() as u64;
        for row in 0..rows.times.len() {
            let _ = rows.record(row);
        }
    }
    Ok(())
}
