//! A bucket and a catalog with any number of alike objects and partitions.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use lakewright_core::{
    catalog::{Column, StorageDescriptor, Table, TableName},
    location::Location,
};
use lakewright_ports::{
    Catalog, CatalogError, GetOptions, ListPage, Listed, ListedPartition, MAX_LIST_PAGE,
    ObjectBody, ObjectMeta, Partition, PartitionFailure, PartitionPage, PutOptions, Store,
    StoreError, StoreErrorKind, StoreLayer, Written,
};

/// A bucket with as many alike objects below a prefix as one likes, and what is written.
pub(super) struct Wide {
    prefix: String,
    objects: u64,
    pub(super) body: Bytes,
    partitions: u64,
    /// What was written, by its key.
    kept: Mutex<BTreeMap<String, Bytes>>,
    pub(super) lists: AtomicU64,
    pub(super) prepared: AtomicU64,
    pub(super) gathered: AtomicU64,
    pub(super) gets: AtomicU64,
    pub(super) read: AtomicU64,
    pub(super) written: AtomicU64,
}

const ETAG: &str = "\"0123456789abcdef0123456789abcdef\"";

impl Wide {
    pub(super) fn new(prefix: &str, objects: u64, body: Bytes, partitions: u64) -> Arc<Self> {
        Arc::new(Self {
            prefix: prefix.to_owned(),
            objects,
            body,
            partitions,
            kept: Mutex::default(),
            lists: AtomicU64::default(),
            prepared: AtomicU64::default(),
            gathered: AtomicU64::default(),
            gets: AtomicU64::default(),
            read: AtomicU64::default(),
            written: AtomicU64::default(),
        })
    }

    pub(super) fn kept(&self, object: &Location) -> Option<Bytes> {
        self.kept.lock().unwrap().get(&object.key).cloned()
    }

    /// The next page of what was written below a prefix.
    fn page_of_kept(&self, prefix: &Location, after: Option<&str>) -> ListPage {
        let kept = self.kept.lock().unwrap();
        let after = (Bound::Excluded(after.unwrap_or_default()), Bound::Unbounded);
        let mut below = kept
            .range::<str, _>(after)
            .filter(|(key, _)| key.starts_with(&prefix.key));
        let page = below.by_ref().take(MAX_LIST_PAGE);
        let page = page.map(|(key, body)| Listed {
            key: key.clone(),
            size: body.len() as u64,
            etag: ETAG.to_owned(),
            last_modified: Timestamp::UNIX_EPOCH,
        });
        ListPage {
            objects: page.collect(),
            truncated: below.next().is_some(),
            answered_at: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(2),
        }
    }
}

pub(super) fn count(of: &AtomicU64) -> u64 {
    of.load(Ordering::Relaxed)
}

fn missing(operation: &'static str, object: &Location, kind: StoreErrorKind) -> StoreError {
    StoreError {
        kind,
        operation,
        location: object.clone(),
        message: String::new(),
    }
}

fn meta(size: usize) -> ObjectMeta {
    ObjectMeta {
        size: size as u64,
        etag: ETAG.to_owned(),
        version: None,
        last_modified: Timestamp::UNIX_EPOCH,
        answered_at: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(2),
    }
}

#[async_trait]
impl StoreLayer for Wide {
    fn inner(&self) -> &dyn Store {
        panic!("no test of this file needs another call")
    }

    async fn head(&self, object: &Location, _: Option<&str>) -> Result<ObjectMeta, StoreError> {
        let kept = self.kept(object);
        let size = kept.map(|body| body.len());
        size.map(meta)
            .ok_or_else(|| missing("HeadObject", object, StoreErrorKind::NotFound))
    }

