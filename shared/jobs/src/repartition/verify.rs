//! Verifies before a commit that the stored files are those that the tasks wrote, and that they are complete.

use std::collections::BTreeMap;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use lakewright_core::{config::OutputFormat, location::Location};
use lakewright_ports::{Listed, Store, StoreErrorKind};
use parquet::file::metadata::ParquetMetaData;
use parquet_merge::{Footer, LARGEST_FOOTER};
use tokio::sync::Mutex;

use super::{
    Ports, gather,
    ledger::{self, Commit, Done, File, Ledger, Plan, Verified},
    refusal::Difference,
    source,
};
use crate::{
    kit::{ErrorKind, JobError, Stage, Unfinished},
    work::footer::{self, FooterFailure, ParquetObject, Tail},
};

/// The most footers that are read at once.
const CONCURRENT: usize = 32;

/// The number of files whose footers are read in one batch.
const BATCH: usize = 1_000;

/// Returns the commit, if every file that the tasks wrote exists and every row is in a file of each output.
///
/// The size and the `ETag` prove that an object is the one that was written. The rows and columns of a Parquet file are
/// read from its footer; the rows of text were counted as they were encoded.
///
/// If the time runs out, the number of footers that were compared is recorded. An object with an `ETag` never changes, so
/// the next attempt reads only the others. The listing is compared in every attempt.
pub(super) async fn verified(
    ports: &Ports,
    ledger: &Ledger,
    plan: &Plan,
    done: &[Done],
    deadline: Timestamp,
) -> Result<Commit, JobError> {
    let store = &*ports.store;
    let prefix = ledger.verified();
    let known = ledger::furthest::<Verified>(store, &prefix).await?;
    let (known, tries) = known.map_or((0, 0), |verified| (verified.files, verified.tries));
    let begun = ports.clock.now();
    let mut look = Look {
        ports,
        plan,
        deadline,
        known,
        verified: 0,
    };
    match compared_with(&mut look, ledger, done).await {
        Err(error) if error.kind() == ErrorKind::Deadline => {
            let verified = Verified {
                version: Verified::VERSION,
                files: look.verified.max(known),
                tries: if look.verified > known { 0 } else { tries + 1 },
            };
            let place = ledger::place(verified.files, verified.tries);
            if let Err(error) = ledger::reach(store, &prefix, place, &verified).await {
                tracing::warn!(%prefix, %error, "how far the verification came was not recorded");
            }
            if verified.tries < 2 {
                return Err(error);
            }
            let unfinished = Unfinished {
                begun,
                done: look.verified as u64,
                all: done.iter().map(|done| done.files.len() as u64).sum(),
                of: "files",
                tries: verified.tries,
                instead: "write fewer files",
            };
            Err(unfinished
                .too_short(&*ports.clock, Stage::Verify)
                .of(ledger.plan()))
        }
        commit => commit,
    }
}

/// The verification of a run.
struct Look<'a> {
    ports: &'a Ports,
    plan: &'a Plan,
    deadline: Timestamp,
    /// How many of the run's files an earlier attempt verified.
    known: usize,
    /// How many are verified by now.
    verified: usize,
}

async fn compared_with(
    look: &mut Look<'_>,
    ledger: &Ledger,
    done: &[Done],
) -> Result<Commit, JobError> {
    let (ports, plan) = (look.ports, look.plan);
    let store = &*ports.store;
    let read = if plan.prepare.is_empty() {
        done.iter().filter_map(|done| done.read).sum()
    } else {
        let counts = gather::counts(ports, ledger, plan).await?;
        counts.iter().map(|unit| unit.rows).sum()
    };
    let mut commit = Commit {
        version: Commit::VERSION,
        withdrawn: false,
        rows: read,
        outputs: 0,
        bytes: 0,
    };
    for (output, form) in plan.settings.output.iter().enumerate() {
        let directory = plan.settings.directory(form);
        let written = done.iter().flat_map(|done| &done.files);
        let written = written
            .filter(|file| file.output == output)
            .collect::<Vec<_>>();
        let listed = source::list(store, &directory).await?;
        let existing = listed.iter().map(|object| (object.key.as_str(), object));
        compare_with_listing(&directory.bucket, &written, &existing.collect())?;
        if form.format == OutputFormat::Parquet {
            look.footers(&directory.bucket, &written).await?;
        }
        let found = written.iter().map(|file| file.rows).sum();
        if found != read {
            return Err(differs(directory, &Difference::Sum { found, read }));
        }
        commit.outputs += written.len() as u64;
        commit.bytes += written.iter().map(|file| file.bytes).sum::<u64>();
    }
    Ok(commit)
}

