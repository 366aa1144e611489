//! What a run reads: the objects of a table or a prefix, and their columns.

use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lakewright_core::{
    catalog::{Column, ForeignTable, Table, not_a_mark},
    compression::{Codec, Decompressor},
    config::{InputFormat, Repartition, Source},
    hive_type,
    json::Inference,
    location::Location,
    parquet_in::ParquetFile,
    reading::Reading,
    repartition::{Places, Stored, is_data},
};

use super::{
    Budget, Ports,
    error::RepartitionError,
    ledger::{SourceObject, SourcePartition},
    read::{Bytes, decompressed_error, records, unreadable},
};
use crate::{
    ports::{GetOptions, Listed, Store},
    work::{Stage, WorkError, parquet::Loaded, source},
};

/// Listings and looks at objects under way at once.
const CONCURRENT: usize = 16;

/// The bytes that tell how an object is compressed.
const HEAD: u64 = 64;

/// Spark's split, from which on it matters whether an object can be cut.
const SPLIT: u64 = 128 << 20;

/// What a job reads.
pub(super) struct Found {
    pub(super) reading: Reading,
    pub(super) partitions: Vec<SourcePartition>,
    pub(super) sources: Vec<SourceObject>,
    /// The source's table.
    pub(super) table: Option<Table>,
    /// The prefix of everything that is read.
    pub(super) root: Location,
}

