//! Plans a run of a job, or resumes the current one.

use std::collections::BTreeMap;

use bytes::Bytes;
use lakewright_core::{
    catalog::{Column, Table},
    config::{Files, Mode, Repartition},
    location::Location,
    repartition::{KeyValues, Layout, Shape, splits},
};
use lakewright_ports::{PutOptions, Secrets, StoreErrorKind};
use serde::Serialize;

use super::{
    Budget, Ports, TaskRequest, bookmark, files,
    finish::{finish, manifest},
    infer::Inferring,
    ledger::{self, Commit, Ledger, Plan, ReplacedObject},
    outline,
    report::{ObjectName, PlanReport},
    source::{self, Found},
};
use crate::{
    kit::{ErrorKind, JobError, Stage, Unfinished},
    work::secrets,
};

/// The most bytes of each of the two lists in an answer; the state of a state machine has at most 256 KiB.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>
const INLINE: usize = 64 << 10;

/// Plans a run of the job, or adopts a run that is planned and not committed. `secrets` has the secrets that columns are hashed
/// with.
///
/// # Errors
/// See [`JobError`]. The same request may be sent again.
pub async fn plan(
    ports: &Ports,
    secrets: &dyn Secrets,
    job: &Repartition,
    budget: &Budget,
) -> Result<PlanReport, JobError> {
    let begun = ports.clock.now();
    let ports = &ports.writing(&job.tags, job.encryption.as_ref());
    let store = &*ports.store;
    // The last committed run, and the withdrawn runs after it.
    let (mut run, mut previous, mut given_up) = (0, None, Vec::new());
    if let Some(newest) = ledger::newest(store, job).await? {
        let mut number = newest;
        loop {
            let at = Ledger::new(job, number);
            let (ledger, existing) = ledger::plan(store, &at.plan()).await?;
            let mut commit: Option<Commit> = ledger::read(store, &ledger.commit()).await?;
            if commit.is_none() {
                if sources_exist(ports, &existing).await? {
                    return report(ports, &ledger, &existing).await;
                }
                commit = Some(ledger::propose(store, &ledger.commit(), withdrawn()).await?);
            }
            if commit.is_some_and(|commit| commit.withdrawn) {
                given_up.push(existing.id);
                match number.checked_sub(1) {
                    Some(before) => number = before,
                    None => break,
                }
            } else {
                finish(ports, &ledger, &existing).await?;
                previous = Some(number);
                break;
            }
        }
        run = newest + 1;
    }
    let mut inferring = Inferring::new(&*ports.clock);
    let runs = Runs {
        run,
        previous,
        given_up: &given_up,
    };
    let made = make(ports, secrets, job, budget, &runs, &mut inferring);
    let plan = match made.await {
        Ok(plan) => plan,
        Err(error) if error.kind() == ErrorKind::Deadline => {
            let whole = || {
                // Nothing of a plan is stored before it is complete.
                let unfinished = Unfinished {
                    begun,
                    done: 0,
                    all: 1,
                    of: "plans",
                    tries: 1,
                    instead: "have the run read a part of the source",
                };
                let error = unfinished.too_short(&*ports.clock, Stage::Read);
                error.of(job.target.clone())
            };
            return Err(inferring.stopped(ports, job, error, whole).await);
        }
        Err(error) => return Err(error),
    };
    let ledger = Ledger::new(job, run);
    let plan = ledger::propose(store, &ledger.plan(), plan).await?;
    report(ports, &ledger, &plan).await
}

/// The document that a withdrawn run has as its commit.
fn withdrawn() -> Commit {
    Commit {
        version: Commit::VERSION,
        withdrawn: true,
        rows: 0,
        outputs: 0,
        bytes: 0,
    }
}

/// Whether every object that the plan reads still exists.
async fn sources_exist(ports: &Ports, plan: &Plan) -> Result<bool, JobError> {
    let existing = source::objects(&*ports.store, &plan.partitions).await?;
    let etags: BTreeMap<_, _> = existing
        .iter()
        .map(|object| ((object.partition, &object.key), &object.etag))
        .collect();
    let exists = |object: &ledger::SourceObject| {
        etags.get(&(object.partition, &object.key)) == Some(&&object.etag)
    };
    Ok(plan.sources.iter().all(exists))
}

/// A new run, and those before it.
struct Runs<'a> {
    run: u64,
    /// The last committed run.
    previous: Option<u64>,
    /// The ids of the withdrawn runs after it.
    given_up: &'a [String],
}

