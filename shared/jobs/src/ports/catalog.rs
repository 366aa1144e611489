use async_trait::async_trait;
use lakewright_core::catalog::{StorageDescriptor, Table, TableName};
use thiserror::Error;

/// The most partitions that one `BatchCreatePartition` or `BatchUpdatePartition` takes.
/// <https://docs.aws.amazon.com/glue/latest/webapi/API_BatchCreatePartition.html>
pub const MAX_CREATE_PARTITIONS: usize = 100;

/// The most partitions that one `BatchGetPartition` takes.
/// <https://docs.aws.amazon.com/glue/latest/webapi/API_BatchGetPartition.html>
pub const MAX_GET_PARTITIONS: usize = 1000;

/// The data catalog: tables, and where their partitions lie.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// The table; `None` where the catalog says that it does not exist (and only then).
    ///
    /// # Errors
    /// Any other failure, a throttled call too.
    async fn table(&self, name: &TableName) -> Result<Option<Table>, CatalogError>;

    /// Those of the partitions with these `values` (at most [`MAX_GET_PARTITIONS`]) that exist, in any order.
    ///
    /// # Errors
    /// When the call failed.
    async fn partitions(
        &self,
        table: &TableName,
        values: &[Vec<String>],
    ) -> Result<Vec<Partition>, CatalogError>;

    /// Creates at most [`MAX_CREATE_PARTITIONS`] partitions. Returns those that were not created;
    /// one that stands already is among them, as [`CatalogErrorKind::AlreadyExists`].
    ///
    /// # Errors
    /// When the call failed as a whole; any of the partitions may have been created all the same.
    async fn create_partitions(
        &self,
        table: &TableName,
        partitions: &[Partition],
    ) -> Result<Vec<PartitionFailure>, CatalogError>;

    /// Replaces at most [`MAX_CREATE_PARTITIONS`] existing partitions. Returns those that were not replaced.
    /// The catalog has no compare-and-swap for partitions: the last writer wins.
    ///
    /// # Errors
    /// When the call failed as a whole; any of the partitions may have been replaced all the same.
    async fn update_partitions(
        &self,
        table: &TableName,
        partitions: &[Partition],
    ) -> Result<Vec<PartitionFailure>, CatalogError>;

    /// All partitions that an expression over the partition keys selects, such as `year = 2026 and month = 5`;
    /// all of the table's where there is none. In any order.
    /// <https://docs.aws.amazon.com/glue/latest/webapi/API_GetPartitions.html>
    ///
    /// # Errors
    /// [`CatalogErrorKind::Invalid`] when the expression means nothing to the catalog, and when a call failed.
    async fn matching_partitions(
        &self,
        table: &TableName,
        expression: Option<&str>,
    ) -> Result<Vec<Partition>, CatalogError>;

    /// Creates a table; its `version_id` is the catalog's to give.
    ///
    /// # Errors
    /// [`CatalogErrorKind::AlreadyExists`] where one stands; [`CatalogErrorKind::NotFound`] where the database does
    /// not exist; any other failure. After [`CatalogErrorKind::Network`] the table may stand.
    async fn create_table(&self, table: &Table) -> Result<(), CatalogError>;

    /// Replaces what a [`Table`] says of a table, and no more, where the table still is of its `version_id`. The
    /// version before is not archived.
    /// <https://docs.aws.amazon.com/glue/latest/webapi/API_UpdateTable.html>
    ///
    /// # Errors
    /// [`CatalogErrorKind::Conflict`] where the table is of another version; [`CatalogErrorKind::NotFound`];
    /// any other failure.
    async fn update_table(&self, table: &Table) -> Result<(), CatalogError>;
}

/// One partition of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// One value for each partition key of the table, in their order, unescaped.
    pub values: Vec<String>,
    /// Where its objects lie and how they are read; `location` ends with `/`.
    pub storage: StorageDescriptor,
}

/// One partition of a batch that the catalog refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFailure {
    /// The partition's values.
    pub values: Vec<String>,
    /// Why.
    pub kind: CatalogErrorKind,
    /// What the catalog said.
    pub message: String,
}

/// What kind of failure a call to the catalog met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatalogErrorKind {
    /// The partition or table stands already.
    AlreadyExists,
    /// The table is not of the version that the update names.
    Conflict,
    /// The database, table or partition does not exist.
    NotFound,
    /// Too many calls, or the service is unwell: the same call may succeed later.
    Throttled,
    /// The network failed: the call may have taken effect or not.
    Network,
    /// The function's role lacks a permission.
    AccessDenied,
    /// The catalog found the request invalid.
    Invalid,
    /// The invocation's deadline is too near to begin the call.
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
    /// What kind of failure it is.
    pub kind: CatalogErrorKind,
    /// The service's operation, such as `GetTable`.
    pub operation: &'static str,
    /// The table.
    pub table: TableName,
    /// What the service or the network said.
    pub message: String,
}