fn differs(location: Location, difference: &Difference) -> JobError {
    JobError::new(
        ErrorKind::OutputsDiffer,
        format!("it {difference}; nothing was committed and nothing removed"),
    )
    .during(Stage::Verify)
    .of(location)
}

/// Compares the written files with the listing.
fn compare_with_listing(
    bucket: &str,
    written: &[&File],
    existing: &BTreeMap<&str, &Listed>,
) -> Result<(), JobError> {
    for file in written {
        let difference = match existing.get(file.key.as_str()) {
            None => Difference::Missing,
            Some(object) if object.size != file.bytes => Difference::Size {
                found: object.size,
                written: file.bytes,
            },
            Some(object) if unquoted(&object.etag) != unquoted(&file.etag) => Difference::Etag {
                found: object.etag.clone(),
                written: file.etag.clone(),
            },
            Some(_) => continue,
        };
        return Err(differs(Location::new(bucket, &file.key), &difference));
    }
    Ok(())
}

/// An `ETag` without its quotes: not every answer has them.
fn unquoted(etag: &str) -> &str {
    etag.trim_matches('"')
}

impl Look<'_> {
    /// Compares the written files with their footers, except those that an earlier attempt has compared.
    async fn footers(&mut self, bucket: &str, written: &[&File]) -> Result<(), JobError> {
        let schema = self.plan.shape.files_schema()?;
        let columns = schema.fields().iter().map(|field| field.name().clone());
        let columns = columns.collect::<Vec<_>>();
        let known = self.known.saturating_sub(self.verified).min(written.len());
        self.verified += known;
        let written = written.get(known..).unwrap_or_default();
        // Long footers are read one at a time, so that the memory does not depend on the number of files.
        let long = Mutex::new(());
        let (clock, deadline, begun) = (&*self.ports.clock, self.deadline, self.verified);
        for (batch, files) in (0..).zip(written.chunks(BATCH)) {
            let looks = (0_usize..).zip(files).map(|(index, file)| {
                let look = footer(&*self.ports.store, bucket, file, &columns, &long);
                // At least one is looked at.
                let is_first = begun == self.known && batch + index == 0;
                async move {
                    if !is_first && clock.now() >= deadline {
                        return Err(JobError::deadline());
                    }
                    look.await
                }
                .boxed()
            });
            let looks = looks.collect::<Vec<_>>();
            let mut looks = stream::iter(looks).buffered(CONCURRENT);
            while looks.try_next().await?.is_some() {
                self.verified += 1;
            }
        }
        Ok(())
    }
}

async fn footer(
    store: &dyn Store,
    bucket: &str,
    file: &File,
    columns: &[String],
    long: &Mutex<()>,
) -> Result<(), JobError> {
    let location = Location::new(bucket, &file.key);
    // The size of the first read does not grow with the footers.
    let tail = Tail::default();
    let object = ParquetObject {
        store,
        location: &location,
        size: file.bytes,
        etag: Some(&file.etag),
        tail: &tail,
        limit: LARGEST_FOOTER,
    };
    let difference = match object.look().await {
        Ok(Footer::Read(metadata)) => compared(&metadata, file, columns),
        Ok(Footer::Needs(place)) => {
            let _one_at_a_time = long.lock().await;
            match object.footer_at(place).await {
                Ok(metadata) => compared(&metadata, file, columns),
                Err(error) => Some(not_read(error)?),
            }
        }
        Err(error) => Some(not_read(error)?),
    };
    match difference {
        Some(difference) => Err(differs(location, &difference)),
        None => Ok(()),
    }
}

/// How a file differs from its task's result, if it does.
fn compared(metadata: &ParquetMetaData, file: &File, columns: &[String]) -> Option<Difference> {
    let fields = metadata.file_metadata().schema_descr().root_schema();
    let names = fields.get_fields().iter().map(|field| field.name());
    if !names.clone().eq(columns) {
        return Some(Difference::Columns {
            found: names.map(str::to_owned).collect(),
            written: columns.to_vec(),
        });
    }
    let found = footer::rows(metadata);
    (found != file.rows).then_some(Difference::Rows {
        found,
        written: file.rows,
    })
}

/// Converts a footer that cannot be read to a difference, unless the store failed.
fn not_read(error: FooterFailure) -> Result<Difference, JobError> {
    match error {
        FooterFailure::Unreadable(message) => Ok(Difference::Unreadable(message)),
        FooterFailure::Store(error) => match error.kind {
            StoreErrorKind::NotFound
            | StoreErrorKind::PreconditionFailed
            | StoreErrorKind::InvalidRange => Ok(Difference::Changed),
            _ => Err(JobError::store(Stage::Read, error)),
        },
    }
}
