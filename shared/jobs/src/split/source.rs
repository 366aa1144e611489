//! Finds the objects of a request's result.

use std::sync::Arc;

use lakewright_core::{
    config::{self, Unload, UnloadFormat},
    content::{HEAD, NotText, instead_of_parquet},
    location::Location,
    naming::source_id,
    shown::whole,
    split::{SourceFormat, manifest},
};
use lakewright_ports::{GetOptions, ObjectMeta, QueryState, Store, StoreError, StoreErrorKind};

use super::{Columns, PlanRequest, Ports, ledger::Source, read};
use crate::kit::{ErrorKind, JobError, Stage};

/// How many bytes of an object are read to detect its format.
const FIRST: u64 = 64 << 10;

/// The suffix of UNLOAD's manifest.
const MANIFEST: &str = "-manifest.csv";

/// The delimiter of UNLOAD's text.
/// <https://docs.aws.amazon.com/athena/latest/ug/unload.html>
const CONTROL_A: u8 = 1;

/// The subject of a request: a job's id, and the location of its result.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) id: String,
    result: Result<Location, String>,
}

/// The objects of a result, and what is known about its columns.
pub(super) struct Found {
    pub(super) sources: Vec<Source>,
    pub(super) columns: Columns,
    pub(super) query: Option<String>,
}

/// The job of a request.
pub(super) async fn target(ports: &Ports, request: &PlanRequest) -> Result<Target, JobError> {
    let bad = |message: &str| JobError::new(ErrorKind::BadRequest, message.to_owned());
    let target = match (&request.query_execution_id, &request.result) {
        (Some(query), None) => Target {
            id: request.job.clone().unwrap_or_else(|| query.clone()),
            result: Err(query.clone()),
        },
        (None, Some(result)) => Target {
            id: if let Some(job) = &request.job {
                job.clone()
            } else {
                let meta = head(&ports.store, result).await?;
                source_id(&result.bucket, &result.key, &meta.etag)
            },
            result: Ok(result.clone()),
        },
        _ => return Err(bad("name a query_execution_id or a result, and not both")),
    };
    check_name("the job's id", &target.id)?;
    Ok(target)
}

/// Checks that a text can be part of the keys of the ledger and of objects.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), JobError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 128 || name.starts_with('.') || !name.bytes().all(fits) {
        return Err(JobError::new(
            ErrorKind::BadRequest,
            format!(
                "{what} `{name}` must have 1 to 128 letters, digits, `-`, `_` or `.`, and not begin with `.`"
            ),
        ));
    }
    Ok(())
}

/// The result's current objects, each pinned by its `ETag`.
pub(super) async fn find(
    ports: &Ports,
    job: &config::Split,
    target: &Target,
) -> Result<Found, JobError> {
    let mut columns = job.columns.clone();
    let (location, unload) = match &target.result {
        Ok(location) => (location.clone(), location.key.ends_with(MANIFEST)),
        Err(query) => {
            let (location, unload) = output(ports, query).await?;
            if !unload {
                columns = ports.queries.columns(query).await?;
            }
            (location, unload)
        }
    };
    allowed(job, &location)?;
    let sources = if unload {
        unloaded(&ports.store, job, &location).await?
    } else {
        let meta = head(&ports.store, &location).await?;
        vec![source(location, meta, SourceFormat::Csv, false)]
    };
    Ok(Found {
        sources,
        columns,
        query: target.result.as_ref().err().cloned(),
    })
}

fn allowed(job: &config::Split, location: &Location) -> Result<(), JobError> {
    if job.may_read(location) {
        Ok(())
    } else {
        Err(JobError::new(
            ErrorKind::SourceNotAllowed,
            "it is in none of the job's `sources`",
        )
        .of(location.clone()))
    }
}

