//! Batches of a file become rows of a table's columns, each with its time, or the reason why it is refused.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{Schema, SchemaRef},
};
use jiff::Timestamp;

use super::{
    ReadError,
    convert::Converter,
    record, schema,
    times::{Refused, Times},
};
use crate::{
    config::Policy,
    json::{ParseTimestamp, RecordError},
    quarantine::Reason,
    shown::in_full,
    time::TimestampReader,
};

/// Options for reading rows.
pub struct ReadOptions {
    /// What to do with columns that the table does not have.
    pub on_unknown: Policy,
    /// What to do with values that do not fit their column.
    pub on_mismatch: Policy,
    /// The column of the row's time, or the path to it.
    pub timestamp: String,
    /// Parses the row's time.
    pub timestamps: TimestampReader,
    /// Parses the values of timestamp columns that have another type in the file.
    pub parse_timestamp: ParseTimestamp,
}

/// Consecutive rows of a file.
#[derive(Debug)]
pub struct Rows {
    /// The number of the first row in the file, counted from 0.
    pub first: u64,
    /// The rows with the table's columns, including refused rows.
    pub batch: RecordBatch,
    /// The time of each row.
    pub times: Vec<Result<Timestamp, Refused>>,
    /// The number of columns that the table does not have, times the rows that are not refused.
    pub dropped: u64,
    /// The number of values, in rows that are not refused, that became null because they do not fit.
    pub mismatched: u64,
    /// The size of each row in bytes: of Parquet, the average decoded size in its row group.
    pub sizes: Vec<u64>,
    source: RecordBatch,
}

impl Rows {
    /// A row of the file, as one JSON object without a newline, for the quarantine.
    ///
    /// # Errors
    /// JSON cannot represent one of its values.
    pub fn record(&self, row: usize) -> Result<Vec<u8>, ReadError> {
        if row >= self.source.num_rows() {
            return Ok(Vec::new());
        }
        record::json(&self.source, row)
    }
}

/// Shapes the batches of a file, from first to last.
pub(crate) struct Shaper {
    table: SchemaRef,
    /// How to read the rows' times, if they are needed.
    times: Option<Times>,
    converter: Converter,
    on_mismatch: Policy,
    unknown: u64,
    refuse_all: Option<RecordError>,
    /// The number of the next row.
    row: u64,
}

impl Shaper {
    /// Columns are matched by name, ignoring case. Without `times`, each row's time is the epoch. The policies are for columns
    /// that the table does not have, and for values that do not fit.
    ///
    /// # Errors
    /// The table does not have one of the columns, and the policy is to fail.
    pub(crate) fn new(
        file: &Schema,
        table: &Schema,
        times: Option<Times>,
        (on_unknown, on_mismatch): (Policy, Policy),
        parse_timestamp: ParseTimestamp,
    ) -> Result<Self, ReadError> {
        let unknown = schema::unknown(file.fields(), table.fields(), "");
        let unknown_error = unknown
            .first()
            .map(|name| RecordError::UnknownField { name: name.clone() });
        if let Some(error) = &unknown_error
            && on_unknown == Policy::Fail
        {
            return Err(ReadError::RowRefused {
                row: 0,
                error: error.clone(),
            });
        }
        Ok(Self {
            table: Arc::new(table.clone()),
            times,
            converter: Converter::new(parse_timestamp),
            on_mismatch,
            unknown: unknown.len() as u64,
            refuse_all: unknown_error.filter(|_| on_unknown == Policy::Quarantine),
            row: 0,
        })
    }

    /// Passes over the rows before this one.
    pub(crate) fn start_at(&mut self, row: u64) {
        self.row = row;
    }

    /// The next rows of the file. `sizes`: how many bytes each has.
    pub(crate) fn shape(
        &mut self,
        source: RecordBatch,
        sizes: Vec<u64>,
    ) -> Result<Rows, ReadError> {
        let rows = source.num_rows();
        let schema = source.schema();
        self.converter.mismatches.clear();
        let from = (schema.fields(), source.columns());
        let columns = self
            .converter
            .columns(from, self.table.fields(), rows, "")?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.table), columns, &options)?;
        let first = self.row;
        self.row += rows as u64;

        let mut times = match &self.times {
            Some(times) => times.read(&source)?,
            None => vec![Ok(Timestamp::UNIX_EPOCH); rows],
        };
        if let Some(error) = &self.refuse_all {
            times.fill(Err(refused(error)));
        }
        let mut mismatched = 0;
        for mismatch in self.converter.mismatches.drain(..) {
            let Some(time) = times.get_mut(mismatch.row) else {
                continue;
            };
            match self.on_mismatch {
                Policy::Fail => {
                    return Err(ReadError::RowRefused {
                        row: first + mismatch.row as u64,
                        error: mismatch.error,
                    });
                }
                Policy::Quarantine => *time = Err(refused(&mismatch.error)),
                Policy::Drop => mismatched += u64::from(time.is_ok()),
            }
        }
        let taken = times.iter().filter(|time| time.is_ok()).count() as u64;
        Ok(Rows {
            first,
            batch,
            dropped: self.unknown * taken,
            times,
            mismatched,
            sizes,
            source,
        })
    }
}

fn refused(error: &RecordError) -> Refused {
    Refused {
        reason: error.reason().unwrap_or(Reason::Mismatch),
        detail: in_full(error),
    }
}
