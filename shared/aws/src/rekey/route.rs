//! Finds the job that an object belongs to.

use std::sync::Arc;

use lakewright_core::{
    config::{Config, Rekey},
    location::Location,
};
use lakewright_jobs::rekey::Delivered;

/// One object to process.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) message_id: Option<String>,
    pub(super) delivered: Delivered,
    pub(super) route: Route,
}

/// What to do with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// It belongs to this job.
    Job(Arc<Rekey>),
    /// No job reads it. The name is that of the job whose prefix it is under, or empty.
    Ignored { job: String },
}

impl Task {
    pub(super) fn location(&self) -> &Location {
        &self.delivered.object.location
    }
}

impl Route {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Job(job) => &job.name,
            Self::Ignored { job } => job,
        }
    }
}

/// Finds the job that reads an object, if any: a notification's filter may match more keys than the job's source.
pub(super) fn route(config: &Config, object: &Location) -> Route {
    let ignored = |job: &Rekey| Route::Ignored {
        job: job.name.clone(),
    };
    // A source may be inside another job's target, but objects inside a ledger are never sources.
    let is_noted = |target: &Location| target.join("_lakewright/").contains(object);
    if let Some(job) = config.rekey.iter().find(|job| job.targets().any(is_noted)) {
        return ignored(job);
    }
    match config.rekey_of(object) {
        Some(job) if job.reads(object) => Route::Job(Arc::new(job.clone())),
        Some(job) => ignored(job),
        None => config
            .rekey
            .iter()
            .find(|job| job.targets().any(|target| target.contains(object)))
            .map_or(Route::Ignored { job: String::new() }, ignored),
    }
}
