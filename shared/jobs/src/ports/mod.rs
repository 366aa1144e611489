//! What the jobs need from the outside, as four traits: [`Store`], [`Catalog`], [`Queue`] and [`Clock`].

mod catalog;
mod clock;
mod queue;
mod store;

pub use catalog::{
    Catalog, CatalogError, CatalogErrorKind, MAX_CREATE_PARTITIONS, MAX_GET_PARTITIONS, Partition,
    PartitionFailure,
};
pub use clock::Clock;
pub use queue::{MAX_SEND_BATCH, Queue, QueueError, SendFailure};
pub use store::{
    CompletedPart, DeleteFailure, GetOptions, ListPage, Listed, MAX_DELETE_BATCH, MAX_LIST_PAGE,
    ObjectBody, ObjectMeta, Precondition, PutOptions, Store, StoreError, StoreErrorKind, UploadId,
    Written,
};
