//! The steps after a commit: manifests, the catalog, and the removal of replaced objects.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use lakewright_core::{
    config::{self, Mode},
    location::Location,
    repartition::{Task, target_table},
};
use lakewright_ports::{
    CatalogErrorKind, DeleteFailure, Deletion, MAX_DELETE_BATCH, Precondition, PutOptions,
    StoreError, StoreErrorKind,
};

use super::{
    Ports,
    ledger::{self, Done, Finished, Ledger, Plan},
    source,
};
use crate::{
    kit::{ErrorKind, JobError, Stage},
    publish::register::{Others, Written, check_registered, register},
    work::list::Pages,
};

/// How often a change of the table is retried after a concurrent change.
const ATTEMPTS: usize = 8;

/// The location of the manifest of an output's files.
pub(super) fn manifest(job: &config::Repartition, output: &config::Output) -> Location {
    let directory = job.directory(output);
    let prefix = directory
        .key
        .strip_prefix(&job.target.key)
        .unwrap_or_default();
    job.ledger().join(&format!("manifest/{prefix}manifest"))
}

/// Executes the steps after a commit that are not done yet.
pub(super) async fn finish(
    ports: &Ports,
    ledger: &Ledger,
    plan: &Plan,
) -> Result<Finished, JobError> {
    let store = &*ports.store;
    if let Some(finished) = ledger::read(store, &ledger.finished()).await? {
        return Ok(finished);
    }
    let done = ledger::all_done(store, ledger, plan).await?;
    for (index, output) in plan.settings.output.iter().enumerate() {
        swap_manifest(ports, plan, index, output, &done).await?;
    }
    let unregistered = match catalog(ports, ledger, plan, &done).await {
        Ok(()) => None,
        // The catalog was changed after it was checked for the commit. The run is finished nevertheless: otherwise no other
        // run could begin.
        Err(error) if is_refused(&error) => {
            tracing::error!(%error, "the run is committed, and not all of its partitions are registered");
            Some(error.to_string())
        }
        Err(error) => return Err(error),
    };
    // P1, P3: only a committed run removes, and only what its plan lists.
    let (mut removed, mut left) = (0, Vec::new());
    for (output, replaced) in plan.settings.output.iter().zip(&plan.replaced) {
        let directory = plan.settings.directory(output);
        if !replaced.is_empty() {
            let other = remove(ports, &directory, replaced).await?;
            removed += (replaced.len() - other.len()) as u64;
            left.extend(other);
        }
        let success = directory.join("_SUCCESS");
        let put = store
            .put(&success, Bytes::new(), PutOptions::default())
            .await;
        put.map_err(|error| JobError::store(Stage::Ledger, error))?;
    }
    if plan
        .tasks
        .iter()
        .any(|task| matches!(task, Task::Partitions(_)))
    {
        discard_staged(ports, ledger).await?;
    }
    let finished = Finished {
        version: Finished::VERSION,
        removed,
        left,
        unregistered,
    };
    ledger::propose(store, &ledger.finished(), finished).await
}

/// Replaces the manifest that existed when the run was planned by the list of the output's new files. If there is
/// another one by now, this run or a later one has already replaced it.
async fn swap_manifest(
    ports: &Ports,
    plan: &Plan,
    index: usize,
    output: &config::Output,
    done: &[Done],
) -> Result<(), JobError> {
    let bucket = &plan.settings.target.bucket;
    let files = done.iter().flat_map(|done| &done.files);
    let new = files
        .filter(|file| file.output == index)
        .map(|file| &file.key);
    let keys: BTreeSet<_> = plan
        .kept
        .get(index)
        .into_iter()
        .flatten()
        .chain(new)
        .collect();
    let mut text = String::new();
    for key in keys {
        text += &Location::new(bucket, key).to_string();
        text.push('\n');
    }
    let existing = plan.manifests.get(index).cloned().flatten();
    let options = |precondition| PutOptions {
        precondition,
        content_type: Some("text/plain".to_owned()),
        ..PutOptions::default()
    };
    let at = manifest(&plan.settings, output);
    // P4: one object, swapped once.
    let precondition = existing.map_or(Precondition::Absent, Precondition::Matches);
    let put = ports
        .store
        .put(&at, text.clone().into(), options(precondition))
        .await;
    let put = match put {
        // The manifest was deleted.
        Err(StoreError {
            kind: StoreErrorKind::NotFound,
            ..
        }) => {
            ports
                .store
                .put(&at, text.into(), options(Precondition::Absent))
                .await
        }
        other => other,
    };
    match put {
        Err(error) if error.kind != StoreErrorKind::PreconditionFailed => {
            Err(JobError::store(Stage::Write, error))
        }
        _ => Ok(()),
    }
}

/// Removes exactly these objects. Returns the keys that have other objects.
async fn remove(
    ports: &Ports,
    directory: &Location,
    replaced: &[ledger::ReplacedObject],
) -> Result<Vec<String>, JobError> {
    let listed = source::list(&*ports.store, directory).await?;
    let existing = listed.into_iter().map(|object| (object.key, object.etag));
    let existing = existing.collect::<BTreeMap<_, _>>();
    let (mut keys, mut left) = (Vec::new(), Vec::new());
    for object in replaced {
        match existing.get(&object.key) {
            None => {}
            Some(etag) if *etag == object.etag => keys.push(Deletion {
                key: object.key.clone(),
                etag: Some(object.etag.clone()),
            }),
            Some(_) => left.push(object.key.clone()),
        }
    }
    left.extend(delete(ports, &directory.bucket, &keys).await?);
    left.sort();
    Ok(left)
}

