//! Batches of a file become rows of a table's columns, each with its time, or the reason why it is refused.

use std::{collections::VecDeque, sync::Arc};

use arrow::{
    array::{RecordBatch, RecordBatchOptions, UInt32Array},
    compute::take_record_batch,
    datatypes::{Field, Schema, SchemaRef},
};
use jiff::Timestamp;

use super::{
    ReadError,
    adding::{self, Unknown, Values},
    convert::Converter,
    record,
    routes::{find, texts_of},
    schema,
    times::{Refused, Times},
};
use crate::{
    config::Policy,
    json::{NewColumns, NewFields, ParseTimestamp, RecordError},
    quarantine::Reason,
    routes::Routes,
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

/// Consecutive rows of a file or, with routes, those of them that go to one destination.
#[derive(Debug)]
pub struct Rows {
    /// The destination; `None` for rows that have none, all of which are refused.
    pub destination: Option<usize>,
    /// The number of the first row in the file, counted from 0.
    pub first: u64,
    /// The place of each row after the first one, if they are not consecutive.
    places: Option<UInt32Array>,
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
    /// The columns that may become columns of the table.
    new: Vec<(Field, Values)>,
    source: RecordBatch,
}

impl Rows {
    /// The number in the file of the row with this index.
    pub fn number(&self, row: usize) -> u64 {
        let places = self.places.as_ref();
        let place = places.and_then(|places| places.values().get(row));
        self.first + place.map_or(row as u64, |place| u64::from(*place))
    }

    /// The fields of a row that have a value and may become columns of the table.
    pub fn new_fields(&self, row: usize) -> Option<NewFields> {
        adding::new_fields(&self.new, row)
    }

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
    /// The file's columns that the table does not have, where they may become columns of it.
    added: Vec<Unknown>,
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
            added: Vec::new(),
            row: 0,
        })
    }

    /// Columns of the file that the table does not have may become columns of it. A row is refused for one that cannot, if it has
    /// a value there.
    fn adding(&mut self, file: &Schema, rule: &NewColumns) {
        self.added = Unknown::all(file, &self.table, rule);
        self.refuse_all = None;
    }

    /// The next rows of the file. `sizes`: how many bytes each has.
    fn shape(&mut self, source: RecordBatch, sizes: Vec<u64>) -> Result<Rows, ReadError> {
        let first = self.row;
        self.row += source.num_rows() as u64;
        self.shape_from(first, None, source, sizes)
    }

    /// Rows of the file whose places are counted from `first`.
    fn shape_from(
        &mut self,
        first: u64,
        places: Option<UInt32Array>,
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

        let mut times = match &self.times {
            Some(times) => times.read(&source)?,
            None => vec![Ok(Timestamp::UNIX_EPOCH); rows],
        };
        if let Some(error) = &self.refuse_all {
            times.fill(Err(refused(error)));
        }
        for (values, error) in self.added.iter().filter_map(|of| of.refused(&source)) {
            for (row, time) in times.iter_mut().enumerate() {
                if values.has(row) {
                    *time = Err(refused(error));
                }
            }
        }
        let mut mismatched = 0;
        for mismatch in self.converter.mismatches.drain(..) {
            let Some(time) = times.get_mut(mismatch.row) else {
                continue;
            };
            match self.on_mismatch {
                Policy::Fail => {
                    let place = places.as_ref();
                    let place = place.and_then(|places| places.values().get(mismatch.row));
                    return Err(ReadError::RowRefused {
                        row: first + place.map_or(mismatch.row as u64, |place| u64::from(*place)),
                        error: mismatch.error,
                    });
                }
                Policy::Quarantine => *time = Err(refused(&mismatch.error)),
                Policy::Drop => mismatched += u64::from(time.is_ok()),
            }
        }
        let taken = times.iter().filter(|time| time.is_ok()).count() as u64;
        Ok(Rows {
            destination: Some(0),
            first,
            places,
            batch,
            dropped: self.unknown * taken,
            times,
            mismatched,
            sizes,
            new: self
                .added
                .iter()
                .filter_map(|of| of.taken(&source))
                .collect(),
            source,
        })
    }
}

/// Shapes the batches of a file for one table, or for those of several destinations.
pub(crate) struct Shapers {
    of: Vec<Shaper>,
    /// The routes, and the path of the column with their value.
    routes: Option<(Routes, Vec<usize>)>,
    /// The number of the next row.
    row: u64,
}

