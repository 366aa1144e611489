//! Objects that are read by ranges: Parquet, by row groups, and ORC, by stripes. Both are called row groups here.

use std::ops::Range;

use arrow::datatypes::Schema;
use bytes::Bytes;
use lakewright_core::{
    config::{Limits, Policy, Ranged},
    json::{NewColumns, ParseTimestamp},
    location::Location,
    orc::{OrcFile, OrcRows},
    parquet_in::{ParquetFile, ReadError, ReadOptions, Rows, RowsReader},
    routes::Routes,
};

use super::{
    parquet::{Loaded, Room},
    refusal::{refused, refused_orc},
    source::Pinned,
};
use crate::kit::JobError;

/// The share of the memory that a decompressed stripe may take, and what it may take in any case; it is there twice.
const STRIPE_SHARE: u64 = 8;
const LEAST_STRIPE: u64 = 16 << 20;

/// A file whose footer has been read.
pub(crate) struct RangedFile {
    loaded: Loaded,
    location: Location,
    format: Format<ParquetFile<Loaded>, OrcFile<Loaded>>,
}

/// One of the formats.
enum Format<P, O> {
    Parquet(Box<P>),
    Orc(Box<O>),
}

impl RangedFile {
    /// Reads the footer. `first`: the first bytes of the object, if they were read. An error of the store is one of `Err`, and
    /// that of a file which is refused is inside.
    pub(crate) async fn open(
        format: Ranged,
        object: &Pinned,
        location: &Location,
        first: &Bytes,
        limits: &Limits,
        memory: u64,
    ) -> Result<Result<Self, JobError>, JobError> {
        let loaded = Loaded::open(format, object, first, limits).await?;
        let file = match format {
            Ranged::Parquet => ParquetFile::open(loaded.clone(), limits)
                .map(|file| Format::Parquet(Box::new(file)))
                .map_err(|error| refused(location, error)),
            Ranged::Orc => OrcFile::open(
                loaded.clone(),
                limits,
                (memory / STRIPE_SHARE).max(LEAST_STRIPE),
            )
            .map(|file| Format::Orc(Box::new(file)))
            .map_err(|error| refused_orc(location, error)),
        };
        Ok(file.map(|format| Self {
            loaded,
            location: location.clone(),
            format,
        }))
    }

    /// The same, where the columns of ORC are also those of a table by their places.
    pub(crate) fn in_order(self, table: &[String]) -> Result<Self, JobError> {
        let Self {
            loaded,
            location,
            format,
        } = self;
        let format = match format {
            Format::Orc(file) if !table.is_empty() => {
                let file = file.in_order(table);
                Format::Orc(Box::new(
                    file.map_err(|error| refused_orc(&location, error))?,
                ))
            }
            other => other,
        };
        Ok(Self {
            loaded,
            location,
            format,
        })
    }

    /// The columns with types that tables have, with names in lower case.
    pub(crate) fn schema(&self) -> Result<Schema, JobError> {
        self.columns(ParquetFile::schema, OrcFile::schema)
    }

    /// The same, with names as the file spells them.
    pub(crate) fn spelled_schema(&self) -> Result<Schema, JobError> {
        self.columns(ParquetFile::spelled_schema, OrcFile::spelled_schema)
    }

    fn columns(
        &self,
        of_parquet: fn(&ParquetFile<Loaded>) -> Result<Schema, ReadError>,
        of_orc: fn(&OrcFile<Loaded>) -> Schema,
    ) -> Result<Schema, JobError> {
        match &self.format {
            Format::Parquet(file) => {
                of_parquet(file).map_err(|error| refused(&self.location, error))
            }
            Format::Orc(file) => Ok(of_orc(file)),
        }
    }

    /// The names of the columns, as the file spells them.
    pub(crate) fn names(&self) -> Vec<String> {
        match &self.format {
            Format::Parquet(file) => file.names(),
            Format::Orc(file) => file.names(),
        }
    }

    /// The number of rows of each row group, and its bytes in the file.
    pub(crate) fn row_groups(&self) -> Vec<(u64, u64)> {
        match &self.format {
            Format::Parquet(file) => file.row_groups(),
            Format::Orc(file) => file.row_groups(),
        }
    }