async fn make(
    ports: &Ports,
    secrets: &dyn Secrets,
    job: &Repartition,
    budget: &Budget,
    runs: &Runs<'_>,
    inferring: &mut Inferring,
) -> Result<Plan, JobError> {
    for output in &job.output {
        source::not_foreign(&*ports.store, &job.directory(output)).await?;
    }
    let mut found = source::find(ports, job).await?;
    apart(job, &found)?;
    if job.bookmark {
        bookmark::leave_new(ports, job, runs.previous, &mut found).await?;
    }
    if found.sources.is_empty() && found.table.is_none() && job.mode != Mode::Append {
        return Err(JobError::new(
            ErrorKind::NothingToRead,
            format!(
                "there is no object under {}: nothing would replace the target",
                found.root
            ),
        ));
    }
    let existing = existing(ports, job, runs.given_up).await?;
    if job.mode == Mode::Fail
        && let Some(first) = existing.kept.iter().flatten().next()
    {
        return Err(JobError::new(
            ErrorKind::TargetNotEmpty,
            format!(
                "mode = \"fail\": there are {} objects under the target, the first is {}",
                existing.kept.iter().flatten().count(),
                Location::new(&job.target.bucket, first)
            ),
        ));
    }
    let (columns, keys) = if let Some(known) = found.columns(ports, job, budget).await? {
        known
    } else {
        let inferred = inferring.columns(&found, ports, job, budget).await?;
        (inferred, Vec::new())
    };
    let types = target(ports, job).await?;
    let shape = if columns.is_empty() && keys.is_empty() {
        Shape::default()
    } else {
        Shape::new(job, &columns, &keys, &types)?
    };
    for partition in &found.partitions {
        let keys = KeyValues(partition.values.clone());
        shape.check_keys(&keys).map_err(|error| {
            let table = found.table.as_ref().map(|table| table.name.to_string());
            JobError::new(
                ErrorKind::SchemaUnusable,
                format!(
                    "table {}, partition {:?} at {}: {error}",
                    table.unwrap_or_default(),
                    partition.values,
                    partition.location
                ),
            )
        })?;
    }
    // Check before the first task that every type can be read, and every output written.
    shape.read_schema()?;
    if !shape.files.is_empty() {
        files::check_outputs(job, &shape)?;
    }
    let stored = found.stored(ports, job).await?;
    let splits_before = splits(&stored);
    let by_columns = !job.partition_by.is_empty();
    let files = job.files.unwrap_or(Files::Relative(0)).of(splits_before);
    // A run that adds nothing adds no file either.
    let adds = job.mode != Mode::Append || !found.sources.is_empty();
    let files = (!by_columns && !shape.files.is_empty() && adds).then_some(files);
    let together = by_columns && (job.merge || job.files.is_some());
    let layout = Layout::new(&stored, job.task_size.as_u64(), files, together);
    Plan {
        version: Plan::VERSION,
        run: runs.run,
        id: String::new(),
        settings: job.clone(),
        secrets: secrets::current(secrets, shape.secrets()).await?,
        reading: found.reading,
        shape,
        partitions: found.partitions,
        sources: found.sources,
        units: layout.units,
        prepare: layout.prepare,
        tasks: layout.tasks,
        files,
        splits_before,
        replaced: existing.replaced,
        kept: existing.kept,
        manifests: existing.manifests,
        previous: runs.previous,
        inputs: None,
    }
    .identified()
}

