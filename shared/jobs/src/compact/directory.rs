//! The files of a partition's directory.

use jiff::Timestamp;
use lakewright_core::{catalog::not_a_mark, location::Location};
use lakewright_ports::{Listed, Store};

use crate::{
    kit::{ErrorKind, JobError},
    work::list::Pages,
};

/// A file that readers of the directory treat as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// Its key relative to the directory.
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) last_modified: Timestamp,
}

/// Everything below a prefix in key order, and the store's clock when the listing began.
pub(super) async fn list(
    store: &dyn Store,
    prefix: &Location,
) -> Result<(Vec<Listed>, Timestamp), JobError> {
    let (mut objects, mut begun) = (Vec::new(), Timestamp::MAX);
    let mut pages = Pages::new(store, prefix);
    while let Some(page) = pages.next().await? {
        // Younger objects may be missing from later pages.
        begun = begun.min(page.answered_at);
        for object in &page.objects {
            let known = not_a_mark(&prefix.bucket, &object.key);
            known.map_err(|error| {
                JobError::new(ErrorKind::Unsuited, format!("{prefix}: {error}"))
            })?;
        }
        objects.extend(page.objects);
    }
    Ok((objects, begun))
}

/// The files of a directory in the order of their names, and the store's clock when the listing began.
pub(super) async fn files(
    store: &dyn Store,
    directory: &Location,
) -> Result<(Vec<File>, Timestamp), JobError> {
    let (objects, begun) = list(store, directory).await?;
    let files = objects.into_iter().filter_map(|object| {
        let name = object.key.get(directory.key.len()..)?.to_owned();
        is_data(&name).then_some(File {
            name,
            size: object.size,
            etag: object.etag,
            last_modified: object.last_modified,
        })
    });
    Ok((files.collect(), begun))
}

/// Whether readers treat an object of this name as data: Hive, Spark, Trino and Athena skip names that begin with `_`
/// or `.`, and a name that ends with `/` is a directory marker.
pub(super) fn is_data(name: &str) -> bool {
    let is_hidden = |part: &str| part.starts_with(['_', '.']);
    !name.is_empty() && !name.ends_with('/') && !name.split('/').any(is_hidden)
}
