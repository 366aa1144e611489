//! R6: the columns that fields without a column became.

use std::collections::BTreeMap;

use lakewright_core::catalog::Table;
use lakewright_model::{ModelGlue, Object};
use serde_json::{Value, json};

use super::Checker;
use crate::sim::{
    documents::{self, Plan},
    source::{Record, is_new},
};

/// The table, and who brought its columns.
pub(in crate::sim) struct Columns {
    table: Table,
    /// The type in each column's document.
    brought: BTreeMap<String, String>,
}

impl Columns {
    pub(in crate::sim) fn of(table: Table) -> Self {
        Self {
            table,
            brought: BTreeMap::new(),
        }
    }
}

/// The names of columns, and their types.
pub(super) type Types = BTreeMap<String, String>;

/// A record as a file with these columns has it: a value that does not fit its column is null.
pub(super) fn shown(record: &Record, columns: &Types) -> Record {
    let fields = record.iter().filter_map(|(name, value)| {
        let hive_type = columns.get(name).map(String::as_str);
        let value = match (is_new(name), hive_type, value) {
            (true, Some("string"), Value::Number(number)) => json!(number.to_string()),
            (false, ..)
            | (true, Some("bigint"), Value::Number(_))
            | (true, Some("string"), Value::String(_)) => value.clone(),
            _ => return None,
        };
        Some((name.clone(), value))
    });
    fields.collect()
}

impl Checker {
    /// The catalog may have changed: columns were added, and nothing else.
    pub(super) fn catalog(&mut self, glue: &ModelGlue) -> Result<(), String> {
        let Some(known) = &mut self.columns else {
            return Ok(());
        };
        let now = glue.table(&known.table.name);
        let now = now.ok_or("R6: the table is gone")?;
        if now == known.table {
            return Ok(());
        }
        let before = std::mem::replace(&mut known.table, now.clone());
        let added = now.storage.columns.strip_prefix(&*before.storage.columns);
        let Some(added) = added.filter(|added| !added.is_empty()) else {
            return Err(format!(
                "R6: the table had the columns {:?}, and has {:?}",
                before.storage.columns, now.storage.columns
            ));
        };
        for column in added {
            let name = &column.name;
            let others = before.storage.columns.iter().chain(&now.partition_keys);
            if others.map(|other| &other.name).any(|other| other == name) {
                return Err(format!("R6: the table has `{name}` twice"));
            }
            if known.brought.get(name) != Some(&column.hive_type) {
                return Err(format!(
                    "R6: the column {column:?} was added, and its document says {:?}",
                    known.brought.get(name)
                ));
            }
        }
        Ok(())
    }

    /// A document says which object brought a column: a record of it that is written has the field.
    pub(super) fn column(&mut self, object: &Object) -> Result<(), String> {
        let column = documents::added(object)?;
        let version = (column.source.clone(), column.etag.clone());
        let source = self.sources.get(&version);
        let mut rows = source.into_iter().flat_map(|source| source.rows.values());
        if !rows.any(|(_, record)| record.contains_key(&column.name)) {
            return Err(format!(
                "R6: {} is said to have brought `{}`, which no written record of it has",
                version.0, column.name
            ));
        }
        if let Some(known) = &mut self.columns {
            known.brought.insert(column.name, column.hive_type);
        }
        Ok(())
    }

    /// The columns of a plan are in the catalog, and are all that its members' records need.
    pub(super) fn has_columns(&self, bid: &str, plan: &Plan) -> Result<(), String> {
        let Some(known) = &self.columns else {
            return Ok(());
        };
        let in_catalog = known.table.storage.columns.iter();
        let in_catalog = in_catalog.map(|column| (column.name.clone(), column.hive_type.clone()));
        let in_catalog = in_catalog.collect::<Types>();
        let mut columns = plan.columns.iter();
        if let Some((name, hive_type)) =
            columns.find(|(name, hive_type)| in_catalog.get(*name) != Some(*hive_type))
        {
            return Err(format!(
                "R6: the plan of {bid} has `{name} {hive_type}`, and the table has not"
            ));
        }
        let sources = plan.members.iter().filter_map(|of| self.sources.get(of));
        let records = sources.flat_map(|source| source.rows.values());
        let mut names = records.flat_map(|(_, record)| record.keys());
        match names.find(|name| is_new(name) && !plan.columns.contains_key(*name)) {
            Some(name) => Err(format!("R6: the plan of {bid} has no column `{name}`")),
            None => Ok(()),
        }
    }
}
