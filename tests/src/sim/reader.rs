//! What a reader of the table sees.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::{compute::concat_batches, json::LineDelimitedWriter};
use bytes::Bytes;
use lakewright_core::location::Location;
use lakewright_ports::{GetOptions, Store, StoreError};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};

use super::source::Record;

/// Whether readers treat an object below a table as data: Hive, Spark, Trino and Athena skip names that begin with `_`
/// or `.`.
pub(super) fn is_visible(path: &str) -> bool {
    !path
        .split('/')
        .any(|name| name.starts_with('_') || name.starts_with('.'))
}

/// The records of a data file.
pub(super) fn records(bytes: Bytes) -> Result<Vec<Record>, String> {
    let say = |error: &dyn std::fmt::Display| error.to_string();
    let batches = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| say(&error))?;
    let mut lines = LineDelimitedWriter::new(Vec::new());
    for batch in batches {
        let batch = batch.map_err(|error| say(&error))?;
        lines.write(&batch).map_err(|error| say(&error))?;
    }
    lines.finish().map_err(|error| say(&error))?;
    lines
        .into_inner()
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).map_err(|error| say(&error)))
        .collect()
}

/// The rows of these files together, cut into as many files of about equal length. `None` if that changes nothing.
pub(super) fn recut(files: &[Bytes]) -> Option<Vec<Bytes>> {
    let mut batches = Vec::new();
    for bytes in files {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone());
        let reader = reader
            .and_then(ParquetRecordBatchReaderBuilder::build)
            .ok()?;
        let rows = reader.collect::<Result<Vec<_>, _>>().ok()?;
        batches.push(concat_batches(&rows.first()?.schema(), &rows).ok()?);
    }
    let all = concat_batches(&batches.first()?.schema(), &batches).ok()?;
    let length = all.num_rows().div_ceil(files.len());
    if batches
        .iter()
        .rev()
        .skip(1)
        .all(|batch| batch.num_rows() == length)
    {
        return None;
    }
    let mut cut = Vec::new();
    for file in 0..files.len() {
        let start = (file * length).min(all.num_rows());
        let rows = all.slice(start, length.min(all.num_rows() - start));
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).ok()?;
        writer.write(&rows).ok()?;
        cut.push(writer.into_inner().ok()?.into());
    }
    Some(cut)
}

/// A record's identity.
pub(super) fn id(record: &Record) -> Option<&str> {
    record.get("id")?.as_str()
}

/// A reader that lists and reads the table repeatedly, page by page, while it is written.
pub(super) struct Reader<S> {
    store: S,
    table: Location,
    seen: BTreeSet<String>,
    /// The ids in each object that was read, by its key and `ETag`.
    parsed: BTreeMap<(String, String), Arc<Vec<String>>>,
}

impl<S: Store> Reader<S> {
    pub(super) fn new(store: S, table: Location) -> Self {
        Self {
            store,
            table,
            seen: BTreeSet::new(),
            parsed: BTreeMap::new(),
        }
    }

    /// Reads the table once. Returns how a reader's guarantee was violated, if it was.
    pub(super) async fn pass(&mut self) -> Result<(), String> {
        let objects = self.list().await.map_err(|error| error.to_string())?;
        let mut seen = BTreeSet::new();
        for object in objects {
            for id in self.ids(object).await?.iter() {
                if !seen.insert(id.clone()) {
                    return Err(format!("R5: a reader saw row {id} twice in one pass"));
                }
            }
        }
        if let Some(id) = self.seen.difference(&seen).next() {
            return Err(format!("R5: a reader misses row {id}, which it saw before"));
        }
        self.seen = seen;
        Ok(())
    }

    async fn list(&self) -> Result<Vec<(String, String)>, StoreError> {
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.store.list(&self.table, after.as_deref()).await?;
            after = page.objects.last().map(|object| object.key.clone());
            found.extend(
                page.objects
                    .into_iter()
                    .filter(|object| is_visible(&object.key[self.table.key.len()..]))
                    .map(|object| (object.key, object.etag)),
            );
            if !page.truncated {
                return Ok(found);
            }
        }
    }

    async fn ids(&mut self, object: (String, String)) -> Result<Arc<Vec<String>>, String> {
        if let Some(ids) = self.parsed.get(&object) {
            return Ok(Arc::clone(ids));
        }
        let location = Location::new(&self.table.bucket, &object.0);
        let body = self
            .store
            .get(&location, GetOptions::default())
            .await
            .map_err(|error| format!("R5: a reader cannot read what it listed: {error}"))?;
        let records = records(body.bytes)?;
        let ids: Vec<String> = records
            .iter()
            .filter_map(|record| id(record).map(str::to_owned))
            .collect();
        let ids = Arc::new(ids);
        self.parsed.insert(object, Arc::clone(&ids));
        Ok(ids)
    }
}
