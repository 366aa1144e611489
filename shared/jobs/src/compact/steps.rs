//! Runs the steps of one partition after its merges.

use lakewright_core::{compact::PartitionLedger, location::Location};

use super::{
    Ports, StepRequest, abandon, delete, footers, in_place,
    ledger::{self, Bin, Plan},
    publish,
    report::{Step, StepReport, StepStatus},
    sweep,
};
use crate::{
    kit::{ErrorKind, JobError},
    ports::{Store, StoreErrorKind},
};

/// The outcome of a step, and the next step.
pub(super) struct Outcome {
    pub(super) status: StepStatus,
    /// The number of files that were carried over or deleted.
    pub(super) files: u64,
    /// The next step, and how many seconds to wait before it.
    pub(super) next: Option<(Step, u64)>,
}

impl Outcome {
    pub(super) fn done(files: u64, next: Option<(Step, u64)>) -> Self {
        Self {
            status: StepStatus::Done,
            files,
            next,
        }
    }

    pub(super) fn superseded() -> Self {
        Self {
            status: StepStatus::Superseded,
            files: 0,
            next: None,
        }
    }

    pub(super) fn waiting(step: Step, seconds: u64) -> Self {
        Self {
            status: StepStatus::Waiting,
            files: 0,
            next: Some((step, seconds)),
        }
    }
}

/// Runs one step of a partition.
///
/// # Errors
/// See [`JobError`]. The same request may be sent again.
pub async fn step(ports: &Ports, request: &StepRequest) -> Result<StepReport, JobError> {
    let (ledger, plan) = ledger::read_plan(&*ports.store, &request.plan).await?;
    let ports = &ports.writing(&plan.settings.tags, plan.settings.encryption.as_ref());
    if plan.partition != request.partition {
        return Err(JobError::new(
            ErrorKind::BadRequest,
            format!(
                "{} is the plan of the partition `{}`, not of `{}`",
                request.plan, plan.partition, request.partition
            ),
        ));
    }
    let outcome = match (request.step, plan.is_in_place()) {
        (Step::Publish, false) => publish::publish(ports, &ledger, &plan).await?,
        (Step::Sweep, false) => sweep::sweep(ports, &ledger, &plan).await?,
        (Step::Delete, false) => delete::delete(ports, &ledger, &plan).await?,
        (Step::Abandon, false) => abandon::abandon(ports, &ledger, &plan).await?,
        (Step::Abandon, true) => {
            return Err(JobError::new(
                ErrorKind::BadRequest,
                "with mode = \"in_place\" a plan is not given up: some of its files may be deleted by now",
            ));
        }
        (Step::Publish, true) => in_place::publish(ports, &ledger, &plan).await?,
        (Step::Sweep | Step::Delete, true) => Outcome::superseded(),
    };
    let next = outcome.next.map(|(step, _)| StepRequest {
        step,
        ..request.clone()
    });
    Ok(StepReport {
        job: "compact".to_owned(),
        table: plan.settings.subject(),
        partition: plan.partition,
        plan: request.plan.clone(),
        step: request.step,
        status: outcome.status,
        files: outcome.files,
        wait_seconds: outcome.next.map_or(0, |(_, seconds)| seconds),
        next,
    })
}

/// Verifies that the file of each bin exists with the planned rows. Returns their sizes.
pub(super) async fn verified(
    store: &dyn Store,
    ledger: &PartitionLedger,
    plan: &Plan,
) -> Result<Vec<u64>, JobError> {
    let mut sizes = Vec::with_capacity(plan.bins.len());
    for (task, bin) in plan.bins.iter().enumerate() {
        let location = plan.output(bin);
        let Some((size, rows)) = rows_of(store, &location).await? else {
            return Err(not_merged(ledger, plan, task, location));
        };
        if rows != bin.rows {
            return Err(rows_differ(location, rows, bin));
        }
        sizes.push(size);
    }
    Ok(sizes)
}

/// The file of a task does not exist yet.
pub(super) fn not_merged(
    ledger: &PartitionLedger,
    plan: &Plan,
    task: usize,
    location: Location,
) -> JobError {
    let plan = ledger.plan(plan.generation);
    JobError::new(
        ErrorKind::NotMerged,
        format!("it does not exist: run compact-merge with task {task} of {plan} first"),
    )
    .of(location)
}

/// A merged file has another number of rows than its plan says.
pub(super) fn rows_differ(location: Location, rows: u64, bin: &Bin) -> JobError {
    JobError::new(
        ErrorKind::RowsDiffer,
        format!("it has {rows} rows, its plan says {}", bin.rows),
    )
    .of(location)
}

/// The size and the row count of a file, if it exists.
pub(super) async fn rows_of(
    store: &dyn Store,
    location: &Location,
) -> Result<Option<(u64, u64)>, JobError> {
    let meta = match store.head(location, None).await {
        Ok(meta) => meta,
        Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let footer = footers::footer(store, location, meta.size, Some(&meta.etag)).await?;
    Ok(Some((meta.size, footers::rows(&footer))))
}
