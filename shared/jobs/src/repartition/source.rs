//! Finds the source of a run: the objects of a table or a prefix, and their columns.

use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lakewright_core::{
    catalog::{Column, ForeignTable, Table, TableName, not_a_mark},
    compression::{Codec, Decompressor},
    config::{Repartition, Source},
    content::{HEAD, NotText},
    hive_type,
    location::Location,
    reading::Reading,
    repartition::{Places, Stored, is_data},
};
use lakewright_ports::{
    Catalog, GetOptions, Listed, ListedPartition, MAX_GET_PARTITIONS, Partition, Store,
};

use super::{
    Budget, Ports,
    ledger::{SourceObject, SourcePartition},
    read::{Content, open_avro, ranged, unreadable},
    refusal::unread,
};
use crate::{
    kit::{ErrorKind, JobError, Stage, Unfinished},
    work::{list::Pages, refusal::undecompressed},
};

/// The most concurrent listings and reads.
const CONCURRENT: usize = 16;

/// Spark's split size, from which on it matters whether an object can be split.
const SPLIT: u64 = 128 << 20;

/// The source of a job.
pub(super) struct Found {
    pub(super) reading: Reading,
    pub(super) partitions: Vec<SourcePartition>,
    pub(super) sources: Vec<SourceObject>,
    /// The source's table.
    pub(super) table: Option<Table>,
    /// The common prefix of all objects that are read.
    pub(super) root: Location,
}

/// Finds the current objects of the job's source.
pub(super) async fn find(ports: &Ports, job: &Repartition) -> Result<Found, JobError> {
    if let Source::Prefix(prefix) = &job.source {
        not_foreign(&*ports.store, prefix).await?;
    }
    let mut found = match &job.source {
        Source::Table(_) => table(ports, job).await?,
        Source::Prefix(prefix) => Found {
            reading: Reading::of_prefix(
                job.format.unwrap_or_default(),
                job.csv.as_ref(),
                job.regex.as_ref(),
                std::iter::empty(),
            ),
            partitions: vec![SourcePartition {
                location: prefix.clone(),
                values: Vec::new(),
            }],
            sources: Vec::new(),
            table: None,
            root: prefix.clone(),
        },
    };
    found.sources = objects(&*ports.store, &found.partitions).await?;
    Ok(found)
}

async fn table(ports: &Ports, job: &Repartition) -> Result<Found, JobError> {
    let Source::Table(name) = &job.source else {
        return Err(JobError::new(
            ErrorKind::SchemaUnusable,
            "the source is not a table",
        ));
    };
    let table = ports.catalog.table(name).await?;
    let table = table.ok_or_else(|| JobError::table_missing(name))?;
    let unfit = |message: String| {
        JobError::new(
            ErrorKind::SchemaUnusable,
            format!("table {name}: {message}"),
        )
    };
    let reading = Reading::of_table(&table, job.csv.as_ref());
    let reading = reading.map_err(|error| {
        JobError::new(ErrorKind::SchemaUnusable, format!("table {name}: {error}"))
    })?;
    let place = |text: &str| -> Result<Location, JobError> {
        let location: Location = text.parse().map_err(|error| unfit(format!("{error}")))?;
        // Crawlers leave out the trailing slash.
        let slash = !location.key.is_empty() && !location.key.ends_with('/');
        Ok(location.join(if slash { "/" } else { "" }))
    };
    let root = place(&table.storage.location)?;
    not_foreign(&*ports.store, &root).await?;
    let partitions = if table.partition_keys.is_empty() {
        if job.expression.is_some() {
            return Err(unfit(
                "expression has no meaning: it is not partitioned".to_owned(),
            ));
        }
        vec![SourcePartition {
            location: root.clone(),
            values: Vec::new(),
        }]
    } else {
        if table.has_partition_projection() {
            return Err(unfit(
                "its partitions are projected, not in the catalog: name a prefix as the source"
                    .to_owned(),
            ));
        }
        let partition = |partition: Partition| {
            let as_it_says = table.with_storage(&partition.storage);
            let other = Reading::of_table(&as_it_says, job.csv.as_ref());
            let other = other
                .map_err(|error| unfit(format!("partition {:?}: {error}", partition.values)))?;
            if !other.reads_as(&reading) {
                return Err(unfit(format!(
                    "partition {:?} is read differently than the table, because of its own SerDe, parameters or columns: make both the same, or name the partition's prefix as the source",
                    partition.values
                )));
            }
            Ok(SourcePartition {
                location: place(&partition.storage.location)?,
                values: partition.values,
            })
        };
        let expression = job.expression.as_deref();
        let (mut partitions, mut page) = (Vec::new(), None::<String>);
        loop {
            let answer = ports
                .catalog
                .page_of_partitions(name, expression, page.as_deref())
                .await?;
            for listed in answer.partitions.chunks(MAX_GET_PARTITIONS) {
                let whole = whole(&*ports.catalog, name, listed).await?;
                for one in whole {
                    partitions.push(partition(one)?);
                }
            }
            page = answer.next;
            if page.is_none() {
                break;
            }
        }
        partitions.sort_by(|a, b| a.values.cmp(&b.values));
        partitions
    };
    Ok(Found {
        reading,
        partitions,
        sources: Vec::new(),
        table: Some(table),
        root,
    })
}