/// The location of a finished query's result, and whether that is a manifest.
async fn output(ports: &Ports, query: &str) -> Result<(Location, bool), JobError> {
    let id = query.to_owned();
    let execution = ports.queries.execution(query).await?;
    let Some(execution) = execution else {
        return Err(JobError::new(
            ErrorKind::QueryMissing,
            format!("Athena has no query {id}, or no longer has it (it keeps them for 45 days)"),
        ));
    };
    let state = match execution.state {
        QueryState::Succeeded => None,
        QueryState::Unfinished => {
            return Err(JobError::new(
                ErrorKind::QueryUnfinished,
                format!("query {id} is not finished: wait until it has succeeded"),
            ));
        }
        QueryState::Failed => Some("failed"),
        QueryState::Cancelled => Some("was cancelled"),
    };
    if let Some(state) = state {
        // The reason begins with Athena's name for the error, and may quote a value after that.
        let reason = execution.reason.unwrap_or_default();
        let (name, rest) = reason.split_once(':').unwrap_or(("", &reason));
        let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
        let reason = if name.is_empty() || !name.chars().all(is_name) {
            whole(&reason).to_string()
        } else {
            format!("{name}: {}", whole(&rest.trim_start()))
        };
        return Err(JobError::new(
            ErrorKind::QueryFailed,
            format!("query {id} {state}: {reason}"),
        ));
    }
    if execution.managed {
        return Err(JobError::new(
            ErrorKind::ManagedResult,
            format!(
                "the result of query {id} is in Athena's managed storage, where it cannot be read in parts: give the workgroup, or the query, an output location in S3"
            ),
        ));
    }
    let location = if execution.unload {
        execution.manifest
    } else {
        execution.output
    };
    match location {
        Some(location) if execution.unload || is_csv(&location) => Ok((location, execution.unload)),
        other => Err(JobError::new(
            ErrorKind::NoRows,
            format!(
                "the result of query {} is not a table of rows ({}): run a SELECT or an UNLOAD",
                id,
                other.map_or_else(|| "nowhere".to_owned(), |output| output.to_string())
            ),
        )),
    }
}

/// The results of DDL end with `.txt`; those of CTAS and INSERT are not objects.
fn is_csv(output: &Location) -> bool {
    let extension = output.key.rsplit_once('.').map(|(_, extension)| extension);
    extension == Some("csv")
}

fn source(location: Location, meta: ObjectMeta, format: SourceFormat, compressed: bool) -> Source {
    Source {
        location,
        etag: meta.etag,
        size: meta.size,
        format,
        compressed,
        first_row: 0,
    }
}

/// The objects in a manifest.
async fn unloaded(
    store: &Arc<dyn Store>,
    job: &config::Split,
    at: &Location,
) -> Result<Vec<Source>, JobError> {
    let unreadable = |message: String| JobError::unreadable(at.clone(), message);
    let body = store
        .get(at, GetOptions::default())
        .await
        .map_err(|error| missing(at, error))?;
    let objects =
        manifest(&body.bytes, &at.bucket).map_err(|error| unreadable(error.to_string()))?;
    let mut sources = Vec::with_capacity(objects.len());
    for location in objects {
        allowed(job, &location)?;
        let meta = head(store, &location).await?;
        // The format of an empty result does not matter.
        let mut found = source(location, meta, SourceFormat::Json, false);
        if found.size > 0 {
            detect(store, job.unload.as_ref(), &mut found).await?;
        }
        sources.push(found);
    }
    Ok(sources)
}

/// Detects the format of an object that UNLOAD wrote.
async fn detect(
    store: &Arc<dyn Store>,
    unload: Option<&Unload>,
    source: &mut Source,
) -> Result<(), JobError> {
    let stored = read::get(store, source, 0..source.size.min(FIRST)).await?;
    let unreadable = |message: String| JobError::unreadable(source.location.clone(), message);
    let (plain, compressed) = read::head(&stored).map_err(|error| unreadable(error.to_string()))?;
    let format = match unload.map(|unload| (unload.format, unload.delimiter)) {
        Some((UnloadFormat::Text, delimiter)) => {
            let delimiter = delimiter.and_then(|mark| u8::try_from(mark).ok());
            SourceFormat::Text {
                delimiter: delimiter.unwrap_or(CONTROL_A),
            }
        }
        Some((UnloadFormat::Json, _)) => SourceFormat::Json,
        Some((UnloadFormat::Parquet, _)) => SourceFormat::Parquet,
        None => SourceFormat::detect(&plain).map_err(|error| {
            let not_text = NotText::find(plain.get(..HEAD).unwrap_or(&plain));
            unreadable(not_text.map_or_else(|| error.to_string(), |not| not.to_string()))
        })?,
    };
    if format == SourceFormat::Parquet
        && let Some(what) = instead_of_parquet(stored.get(..HEAD).unwrap_or(&stored))
        && !stored.starts_with(b"PAR1")
    {
        return Err(unreadable(format!("not a Parquet file: {what}")));
    }
    source.format = format;
    source.compressed = compressed && format != SourceFormat::Parquet;
    Ok(())
}

async fn head(store: &Arc<dyn Store>, location: &Location) -> Result<ObjectMeta, JobError> {
    store
        .head(location, None)
        .await
        .map_err(|error| missing(location, error))
}

fn missing(location: &Location, error: StoreError) -> JobError {
    if error.kind == StoreErrorKind::NotFound {
        return JobError::unreadable(location.clone(), "there is no such object".to_owned());
    }
    JobError::store(Stage::Read, error)
}
