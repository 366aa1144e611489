//! Plans the outputs of one source object: their names and rows.

use jiff::Timestamp;
use lakewright_core::{
    catalog::Table,
    config,
    location::Location,
    naming::{output_name, plan_hash},
};

use super::{
    follow::Follow,
    ledger::{Intent, Ledger, PlannedOutput, Settings, TableColumns},
    register::Written,
    route::Routed,
};
use crate::{
    kit::{ErrorKind, JobError},
    ports::Catalog,
    report::OutputReport,
};

/// The only plan of a source object.
pub(super) struct Plan {
    settings: Settings,
    /// When the source object landed.
    landed: Timestamp,
    /// Ordered by partition, then by form, then by part.
    pub(super) outputs: Vec<Output>,
    /// The object for quarantined records, if there are any.
    pub(super) quarantine: Option<PlannedOutput>,
}

/// A planned object.
pub(super) struct Output {
    /// Its location: in the target, or in the directory that the partition's state names.
    pub(super) location: Location,
    /// The index of the job's output that it is written for.
    pub(super) form: usize,
    /// The index of the routed partition.
    pub(super) partition: usize,
    /// The number of records: those that follow the ones in the previous part.
    pub(super) rows: u64,
}

impl Output {
    /// Its name within its directory.
    pub(super) fn name(&self) -> &str {
        let key = &self.location.key;
        key.rsplit_once('/').map_or(key, |(_, name)| name)
    }
}

impl Settings {
    /// The settings for a source object that has no plan yet.
    pub(super) fn current(job: &config::Rekey, table: Option<&Table>) -> Self {
        Self {
            job: job.clone(),
            table: table.map(|table| TableColumns {
                columns: table.storage.columns.clone(),
                partition_keys: table.partition_keys.clone(),
            }),
        }
    }

    /// A hash of these settings, for the names of outputs.
    pub(super) fn hash(&self) -> Result<String, JobError> {
        let text = serde_json::to_string(self).map_err(|error| {
            JobError::new(ErrorKind::SchemaUnusable, format!("settings: {error}"))
        })?;
        Ok(plan_hash(&text))
    }
}

/// The job's table, if it names one, as the catalog has it now.
pub(super) async fn table(
    catalog: &dyn Catalog,
    job: &config::Rekey,
) -> Result<Option<Table>, JobError> {
    let Some(name) = &job.table else {
        return Ok(None);
    };
    let Some(table) = catalog.table(name).await? else {
        return Err(JobError::new(
            ErrorKind::TableMissing,
            format!("table {name} does not exist: create it, or remove `table` from the job"),
        ));
    };
    if let Some(output) = job.output.first() {
        let taken = table.takes(output);
        taken.map_err(|error| {
            JobError::new(ErrorKind::SchemaUnusable, format!("table {name}: {error}"))
        })?;
    }
    let keys = table.partition_keys.iter().map(|key| &key.name);
    if !keys
        .map(|key| key.to_lowercase())
        .eq(job.partition_by.iter().map(|part| part.to_lowercase()))
    {
        return Err(JobError::new(
            ErrorKind::PartitionKeysDiffer,
            format!(
                "table {} is partitioned by {:?}, the job by {:?}: they must be the same, in the same order",
                name,
                table
                    .partition_keys
                    .iter()
                    .map(|key| &key.name)
                    .collect::<Vec<_>>(),
                job.partition_by
            ),
        ));
    }
    Ok(Some(table))
}

impl Plan {
    /// The plan for what was routed with `settings`.
    pub(super) fn new(
        ledger: &Ledger,
        sid: &str,
        settings: &Settings,
        routed: &Routed,
    ) -> Result<Self, JobError> {
        let (hash, job) = (settings.hash()?, &settings.job);
        let mut outputs = Vec::new();
        for (partition, place) in routed.partitions.iter().enumerate() {
            for (form, output) in job.output.iter().enumerate() {
                for (part, rows) in (0..).zip(routed.files(partition, form)) {
                    let name = output_name(&place.path, sid, &hash, part, output.extension());
                    outputs.push(Output {
                        location: job.directory(output).join(&name),
                        form,
                        partition,
                        rows,
                    });
                }
            }
        }
        let quarantined = routed.quarantine.rows();
        Ok(Self {
            settings: settings.clone(),
            landed: routed.landed,
            outputs,
            quarantine: (quarantined > 0).then(|| PlannedOutput {
                key: ledger.quarantine(&hash).key,
                rows: quarantined,
            }),
        })
    }

    /// The job's configuration when the plan was made.
    pub(super) fn job(&self) -> &config::Rekey {
        &self.settings.job
    }

    /// The plan as a ledger document.
    pub(super) fn intent(&self, source: &Location, etag: &str) -> Intent {
        let mut outputs = self
            .outputs
            .iter()
            .map(|output| PlannedOutput {
                key: output.location.key.clone(),
                rows: output.rows,
            })
            .collect::<Vec<_>>();
        outputs.sort();
        Intent {
            outputs,
            quarantine: self.quarantine.clone(),
            landed: Some(self.landed),
            ..Intent::new(source.clone(), etag.to_owned(), self.settings.clone())
        }
    }

    /// Checks that `standing`, made from the same settings, names the same outputs.
    pub(super) fn check_against(&self, ledger: &Ledger, standing: &Intent) -> Result<(), JobError> {
        let mine = self.intent(&standing.source, &standing.etag);
        let everything = |intent: &Intent| {
            let outputs = intent.outputs.iter().chain(&intent.quarantine);
            outputs.cloned().collect::<std::collections::BTreeSet<_>>()
        };
        let (mine, theirs) = (everything(&mine), everything(standing));
        match mine.symmetric_difference(&theirs).next() {
            None => Ok(()),
            Some(output) => Err(JobError::new(
                ErrorKind::PlanDiffers,
                format!(
                    "the plan at {} was made by code that routes rows differently ({} rows of {} are {} the plan): see OPERATIONS.md, \"Superseding a plan\"",
                    ledger.intent(),
                    output.rows,
                    output.key,
                    if mine.contains(output) {
                        "not in"
                    } else {
                        "only in"
                    }
                ),
            )),
        }
    }

    /// The outputs with these sizes, in key order.
    pub(super) fn reports(&self, sizes: &[u64]) -> Vec<OutputReport> {
        let outputs = self.outputs.iter().zip(sizes);
        let mut reports = outputs
            .map(|(output, bytes)| OutputReport {
                key: output.location.key.clone(),
                rows: output.rows,
                bytes: *bytes,
            })
            .collect::<Vec<_>>();
        reports.sort_by(|a, b| a.key.cmp(&b.key));
        reports
    }

    /// The partitions with rows, and their locations: if there are several outputs, the first is the table's.
    pub(super) fn partitions(&self, routed: &Routed, follow: &Follow) -> Vec<Written> {
        let job = &self.settings.job;
        let mut written = self
            .outputs
            .iter()
            .filter(|output| output.form == 0)
            .filter_map(|output| {
                let place = routed.partitions.get(output.partition)?;
                let state = follow.state(output.partition);
                Some(Written {
                    values: place.values.clone(),
                    directory: match state {
                        Some(state) => state.directory.clone(),
                        None => job.directory(job.output.first()?).join(&place.path),
                    },
                    before: state.map(|state| state.previous.clone()),
                })
            })
            .collect::<Vec<_>>();
        written.sort();
        written.dedup();
        written
    }
}
