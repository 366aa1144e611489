//! ORC as input: batches with the columns of a table, and the time of each row. docs/SEMANTICS.md, "ORC", specifies which
//! files are accepted and what they mean.
//!
//! A file is read by stripes, in batches of bounded size. The decoder is the `orc-rust` crate; a stripe is decompressed and
//! counted before it gets there. Whatever its bytes, reading returns batches or an error.

mod chunks;
mod error;
mod handover;
mod rle;
mod stripe;
mod tail;
mod times;
mod types;

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, ops::Range};

use arrow::datatypes::{Schema, SchemaRef};
use parquet::file::reader::ChunkReader;

pub use self::{error::OrcError, tail::footer_size};
use self::{error::corrupt, handover::Decoder, tail::Tail};
use crate::{
    config::{Limits, Policy},
    json::{NewColumns, ParseTimestamp},
    parquet_in::{ReadOptions, Rows, Shapers, schema as table_schema},
    routes::Routes,
};

/// A file whose footer has been read.
#[derive(Debug)]
pub struct OrcFile<R> {
    file: R,
    tail: Tail,
    schema: SchemaRef,
    limits: Limits,
    room: u64,
}

impl<R: ChunkReader> OrcFile<R> {
    /// Reads the footer. `room`: the most bytes of a stripe, decompressed, that fit into memory.
    ///
    /// # Errors
    /// It is not an ORC file, exceeds the limits, has columns that are not read, or two with the same name ignoring case.
    pub fn open(file: R, limits: &Limits, room: u64) -> Result<Self, OrcError> {
        let tail = Tail::read(&file, limits)?;
        let schema = SchemaRef::new(types::schema_of(&tail.columns));
        table_schema::check_names(schema.fields(), "")?;
        Ok(Self {
            file,
            tail,
            schema,
            limits: limits.clone(),
            room,
        })
    }

    /// Checks that the columns of a table are found by their places as they are by their names: Athena takes the places, and
    /// Spark the names. A file of `_col0`, `_col1` and so on has no names, and gets those of the table.
    ///
    /// # Errors
    /// The file has a column at the place of another one of the table.
    pub fn in_order(mut self, table: &[String]) -> Result<Self, OrcError> {
        let columns = &mut self.tail.columns;
        let is_named =
            |(place, column): (usize, &types::Column)| column.name != format!("_col{place}");
        if !columns.iter().enumerate().any(is_named) {
            let named = columns.iter_mut().zip(table);
            named.for_each(|(column, name)| column.name.clone_from(name));
            self.schema = SchemaRef::new(types::schema_of(&self.tail.columns));
            table_schema::check_names(self.schema.fields(), "")?;
            return Ok(self);
        }
        let mut both = columns.iter().zip(table);
        match both.find(|(column, name)| !column.name.eq_ignore_ascii_case(name)) {
            Some((column, name)) => Err(OrcError::Places {
                column: column.name.clone(),
                table: name.clone(),
            }),
            None => Ok(self),
        }
    }

    /// The columns of the file with types that tables have, for use without a table, with names in lower case.
    pub fn schema(&self) -> Schema {
        table_schema::of_table(&self.schema, str::to_lowercase)
    }

    /// The same, with names as the file spells them.
    pub fn spelled_schema(&self) -> Schema {
        table_schema::of_table(&self.schema, str::to_owned)
    }

    /// The names of the columns of [`schema`](Self::schema) in the file's spelling.
    pub fn names(&self) -> Vec<String> {
        let fields = self.schema.fields().iter();
        fields.map(|field| field.name().clone()).collect()
    }

    /// The number of rows of each stripe, and its bytes in the file.
    pub fn row_groups(&self) -> Vec<(u64, u64)> {
        let stripes = self.tail.stripes.iter();
        let sizes = stripes.map(|stripe| (stripe.rows, stripe.end - stripe.start));
        sizes.collect()
    }

    /// Reads each row into the columns of the table that its value routes it to, as
    /// [`ParquetFile::read_routed`](crate::parquet_in::ParquetFile::read_routed) does.
    ///
    /// # Errors
    /// A table does not have one of the columns, and the policy is to fail; or the file has no column for the row's time, or
    /// for the routes' value.
    pub fn read_routed(
        self,
        tables: Vec<(&Schema, ReadOptions)>,
        routes: Option<&Routes>,
    ) -> Result<OrcRows<R>, OrcError> {
        let shapers = Shapers::routed(&self.schema, tables, routes)?;
        Ok(self.rows(shapers))
    }

