//! Parquet as input: batches with the columns of a table, and the time of each row. docs/SEMANTICS.md, "Parquet",
//! specifies which files are accepted and what they mean.
//!
//! A file is read by row groups, in batches of bounded size. Whatever its bytes, reading returns batches or an error.

mod adding;
mod convert;
mod error;
pub(crate) mod record;
mod routes;
mod rows;
pub(crate) mod schema;
mod source;
mod times;
mod whole;

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, ops::Range};

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch},
    buffer::OffsetBuffer,
    datatypes::{DataType, Schema},
};
use parquet::{arrow::arrow_reader::ParquetRecordBatchReader, file::reader::ChunkReader};

pub(crate) use self::{convert::Converter, rows::Shapers};
use self::{convert::index, source::Source};
pub use self::{
    error::ReadError,
    rows::{ReadOptions, Rows},
    times::Refused,
};
use crate::{
    config::{Limits, Policy},
    json::{NewColumns, ParseTimestamp},
    routes::Routes,
};

/// The approximate limits of a batch, in rows and bytes.
pub(crate) const BATCH_ROWS: usize = 8192;
pub(crate) const BATCH_BYTES: usize = 8 << 20;

/// A file whose footer has been read.
#[derive(Debug)]
pub struct ParquetFile<R: ChunkReader> {
    source: Source<R>,
}

impl<R: ChunkReader + 'static> ParquetFile<R> {
    /// Reads the footer.
    ///
    /// # Errors
    /// It is not a Parquet file, exceeds the limits, or has two columns with the same name ignoring case.
    pub fn open(file: R, limits: &Limits) -> Result<Self, ReadError> {
        let source = Source::open(file, limits)?;
        schema::check_names(source.schema().fields(), "")?;
        Ok(Self { source })
    }

    /// The columns of the file with types that tables have, for use without a table, with names in lower case.
    ///
    /// # Errors
    /// A column whose meaning tables do not have, such as a VARIANT.
    pub fn schema(&self) -> Result<Schema, ReadError> {
        self.columns(str::to_lowercase)
    }

    /// The same, with names as the file spells them.
    ///
    /// # Errors
    /// As [`schema`](Self::schema).
    pub fn spelled_schema(&self) -> Result<Schema, ReadError> {
        self.columns(str::to_owned)
    }

    fn columns(&self, name: fn(&str) -> String) -> Result<Schema, ReadError> {
        match self.source.meanings().into_iter().next() {
            Some(meaning) => Err(ReadError::Meaning {
                column: meaning.path,
                what: meaning.what,
                way_out: if meaning.has_parts {
                    "name a table that has the column as the struct or the binary value that it is stored as, or leave it out"
                } else {
                    "use a table without this column"
                },
            }),
            None => Ok(schema::of_table(self.source.schema(), name)),
        }
    }

    /// The names of the columns of [`schema`](Self::schema) in the file's spelling.
    pub fn names(&self) -> Vec<String> {
        let fields = self.source.schema().fields().iter();
        fields.map(|field| field.name().clone()).collect()
    }

    /// Reads the rows into the columns of `table`. Columns are matched by name, ignoring case, as in Athena:
    /// <https://docs.aws.amazon.com/athena/latest/ug/tables-databases-columns-names.html>
    ///
    /// # Errors
    /// The table does not have one of the columns, and the policy is to fail; or the file has no column for the row's time.
    pub fn read(self, table: &Schema, options: ReadOptions) -> Result<RowsReader<R>, ReadError> {
        self.read_routed(vec![(table, options)], None)
    }

    /// Reads each row into the columns of the table that its value routes it to; without routes, there is one table.
    ///
    /// # Errors
    /// As [`read`](Self::read); or the file has no column for the routes' value.
    pub fn read_routed(
        self,
        tables: Vec<(&Schema, ReadOptions)>,
        routes: Option<&Routes>,
    ) -> Result<RowsReader<R>, ReadError> {
        for (table, _) in &tables {
            self.check_meanings(table)?;
        }
        let shapers = Shapers::routed(self.source.schema(), tables, routes)?;
        Ok(self.reader(shapers))
    }

    /// Reads the rows like [`read`](Self::read), but without their times: each time is the epoch.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_columns(
        self,
        table: &Schema,
        on_unknown: Policy,
        on_mismatch: Policy,
        parse_timestamp: ParseTimestamp,
    ) -> Result<RowsReader<R>, ReadError> {
        self.check_meanings(table)?;
        let policies = (on_unknown, on_mismatch);
        let shapers = Shapers::untimed(self.source.schema(), table, policies, parse_timestamp)?;
        Ok(self.reader(shapers))
    }

    /// The number of rows of each row group, and its bytes in the file.
    pub fn row_groups(&self) -> Vec<(u64, u64)> {
        self.source.row_group_sizes()
    }

    /// Checks that the table has no column whose values in the file mean something that its type does not say.
    fn check_meanings(&self, table: &Schema) -> Result<(), ReadError> {
        for meaning in self.source.meanings() {
            let root = meaning.path.split('.').next().unwrap_or_default();
            let told = match convert::position(table.fields(), root) {
                None => true,
                Some(at) => {
                    let asked = table.fields().get(at).map(|field| field.data_type());
                    let nested = matches!(
                        asked,
                        Some(DataType::Struct(_) | DataType::List(_) | DataType::Map(..))
                    );
                    asked == Some(&DataType::Null)
                        || meaning.has_parts && (nested || asked == Some(&DataType::Binary))
                }
            };
            if !told {
                return Err(ReadError::Meaning {
                    column: meaning.path,
                    what: meaning.what,
                    way_out: "use a table without this column, or with the type that it is stored as",
                });
            }
        }
        Ok(())
    }

    fn reader(self, shapers: Shapers) -> RowsReader<R> {
        RowsReader {
            shapers,
            shaped: VecDeque::new(),
            source: self.source,
            row_group: 0,
            last_row_group: usize::MAX,
            row_bytes: 0,
            left: 0,
            reader: None,
            pending: VecDeque::new(),
            failed: false,
        }
    }
}

