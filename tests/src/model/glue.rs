use std::collections::BTreeMap;

use lakewright_core::catalog::{Table, TableName};
use lakewright_jobs::ports::{
    CatalogErrorKind, MAX_CREATE_PARTITIONS, MAX_GET_PARTITIONS, Partition, PartitionFailure,
};

/// The longest location and partition value, in characters.
/// <https://docs.aws.amazon.com/glue/latest/webapi/API_StorageDescriptor.html>
const LONGEST_LOCATION: usize = 2056;
const LONGEST_VALUE: usize = 1024;

/// Why Glue refuses a call as a whole.
pub(super) type Refusal = (CatalogErrorKind, &'static str);

/// A batch call that changes partitions.
pub(super) type Change =
    fn(&mut ModelGlue, &TableName, &[Partition]) -> Result<Vec<PartitionFailure>, Refusal>;

const NO_TABLE: Refusal = (CatalogErrorKind::NotFound, "EntityNotFoundException");
const TOO_MANY: Refusal = (
    CatalogErrorKind::Invalid,
    "InvalidInputException: too many partitions",
);

/// Glue's tables and partitions, each call in one step, with the documented limits.
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
    /// Adds a table, or replaces its description.
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

    pub(super) fn table(&self, name: &TableName) -> Option<Table> {
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
        self.change(table, partitions, |stands| {
            stands.then_some((CatalogErrorKind::AlreadyExists, "AlreadyExistsException"))
        })
    }

    pub(super) fn update(
        &mut self,
        table: &TableName,
        partitions: &[Partition],
    ) -> Result<Vec<PartitionFailure>, Refusal> {
        self.change(table, partitions, |stands| {
            (!stands).then_some((CatalogErrorKind::NotFound, "EntityNotFoundException"))
        })
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