    /// Reads each row into the columns of the table that it is routed to.
    pub(crate) fn read_routed(
        self,
        tables: Vec<(&Schema, ReadOptions)>,
        routes: Option<&Routes>,
    ) -> Result<RangedRows, JobError> {
        let location = self.location;
        let rows = match self.format {
            Format::Parquet(file) => file
                .read_routed(tables, routes)
                .map(|rows| Format::Parquet(Box::new(rows)))
                .map_err(|error| refused(&location, error)),
            Format::Orc(file) => file
                .read_routed(tables, routes)
                .map(|rows| Format::Orc(Box::new(rows)))
                .map_err(|error| refused_orc(&location, error)),
        };
        Ok(RangedRows {
            loaded: self.loaded,
            rows: rows?,
            location,
        })
    }

    /// Reads the rows without their times.
    pub(crate) fn read_columns(
        self,
        table: &Schema,
        on_unknown: Policy,
        on_mismatch: Policy,
        parse: ParseTimestamp,
    ) -> Result<RangedRows, JobError> {
        let location = self.location;
        let rows = match self.format {
            Format::Parquet(file) => file
                .read_columns(table, on_unknown, on_mismatch, parse)
                .map(|rows| Format::Parquet(Box::new(rows)))
                .map_err(|error| refused(&location, error)),
            Format::Orc(file) => file
                .read_columns(table, on_unknown, on_mismatch, parse)
                .map(|rows| Format::Orc(Box::new(rows)))
                .map_err(|error| refused_orc(&location, error)),
        };
        Ok(RangedRows {
            loaded: self.loaded,
            rows: rows?,
            location,
        })
    }
}

/// The rows of a file.
pub(crate) struct RangedRows {
    loaded: Loaded,
    rows: Format<RowsReader<Loaded>, OrcRows<Loaded>>,
    location: Location,
}

impl RangedRows {
    /// Columns of the file that the table does not have may become columns of it.
    #[must_use]
    pub(crate) fn adding(mut self, rule: &NewColumns) -> Self {
        self.rows = match self.rows {
            Format::Parquet(rows) => Format::Parquet(Box::new(rows.adding(rule.clone()))),
            Format::Orc(rows) => Format::Orc(Box::new(rows.adding(rule))),
        };
        self
    }

    /// The range of each row group in the file.
    pub(crate) fn row_groups(&self) -> Vec<Range<u64>> {
        match &self.rows {
            Format::Parquet(rows) => rows.row_groups(),
            Format::Orc(rows) => rows.row_groups(),
        }
    }

    /// Skips the row groups before this one. Call it before the first row is read.
    pub(crate) fn start_at(&mut self, row_group: usize) {
        match &mut self.rows {
            Format::Parquet(rows) => rows.start_at(row_group),
            Format::Orc(rows) => rows.start_at(row_group),
        }
    }

    /// Returns the rows of only this many row groups, until more are allowed.
    pub(crate) fn stop_after(&mut self, row_groups: usize) {
        match &mut self.rows {
            Format::Parquet(rows) => rows.stop_after(row_groups),
            Format::Orc(rows) => rows.stop_after(row_groups),
        }
    }

    /// Downloads a row group, in place of the previous one, and allows its rows.
    pub(crate) async fn load(
        &mut self,
        room: &Room<'_>,
        object: &Pinned,
        row_group: usize,
    ) -> Result<(), JobError> {
        let range = self.row_groups().get(row_group).cloned();
        self.loaded
            .load(room, object, range.unwrap_or_default())
            .await?;
        self.stop_after(row_group + 1);
        Ok(())
    }

    /// The next rows of the row groups that are allowed.
    pub(crate) fn next(&mut self) -> Result<Option<Rows>, JobError> {
        match &mut self.rows {
            Format::Parquet(rows) => {
                let rows = rows.next().transpose();
                rows.map_err(|error| refused(&self.location, error))
            }
            Format::Orc(rows) => {
                let rows = rows.next().transpose();
                rows.map_err(|error| refused_orc(&self.location, error))
            }
        }
    }
}