/// The objects of the job's source, as they stand.
pub(super) async fn find(ports: &Ports, job: &Repartition) -> Result<Found, RepartitionError> {
    if let Source::Prefix(prefix) = &job.source {
        not_foreign(&*ports.store, prefix).await?;
    }
    let mut found = match &job.source {
        Source::Table(_) => table(ports, job).await?,
        Source::Prefix(prefix) => Found {
            reading: Reading::of_prefix(
                job.format.unwrap_or_default(),
                job.csv.as_ref(),
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

async fn table(ports: &Ports, job: &Repartition) -> Result<Found, RepartitionError> {
    let Source::Table(name) = &job.source else {
        return Err(RepartitionError::Unfit("the source is no table".to_owned()));
    };
    let table = ports.catalog.table(name).await?;
    let table = table.ok_or_else(|| RepartitionError::TableMissing(name.clone()))?;
    let unfit = |message: String| RepartitionError::Unfit(format!("table {name}: {message}"));
    let reading = Reading::of_table(&table, job.csv.as_ref());
    let reading = reading.map_err(|error| RepartitionError::Reading {
        table: name.clone(),
        error,
    })?;
    let place = |text: &str| -> Result<Location, RepartitionError> {
        let location: Location = text.parse().map_err(|error| unfit(format!("{error}")))?;
        // Crawlers leave the last slash out.
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
        let expression = job.expression.as_deref();
        let partitions = ports.catalog.matching_partitions(name, expression).await?;
        let partition = |partition: crate::ports::Partition| {
            let as_it_says = table.with_storage(&partition.storage);
            let other = Reading::of_table(&as_it_says, job.csv.as_ref());
            let other = other
                .map_err(|error| unfit(format!("partition {:?}: {error}", partition.values)))?;
            if !other.reads_as(&reading) {
                return Err(unfit(format!(
                    "partition {:?} is read in another way than the table, by its own SerDe, parameters or columns: have both say the same, or name the partition's prefix as the source",
                    partition.values
                )));
            }
            Ok(SourcePartition {
                location: place(&partition.storage.location)?,
                values: partition.values,
            })
        };
        let mut partitions = partitions
            .into_iter()
            .map(partition)
            .collect::<Result<Vec<_>, RepartitionError>>()?;
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

/// The data under the partitions, in their order.
pub(super) async fn objects(
    store: &dyn Store,
    partitions: &[SourcePartition],
) -> Result<Vec<SourceObject>, RepartitionError> {
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
) -> Result<Vec<SourceObject>, RepartitionError> {
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

/// Makes sure that no other table format owns a prefix.
pub(super) async fn not_foreign(
    store: &dyn Store,
    prefix: &Location,
) -> Result<(), RepartitionError> {
    let looked = crate::work::foreign::not_foreign(store, prefix).await;
    let looked = looked.map_err(|error| RepartitionError::store(Stage::Read, error))?;
    looked.map_err(|error| foreign(prefix, &error))
}

fn foreign(prefix: &Location, error: &ForeignTable) -> RepartitionError {
    RepartitionError::Unfit(format!("{prefix}: {error}"))
}

/// The data under a prefix, in the order of the keys.
pub(super) async fn list(
    store: &dyn Store,
    prefix: &Location,
) -> Result<Vec<Listed>, RepartitionError> {
    let ledger = format!("{}_lakewright/", prefix.key);
    let mut data = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.list(prefix, after.as_deref()).await;
        let page = page.map_err(|error| RepartitionError::store(Stage::Read, error))?;
        for object in &page.objects {
            let known = not_a_mark(&prefix.bucket, &object.key);
            known.map_err(|error| foreign(prefix, &error))?;
        }
        after = page.objects.last().map(|object| object.key.clone());
        // A ledger may be long, and nothing in it is data.
        if after.as_ref().is_some_and(|key| key.starts_with(&ledger)) {
            after = Some(format!("{ledger}{}", char::MAX));
        }
        data.extend(
            page.objects
                .into_iter()
                .filter(|object| is_data(&prefix.key, &object.key)),
        );
        if !page.truncated {
            return Ok(data);
        }
    }
}

impl Found {
    /// Where an object is.
    pub(super) fn location(&self, source: &SourceObject) -> Location {
        let partition = self.partitions.get(source.partition);
        let bucket = partition.map_or("", |partition| &partition.location.bucket);
        Location::new(bucket, &source.key)
    }

    /// Where each object may be cut, and how many splits Spark reads them in.
    pub(super) async fn stored(
        &self,
        ports: &Ports,
        job: &Repartition,
    ) -> Result<Vec<Stored>, RepartitionError> {
        let looks = self.sources.iter();
        let looks = looks
            .map(|source| self.look(ports, job, source).boxed())
            .collect::<Vec<_>>();
        stream::iter(looks).buffered(CONCURRENT).try_collect().await
    }

    async fn look(
        &self,
        ports: &Ports,
        job: &Repartition,
        source: &SourceObject,
    ) -> Result<Stored, RepartitionError> {
        let mut stored = Stored {
            size: source.size,
            compressed: false,
            parts: Places::None,
        };
        if source.size <= (job.task_size.as_u64() / 8).min(SPLIT) {
            return Ok(stored);
        }
        let location = self.location(source);
        if self.reading.is_parquet() {
            let file = parquet(ports, job, &location, &source.etag).await?;
            let sizes = file.row_groups().into_iter().map(|(_, bytes)| bytes);
            stored.parts = Places::RowGroups(sizes.collect());
        } else {
            stored.compressed = is_compressed(&*ports.store, &location, &source.etag).await?;
            if self.reading.ends_at_newlines() && !stored.compressed {
                stored.parts = Places::Newlines;
            }
        }
        Ok(stored)
    }

    /// The columns of the objects, and those that the source's partitions give.
    pub(super) async fn columns(
        &self,
        ports: &Ports,
        job: &Repartition,
        budget: &Budget,
    ) -> Result<(Vec<Column>, Vec<Column>), RepartitionError> {
        if let Some(table) = &self.table {
            let column = |column: &Column| Column {
                name: column.name.to_lowercase(),
                hive_type: column.hive_type.clone(),
            };
            let columns = table.storage.columns.iter().map(column);
            return Ok((
                columns.collect(),
                table.partition_keys.iter().map(column).collect(),
            ));
        }
        let Some(first) = self.sources.first() else {
            return Ok((Vec::new(), Vec::new()));
        };
        let location = self.location(first);
        let columns = match job.format.unwrap_or_default() {
            InputFormat::Parquet => {
                let file = parquet(ports, job, &location, &first.etag).await?;
                let schema = file
                    .schema()
                    .map_err(|error| unreadable(&location, &error))?;
                let mut columns = rendered(&location, &schema)?;
                for (column, name) in columns.iter_mut().zip(file.names()) {
                    column.name = name;
                }
                columns
            }
            InputFormat::Csv | InputFormat::Json => self.inferred(ports, job, budget).await?,
        };
        Ok((columns, Vec::new()))
    }

    /// The columns of the records: strings by the names in the first object, or what the records of all objects have.
    async fn inferred(
        &self,
        ports: &Ports,
        job: &Repartition,
        budget: &Budget,
    ) -> Result<Vec<Column>, RepartitionError> {
        let mut inference = Inference::new(job.limits.deepest());
        for source in &self.sources {
            let location = self.location(source);
            let mut records = records(&self.reading, job, &location, true)?;
            let mut bytes = Bytes::open(ports, job, budget, location.clone(), source, None);
            loop {
                let more = bytes.next().await?;
                match more {
                    Some(more) => records.push(more),
                    None => records.finish(),
                }
                let ended = more.is_none();
                let names = records.infer(&mut inference);
                match names.map_err(|error| unreadable(&location, &error))? {
                    Some(names) => return Ok(named(names)),
                    None if ended => break,
                    None => {}
                }
            }
        }
        rendered(&self.root, &inference.schema())
    }
}

/// Columns of strings. An empty name is that of no column.
fn named(names: Vec<String>) -> Vec<Column> {
    let names = names.into_iter().filter(|name| !name.is_empty());
    let column = |name| Column {
        name,
        hive_type: "string".to_owned(),
    };
    names.map(column).collect()
}

fn rendered(
    location: &Location,
    schema: &arrow::datatypes::Schema,
) -> Result<Vec<Column>, RepartitionError> {
    let column = |field: &Arc<arrow::datatypes::Field>| {
        let hive_type = hive_type::render_field(field).map_err(|error| {
            RepartitionError::Unfit(format!("{location}: column `{}`: {error}", field.name()))
        })?;
        Ok(Column {
            name: field.name().clone(),
            hive_type,
        })
    };
    schema.fields().iter().map(column).collect()
}

async fn parquet(
    ports: &Ports,
    job: &Repartition,
    location: &Location,
    etag: &str,
) -> Result<ParquetFile<Loaded>, RepartitionError> {
    let read = |error: WorkError| RepartitionError::read(location, error);
    let opened = source::Source::open(Arc::clone(&ports.store), location, etag).await;
    let opened = opened.map_err(read)?;
    let source = opened.map_err(|_| RepartitionError::SourceChanged(location.clone()))?;
    let loaded = Loaded::open(&source, &job.limits).await.map_err(read)?;
    ParquetFile::open(loaded, &job.limits).map_err(|error| unreadable(location, &error))
}

async fn is_compressed(
    store: &dyn Store,
    location: &Location,
    etag: &str,
) -> Result<bool, RepartitionError> {
    let options = GetOptions {
        if_match: Some(etag.to_owned()),
        range: Some(0..HEAD),
        ..GetOptions::default()
    };
    let body = store
        .get(location, options)
        .await
        .map_err(|error| RepartitionError::read(location, WorkError::store(Stage::Read, error)))?;
    let mut decompressor = Decompressor::new(u32::MAX);
    let pushed = decompressor.push(&mut &body.bytes[..], &mut Vec::new());
    pushed.map_err(|error| decompressed_error(location, &error))?;
    Ok(decompressor.codec() != Some(Codec::None))
}
