//! What the jobs need from outside, as traits: [`Store`], [`Catalog`], [`Queue`], [`Queries`], [`Callback`],
//! [`Secrets`] and [`Clock`].

mod callback;
mod catalog;
mod clock;
mod layer;
mod queries;
mod queue;
mod secrets;
mod service;
mod store;
mod written_as;

pub use callback::{Callback, CallbackError, CallbackErrorKind};
pub use catalog::{
    Catalog, CatalogError, CatalogErrorKind, ListedPartition, MAX_CREATE_PARTITIONS,
    MAX_GET_PARTITIONS, Partition, PartitionFailure, PartitionPage,
};
pub use clock::Clock;
pub use layer::StoreLayer;
pub use queries::{Queries, QueriesError, QueryExecution, QueryState};
pub use queue::{
    Hidden, MAX_HIDE_BATCH, MAX_SEND_BATCH, MAX_SEND_BYTES, Queue, QueueError, Received,
    SendFailure,
};
pub use secrets::{Secrets, SecretsError, secret_operation};
pub use service::ServiceErrorKind;
pub use store::{
    Attributes, CompletedPart, DeleteFailure, Deletion, GetOptions, ListPage, Listed,
    MAX_DELETE_BATCH, MAX_LIST_PAGE, ObjectBody, ObjectMeta, Precondition, PutOptions, Store,
    StoreError, StoreErrorKind, UploadId, Written,
};
pub use written_as::written_as;