/// Partitions with all their properties, which a listing lacks: they are compared with the table's.
async fn whole(
    catalog: &dyn Catalog,
    table: &TableName,
    listed: &[ListedPartition],
) -> Result<Vec<Partition>, JobError> {
    let values = listed.iter().map(|partition| partition.values.clone());
    let values = values.collect::<Vec<_>>();
    let whole = catalog.partitions(table, &values).await?;
    let is_there = |values: &Vec<String>| whole.iter().any(|one| one.values == *values);
    // Without it, a run that replaces its own source would lose its rows.
    if whole.len() < values.len()
        && let Some(gone) = values.iter().find(|values| !is_there(values))
    {
        return Err(JobError::new(
            ErrorKind::CatalogFailed,
            format!(
                "partition {gone:?} of {table} was listed, but is no longer in the catalog: plan again"
            ),
        ));
    }
    Ok(whole)
}

/// The data objects of the partitions, in order.
pub(super) async fn objects(
    store: &dyn Store,
    partitions: &[SourcePartition],
) -> Result<Vec<SourceObject>, JobError> {
    let listings = partitions.iter().enumerate();
    let listings = listings
        .map(|(index, partition)| of_partition(store, index, partition).boxed())
        .collect::<Vec<_>>();
    let listed: Vec<Vec<_>> = stream::iter(listings)
        .buffered(CONCURRENT)
        .try_collect()
        .await?;
    Ok(listed.into_iter().flatten().collect())
}

async fn of_partition(
    store: &dyn Store,
    index: usize,
    partition: &SourcePartition,
) -> Result<Vec<SourceObject>, JobError> {
    let listed = list(store, &partition.location).await?;
    let object = |object: Listed| SourceObject {
        key: object.key,
        size: object.size,
        etag: object.etag,
        partition: index,
    };
    let with_bytes = listed.into_iter().filter(|object| object.size > 0);
    Ok(with_bytes.map(object).collect())
}

/// Checks that a prefix does not belong to another table format.
pub(super) async fn not_foreign(store: &dyn Store, prefix: &Location) -> Result<(), JobError> {
    crate::work::foreign::not_foreign(store, prefix, ErrorKind::SchemaUnusable).await
}

fn foreign(prefix: &Location, error: &ForeignTable) -> JobError {
    JobError::new(ErrorKind::SchemaUnusable, format!("{prefix}: {error}"))
}

/// The data objects under a prefix, in key order.
pub(super) async fn list(store: &dyn Store, prefix: &Location) -> Result<Vec<Listed>, JobError> {
    let ledger = format!("{}_lakewright/", prefix.key);
    let mut data = Vec::new();
    let mut pages = Pages::new(store, prefix);
    let failed = |error| JobError::store(Stage::Read, error);
    while let Some(page) = pages.next().await.map_err(failed)? {
        for object in &page.objects {
            let known = not_a_mark(&prefix.bucket, &object.key);
            known.map_err(|error| foreign(prefix, &error))?;
        }
        // A ledger may be long, and contains no data.
        let last = page.objects.last();
        if last.is_some_and(|object| object.key.starts_with(&ledger)) {
            pages.skip_to(format!("{ledger}{}", char::MAX));
        }
        data.extend(
            page.objects
                .into_iter()
                .filter(|object| is_data(&prefix.key, &object.key)),
        );
    }
    Ok(data)
}

impl Found {
    /// The location of an object.
    pub(super) fn location(&self, source: &SourceObject) -> Location {
        let partition = self.partitions.get(source.partition);
        let bucket = partition.map_or("", |partition| &partition.location.bucket);
        Location::new(bucket, &source.key)
    }

    /// Where each object can be split, and the number of Spark's splits.
    pub(super) async fn stored(
        &self,
        ports: &Ports,
        job: &Repartition,
    ) -> Result<Vec<Stored>, JobError> {
        let begun = ports.clock.now();
        let looks = self.sources.iter();
        let looks = looks
            .map(|source| self.look(ports, job, source).boxed())
            .collect::<Vec<_>>();
        let mut looks = stream::iter(looks).buffered(CONCURRENT);
        let mut stored = Vec::with_capacity(self.sources.len());
        while let Some(look) = looks.next().await {
            stored.push(look.map_err(|error| match error.kind() {
                ErrorKind::Deadline => {
                    let unfinished = Unfinished {
                        begun,
                        done: stored.len() as u64,
                        all: self.sources.len() as u64,
                        of: "objects",
                        tries: 1,
                        instead: "have the run read a part of the source",
                    };
                    let error = unfinished.too_short(&*ports.clock, Stage::Read);
                    error.of(self.root.clone())
                }
                _ => error,
            })?);
        }
        Ok(stored)
    }

