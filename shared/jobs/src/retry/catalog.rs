use async_trait::async_trait;
use futures::future::BoxFuture;
use lakewright_core::catalog::{Table, TableName};
use lakewright_ports::{
    Catalog, CatalogError, CatalogErrorKind, Partition, PartitionFailure, PartitionPage,
};

use super::backoff::{Backoff, Failing, Verdict};

/// A catalog that retries throttled and interrupted calls within one invocation's deadline.
///
/// Reads and replacements can be repeated freely. If a creation took effect although it was reported as failed, its
/// retry returns [`CatalogErrorKind::AlreadyExists`] for its partitions or its table; in the same case, the update of a
/// table returns [`CatalogErrorKind::Conflict`]. The caller then compares the existing ones, as if another invocation
/// had been first.
pub struct RetryingCatalog<C> {
    inner: C,
    backoff: Backoff,
}

impl<C: Catalog> RetryingCatalog<C> {
    /// Wraps `inner` for one invocation.
    pub fn new(inner: C, backoff: Backoff) -> Self {
        Self { inner, backoff }
    }

    async fn call<'a, T>(
        &self,
        operation: &'static str,
        table: &TableName,
        call: impl Fn() -> BoxFuture<'a, Result<T, CatalogError>> + Send,
    ) -> Result<T, CatalogError> {
        let too_late = || too_late(operation, table);
        self.backoff
            .call(call, CatalogError::verdict, too_late)
            .await
    }

    /// Makes a batch call, then retries it for the partitions whose failure is retryable.
    async fn batch<'a>(
        &self,
        operation: &'static str,
        table: &TableName,
        partitions: &[Partition],
        call: impl Fn(Vec<Partition>) -> BoxFuture<'a, Result<Vec<PartitionFailure>, CatalogError>>
        + Send
        + Sync,
    ) -> Result<Vec<PartitionFailure>, CatalogError> {
        self.backoff
            .batch(
                partitions.to_vec(),
                call,
                |failure, partition| failure.values == partition.values,
                || too_late(operation, table),
            )
            .await
    }
}

impl Failing for CatalogError {
    fn verdict(&self) -> Verdict {
        self.kind.verdict()
    }
}

impl Failing for PartitionFailure {
    fn verdict(&self) -> Verdict {
        self.kind.verdict()
    }
}

impl Failing for CatalogErrorKind {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Throttled => Verdict::Throttled,
            kind if kind.is_retryable() => Verdict::Passing,
            _ => Verdict::Final,
        }
    }
}

fn too_late(operation: &'static str, table: &TableName) -> CatalogError {
    CatalogError {
        kind: CatalogErrorKind::Deadline,
        operation,
        table: table.clone(),
        message: "the invocation's deadline is too near".to_owned(),
    }
}

#[async_trait]
impl<C: Catalog> Catalog for RetryingCatalog<C> {
    async fn table(&self, name: &TableName) -> Result<Option<Table>, CatalogError> {
        self.call("GetTable", name, || self.inner.table(name)).await
    }

    async fn partitions(
        &self,
        table: &TableName,
        values: &[Vec<String>],
    ) -> Result<Vec<Partition>, CatalogError> {
        self.call("BatchGetPartition", table, || {
            self.inner.partitions(table, values)
        })
        .await
    }

    async fn create_partitions(
        &self,
        table: &TableName,
        partitions: &[Partition],
    ) -> Result<Vec<PartitionFailure>, CatalogError> {
        self.batch("BatchCreatePartition", table, partitions, |left| {
            Box::pin(async move { self.inner.create_partitions(table, &left).await })
        })
        .await
    }

    async fn update_partitions(
        &self,
        table: &TableName,
        partitions: &[Partition],
    ) -> Result<Vec<PartitionFailure>, CatalogError> {
        self.batch("BatchUpdatePartition", table, partitions, |left| {
            Box::pin(async move { self.inner.update_partitions(table, &left).await })
        })
        .await
    }

    async fn page_of_partitions(
        &self,
        table: &TableName,
        expression: Option<&str>,
        page: Option<&str>,
    ) -> Result<PartitionPage, CatalogError> {
        self.call("GetPartitions", table, || {
            self.inner.page_of_partitions(table, expression, page)
        })
        .await
    }

    async fn create_table(&self, table: &Table) -> Result<(), CatalogError> {
        self.call("CreateTable", &table.name, || {
            self.inner.create_table(table)
        })
        .await
    }

    async fn update_table(&self, table: &Table) -> Result<(), CatalogError> {
        self.call("UpdateTable", &table.name, || {
            self.inner.update_table(table)
        })
        .await
    }
}
