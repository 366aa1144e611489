//! Registers partitions in the catalog, so that a commit implies that readers find its rows.

use std::collections::BTreeMap;

use lakewright_core::{
    catalog::{StorageDescriptor, Table},
    config::Output,
    location::Location,
};
use lakewright_ports::{
    Catalog, CatalogErrorKind, MAX_CREATE_PARTITIONS, MAX_GET_PARTITIONS, Partition,
    PartitionFailure,
};

use crate::kit::{ErrorKind, JobError, Stage};

/// A partition with written files: its values, and the prefix of its objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Written {
    pub(crate) values: Vec<String>,
    pub(crate) directory: Location,
    /// The location that the catalog may still have while a compaction is being published: it is never set back.
    pub(crate) before: Option<Location>,
}

/// What to do with a registered partition whose storage descriptor differs from its table's, so that its files are read
/// differently.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Others<'a> {
    /// Its descriptor must fit the files that were written; otherwise nothing is registered.
    Checked(&'a Output),
    /// Its descriptor is replaced by the table's.
    Updated,
}

/// Registers every partition of `written` in the catalog with its directory.
///
/// # Errors
/// The catalog fails, refuses a partition, or has one at another location or with a descriptor that does not fit the files.
pub(crate) async fn register(
    catalog: &dyn Catalog,
    table: &Table,
    written: &[Written],
    others: Others<'_>,
) -> Result<(), JobError> {
    for chunk in written.chunks(MAX_GET_PARTITIONS) {
        let Missing { missing, other } = missing(catalog, table, chunk).await?;
        match others {
            Others::Checked(output) => check(table, &other, output)?,
            Others::Updated => update(catalog, table, other).await?,
        }
        for chunk in missing.chunks(MAX_CREATE_PARTITIONS) {
            create(catalog, table, chunk).await?;
        }
    }
    Ok(())
}

/// Checks before a commit that [`register`] will accept the partitions that are registered already.
///
/// # Errors
/// As [`register`].
pub(crate) async fn check_registered(
    catalog: &dyn Catalog,
    table: &Table,
    written: &[Written],
    others: Others<'_>,
) -> Result<(), JobError> {
    for chunk in written.chunks(MAX_GET_PARTITIONS) {
        let Missing { other, .. } = missing(catalog, table, chunk).await?;
        if let Others::Checked(output) = others {
            check(table, &other, output)?;
        }
    }
    Ok(())
}

fn check(table: &Table, other: &[Partition], output: &Output) -> Result<(), JobError> {
    for partition in other {
        let as_it_says = table.with_storage(&partition.storage);
        as_it_says.takes(output).map_err(|error| {
            let message = format!(
                "partition {:?} of {}: {error}",
                partition.values, table.name
            );
            JobError::new(ErrorKind::SchemaUnusable, message).during(Stage::Register)
        })?;
    }
    Ok(())
}

async fn update(
    catalog: &dyn Catalog,
    table: &Table,
    other: Vec<Partition>,
) -> Result<(), JobError> {
    let like_the_table = other.into_iter().map(|partition| Partition {
        values: partition.values,
        storage: StorageDescriptor {
            location: partition.storage.location,
            parameters: partition.storage.parameters,
            ..table.storage.clone()
        },
    });
    let partitions = like_the_table.collect::<Vec<_>>();
    for chunk in partitions.chunks(MAX_CREATE_PARTITIONS) {
        let failures = catalog.update_partitions(&table.name, chunk).await?;
        if let Some(failure) = failures.first() {
            return Err(refuse(table, failure));
        }
    }
    Ok(())
}

/// Whether readers parse files differently by these two descriptors.
fn differ(one: &StorageDescriptor, other: &StorageDescriptor) -> bool {
    let reading = |storage: &StorageDescriptor| {
        (
            storage.columns.clone(),
            storage.input_format.clone(),
            storage.output_format.clone(),
            storage.serde_library.clone(),
            storage.serde_parameters.clone(),
        )
    };
    reading(one) != reading(other)
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
    let (existing, refused): (Vec<_>, Vec<_>) = failures
        .into_iter()
        .partition(|failure| failure.kind == CatalogErrorKind::AlreadyExists);
    if let Some(failure) = refused.into_iter().next() {
        return Err(refuse(table, &failure));
    }
    // Another invocation was faster: the location that it registered must be the same.
    let others = written
        .iter()
        .filter(|partition| {
            existing
                .iter()
                .any(|other| other.values == partition.values)
        })
        .map(|&partition| partition.clone())
        .collect::<Vec<_>>();
    if let Some(lost) = missing(catalog, table, &others).await?.missing.first() {
        return Err(refuse(
            table,
            &PartitionFailure {
                values: lost.values.clone(),
                kind: CatalogErrorKind::NotFound,
                message: "it existed already, but a moment later it did not".to_owned(),
            },
        ));
    }
    Ok(())
}

