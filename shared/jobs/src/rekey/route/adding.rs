//! Fields without a column that may become columns of the table, of the records that were routed.

use std::collections::BTreeMap;

use lakewright_core::{catalog::Column, json::NewFields};

/// The fields, and the candidate that brought each first.
#[derive(Default)]
pub(in crate::rekey) struct Found {
    fields: NewFields,
    brought: BTreeMap<String, u32>,
    /// Whether the table has no room for the fields of a record.
    is_full: bool,
    /// Whether a record did not fit the columns of those before it: nothing that follows is taken, since it may be set aside.
    is_over: bool,
}

impl Found {
    pub(super) fn add(&mut self, candidate: u32, fields: NewFields, room: usize) {
        if self.is_over {
            return;
        }
        // All or none: a record is set aside if one of its fields has no column.
        if !self.fields.has_room_for(&fields, room) {
            self.is_full = true;
            return;
        }
        let names = fields.names().map(str::to_owned).collect::<Vec<_>>();
        self.is_over = self.fields.merge(fields).is_err();
        if !self.is_over {
            for name in names {
                self.brought.entry(name).or_insert(candidate);
            }
        }
    }

    /// Whether the records must be read again: with more columns, or without those for which there is no room.
    pub(in crate::rekey) fn is_any(&self) -> bool {
        !self.fields.is_empty() || self.is_full
    }

    /// The columns, each with the candidate that brought it.
    ///
    /// # Errors
    /// The names of the fields that have no type.
    pub(in crate::rekey) fn columns(&self) -> Result<Vec<(Column, u32)>, Vec<String>> {
        let columns = self.fields.columns()?.into_iter();
        let brought = columns.map(|column| {
            let candidate = self.brought.get(&column.name).copied();
            (column, candidate.unwrap_or(u32::MAX))
        });
        Ok(brought.collect())
    }
}
