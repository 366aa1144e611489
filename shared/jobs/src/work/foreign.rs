//! Recognises prefixes that belong to another table format.

use futures::{StreamExt, TryStreamExt, stream};
use lakewright_core::{
    catalog::{ForeignTable, marks_above, not_a_mark},
    location::Location,
};

use super::list::Pages;
use crate::ports::{Store, StoreError, StoreErrorKind};

/// The most concurrent listings.
const CONCURRENT: usize = 16;

/// Looks for another table format's log beside a prefix and, if the role may list there, beside each prefix above it.
/// The caller that lists the objects below the prefix checks these itself: see [`not_a_mark`].
///
/// # Errors
/// A listing fails. The returned value is an error if the prefix belongs to another format.
pub(crate) async fn not_foreign(
    store: &dyn Store,
    prefix: &Location,
) -> Result<Result<(), ForeignTable>, StoreError> {
    let looks = marks_above(prefix).into_iter();
    let looks = looks.map(|mark| async move { look(store, &mark).await });
    let looks: Vec<_> = stream::iter(looks.collect::<Vec<_>>())
        .buffered(CONCURRENT)
        .try_collect()
        .await?;
    Ok(looks.into_iter().collect())
}

async fn look(store: &dyn Store, mark: &Location) -> Result<Result<(), ForeignTable>, StoreError> {
    let mut pages = Pages::new(store, mark);
    loop {
        let page = match pages.next().await {
            // A role that may list the prefix need not have access to those above it. If it cannot list the prefix
            // either, the job's own listing fails.
            Err(error) if error.kind == StoreErrorKind::AccessDenied => return Ok(Ok(())),
            page => page?,
        };
        let Some(page) = page else {
            return Ok(Ok(()));
        };
        for object in &page.objects {
            if let Err(foreign) = not_a_mark(&mark.bucket, &object.key) {
                return Ok(Err(foreign));
            }
        }
    }
}
