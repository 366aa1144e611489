//! Which job an object belongs to.

use std::sync::Arc;

use lakewright_core::{
    config::{Config, Rekey},
    location::Location,
};
use lakewright_jobs::rekey::SourceObject;

/// One object to process.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) message_id: Option<String>,
    pub(super) object: SourceObject,
    pub(super) route: Route,
}

/// What is to be done with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// It is this job's.
    Job(Arc<Rekey>),
    /// Nothing. The name is that of the job whose prefix it lies under, or empty.
    Ignored { job: String },
}

impl Route {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Job(job) => &job.name,
            Self::Ignored { job } => job,
        }
    }
}

/// Sorts out what is no job's to read: a notification's filter may let more through than the job's source.
pub(super) fn route(config: &Config, object: &Location) -> Route {
    let ignored = |job: &Rekey| Route::Ignored {
        job: job.name.clone(),
    };
    // A source may lie inside another job's target, but nothing is landed inside a ledger.
    if let Some(job) = config
        .rekey
        .iter()
        .find(|job| job.ledger().contains(object))
    {
        return ignored(job);
    }
    match config.rekey_of(object) {
        Some(job) if job.reads(object) => Route::Job(Arc::new(job.clone())),
        Some(job) => ignored(job),
        None => config
            .rekey
            .iter()
            .find(|job| job.target.contains(object))
            .map_or(Route::Ignored { job: String::new() }, ignored),
    }
}
