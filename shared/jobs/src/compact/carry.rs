//! Carries the files of the old directory that are not merged into the new directory, under their own names.

use std::collections::BTreeSet;

use futures::{TryStreamExt, stream::FuturesUnordered};
use lakewright_core::location::Location;
use lakewright_ports::{Precondition, Store, StoreErrorKind};

use super::{
    directory::{self, File},
    ledger::Plan,
};
use crate::kit::{ErrorKind, JobError};

/// The most concurrent copies.
const CONCURRENT: usize = 16;

/// Copies every file of the old directory that is neither merged nor in the new one, create-only. Returns their number.
///
/// A file that appeared in the new directory meanwhile has the same rows, because its name identifies them.
pub(super) async fn carry(store: &dyn Store, plan: &Plan) -> Result<u64, JobError> {
    let (there, _) = directory::files(store, &plan.to).await?;
    let there = there
        .into_iter()
        .map(|file| file.name)
        .collect::<BTreeSet<_>>();
    let inputs = plan.inputs();
    let (here, _) = directory::files(store, &plan.from).await?;
    let (mut carried, mut copies) = (0, FuturesUnordered::new());
    for file in here {
        match inputs.get(file.name.as_str()) {
            // C1: its rows are in a merged file.
            Some(input) if input.etag == file.etag => continue,
            Some(_) => {
                return Err(input_changed(plan.from.join(&file.name)));
            }
            None if there.contains(&file.name) => continue,
            None => {}
        }
        if copies.len() >= CONCURRENT {
            carried += copies.try_next().await?.unwrap_or_default();
        }
        copies.push(copy(store, plan, file));
    }
    while let Some(more) = copies.try_next().await? {
        carried += more;
    }
    Ok(carried)
}

async fn copy(store: &dyn Store, plan: &Plan, file: File) -> Result<u64, JobError> {
    let (from, to) = (plan.from.join(&file.name), plan.to.join(&file.name));
    let copied = store
        .copy(&from, Some(&file.etag), &to, Precondition::Absent, None)
        .await;
    match copied {
        Ok(_) => Ok(1),
        // Either the target exists by now, or the source was replaced.
        Err(error) if error.kind == StoreErrorKind::PreconditionFailed => {
            match store.head(&to, None).await {
                Ok(_) => Ok(0),
                Err(error) if error.kind == StoreErrorKind::NotFound => Err(input_changed(from)),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) if error.kind == StoreErrorKind::NotFound => Err(input_changed(from)),
        Err(error) => Err(error.into()),
    }
}

/// A file that a plan merges or carries was replaced or deleted.
pub(super) fn input_changed(location: Location) -> JobError {
    let message = "it was replaced or deleted after it was planned: the files of a compacted table must not be changed";
    JobError::new(ErrorKind::InputChanged, message).of(location)
}

#[cfg(test)]
mod tests {
    use super::carry;
    use crate::compact::fixture::{
        Was::{Carried, Gone, Written},
        check_planned,
    };

    #[test]
    fn what_is_not_merged_is_carried_once() {
        check_planned(
            &[
                (&[], "1", &["+to/c"]),
                (&[Written("d")], "2", &["+to/c", "+to/d"]),
                (&[Written("_d"), Written("e/.d")], "1", &["+to/c"]),
                (&[Carried("c")], "0", &[]),
                (&[Gone("c")], "0", &[]),
                (&[Gone("a")], "1", &["+to/c"]),
                // C1: the merged file has not the rows of this one.
                (&[Written("a")], "InputChanged", &[]),
                (&[Carried("c"), Written("b")], "InputChanged", &[]),
            ],
            &async |_, ports, plan| {
                let carried = carry(&*ports.store, plan).await?;
                Ok(carried.to_string())
            },
        );
    }
}
