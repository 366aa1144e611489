//! Identifies the objects of an invocation, by their `ETag`s.

use std::sync::Arc;

use lakewright_ports::{Store, StoreErrorKind};

use super::{Answer, Candidate, Delivered, SourceObject};
use crate::{
    kit::{JobError, Stage},
    report::{ObjectReport, Status},
};

/// An object of the invocation.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) candidate: Candidate,
    pub(super) size: Option<u64>,
    pub(super) receives: u32,
    /// Whether it is assumed to have no claim; `false` from the moment when it has to be looked up.
    pub(super) just_landed: bool,
}

impl Asked {
    pub(super) fn without_rows(&self, status: Status) -> ObjectReport {
        ObjectReport::without_rows(self.candidate.source.clone(), status)
    }
}

/// The object with its `ETag`, or its answer if there is nothing to read.
pub(super) async fn identify(store: &dyn Store, delivered: &Delivered) -> Result<Asked, Answer> {
    let location = &delivered.object.location;
    let without_rows = |status| Ok(ObjectReport::without_rows(location.clone(), status));
    match candidate(store, &delivered.object).await {
        Ok(None) => Err(without_rows(Status::Gone)),
        Ok(Some((_, Some(0)))) => Err(without_rows(Status::Ignored)),
        Ok(Some((candidate, size))) => Ok(Asked {
            candidate,
            size,
            receives: delivered.receives,
            just_landed: delivered.just_landed,
        }),
        Err(error) => Err(Err(Arc::new(error))),
    }
}

/// The object as a candidate that no batch has claimed, and its size. `None` if the trigger names no `ETag` and the object
/// does not exist.
pub(super) async fn candidate(
    store: &dyn Store,
    object: &SourceObject,
) -> Result<Option<(Candidate, Option<u64>)>, JobError> {
    let source = object.location.clone();
    let (etag, size) = match &object.etag {
        Some(etag) => (format!("\"{}\"", etag.trim_matches('"')), object.size),
        None => match store.head(&source, None).await {
            Ok(meta) => (meta.etag, Some(meta.size)),
            Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(JobError::store(Stage::Read, error)),
        },
    };
    let candidate = Candidate {
        source,
        etag,
        claim: 0,
    };
    Ok(Some((candidate, size)))
}
