use async_trait::async_trait;
use lakewright_core::catalog::{StorageDescriptor, Table, TableName};
use thiserror::Error;

/// The most partitions in one `BatchCreatePartition` or `BatchUpdatePartition`.
/// <https://docs.aws.amazon.com/glue/latest/webapi/API_BatchCreatePartition.html>
pub const MAX_CREATE_PARTITIONS: usize = 100;

/// The most partitions in one `BatchGetPartition`.
/// <https://docs.aws.amazon.com/glue/latest/webapi/API_BatchGetPartition.html>
pub const MAX_GET_PARTITIONS: usize = 1000;

/// The data catalog: tables and the locations of their partitions.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// The table. `None` only if the catalog reports that it does not exist.
    ///
    /// # Errors
    /// Any other failure, including throttling.
    async fn table(&self, name: &TableName) -> Result<Option<Table>, CatalogError>;

    /// The partitions with these `values` (at most [`MAX_GET_PARTITIONS`]) that exist, in any order.
    ///
    /// # Errors
    /// The call failed.
    async fn partitions(
        &self,
        table: &TableName,
        values: &[Vec<String>],
    ) -> Result<Vec<Partition>, CatalogError>;

    /// Creates at most [`MAX_CREATE_PARTITIONS`] partitions. Returns those that were not created, including, as
    /// [`CatalogErrorKind::AlreadyExists`], those that already exist.
    ///
    /// # Errors
    /// The call failed as a whole; some of the partitions may have been created nevertheless.
    async fn create_partitions(
        &self,
        table: &TableName,
        partitions: &[Partition],
    ) -> Result<Vec<PartitionFailure>, CatalogError>;

    /// Replaces the fields of at most [`MAX_CREATE_PARTITIONS`] existing partitions that [`Partition`] has, and no others.
    /// Returns those that were not replaced.
    /// The catalog has no compare-and-swap for partitions: the last writer wins.
    ///
    /// # Errors
    /// The call failed as a whole; some of the partitions may have been replaced nevertheless.
    async fn update_partitions(
        &self,
        table: &TableName,
        partitions: &[Partition],
    ) -> Result<Vec<PartitionFailure>, CatalogError>;

    /// A page of the partitions that match an expression over the partition keys, such as `year = 2026 and month = 5`, or of
    /// all of the table's without one: the first page, or the one that `page` names. In any order.
    /// <https://docs.aws.amazon.com/glue/latest/webapi/API_GetPartitions.html>
    ///
    /// # Errors
    /// [`CatalogErrorKind::Invalid`] if the expression is invalid, or the call failed.
    async fn page_of_partitions(
        &self,
        table: &TableName,
        expression: Option<&str>,
        page: Option<&str>,
    ) -> Result<PartitionPage, CatalogError>;

    /// All pages of [`Self::page_of_partitions`].
    ///
    /// # Errors
    /// As for a page.
    async fn matching_partitions(
        &self,
        table: &TableName,
        expression: Option<&str>,
    ) -> Result<Vec<ListedPartition>, CatalogError> {
        let (mut found, mut page) = (Vec::new(), None::<String>);
        loop {
            let answer = self.page_of_partitions(table, expression, page.as_deref());
            let PartitionPage { partitions, next } = answer.await?;
            found.extend(partitions);
            if next.is_none() {
                return Ok(found);
            }
            page = next;
        }
    }

    /// Creates a table. The catalog assigns its `version_id`.
    ///
    /// # Errors
    /// [`CatalogErrorKind::AlreadyExists`] if there is one; [`CatalogErrorKind::NotFound`] if the database does not
    /// exist; any other failure. After [`CatalogErrorKind::Network`] the table may exist.
    async fn create_table(&self, table: &Table) -> Result<(), CatalogError>;

    /// Replaces the fields of a table that [`Table`] has, and no others, if the table still has this `version_id`. The
    /// previous version is not archived. <https://docs.aws.amazon.com/glue/latest/webapi/API_UpdateTable.html>
    ///
    /// # Errors
    /// [`CatalogErrorKind::Conflict`] if the table has another version; [`CatalogErrorKind::NotFound`]; any other
    /// failure.
    async fn update_table(&self, table: &Table) -> Result<(), CatalogError>;
}

/// One partition of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// One value for each partition key of the table, in order, unescaped.
    pub values: Vec<String>,
    /// The location and format of its objects; `location` ends with `/`.
    pub storage: StorageDescriptor,
}

/// One partition of a listing, without its columns, which are most of the answer if a table is wide: [`Catalog::partitions`]
/// returns them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPartition {
    /// One value for each partition key of the table, in order, unescaped.
    pub values: Vec<String>,
    /// The location and format of its objects, without columns.
    pub storage: StorageDescriptor,
}

/// Some of the partitions of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionPage {
    /// The partitions.
    pub partitions: Vec<ListedPartition>,
    /// Names the next page, if there is one.
    pub next: Option<String>,
}

/// One partition of a batch that the catalog refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFailure {
    /// The partition's values.
    pub values: Vec<String>,
    /// The kind of failure.
    pub kind: CatalogErrorKind,
    /// The catalog's message.
    pub message: String,
}

/// The kind of failure of a call to the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatalogErrorKind {
    /// The partition or table already exists.
    AlreadyExists,
    /// The table has another version than the update expects.
    Conflict,
    /// The database, table or partition does not exist.
    NotFound,
    /// There are too many calls, or the service has a problem: the same call may succeed later.
    Throttled,
    /// The network failed: the call may or may not have taken effect.
    Network,
    /// The function's role lacks a permission.
    AccessDenied,
    /// The request is invalid.
    Invalid,
    /// The invocation's deadline is too near to start the call.
    Deadline,
    /// Anything else.
    Other,
}

impl CatalogErrorKind {
    /// Whether the same call may succeed later.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Throttled | Self::Network)
    }
}

/// A call to the catalog that failed as a whole.
#[derive(Debug, Clone, Error)]
#[error("Glue {operation} on {table}: {message}")]
pub struct CatalogError {
    /// The kind of failure.
    pub kind: CatalogErrorKind,
    /// The service's operation, such as `GetTable`.
    pub operation: &'static str,
    /// The table.
    pub table: TableName,
    /// The message of the service or the network.
    pub message: String,
}
