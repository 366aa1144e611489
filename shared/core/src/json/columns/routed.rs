//! The columns of several destinations: each record fills those of its own.

use arrow::datatypes::Schema;

use super::{Columns, Report};
use crate::{
    config::Policy,
    json::{
        ColumnsOptions, RecordError, SchemaError,
        record::{Filled, Reject},
    },
    routes::{Routes, text_of},
};

/// The columns of several destinations.
#[derive(Debug)]
pub(super) struct Routed {
    routes: Routes,
    /// Finds the value that says where a record goes.
    value: Columns,
    of: Vec<Columns>,
    /// The destination of the last record.
    at: usize,
}

impl Columns {
    /// Columns that put each record into those of its destination. `of` are the destinations' columns.
    ///
    /// # Errors
    /// None is expected: the columns exist already.
    pub fn routed(routes: Routes, of: Vec<Self>, max_depth: usize) -> Result<Self, SchemaError> {
        let options = |timestamp| ColumnsOptions {
            on_unknown: Policy::Drop,
            // Two keys that match the name must not pass for a record without a value.
            on_mismatch: Policy::Quarantine,
            timestamp,
            parse_timestamp: Box::new(|_| None),
            raw_column: None,
            max_depth,
        };
        let path = routes.column().split('.').map(String::from).collect();
        let value = Self::new(&Schema::empty(), options(path))?;
        let mut columns = Self::new(&Schema::empty(), options(Vec::new()))?;
        columns.routed = Some(Box::new(Routed {
            routes,
            value,
            of,
            at: 0,
        }));
        Ok(columns)
    }

    /// The destination that the last record went to, or would have gone to if it had not been refused.
    pub fn destination(&self) -> usize {
        self.routed.as_ref().map_or(0, |routed| routed.at)
    }

    /// The columns of a destination. Without routes, there is one.
    pub fn of(&mut self, destination: usize) -> Option<&mut Self> {
        if self.routed.is_none() {
            return (destination == 0).then_some(self);
        }
        self.routed.as_mut()?.of.get_mut(destination)
    }

    /// The routes, and the columns of the destinations.
    pub(crate) fn routes(&self) -> Option<(&Routes, &[Self])> {
        let routed = self.routed.as_ref()?;
        Some((&routed.routes, &routed.of))
    }

    /// Chooses the destination of the next record by its value, as text. Returns its number and its columns.
    ///
    /// # Errors
    /// There is none for the value.
    pub(crate) fn choose(
        &mut self,
        value: Option<&str>,
    ) -> Result<(usize, &mut Self), RecordError> {
        match self.routed {
            Some(ref mut routed) => routed.choose(value),
            None => Ok((0, self)),
        }
    }
}

impl Routed {
    /// Appends the object that starts at `at` to the columns of its destination, and returns its end.
    pub(super) fn append_at(&mut self, buf: &[u8], at: usize) -> Filled<(usize, Report)> {
        let found = self.value.append_at(buf, at);
        self.value.truncate(0);
        let (_, report) = found.map_err(|reject| match *reject {
            Reject::Record(
                RecordError::AmbiguousTimestamp { first, second }
                | RecordError::KeyCollision { first, second, .. },
            ) => RecordError::AmbiguousRoute { first, second }.into(),
            _ => reject,
        })?;
        let value = report.into_appended(buf).timestamp;
        let (_, columns) = self.choose(text_of(&value).as_deref())?;
        columns.append_at(buf, at)
    }

    fn choose(&mut self, value: Option<&str>) -> Result<(usize, &mut Columns), RecordError> {
        let number = self.routes.of(value)?;
        let columns = self.of.get_mut(number);
        let columns = columns.ok_or_else(|| RecordError::NoRoute {
            column: self.routes.column().to_owned(),
            value: value.map(str::to_owned),
        })?;
        self.at = number;
        Ok((number, columns))
    }

    /// The columns of the last record.
    pub(super) fn last(&mut self) -> Option<&mut Columns> {
        self.of.get_mut(self.at)
    }
}
