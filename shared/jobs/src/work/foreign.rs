//! Recognises prefixes that belong to another table format.

use futures::{StreamExt, TryStreamExt, stream};
use lakewright_core::{
    catalog::{ForeignTable, marks_above, not_a_mark},
    location::Location,
};
use lakewright_ports::{Store, StoreError, StoreErrorKind};

use super::list::Pages;
use crate::kit::{ErrorKind, JobError, Stage};

/// The most concurrent listings.
const CONCURRENT: usize = 16;

/// Looks for another table format's log beside a prefix and, if the role may list there, beside each prefix above it.
/// The caller that lists the objects below the prefix checks these itself: see [`not_a_mark`].
///
/// # Errors
/// A listing fails, or the prefix belongs to another format: an error of the kind `kind`.
pub(crate) async fn not_foreign(
    store: &dyn Store,
    prefix: &Location,
    kind: ErrorKind,
) -> Result<(), JobError> {
    let looks = marks_above(prefix).into_iter();
    let looks = looks.map(|mark| async move { look(store, &mark).await });
    let looks: Vec<_> = stream::iter(looks.collect::<Vec<_>>())
        .buffered(CONCURRENT)
        .try_collect()
        .await
        .map_err(|error| JobError::store(Stage::Read, error))?;
    match looks.into_iter().flatten().next() {
        Some(foreign) => Err(JobError::new(kind, format!("{prefix}: {foreign}"))),
        None => Ok(()),
    }
}

/// The table that a log belongs to, if there is one.
async fn look(store: &dyn Store, mark: &Location) -> Result<Option<ForeignTable>, StoreError> {
    let mut pages = Pages::new(store, mark);
    loop {
        let page = match pages.next().await {
            // A role that may list the prefix need not have access to those above it. If it cannot list the prefix
            // either, the job's own listing fails.
            Err(error) if error.kind == StoreErrorKind::AccessDenied => return Ok(None),
            page => page?,
        };
        let Some(page) = page else {
            return Ok(None);
        };
        for object in &page.objects {
            if let Err(foreign) = not_a_mark(&mark.bucket, &object.key) {
                return Ok(Some(foreign));
            }
        }
    }
}
