//! Plans a job, or goes on with one: pins its result, cuts it into chunks, and enqueues those that are not done.

use futures::{TryStreamExt, stream::FuturesUnordered};
use lakewright_core::config;
use twox_hash::XxHash3_128;

use super::{
    Budget, PlanReport, PlanRequest, Ports, Task,
    error::{SplitError, Stage},
    ledger::{self, Ledger, Plan, Run},
    scan, settle, source,
};
use crate::{
    ports::MAX_SEND_BATCH,
    send::{self, SendError},
    work::foreign,
};

/// Batches of messages on their way at a time.
const CONCURRENT_BATCHES: usize = 8;

/// Plans the job that the request means, adopts the plan that stands, and enqueues what is not done.
///
/// # Errors
/// See [`SplitError`]. The same request may be made again.
pub async fn plan(
    ports: &Ports,
    job: &config::Split,
    request: &PlanRequest,
    queue_url: &str,
    budget: &Budget,
) -> Result<PlanReport, SplitError> {
    let ports = &ports.writing(job);
    let target = source::target(ports, request).await?;
    let run = run_name(ports, request)?;
    let ledger = Ledger::new(job, &target.id);
    let store = &*ports.store;
    let standing = ledger::read_plan(store, &ledger).await?;
    let resumed = standing.is_some();
    let plan = if let Some((plan, _)) = standing {
        plan
    } else {
        let foreign = foreign::not_foreign(store, &job.target).await;
        let foreign = foreign.map_err(|error| SplitError::store(Stage::Read, error))?;
        foreign.map_err(|error| SplitError::BadRequest(format!("{}: {error}", job.target)))?;
        let found = source::find(ports, job, &target).await?;
        let plan = scan::scan(ports, job, &target.id, found, budget).await?;
        if plan.puts() > u64::from(job.max_puts) && !request.confirm {
            return Err(SplitError::ConfirmationNeeded {
                puts: plan.puts(),
                usd: plan.usd(),
                max_puts: job.max_puts,
            });
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
    // Where there is nothing to do nobody else would say so.
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

/// Makes `plan` the job's plan, or answers with the one that stands already.
async fn propose(ports: &Ports, ledger: &Ledger, plan: Plan) -> Result<Plan, SplitError> {
    if ledger::create(&*ports.store, &ledger.plan(), &plan).await? {
        return Ok(plan);
    }
    let standing = ledger::read_plan(&*ports.store, ledger).await?;
    let (standing, _) = standing.ok_or_else(|| SplitError::PlanMissing(ledger.plan()))?;
    Ok(standing)
}

/// The name of the run that a request is about.
fn run_name(ports: &Ports, request: &PlanRequest) -> Result<String, SplitError> {
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
) -> Result<(), SplitError> {
    let mut batches = FuturesUnordered::new();
    for batch in tasks.chunks(MAX_SEND_BATCH) {
        if ports.clock.now() >= budget.deadline {
            return Err(SplitError::Deadline);
        }
        if batches.len() >= CONCURRENT_BATCHES {
            batches.try_next().await?;
        }
        batches.push(send_batch(ports, batch, queue_url));
    }
    while batches.try_next().await?.is_some() {}
    Ok(())
}

async fn send_batch(ports: &Ports, tasks: &[Task], queue_url: &str) -> Result<(), SplitError> {
    let bodies = tasks.iter().map(serde_json::to_string);
    let bodies = bodies
        .collect::<Result<_, _>>()
        .map_err(|error| SplitError::BadRequest(error.to_string()))?;
    send::send(&*ports.queue, &*ports.clock, queue_url, bodies)
        .await
        .map_err(|error| match error {
            SendError::Queue(error) => SplitError::Queue(error),
            SendError::Refused { body, code } => SplitError::Refused { body, code },
        })
}