/// Checks that no run reads what another one wrote, and that none removes objects that are only read.
fn apart(job: &Repartition, found: &Found) -> Result<(), JobError> {
    for output in &job.output {
        let directory = job.directory(output);
        if directory == found.root {
            if job.mode == Mode::Append {
                return Err(JobError::new(
                    ErrorKind::SchemaUnusable,
                    format!(
                        "mode = \"append\" to the source itself, {directory}, would write each of its rows again"
                    ),
                ));
            }
            continue;
        }
        let partitions = found.partitions.iter().map(|partition| &partition.location);
        for source in partitions.chain([&found.root]) {
            if source.contains(&directory) {
                return Err(JobError::new(
                    ErrorKind::SchemaUnusable,
                    format!(
                        "{directory} lies inside the source {source}: the next run would read it. Choose a target outside, or the source itself"
                    ),
                ));
            }
            if directory.contains(source) {
                return Err(JobError::new(
                    ErrorKind::SchemaUnusable,
                    format!(
                        "the source {source} lies inside {directory}: a run would remove what it should only read. Choose a target outside, or the source itself"
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// The objects under the target, for each output.
#[derive(Default)]
struct Target {
    replaced: Vec<Vec<ReplacedObject>>,
    kept: Vec<Vec<String>>,
    manifests: Vec<Option<String>>,
}

async fn existing(
    ports: &Ports,
    job: &Repartition,
    given_up: &[String],
) -> Result<Target, JobError> {
    let store = &*ports.store;
    let mut target = Target::default();
    for output in &job.output {
        let (mut replaced, mut kept) = (Vec::new(), Vec::new());
        for object in source::list(store, &job.directory(output)).await? {
            // Objects that a withdrawn run left were never data.
            let left = given_up
                .iter()
                .any(|id| object.key.contains(&format!("-{id}.")));
            if left || job.mode == Mode::Overwrite {
                replaced.push(ReplacedObject {
                    key: object.key,
                    etag: object.etag,
                });
            } else {
                kept.push(object.key);
            }
        }
        target.replaced.push(replaced);
        target.kept.push(kept);
        let existing = store.head(&manifest(job, output), None).await;
        target.manifests.push(match existing {
            Ok(meta) => Some(meta.etag),
            Err(error) if error.kind == StoreErrorKind::NotFound => None,
            Err(error) => return Err(JobError::store(Stage::Ledger, error)),
        });
    }
    Ok(target)
}

/// The columns of the target table, for their types.
async fn target(ports: &Ports, job: &Repartition) -> Result<Vec<Column>, JobError> {
    let Some(name) = &job.table else {
        return Ok(Vec::new());
    };
    let Some(table) = ports.catalog.table(name).await? else {
        return if job.manage_table {
            Ok(Vec::new())
        } else {
            Err(JobError::table_missing(name))
        };
    };
    let unfit = |reason: String| {
        JobError::new(ErrorKind::SchemaUnusable, format!("table {name}: {reason}"))
    };
    if job.manage_table {
        // The table's storage settings are about to be replaced.
        table
            .may_be_managed()
            .map_err(|error| unfit(error.to_string()))?;
        if let (Mode::Append, Some(output)) = (job.mode, job.output.first()) {
            table.takes(output).map_err(|error| {
                unfit(format!(
                    "mode = \"append\" leaves its objects as they are, and manage_table would change how they are read: {error}"
                ))
            })?;
        }
    } else if let Some(output) = job.output.first() {
        let written = table.takes(output);
        written.map_err(|error| unfit(error.to_string()))?;
    }
    let lower = |name: &String| name.to_lowercase();
    let keys = |table: &Table| {
        table
            .partition_keys
            .iter()
            .map(|key| lower(&key.name))
            .collect()
    };
    let keys: Vec<String> = keys(&table);
    if !job.manage_table && keys != job.partition_by.iter().map(lower).collect::<Vec<_>>() {
        return Err(JobError::new(
            ErrorKind::SchemaUnusable,
            format!(
                "table {name} is partitioned by {keys:?}, the job by {:?}: they must be the same, in the same order",
                job.partition_by
            ),
        ));
    }
    if job.mode == Mode::Overwrite
        && let Some(output) = job.output.first()
        && !table.partition_keys.is_empty()
    {
        let directory = job.directory(output);
        for partition in ports.catalog.matching_partitions(name, None).await? {
            let at = &partition.storage.location;
            if !Location::directory(at).is_ok_and(|at| directory.contains(&at)) {
                return Err(JobError::new(
                    ErrorKind::PartitionElsewhere,
                    format!(
                        "partition {:?} of {name} lies at {at}, and not below {directory}, which the run replaces: readers of the table would still read it. Drop the partition, or write to a separate table",
                        partition.values
                    ),
                ));
            }
        }
    }
    let columns = table.storage.columns.into_iter();
    Ok(columns.chain(table.partition_keys).collect())
}

/// The answer for an existing plan.
async fn report(ports: &Ports, ledger: &Ledger, plan: &Plan) -> Result<PlanReport, JobError> {
    let entry = |task, prepare| TaskRequest {
        plan: ledger.plan(),
        task,
        prepare,
    };
    outline::put(ports, ledger, plan).await?;
    let prepare = (0..plan.prepare.len()).map(|index| entry(None, Some(index)));
    let tasks = (0..plan.tasks.len()).map(|index| entry(Some(index), None));
    let (prepare, tasks) = (prepare.collect(), tasks.collect());
    let (prepare, prepare_list) = listed(ports, prepare, ledger.prepare_list()).await?;
    let (tasks, tasks_list) = listed(ports, tasks, ledger.tasks_list()).await?;
    Ok(PlanReport {
        job: "repartition".to_owned(),
        name: plan.settings.name.clone(),
        run: plan.run,
        plan: ledger.plan(),
        files_before: plan.sources.len() as u64,
        splits_before: plan.splits_before,
        files: plan.files,
        bytes: plan.sources.iter().map(|source| source.size).sum(),
        columns: plan.columns().cloned().collect(),
        prepare,
        tasks,
        prepare_list,
        tasks_list,
    })
}

/// A list for an answer: the list itself, or its location.
async fn listed<T: Serialize>(
    ports: &Ports,
    list: Vec<T>,
    at: Location,
) -> Result<(Vec<T>, Option<ObjectName>), JobError> {
    let body = serde_json::to_vec(&list)
        .map_err(|error| JobError::entry(at.clone(), error.to_string()))?;
    if body.len() <= INLINE {
        return Ok((list, None));
    }
    let options = PutOptions {
        content_type: Some("application/json".to_owned()),
        ..PutOptions::create_only()
    };
    match ports.store.put(&at, Bytes::from(body), options).await {
        Ok(_) => {}
        Err(error) if error.kind == StoreErrorKind::PreconditionFailed => {}
        Err(error) => return Err(JobError::store(Stage::Ledger, error)),
    }
    Ok((
        Vec::new(),
        Some(ObjectName {
            bucket: at.bucket,
            key: at.key,
        }),
    ))
}