    /// Reads the rows without their times: each time is the epoch.
    ///
    /// # Errors
    /// The table does not have one of the columns, and the policy is to fail.
    pub fn read_columns(
        self,
        table: &Schema,
        on_unknown: Policy,
        on_mismatch: Policy,
        parse_timestamp: ParseTimestamp,
    ) -> Result<OrcRows<R>, OrcError> {
        let policies = (on_unknown, on_mismatch);
        let shapers = Shapers::untimed(&self.schema, table, policies, parse_timestamp)?;
        Ok(self.rows(shapers))
    }

    fn rows(self, shapers: Shapers) -> OrcRows<R> {
        OrcRows {
            shapers,
            file: self,
            shaped: VecDeque::new(),
            stripe: 0,
            last_stripe: usize::MAX,
            left: 0,
            decoder: None,
            failed: false,
        }
    }
}

/// Reads a file's rows from first to last. After an error it ends.
///
/// For the rows of a [stripe](Self::row_groups), it only reads bytes inside the stripe.
pub struct OrcRows<R> {
    file: OrcFile<R>,
    shapers: Shapers,
    /// Rows of the last batch that were not returned yet.
    shaped: VecDeque<Rows>,
    /// The next stripe to open, and the end of the range.
    stripe: usize,
    last_stripe: usize,
    /// Rows of the open stripe that were not decoded yet.
    left: u64,
    decoder: Option<Decoder>,
    failed: bool,
}

impl<R: ChunkReader> OrcRows<R> {
    /// The range of each stripe in the file, without its indexes, for a caller that loads the bytes piece by piece.
    pub fn row_groups(&self) -> Vec<Range<u64>> {
        let stripes = self.file.tail.stripes.iter();
        stripes
            .map(|stripe| stripe.data.start..stripe.end)
            .collect()
    }

    /// Columns of the file that the table does not have may become columns of it: see [`Rows::new_fields`]. A row with a value
    /// in one that cannot is refused.
    #[must_use]
    pub fn adding(mut self, rule: &NewColumns) -> Self {
        self.shapers.adding(&self.file.schema, rule);
        self
    }

    /// Returns the rows of only this many stripes, until more are allowed.
    pub fn stop_after(&mut self, stripes: usize) {
        self.last_stripe = stripes;
    }

    /// Skips the stripes before this one. Call it before the first row is read.
    pub fn start_at(&mut self, stripe: usize) {
        self.stripe = stripe;
        let before = self.file.tail.stripes.iter().take(stripe);
        self.shapers
            .start_at(before.map(|stripe| stripe.rows).sum());
    }

    fn read(&mut self) -> Result<Option<Rows>, OrcError> {
        let OrcFile {
            file,
            tail,
            schema,
            limits,
            room,
        } = &self.file;
        loop {
            if let Some(rows) = self.shaped.pop_front() {
                return Ok(Some(rows));
            }
            if let Some(decoder) = &mut self.decoder {
                let number = self.stripe - 1;
                let batch = decoder.next(&tail.columns, schema);
                if let Some(batch) = batch.map_err(|error| error.of_stripe(number))? {
                    self.left = self.left.saturating_sub(batch.num_rows() as u64);
                    let sizes = vec![decoder.row_bytes; batch.num_rows()];
                    self.shaped = self.shapers.shape(batch, sizes)?;
                    continue;
                }
                self.decoder = None;
                if self.left > 0 {
                    return Err(corrupt("it has fewer rows than its footer says").of_stripe(number));
                }
            }
            let next = tail.stripes.get(self.stripe);
            let Some(stripe) = next.filter(|_| self.stripe < self.last_stripe) else {
                return Ok(None);
            };
            if stripe.rows > 0 {
                let decoder = stripe::ready(file, tail, stripe, self.stripe, limits, *room)
                    .and_then(|ready| Decoder::new(ready, &tail.columns));
                self.decoder = Some(decoder.map_err(|error| error.of_stripe(self.stripe))?);
                self.left = stripe.rows;
            }
            self.stripe += 1;
        }
    }
}

impl<R: ChunkReader> Iterator for OrcRows<R> {
    type Item = Result<Rows, OrcError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let rows = self.read();
        self.failed = rows.is_err();
        rows.transpose()
    }
}
