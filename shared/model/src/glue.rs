use std::collections::BTreeMap;

use lakewright_core::catalog::{Table, TableName};
use lakewright_ports::{
    CatalogErrorKind, MAX_CREATE_PARTITIONS, MAX_GET_PARTITIONS, Partition, PartitionFailure,
};

/// The longest location and partition value, in characters.
/// <https://docs.aws.amazon.com/glue/latest/webapi/API_StorageDescriptor.html>
const LONGEST_LOCATION: usize = 2056;
const LONGEST_VALUE: usize = 1024;

/// Why Glue refuses a whole call.
pub(super) type Refusal = (CatalogErrorKind, &'static str);

/// A batch call that changes partitions.
pub(super) type Change =
    fn(&mut ModelGlue, &TableName, &[Partition]) -> Result<Vec<PartitionFailure>, Refusal>;

const NO_TABLE: Refusal = (CatalogErrorKind::NotFound, "EntityNotFoundException");
const NOT_UNDERSTOOD: Refusal = (
    CatalogErrorKind::Invalid,
    "InvalidInputException: the expression is not understood",
);
const TOO_MANY: Refusal = (
    CatalogErrorKind::Invalid,
    "InvalidInputException: too many partitions",
);

/// Glue's tables and partitions, with the documented limits. Each call is one step.
#[derive(Debug, Default)]
pub struct ModelGlue {
    tables: BTreeMap<TableName, Entry>,
}

#[derive(Debug)]
struct Entry {
    table: Table,
    partitions: BTreeMap<Vec<String>, Partition>,
}

impl ModelGlue {
    /// Adds or replaces a table.
    pub fn put_table(&mut self, table: Table) {
        self.tables
            .entry(table.name.clone())
            .and_modify(|entry| entry.table = table.clone())
            .or_insert(Entry {
                table,
                partitions: BTreeMap::new(),
            });
    }

    /// The partitions of a table, by their values.
    pub fn registered(&self, table: &TableName) -> impl Iterator<Item = &Partition> {
        self.tables
            .get(table)
            .into_iter()
            .flat_map(|entry| entry.partitions.values())
    }

    /// The table of this name.
    pub fn table(&self, name: &TableName) -> Option<Table> {
        self.tables.get(name).map(|entry| entry.table.clone())
    }

    pub(super) fn partitions(
        &self,
        table: &TableName,
        values: &[Vec<String>],
    ) -> Result<Vec<Partition>, Refusal> {
        if values.len() > MAX_GET_PARTITIONS {
            return Err(TOO_MANY);
        }
        let entry = self.tables.get(table).ok_or(NO_TABLE)?;
        Ok(values
            .iter()
            .filter_map(|values| entry.partitions.get(values).cloned())
            .collect())
    }

    pub(super) fn create(
        &mut self,
        table: &TableName,
        partitions: &[Partition],
    ) -> Result<Vec<PartitionFailure>, Refusal> {
        self.change(table, partitions, |exists| {
            exists.then_some((CatalogErrorKind::AlreadyExists, "AlreadyExistsException"))
        })
    }

    pub(super) fn update(
        &mut self,
        table: &TableName,
        partitions: &[Partition],
    ) -> Result<Vec<PartitionFailure>, Refusal> {
        self.change(table, partitions, |exists| {
            (!exists).then_some((CatalogErrorKind::NotFound, "EntityNotFoundException"))
        })
    }

    /// Only supports `key = value and key = value …`.
    pub(super) fn matching(
        &self,
        table: &TableName,
        expression: Option<&str>,
    ) -> Result<Vec<Partition>, Refusal> {
        let entry = self.tables.get(table).ok_or(NO_TABLE)?;
        let mut wanted = Vec::new();
        for comparison in expression.iter().flat_map(|text| text.split(" and ")) {
            let (key, value) = comparison.split_once('=').ok_or(NOT_UNDERSTOOD)?;
            let position = entry
                .table
                .partition_keys
                .iter()
                .position(|column| column.name == key.trim())
                .ok_or(NOT_UNDERSTOOD)?;
            wanted.push((position, value.trim().trim_matches('\'')));
        }
        let matches = |partition: &&Partition| {
            wanted.iter().all(|&(position, value)| {
                partition
                    .values
                    .get(position)
                    .is_some_and(|own| own == value)
            })
        };
        Ok(entry.partitions.values().filter(matches).cloned().collect())
    }

    pub(super) fn create_table(&mut self, table: Table) -> Result<(), Refusal> {
        if self.tables.contains_key(&table.name) {
            return Err((CatalogErrorKind::AlreadyExists, "AlreadyExistsException"));
        }
        self.put_table(Table {
            version_id: Some("0".to_owned()),
            ..table
        });
        Ok(())
    }

    pub(super) fn update_table(&mut self, table: Table) -> Result<(), Refusal> {
        let entry = self.tables.get_mut(&table.name).ok_or(NO_TABLE)?;
        if entry.table.version_id != table.version_id {
            return Err((
                CatalogErrorKind::Conflict,
                "ConcurrentModificationException",
            ));
        }
        let version: u64 = match table.version_id.as_deref().map(str::parse) {
            Some(Ok(version)) => version,
            _ => 0,
        };
        entry.table = Table {
            version_id: Some((version + 1).to_string()),
            ..table
        };
        Ok(())
    }

    fn change(
        &mut self,
        table: &TableName,
        partitions: &[Partition],
        refuse: impl Fn(bool) -> Option<Refusal>,
    ) -> Result<Vec<PartitionFailure>, Refusal> {
        if partitions.len() > MAX_CREATE_PARTITIONS {
            return Err(TOO_MANY);
        }
        let entry = self.tables.get_mut(table).ok_or(NO_TABLE)?;
        let mut failures = Vec::new();
        for partition in partitions {
            let refusal = invalid(&entry.table, partition)
                .or_else(|| refuse(entry.partitions.contains_key(&partition.values)));
            if let Some((kind, message)) = refusal {
                failures.push(PartitionFailure {
                    values: partition.values.clone(),
                    kind,
                    message: message.to_owned(),
                });
            } else {
                entry
                    .partitions
                    .insert(partition.values.clone(), partition.clone());
            }
        }
        Ok(failures)
    }
}

fn invalid(table: &Table, partition: &Partition) -> Option<Refusal> {
    let invalid = |message| Some((CatalogErrorKind::Invalid, message));
    if partition.values.len() != table.partition_keys.len() {
        invalid("InvalidInputException: not one value for each partition key")
    } else if partition
        .values
        .iter()
        .any(|value| value.chars().count() > LONGEST_VALUE)
    {
        invalid("InvalidInputException: a value is too long")
    } else if partition.storage.location.chars().count() > LONGEST_LOCATION {
        invalid("InvalidInputException: the location is too long")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use lakewright_core::catalog::{Column, StorageDescriptor};

    use super::*;

    fn table() -> Table {
        let key = |name: &str| Column {
            name: name.to_owned(),
            hive_type: "int".to_owned(),
        };
        Table {
            name: "lake.t".parse().unwrap(),
            storage: StorageDescriptor::default(),
            partition_keys: vec![key("year"), key("month")],
            parameters: BTreeMap::new(),
            version_id: None,
        }
    }

    #[test]
    fn expressions_select_partitions() {
        let mut glue = ModelGlue::default();
        let name = table().name;
        glue.create_table(table()).unwrap();
        let partition = |year: &str, month: &str| Partition {
            values: vec![year.to_owned(), month.to_owned()],
            storage: StorageDescriptor::default(),
        };
        let all = [partition("2026", "5"), partition("2026", "6")];
        glue.create(&name, &all).unwrap();
        for (expression, count) in [
            (None, 2),
            (Some("year = '2026'"), 2),
            (Some("year = 2026 and month = '6'"), 1),
            (Some("month = 7"), 0),
        ] {
            let found = glue.matching(&name, expression).unwrap();
            assert_eq!(found.len(), count, "{expression:?}");
        }
        for bad in ["day = 1", "year"] {
            assert!(glue.matching(&name, Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_table_is_updated_from_the_existing_version() {
        let mut glue = ModelGlue::default();
        glue.create_table(table()).unwrap();
        assert!(glue.create_table(table()).is_err());
        let first = glue.table(&table().name).unwrap();
        glue.update_table(first.clone()).unwrap();
        let (kind, _) = glue.update_table(first).unwrap_err();
        assert_eq!(kind, CatalogErrorKind::Conflict);
    }
}
