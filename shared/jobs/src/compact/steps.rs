//! Runs the steps of one partition after its merges.

use jiff::Timestamp;

use super::{
    Ports, StepRequest, abandon, delete, in_place, ledger,
    outcome::Outcome,
    publish,
    report::{Step, StepReport},
    sweep,
};
use crate::kit::{ErrorKind, JobError};

/// Runs one step of a partition. Where the `deadline` comes first, the next attempt goes on from there.
///
/// # Errors
/// See [`JobError`]. The same request may be sent again.
pub async fn step(
    ports: &Ports,
    request: &StepRequest,
    deadline: Timestamp,
) -> Result<StepReport, JobError> {
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
        (Step::Publish, false) => publish::publish(ports, &ledger, &plan, deadline).await?,
        (Step::Sweep, false) => sweep::sweep(ports, &ledger, &plan).await?,
        (Step::Delete, false) => delete::delete(ports, &ledger, &plan, deadline).await?,
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