/// Deletes objects. Returns the keys that have another object than the one that is named.
async fn delete(ports: &Ports, bucket: &str, keys: &[Deletion]) -> Result<Vec<String>, JobError> {
    let mut left = Vec::new();
    for keys in keys.chunks(MAX_DELETE_BATCH) {
        let failures = ports.store.delete(bucket, keys).await;
        let failures = failures.map_err(|error| JobError::store(Stage::Write, error))?;
        let (others, failures) = failures
            .into_iter()
            .partition::<Vec<_>, _>(DeleteFailure::is_of_another_object);
        left.extend(others.into_iter().map(|other| other.key));
        if let Some(failure) = failures.into_iter().next() {
            let kind = if failure.is_denied() {
                ErrorKind::AccessDenied
            } else {
                ErrorKind::NotRemoved
            };
            return Err(JobError::new(kind, failure.message)
                .during(Stage::Remove)
                .of(Location::new(bucket, failure.key)));
        }
    }
    Ok(left)
}

/// Removes the staged rows, page by page: what is removed is not listed again.
async fn discard_staged(ports: &Ports, ledger: &Ledger) -> Result<(), JobError> {
    let staged = ledger.all_staged();
    let mut pages = Pages::new(&*ports.store, &staged);
    let unlisted = |error| JobError::store(Stage::Remove, error);
    while let Some(page) = pages.next().await.map_err(unlisted)? {
        let keys = page.objects.into_iter().map(|object| object.key.into());
        delete(ports, &staged.bucket, &keys.collect::<Vec<_>>()).await?;
    }
    Ok(())
}

/// Whether the catalog refuses what the job registers, so that another attempt fails in the same way.
fn is_refused(error: &JobError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PartitionElsewhere
            | ErrorKind::PartitionRefused
            | ErrorKind::SchemaUnusable
            | ErrorKind::TableMissing
    )
}

/// Checks before the commit that the partitions which the run has written can be registered.
pub(super) async fn check_partitions(
    ports: &Ports,
    plan: &Plan,
    done: &[Done],
) -> Result<(), JobError> {
    let job = &plan.settings;
    let (Some(name), Some(output)) = (&job.table, job.output.first()) else {
        return Ok(());
    };
    if job.partition_by.is_empty() {
        return Ok(());
    }
    let Some(table) = ports.catalog.table(name).await? else {
        return Ok(());
    };
    // If the table's partition keys are about to change, none of its partitions is one of the run's.
    if table.partition_keys.len() != job.partition_by.len() {
        return Ok(());
    }
    let written = written(plan, output, done);
    check_registered(&*ports.catalog, &table, &written, others(job, output)).await
}

/// What to do with registered partitions that have another format. With `append` their objects stay, and so must the format.
fn others<'a>(job: &config::Repartition, output: &'a config::Output) -> Others<'a> {
    if job.manage_table && job.mode != Mode::Append {
        Others::Updated
    } else {
        Others::Checked(output)
    }
}

/// The partitions of the first output.
fn written(plan: &Plan, output: &config::Output, done: &[Done]) -> Vec<Written> {
    let directory = plan.settings.directory(output);
    let mut written = BTreeSet::new();
    for file in done.iter().flat_map(|done| &done.files) {
        if file.output == 0
            && let Some((path, _)) = file.key.rsplit_once('/')
        {
            written.insert(Written {
                values: file.values.clone(),
                directory: Location::new(&directory.bucket, format!("{path}/")),
                before: None,
            });
        }
    }
    written.into_iter().collect()
}

/// Updates the catalog as the job requests.
async fn catalog(
    ports: &Ports,
    ledger: &Ledger,
    plan: &Plan,
    done: &[Done],
) -> Result<(), JobError> {
    let job = &plan.settings;
    let (Some(name), Some(output)) = (&job.table, job.output.first()) else {
        return Ok(());
    };
    if plan.shape.files.is_empty() {
        return Ok(());
    }
    let directory = job.directory(output);
    let mut existing = ports.catalog.table(name).await?;
    if job.manage_table {
        for attempt in 1.. {
            let wanted = target_table(name, existing.as_ref(), &plan.shape, output, &directory);
            let changed = match &existing {
                Some(existing) if *existing == wanted => break,
                None => ports.catalog.create_table(&wanted).await,
                Some(_) => {
                    // A later run may have changed it since.
                    let finished: Option<Finished> =
                        ledger::read(&*ports.store, &ledger.finished()).await?;
                    if finished.is_some() {
                        break;
                    }
                    ports.catalog.update_table(&wanted).await
                }
            };
            if let Err(error) = changed {
                let raced = matches!(
                    error.kind,
                    CatalogErrorKind::AlreadyExists | CatalogErrorKind::Conflict
                );
                if !raced || attempt >= ATTEMPTS {
                    return Err(error.into());
                }
            }
            existing = ports.catalog.table(name).await?;
        }
    }
    if job.partition_by.is_empty() {
        return Ok(());
    }
    let table = existing.ok_or_else(|| JobError::table_missing(name))?;
    let written = written(plan, output, done);
    register(&*ports.catalog, &table, &written, others(job, output)).await
}