    async fn look(
        &self,
        ports: &Ports,
        job: &Repartition,
        source: &SourceObject,
    ) -> Result<Stored, JobError> {
        let mut stored = Stored {
            size: source.size,
            compressed: false,
            parts: Places::None,
        };
        if source.size <= (job.task_size.as_u64() / 8).min(SPLIT) {
            return Ok(stored);
        }
        let location = self.location(source);
        // Avro has its compression in its blocks, between which Spark splits it.
        if self.reading == Reading::Avro {
            return Ok(stored);
        }
        if self.reading.by_ranges().is_some() {
            // Only the sizes are asked for, which need no memory.
            let file = ranged(ports, job, &self.reading, &location, source, 0);
            let (file, _) = file.await?;
            let sizes = file.row_groups().into_iter().map(|(_, bytes)| bytes);
            stored.parts = Places::RowGroups(sizes.collect());
        } else {
            stored.compressed = is_compressed(&*ports.store, &location, source).await?;
            if self.reading.ends_at_newlines() && !stored.compressed {
                stored.parts = Places::Newlines;
            }
        }
        Ok(stored)
    }

    /// The columns of the objects, and those of the source's partitions; `None` if they must be inferred from records.
    pub(super) async fn columns(
        &self,
        ports: &Ports,
        job: &Repartition,
        budget: &Budget,
    ) -> Result<Option<(Vec<Column>, Vec<Column>)>, JobError> {
        if let Some(table) = &self.table {
            let column = |column: &Column| Column {
                name: column.name.to_lowercase(),
                hive_type: column.hive_type.clone(),
            };
            let columns = table.storage.columns.iter().map(column);
            return Ok(Some((
                columns.collect(),
                table.partition_keys.iter().map(column).collect(),
            )));
        }
        let Some(first) = self.sources.first() else {
            return Ok(Some((Vec::new(), Vec::new())));
        };
        let location = self.location(first);
        let schema = match &self.reading {
            reading @ (Reading::Parquet | Reading::Orc { .. }) => {
                let file = ranged(ports, job, reading, &location, first, budget.memory);
                file.await?.0.spelled_schema()?
            }
            Reading::Avro => {
                let at = location.clone();
                let mut bytes = Content::open(ports, job, budget, at, first, None);
                open_avro(&mut bytes, &job.limits).await?.spelled_schema()
            }
            Reading::Json { .. } | Reading::Csv(_) | Reading::Lines { .. } | Reading::Regex(_) => {
                return Ok(None);
            }
        };
        Ok(Some((rendered(&location, &schema)?, Vec::new())))
    }
}

/// Columns of strings. A field with an empty name has no column.
pub(super) fn named(names: Vec<String>) -> Vec<Column> {
    let names = names.into_iter().filter(|name| !name.is_empty());
    let column = |name| Column {
        name,
        hive_type: "string".to_owned(),
    };
    names.map(column).collect()
}

/// The columns of a schema.
pub(super) fn rendered(
    location: &Location,
    schema: &arrow::datatypes::Schema,
) -> Result<Vec<Column>, JobError> {
    let column = |field: &Arc<arrow::datatypes::Field>| {
        let hive_type = hive_type::render_field(field).map_err(|error| {
            JobError::new(
                ErrorKind::SchemaUnusable,
                format!("{location}: column `{}`: {error}", field.name()),
            )
        })?;
        Ok(Column {
            name: field.name().clone(),
            hive_type,
        })
    };
    schema.fields().iter().map(column).collect()
}

async fn is_compressed(
    store: &dyn Store,
    location: &Location,
    source: &SourceObject,
) -> Result<bool, JobError> {
    let options = GetOptions {
        if_match: Some(source.etag.clone()),
        range: Some(0..source.size.min(HEAD as u64)),
        ..GetOptions::default()
    };
    let body = store
        .get(location, options)
        .await
        .map_err(|error| unread(location, JobError::store(Stage::Read, error)))?;
    let mut decompressor = Decompressor::new(u32::MAX);
    let pushed = decompressor.push(&mut &body.bytes[..]);
    pushed.map_err(|error| undecompressed(location, &error))?;
    if decompressor.codec() != Some(Codec::None) {
        return Ok(true);
    }
    // It may be read in ranges, of which only the first has its first bytes.
    match NotText::find(&body.bytes) {
        Some(not_text) => Err(unreadable(location, &not_text)),
        None => Ok(false),
    }
}