    async fn get(&self, object: &Location, options: GetOptions) -> Result<ObjectBody, StoreError> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        for (name, gets) in [
            ("/prepared/", &self.prepared),
            ("/gathered/", &self.gathered),
        ] {
            let is_one = object.key.contains(name);
            gets.fetch_add(is_one.into(), Ordering::Relaxed);
        }
        let body = if object.key.starts_with(&self.prefix) {
            self.body.clone()
        } else {
            let missing = || missing("GetObject", object, StoreErrorKind::NotFound);
            self.kept(object).ok_or_else(missing)?
        };
        let size = body.len();
        let range = options.range.unwrap_or(0..size as u64);
        let at = |place: u64| usize::try_from(place).unwrap().min(size);
        let bytes = body.slice(at(range.start)..at(range.end));
        self.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(ObjectBody {
            meta: meta(size),
            bytes,
        })
    }

    async fn list(&self, prefix: &Location, after: Option<&str>) -> Result<ListPage, StoreError> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        if prefix.key != self.prefix {
            return Ok(self.page_of_kept(prefix, after));
        }
        let objects = self.objects;
        let number = |after: &str| after.strip_prefix(&self.prefix)?.parse::<u64>().ok();
        let first = after.map_or(0, |after| {
            number(after).map_or(objects, |number| number + 1)
        });
        let end = objects.min(first + MAX_LIST_PAGE as u64);
        let page = (first..end).map(|number| Listed {
            key: format!("{}{number:010}", self.prefix),
            size: self.body.len() as u64,
            etag: ETAG.to_owned(),
            last_modified: Timestamp::UNIX_EPOCH,
        });
        Ok(ListPage {
            objects: page.collect(),
            truncated: end < objects,
            answered_at: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(2),
        })
    }

    async fn put(
        &self,
        object: &Location,
        body: Bytes,
        _: PutOptions,
    ) -> Result<Written, StoreError> {
        self.written.fetch_add(body.len() as u64, Ordering::Relaxed);
        if self.kept(object).is_some() {
            return Err(missing(
                "PutObject",
                object,
                StoreErrorKind::PreconditionFailed,
            ));
        }
        self.kept.lock().unwrap().insert(object.key.clone(), body);
        let (etag, version) = (ETAG.to_owned(), None);
        Ok(Written { etag, version })
    }
}

fn table(keys: &[&str]) -> Table {
    let column = |name: &str, hive_type: &str| Column {
        name: name.to_owned(),
        hive_type: hive_type.to_owned(),
    };
    let input = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat";
    Table {
        name: "lake.t".parse().unwrap(),
        storage: StorageDescriptor {
            location: "s3://lake/t/".to_owned(),
            columns: vec![column("n", "bigint")],
            serde_library: Some(
                "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe".to_owned(),
            ),
            input_format: Some(input.to_owned()),
            ..StorageDescriptor::default()
        },
        partition_keys: keys.iter().map(|key| column(key, "string")).collect(),
        parameters: BTreeMap::new(),
        version_id: None,
    }
}

#[async_trait]
impl Catalog for Wide {
    async fn table(&self, _: &TableName) -> Result<Option<Table>, CatalogError> {
        Ok(Some(table(if self.partitions > 0 {
            &["day"]
        } else {
            &[]
        })))
    }

    async fn page_of_partitions(
        &self,
        _: &TableName,
        _: Option<&str>,
        page: Option<&str>,
    ) -> Result<PartitionPage, CatalogError> {
        let first = page.map_or(0, |page| page.parse::<u64>().unwrap());
        let end = self.partitions.min(first + 1_000);
        let partitions = (first..end).map(|day| ListedPartition {
            values: vec![format!("{day:06}")],
            storage: StorageDescriptor {
                location: format!("s3://lake/t/day={day:06}/"),
                ..table(&[]).storage
            },
        });
        Ok(PartitionPage {
            partitions: partitions.collect(),
            next: (end < self.partitions).then(|| end.to_string()),
        })
    }

    async fn partitions(
        &self,
        _: &TableName,
        _: &[Vec<String>],
    ) -> Result<Vec<Partition>, CatalogError> {
        panic!("no test of this file looks a partition up")
    }

    async fn create_partitions(
        &self,
        _: &TableName,
        _: &[Partition],
    ) -> Result<Vec<PartitionFailure>, CatalogError> {
        panic!("no test of this file registers partitions")
    }

    async fn update_partitions(
        &self,
        _: &TableName,
        _: &[Partition],
    ) -> Result<Vec<PartitionFailure>, CatalogError> {
        panic!("no test of this file changes partitions")
    }

    async fn create_table(&self, _: &Table) -> Result<(), CatalogError> {
        panic!("no test of this file makes a table")
    }

    async fn update_table(&self, _: &Table) -> Result<(), CatalogError> {
        panic!("no test of this file changes a table")
    }
}
