//! Plans a job, or resumes one: pins its result, cuts it into chunks, and enqueues those that are not done.

use std::sync::Arc;

use futures::{TryStreamExt, stream::FuturesUnordered};
use lakewright_core::config;
use lakewright_ports::{MAX_SEND_BATCH, Store};
use twox_hash::XxHash3_128;

use super::{
    Budget, PlanReport, PlanRequest, Ports, Task,
    ledger::{self, Ledger, Plan, Run},
    scan, settle, source,
};
use crate::{
    kit::{ErrorKind, JobError, Stage, Unfinished, send},
    work::{foreign, metered::Metered},
};

/// The most batches of messages that are sent at once.
const CONCURRENT_BATCHES: usize = 8;

/// Plans the job of a request, or adopts its existing plan, and enqueues the chunks that are not done.
///
/// # Errors
/// See [`JobError`]. The same request may be sent again.
pub async fn plan(
    ports: &Ports,
    job: &config::Split,
    request: &PlanRequest,
    queue_url: &str,
    budget: &Budget,
) -> Result<PlanReport, JobError> {
    let ports = &ports.writing(job);
    let target = source::target(ports, request).await?;
    let run = run_name(ports, request)?;
    let ledger = Ledger::new(job, &target.id);
    let store = &*ports.store;
    let existing = ledger::read_plan(store, &ledger).await?;
    let resumed = existing.is_some();
    let plan = if let Some((plan, _)) = existing {
        plan
    } else {
        foreign::not_foreign(store, &job.target, ErrorKind::BadRequest).await?;
        let found = source::find(ports, job, &target).await?;
        let plan = Box::pin(scanned(ports, job, &target.id, found, budget)).await?;
        if plan.puts() > u64::from(job.max_puts) && !request.confirm {
            return Err(JobError::new(
                ErrorKind::ConfirmationNeeded,
                format!(
                    "the job would make {} PUT requests, for {} USD, and its max_puts is {}: nothing was written. Send the request again with \"confirm\": true",
                    plan.puts(),
                    plan.usd(),
                    job.max_puts
                ),
            ));
        }
        propose(ports, &ledger, plan).await?
    };
    let document = Run {
        version: Run::VERSION,
        task_token: request.task_token.clone(),
    };
    ledger::create(store, &ledger.run(&run), &document).await?;
    let done = ledger::entries(store, &ledger.done()).await?;
    let chunks = 0..u32::try_from(plan.chunks.len()).unwrap_or(u32::MAX);
    let missing = chunks
        .filter(|chunk| !done.contains(chunk))
        .collect::<Vec<_>>();
    let tasks = missing.iter().map(|chunk| Task {
        plan: ledger.plan(),
        chunk: *chunk,
        run: run.clone(),
        resumed,
    });
    enqueue(ports, &tasks.collect::<Vec<_>>(), queue_url, budget).await?;
    // If there is nothing to do, no other invocation would report the end.
    let state = settle::settle(ports, &ledger, &plan, &run, None).await?;
    Ok(PlanReport {
        job: "split".to_owned(),
        name: plan.settings.name.clone(),
        run,
        plan: ledger.plan(),
        rows: plan.rows,
        objects: plan.objects(),
        chunks: plan.chunks.len() as u64,
        enqueued: missing.len() as u64,
        collisions: plan.collisions,
        puts: plan.puts(),
        usd: plan.usd(),
        state,
        id: plan.id,
    })
}

/// The plan of a result. A scan cannot be resumed: nothing of it is stored before its end.
async fn scanned(
    ports: &Ports,
    job: &config::Split,
    id: &str,
    found: source::Found,
    budget: &Budget,
) -> Result<Plan, JobError> {
    let all = found.sources.iter().map(|source| source.size).sum();
    let metered = Metered::new(&ports.store);
    let reading = Ports {
        store: Arc::clone(&metered) as Arc<dyn Store>,
        ..ports.clone()
    };
    let begun = ports.clock.now();
    let plan = scan::scan(&reading, job, id, found, budget).await;
    plan.map_err(|error| match error.kind() {
        ErrorKind::Deadline => {
            let done = metered.bytes();
            let unfinished = Unfinished {
                begun,
                done,
                all,
                of: "bytes of the result",
                tries: 1,
                instead: "split it in two by the query",
            };
            unfinished.too_short(&*ports.clock, Stage::Read)
        }
        _ => error,
    })
}

/// Makes `plan` the job's plan, or returns the existing plan.
async fn propose(ports: &Ports, ledger: &Ledger, plan: Plan) -> Result<Plan, JobError> {
    if ledger::create(&*ports.store, &ledger.plan(), &plan).await? {
        return Ok(plan);
    }
    let existing = ledger::read_plan(&*ports.store, ledger).await?;
    let (existing, _) = existing.ok_or_else(|| JobError::plan_missing(ledger.plan()))?;
    Ok(existing)
}

/// The name of the run in a request.
fn run_name(ports: &Ports, request: &PlanRequest) -> Result<String, JobError> {
    let run = match (&request.run, &request.task_token) {
        (Some(run), _) => run.clone(),
        (None, Some(token)) => format!("token-{:032x}", XxHash3_128::oneshot(token.as_bytes())),
        (None, None) => format!("at-{:015}", ports.clock.now().as_millisecond()),
    };
    source::check_name("run", &run)?;
    Ok(run)
}

/// Sends a message for each of the tasks.
async fn enqueue(
    ports: &Ports,
    tasks: &[Task],
    queue_url: &str,
    budget: &Budget,
) -> Result<(), JobError> {
    let mut batches = FuturesUnordered::new();
    for batch in tasks.chunks(MAX_SEND_BATCH) {
        if ports.clock.now() >= budget.deadline {
            return Err(JobError::deadline());
        }
        if batches.len() >= CONCURRENT_BATCHES {
            batches.try_next().await?;
        }
        batches.push(send_batch(ports, batch, queue_url));
    }
    while batches.try_next().await?.is_some() {}
    Ok(())
}

async fn send_batch(ports: &Ports, tasks: &[Task], queue_url: &str) -> Result<(), JobError> {
    let bodies = tasks.iter().map(serde_json::to_string);
    let bodies = bodies
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| JobError::new(ErrorKind::BadRequest, error.to_string()))?;
    send::send(&*ports.queue, queue_url, bodies).await
}

#[cfg(test)]
mod tests {
    use crate::split::fixture::{
        Step,
        Was::{Abandoned, Cancelled, Gone, Planned, Replaced, Wrote},
        check,
    };

    #[test]
    fn a_job_is_planned_once_and_resumed() {
        let plan = Step::Plan { confirm: false };
        check(&[
            (
                &[],
                plan,
                "Running, 3 of 3 sent",
                &["+ledger/plan", "+ledger/run/r"],
            ),
            (&[Planned], plan, "Running, 3 of 3 sent", &[]),
            (&[Planned, Wrote(1)], plan, "Running, 2 of 3 sent", &[]),
            (
                &[Planned, Wrote(0), Wrote(1), Wrote(2)],
                plan,
                "Succeeded, 0 of 3 sent",
                &[],
            ),
            // S2: what was planned is split, or nothing.
            (&[Planned, Replaced], plan, "Running, 3 of 3 sent", &[]),
            (&[Planned, Gone], plan, "Running, 3 of 3 sent", &[]),
            (&[Gone], plan, "Unreadable", &[]),
            (&[Planned, Abandoned(0)], plan, "Running, 3 of 3 sent", &[]),
            (&[Planned, Cancelled], plan, "Running, 3 of 3 sent", &[]),
        ]);
    }
}