/// Reads a file's rows from first to last. After an error it ends.
///
/// For the rows of a [row group](Self::row_groups), it only reads bytes inside the row group.
pub struct RowsReader<R: ChunkReader> {
    source: Source<R>,
    shapers: Shapers,
    /// Rows of the last batch that were not returned yet.
    shaped: VecDeque<Rows>,
    /// The next row group to open, and the end of the range.
    row_group: usize,
    last_row_group: usize,
    row_bytes: u64,
    /// Rows of the open row group that were not decoded yet.
    left: u64,
    reader: Option<ParquetRecordBatchReader>,
    /// Decoded rows, split into batches.
    pending: VecDeque<RecordBatch>,
    failed: bool,
}

impl<R: ChunkReader + 'static> RowsReader<R> {
    /// The range of each row group in the file, for a caller that loads the bytes piece by piece.
    pub fn row_groups(&self) -> Vec<Range<u64>> {
        self.source.row_group_ranges()
    }

    /// Columns of the file that the table does not have may become columns of it: see [`Rows::new_fields`]. A row with a value
    /// in one that cannot is refused.
    #[must_use]
    pub fn adding(mut self, mut rule: NewColumns) -> Self {
        for meaning in self.source.meanings() {
            let root = meaning.path.split('.').next().unwrap_or_default();
            rule.refuse(root, "tables have no type with its meaning");
        }
        self.shapers.adding(self.source.schema(), &rule);
        self
    }

    /// Returns the rows of only this many row groups, until more are allowed.
    pub fn stop_after(&mut self, row_groups: usize) {
        self.last_row_group = row_groups;
    }

    /// Skips the row groups before this one. Call it before the first row is read.
    pub fn start_at(&mut self, row_group: usize) {
        self.row_group = row_group;
        let before = self.source.row_group_sizes().into_iter().take(row_group);
        self.shapers.start_at(before.map(|(rows, _)| rows).sum());
    }

    fn read(&mut self) -> Result<Option<Rows>, ReadError> {
        loop {
            if let Some(rows) = self.shaped.pop_front() {
                return Ok(Some(rows));
            }
            if let Some(batch) = self.pending.pop_front() {
                let sizes = vec![self.row_bytes; batch.num_rows()];
                self.shaped = self.shapers.shape(batch, sizes)?;
                continue;
            }
            if let Some(reader) = &mut self.reader {
                if let Some(batch) = source::next_batch(reader)? {
                    self.left = self.left.saturating_sub(batch.num_rows() as u64);
                    cut(&batch, &mut self.pending);
                    continue;
                }
                self.reader = None;
                if self.left > 0 {
                    return Err(ReadError::Corrupt(format!(
                        "row group {} has {} rows fewer than its footer says",
                        self.row_group.saturating_sub(1),
                        self.left
                    )));
                }
            } else if self.row_group < self.source.row_groups().min(self.last_row_group) {
                let sizes = self.source.row_group_sizes();
                self.left = sizes.get(self.row_group).map_or(0, |(rows, _)| *rows);
                // Some writers give a row group without rows no pages, and an offset at which there is none.
                if self.left > 0 {
                    let (reader, row_bytes) = self.source.read_row_group(self.row_group)?;
                    (self.reader, self.row_bytes) = (Some(reader), row_bytes);
                }
                self.row_group += 1;
            } else {
                return Ok(None);
            }
        }
    }
}

impl<R: ChunkReader + 'static> Iterator for RowsReader<R> {
    type Item = Result<Rows, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let rows = self.read();
        self.failed = rows.is_err();
        rows.transpose()
    }
}

/// Halves a batch until each part has few enough bytes of text. The decoder does not count these: a dictionary's long
/// value may be in every row.
fn cut(batch: &RecordBatch, parts: &mut VecDeque<RecordBatch>) {
    let rows = batch.num_rows();
    if rows <= 1 || batch.columns().iter().map(text_bytes).sum::<usize>() <= BATCH_BYTES {
        parts.push_back(batch.clone());
        return;
    }
    let half = rows / 2;
    cut(&batch.slice(0, half), parts);
    cut(&batch.slice(half, rows - half), parts);
}

/// The bytes of the strings and binary values of a column, counting each occurrence.
fn text_bytes(column: &ArrayRef) -> usize {
    let lengths = |views: &[u128]| {
        // The low 32 bits of a view are the length.
        views.iter().map(|view| (view & 0xffff_ffff) as usize).sum()
    };
    let inside = |values: &ArrayRef, offsets: &OffsetBuffer<i32>| {
        let (start, end) = (index(offsets.first()), index(offsets.last()));
        text_bytes(&values.slice(start, end - start))
    };
    match column.data_type() {
        DataType::Utf8View => lengths(column.as_string_view().views()),
        DataType::BinaryView => lengths(column.as_binary_view().views()),
        DataType::Struct(_) => column.as_struct().columns().iter().map(text_bytes).sum(),
        DataType::List(_) => {
            let lists = column.as_list::<i32>();
            inside(lists.values(), lists.offsets())
        }
        DataType::Map(..) => {
            let maps = column.as_map();
            inside(maps.keys(), maps.offsets()) + inside(maps.values(), maps.offsets())
        }
        _ => 0,
    }
}
