//! What is verified before a run counts: that what stands is what the tasks wrote, and that it is everything.

use std::collections::BTreeMap;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lakewright_core::{config::OutputFormat, location::Location};
use parquet::file::metadata::ParquetMetaData;
use parquet_merge::Footer;
use tokio::sync::Mutex;

use super::{
    Ports,
    error::{Difference, RepartitionError},
    ledger::{Commit, Done, File, Ledger, Plan},
    source, write,
};
use crate::{
    ports::{Listed, Store, StoreErrorKind},
    work::{
        Stage,
        footer::{self, FooterError, ParquetObject, Tail},
    },
};

/// Footers that are read at once.
const CONCURRENT: usize = 32;

/// Files whose footers are asked for before the next are thought of.
const BATCH: usize = 1_000;

/// The commit, once every file that the tasks have written stands, and every row is in one of each output.
///
/// That an object is the one that was written is known from its size and its `ETag`. How many rows a Parquet file has, and
/// of which columns, is read from its footer; those of text were counted as they were written into these bytes.
pub(super) async fn verified(
    ports: &Ports,
    ledger: &Ledger,
    plan: &Plan,
    done: &[Done],
) -> Result<Commit, RepartitionError> {
    let store = &*ports.store;
    let read = if plan.prepare.is_empty() {
        done.iter().filter_map(|done| done.read).sum()
    } else {
        let counts = write::counts(ports, ledger, plan).await?;
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
        let standing = listed.iter().map(|object| (object.key.as_str(), object));
        stand(&directory.bucket, &written, &standing.collect())?;
        if form.format == OutputFormat::Parquet {
            footers(store, plan, &directory.bucket, &written).await?;
        }
        let found = written.iter().map(|file| file.rows).sum();
        if found != read {
            return Err(differs(directory, Difference::Sum { found, read }));
        }
        commit.outputs += written.len() as u64;
        commit.bytes += written.iter().map(|file| file.bytes).sum::<u64>();
    }
    Ok(commit)
}

fn differs(location: Location, difference: Difference) -> RepartitionError {
    RepartitionError::Differs {
        location,
        difference,
    }
}

/// Compares what was written with what is listed.
fn stand(
    bucket: &str,
    written: &[&File],
    standing: &BTreeMap<&str, &Listed>,
) -> Result<(), RepartitionError> {
    for file in written {
        let difference = match standing.get(file.key.as_str()) {
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
        return Err(differs(Location::new(bucket, &file.key), difference));
    }
    Ok(())
}

/// An `ETag` without the quotes, which not every answer has.
fn unquoted(etag: &str) -> &str {
    etag.trim_matches('"')
}

/// Compares what was written with what the files themselves say.
async fn footers(
    store: &dyn Store,
    plan: &Plan,
    bucket: &str,
    written: &[&File],
) -> Result<(), RepartitionError> {
    let schema = plan.shape.files_schema()?;
    let columns = schema.fields().iter().map(|field| field.name().clone());
    let columns = columns.collect::<Vec<_>>();
    // Long footers are read one at a time, so that memory does not depend on the number of files.
    let long = Mutex::new(());
    for files in written.chunks(BATCH) {
        let looks = files.iter();
        let looks = looks
            .map(|file| footer(store, bucket, file, &columns, &long).boxed())
            .collect::<Vec<_>>();
        let mut looks = stream::iter(looks).buffered(CONCURRENT);
        while looks.try_next().await?.is_some() {}
    }
    Ok(())
}

async fn footer(
    store: &dyn Store,
    bucket: &str,
    file: &File,
    columns: &[String],
    long: &Mutex<()>,
) -> Result<(), RepartitionError> {
    let location = Location::new(bucket, &file.key);
    // What is read at once stays the same, however long a footer was.
    let tail = Tail::default();
    let object = ParquetObject {
        store,
        location: &location,
        size: file.bytes,
        etag: Some(&file.etag),
        tail: &tail,
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
        Some(difference) => Err(differs(location, difference)),
        None => Ok(()),
    }
}

/// How a file differs from what its task says, if it does.
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

/// What a footer that cannot be read says of its file, unless it is the store that failed.
fn not_read(error: FooterError) -> Result<Difference, RepartitionError> {
    match error {
        FooterError::Unreadable(message) => Ok(Difference::Unreadable(message)),
        FooterError::Store(error) => match error.kind {
            StoreErrorKind::NotFound
            | StoreErrorKind::PreconditionFailed
            | StoreErrorKind::InvalidRange => Ok(Difference::Changed),
            _ => Err(RepartitionError::store(Stage::Read, error)),
        },
    }
}