/// What the catalog lacks.
struct Missing<'a> {
    /// The partitions that are not registered.
    missing: Vec<&'a Written>,
    /// Those that are registered with a descriptor that differs from the table's.
    other: Vec<Partition>,
}

/// Compares the partitions of `written` with the catalog.
async fn missing<'a>(
    catalog: &dyn Catalog,
    table: &Table,
    written: &'a [Written],
) -> Result<Missing<'a>, JobError> {
    let mut found = Missing {
        missing: Vec::new(),
        other: Vec::new(),
    };
    if written.is_empty() {
        return Ok(found);
    }
    let values = written
        .iter()
        .map(|partition| partition.values.clone())
        .collect::<Vec<_>>();
    let mut existing = catalog
        .partitions(&table.name, &values)
        .await?
        .into_iter()
        .map(|partition| (partition.values.clone(), partition))
        .collect::<BTreeMap<_, _>>();
    for partition in written {
        match existing.remove(&partition.values) {
            None => found.missing.push(partition),
            Some(existing) if partition.may_lie_at(&existing.storage.location) => {
                if differ(&existing.storage, &table.storage) {
                    found.other.push(existing);
                }
            }
            Some(existing) => {
                return Err(JobError::new(
                    ErrorKind::PartitionElsewhere,
                    format!(
                        "partition {:?} of {} lies at {} in the catalog, the job writes to {}",
                        partition.values,
                        table.name,
                        existing.storage.location,
                        partition.directory
                    ),
                )
                .during(Stage::Register));
            }
        }
    }
    Ok(found)
}

impl Written {
    /// Whether the partition may be registered at this location.
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

#[cfg(test)]
mod tests {
    use lakewright_core::config::OutputFormat;
    use lakewright_model::virtual_time;

    use super::*;
    use crate::fixture::Lake;

    const TEXT: &str = "org.apache.hadoop.hive.serde2.OpenCSVSerde";

    #[test]
    fn partitions_are_registered_where_they_are_written() {
        let output = Output::new(OutputFormat::Parquet);
        let checked = Others::Checked(&output);
        // Where the first of two partitions is registered, by which SerDe it is read, and what becomes of it.
        for (at, serde, others, expected) in [
            (None, None, checked, Ok(("t/day=1/", None))),
            (Some("t/day=1/"), None, checked, Ok(("t/day=1/", None))),
            (Some("t/day=1"), None, checked, Ok(("t/day=1", None))),
            (Some("before/"), None, checked, Ok(("before/", None))),
            (Some("other/"), None, checked, Err("PartitionElsewhere")),
            (
                Some("other/"),
                None,
                Others::Updated,
                Err("PartitionElsewhere"),
            ),
            (Some("t/day=1/"), Some(TEXT), checked, Err("SchemaUnusable")),
            (
                Some("t/day=1/"),
                Some(TEXT),
                Others::Updated,
                Ok(("t/day=1/", None)),
            ),
        ] {
            virtual_time(async {
                let lake = Lake::new();
                let table = lake.put_table(&["id"]);
                if let Some(at) = at {
                    lake.put_partition("1", at).await;
                    let serde = serde.map(str::to_owned);
                    lake.change_partition("1", |storage| storage.serde_library = serde)
                        .await;
                }
                let written = ["1", "2"].map(|day| Written {
                    values: vec![day.to_owned()],
                    directory: Lake::at(&format!("t/day={day}/")),
                    before: Some(Lake::at("before/")),
                });
                let catalog = lake.ports().catalog;
                let case = format!("{at:?} {serde:?} {others:?}");
                for attempt in 0..2 {
                    let done = register(&*catalog, &table, &written, others).await;
                    let name = done.err().map(|error| error.name());
                    assert_eq!(name, expected.err(), "{case} {attempt}");
                    let registered = lake.partitions();
                    if let Ok((first, serde)) = expected {
                        let storage = |day: &str| registered[day].clone();
                        let at = |key: &str| format!("s3://lake/{key}");
                        assert_eq!(storage("1").location, at(first), "{case}");
                        assert_eq!(storage("1").serde_library.as_deref(), serde, "{case}");
                        assert_eq!(storage("2").location, at("t/day=2/"), "{case}");
                    } else {
                        assert!(!registered.contains_key("2"), "{case}");
                    }
                }
                let checked = check_registered(&*catalog, &table, &written, others).await;
                let name = checked.err().map(|error| error.name());
                assert_eq!(name, expected.err(), "{case}: checked");
            });
        }
    }
}
