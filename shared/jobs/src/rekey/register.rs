//! Registers partitions in the catalog, so that a commit implies that readers find its rows.

use std::collections::BTreeMap;

use lakewright_core::{
    catalog::{StorageDescriptor, Table},
    location::Location,
};

use crate::{
    kit::{ErrorKind, JobError, Stage},
    ports::{
        Catalog, CatalogErrorKind, MAX_CREATE_PARTITIONS, MAX_GET_PARTITIONS, Partition,
        PartitionFailure,
    },
};

/// A partition as rekey writes it: its values, and the prefix of its objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Written {
    pub(crate) values: Vec<String>,
    pub(crate) directory: Location,
    /// The location that the catalog may still have while a compaction is being published: it is never set back.
    pub(crate) before: Option<Location>,
}

/// Registers every partition of `written` in the catalog with its directory.
///
/// # Errors
/// The catalog fails, refuses a partition, or has one at another location.
pub(crate) async fn register(
    catalog: &dyn Catalog,
    table: &Table,
    written: &[Written],
) -> Result<(), JobError> {
    for chunk in written.chunks(MAX_GET_PARTITIONS) {
        let missing = missing(catalog, table, chunk).await?;
        for chunk in missing.chunks(MAX_CREATE_PARTITIONS) {
            create(catalog, table, chunk).await?;
        }
    }
    Ok(())
}

async fn create(
    catalog: &dyn Catalog,
    table: &Table,
    written: &[&Written],
) -> Result<(), JobError> {
    let partitions = written
        .iter()
        .map(|partition| Partition {
            values: partition.values.clone(),
            storage: StorageDescriptor {
                location: partition.directory.to_string(),
                ..table.storage.clone()
            },
        })
        .collect::<Vec<_>>();
    let failures = catalog.create_partitions(&table.name, &partitions).await?;
    let (stood, refused): (Vec<_>, Vec<_>) = failures
        .into_iter()
        .partition(|failure| failure.kind == CatalogErrorKind::AlreadyExists);
    if let Some(failure) = refused.into_iter().next() {
        return Err(refuse(table, &failure));
    }
    // Another invocation was faster: the location that it registered must be the same.
    let others = written
        .iter()
        .filter(|partition| stood.iter().any(|other| other.values == partition.values))
        .map(|&partition| partition.clone())
        .collect::<Vec<_>>();
    if let Some(lost) = missing(catalog, table, &others).await?.first() {
        return Err(refuse(
            table,
            &PartitionFailure {
                values: lost.values.clone(),
                kind: CatalogErrorKind::NotFound,
                message: "it existed already, and a moment later did not".to_owned(),
            },
        ));
    }
    Ok(())
}

/// The partitions of `written` that are not in the catalog.
async fn missing<'a>(
    catalog: &dyn Catalog,
    table: &Table,
    written: &'a [Written],
) -> Result<Vec<&'a Written>, JobError> {
    if written.is_empty() {
        return Ok(Vec::new());
    }
    let values = written
        .iter()
        .map(|partition| partition.values.clone())
        .collect::<Vec<_>>();
    let standing = catalog
        .partitions(&table.name, &values)
        .await?
        .into_iter()
        .map(|partition| (partition.values, partition.storage.location))
        .collect::<BTreeMap<_, _>>();
    let mut missing = Vec::new();
    for partition in written {
        match standing.get(&partition.values) {
            None => missing.push(partition),
            Some(location) if partition.may_lie_at(location) => {}
            Some(location) => {
                return Err(JobError::new(
                    ErrorKind::PartitionElsewhere,
                    format!(
                        "partition {:?} of {} lies at {} in the catalog, the job writes to {}",
                        partition.values, table.name, location, partition.directory
                    ),
                )
                .during(Stage::Register));
            }
        }
    }
    Ok(missing)
}

impl Written {
    /// Whether the catalog may have the partition at this location.
    fn may_lie_at(&self, location: &str) -> bool {
        Location::directory(location)
            .is_ok_and(|at| at == self.directory || Some(&at) == self.before.as_ref())
    }
}

fn refuse(table: &Table, failure: &PartitionFailure) -> JobError {
    JobError::new(
        ErrorKind::of_partition(failure.kind),
        format!(
            "partition {:?} of {}: {}",
            failure.values, table.name, failure.message
        ),
    )
    .during(Stage::Register)
}
