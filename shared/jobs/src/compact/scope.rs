//! The partitions that a request is about.

use lakewright_core::{
    catalog::{TableName, marks_above},
    compact::{PartitionLedger, generations_beside, partition_path},
    config::{self, CompactMode, Output, OutputFormat},
    location::Location,
};
use lakewright_ports::Store;

use super::{Ports, directory, footers::Tail};
use crate::{
    kit::{ErrorKind, JobError},
    work::foreign,
};

/// Where merged files are made below a target without a catalog: readers skip names that begin with `_`.
const STAGED: &str = "_compacting/";

/// The subject of a request: the partitions, and the locations of everything that belongs to them.
pub(super) struct Scope {
    /// With the ledger and the generations set.
    pub(super) settings: config::Compact,
    pub(super) ledger: Location,
    pub(super) partitions: Vec<Subject>,
    /// The listings that looked for another table format's log.
    pub(super) listings: u64,
    pub(super) tail: Tail,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    /// Its path below the table or the target.
    pub(super) path: String,
    pub(super) values: Vec<String>,
    /// Its location in the catalog, or the catalog's text if that is not a location.
    pub(super) location: Result<Location, String>,
}

/// Checks that a prefix does not belong to another table format. Returns the number of listings.
async fn not_foreign(store: &dyn Store, prefix: &Location) -> Result<u64, JobError> {
    foreign::not_foreign(store, prefix, ErrorKind::Unsuited).await?;
    Ok(marks_above(prefix).len() as u64)
}

impl Scope {
    /// # Errors
    /// The table cannot be compacted, or the store or the catalog fails.
    pub(super) async fn find(
        ports: &Ports,
        job: &config::Compact,
        selection: Option<&str>,
    ) -> Result<Self, JobError> {
        let mut scope = match (job.mode, &job.table, &job.target) {
            (CompactMode::Catalog, Some(table), _) => {
                Self::of_table(ports, job, table, selection).await?
            }
            (CompactMode::InPlace, _, Some(target)) => {
                Self::of_prefix(ports, job, target, selection).await?
            }
            _ => {
                return Err(JobError::new(
                    ErrorKind::BadRequest,
                    "the job has neither a table nor a target",
                ));
            }
        };
        scope.partitions.sort();
        Ok(scope)
    }

    async fn of_table(
        ports: &Ports,
        job: &config::Compact,
        name: &TableName,
        expression: Option<&str>,
    ) -> Result<Self, JobError> {
        let table = ports.catalog.table(name).await?;
        let table = table.ok_or_else(|| JobError::table_missing(name))?;
        let unsuited = |reason: String| {
            JobError::new(ErrorKind::TableUnsuited, format!("table {name}: {reason}"))
        };
        let output = Output::new(OutputFormat::Parquet);
        table
            .takes(&output)
            .map_err(|error| unsuited(error.to_string()))?;
        if table.has_partition_projection() {
            return Err(unsuited(
                "it has partition projection, with which Athena computes where partitions lie and ignores the catalog, so its readers would never see the new files: switch projection off (projection.enabled = false) once all partitions are registered".to_owned(),
            ));
        }
        if table.partition_keys.is_empty() {
            return Err(unsuited(
                "it has no partitions, and only partitions are pointed at new files".to_owned(),
            ));
        }
        let base = Location::directory(&table.storage.location)
            .map_err(|error| unsuited(error.to_string()))?;
        let listings = not_foreign(&*ports.store, &base).await?;
        let generations = job
            .generations
            .clone()
            .or_else(|| generations_beside(&base));
        let generations = generations
            .ok_or_else(|| unsuited("it fills a whole bucket: its new files have no place outside it, write generations = \"s3://…/\"".to_owned()))?;
        if base.contains(&generations) || base.bucket != generations.bucket {
            return Err(unsuited(format!(
                "generations = \"{generations}\" must lie in the table's bucket and outside the table's location {base}"
            )));
        }
        let ledger = job
            .ledger
            .clone()
            .unwrap_or_else(|| base.join("_lakewright/"));
        // Of many partitions only what is needed stays in memory. Whether Parquet is read does not depend on their columns.
        let (mut partitions, mut page) = (Vec::new(), None::<String>);
        loop {
            let found = ports
                .catalog
                .page_of_partitions(name, expression, page.as_deref())
                .await?;
            for partition in found.partitions {
                let as_it_says = table.with_storage(&partition.storage);
                as_it_says.takes(&output).map_err(|error| {
                    unsuited(format!("partition {:?}: {error}", partition.values))
                })?;
                partitions.push(Subject {
                    path: partition_path(&table.partition_keys, &partition.values),
                    location: Location::directory(&partition.storage.location)
                        .map_err(|_| partition.storage.location),
                    values: partition.values,
                });
            }
            page = found.next;
            if page.is_none() {
                break;
            }
        }
        Ok(Self {
            partitions,
            settings: config::Compact {
                ledger: Some(ledger.clone()),
                generations: Some(generations),
                ..job.clone()
            },
            ledger,
            listings,
            tail: Tail::default(),
        })
    }

    async fn of_prefix(
        ports: &Ports,
        job: &config::Compact,
        target: &Location,
        prefix: Option<&str>,
    ) -> Result<Self, JobError> {
        let ledger = job
            .ledger
            .clone()
            .unwrap_or_else(|| target.join("_lakewright/"));
        let below = target.join(prefix.unwrap_or_default());
        let listings = not_foreign(&*ports.store, &below).await?;
        let (objects, _) = directory::list(&*ports.store, &below).await?;
        let mut paths = objects
            .iter()
            .filter_map(|object| object.key.get(target.key.len()..))
            .filter(|name| directory::is_data(name))
            .map(|name| name.rfind('/').map_or("", |end| &name[..=end]))
            .collect::<Vec<_>>();
        paths.sort_unstable();
        paths.dedup();
        let partitions = paths.into_iter().map(|path| Subject {
            path: path.to_owned(),
            values: Vec::new(),
            location: Ok(target.join(path)),
        });
        Ok(Self {
            partitions: partitions.collect(),
            settings: config::Compact {
                ledger: Some(ledger.clone()),
                generations: Some(target.join(STAGED)),
                ..job.clone()
            },
            ledger,
            listings,
            tail: Tail::default(),
        })
    }

    /// Keeps only the partitions whose path comes after this one.
    pub(super) fn leave_after(&mut self, after: &str) {
        let seen = |partition: &Subject| partition.path.as_str() <= after;
        let begin = self.partitions.partition_point(seen);
        self.partitions.drain(..begin);
    }

    /// The ledger of a partition.
    pub(super) fn ledger_of(&self, partition: &Subject) -> PartitionLedger {
        PartitionLedger::new(&self.ledger, &partition.path)
    }

    pub(super) fn generations(&self) -> Result<&Location, JobError> {
        self.settings
            .generations
            .as_ref()
            .ok_or_else(|| JobError::new(ErrorKind::Unsuited, "generations is not known"))
    }
}