impl Shapers {
    /// Rows with their times, each for the table that its value routes it to; without routes, there is one table.
    ///
    /// # Errors
    /// A table does not have one of the columns, and the policy is to fail; or the file has no column for the row's time, or for
    /// the routes' value.
    pub(crate) fn routed(
        file: &Schema,
        tables: Vec<(&Schema, ReadOptions)>,
        routes: Option<&Routes>,
    ) -> Result<Self, ReadError> {
        let of = tables.into_iter().map(|(table, options)| {
            let times = Times::new(file, &options.timestamp, options.timestamps)?;
            let policies = (options.on_unknown, options.on_mismatch);
            Shaper::new(file, table, Some(times), policies, options.parse_timestamp)
        });
        let of = of.collect::<Result<_, _>>()?;
        let routes = match routes {
            Some(routes) => Some((routes.clone(), find(routes, file)?)),
            None => None,
        };
        Ok(Self { of, routes, row: 0 })
    }

    /// Rows without their times: each time is the epoch.
    ///
    /// # Errors
    /// As [`Shaper::new`].
    pub(crate) fn untimed(
        file: &Schema,
        table: &Schema,
        policies: (Policy, Policy),
        parse_timestamp: ParseTimestamp,
    ) -> Result<Self, ReadError> {
        let of = vec![Shaper::new(file, table, None, policies, parse_timestamp)?];
        Ok(Self {
            of,
            routes: None,
            row: 0,
        })
    }

    /// Columns of the file that the tables do not have may become columns of them.
    pub(crate) fn adding(&mut self, file: &Schema, rule: &NewColumns) {
        for shaper in &mut self.of {
            shaper.adding(file, rule);
        }
    }

    /// Passes over the rows before this one.
    pub(crate) fn start_at(&mut self, row: u64) {
        self.row = row;
        for shaper in &mut self.of {
            shaper.row = row;
        }
    }

    /// The next rows of the file. `sizes`: how many bytes each has.
    pub(crate) fn shape(
        &mut self,
        source: RecordBatch,
        sizes: Vec<u64>,
    ) -> Result<VecDeque<Rows>, ReadError> {
        let Some((routes, path)) = &self.routes else {
            let Some(shaper) = self.of.first_mut() else {
                return Ok(VecDeque::new());
            };
            return Ok(VecDeque::from([shaper.shape(source, sizes)?]));
        };
        let first = self.row;
        self.row += source.num_rows() as u64;
        let mut places = vec![Vec::new(); self.of.len()];
        let (mut nowhere, mut refusals) = (Vec::new(), Vec::new());
        for (place, value) in (0..).zip(texts_of(&source, path)?) {
            match routes.of(value.as_deref()) {
                Ok(number) => places
                    .get_mut(number)
                    .into_iter()
                    .for_each(|of| of.push(place)),
                Err(error) => {
                    nowhere.push(place);
                    refusals.push(Err(refused(&error)));
                }
            }
        }
        let taken = |places: Vec<u32>| {
            let sizes = places
                .iter()
                .map(|place| sizes.get(*place as usize).copied());
            let sizes = sizes.map(Option::unwrap_or_default).collect::<Vec<_>>();
            let places = UInt32Array::from(places);
            take_record_batch(&source, &places).map(|rows| (places, rows, sizes))
        };
        let mut shaped = VecDeque::new();
        for (number, places) in places.into_iter().enumerate() {
            if let Some(shaper) = self.of.get_mut(number)
                && !places.is_empty()
            {
                let (places, rows, sizes) = taken(places)?;
                let rows = shaper.shape_from(first, Some(places), rows, sizes)?;
                shaped.push_back(Rows {
                    destination: Some(number),
                    ..rows
                });
            }
        }
        if !nowhere.is_empty() {
            let (places, source, sizes) = taken(nowhere)?;
            shaped.push_back(Rows {
                destination: None,
                first,
                places: Some(places),
                batch: RecordBatch::new_empty(Arc::new(Schema::empty())),
                times: refusals,
                dropped: 0,
                mismatched: 0,
                sizes,
                new: Vec::new(),
                source,
            });
        }
        Ok(shaped)
    }
}

fn refused(error: &RecordError) -> Refused {
    Refused {
        reason: error.reason().unwrap_or(Reason::Mismatch),
        detail: in_full(error),
    }
}
