use async_trait::async_trait;
use bytes::Bytes;
use lakewright_core::{config::Encryption, location::Location};

use super::{
    Attributes, CompletedPart, DeleteFailure, Deletion, GetOptions, ListPage, ObjectBody,
    ObjectMeta, Precondition, PutOptions, Store, StoreError, UploadId, Written,
};

/// Declares [`StoreLayer`] and what makes a [`Store`] of it, from one list of the port's calls.
macro_rules! store_layer {
    ($($call:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        /// A store that wraps another one: it implements the calls that it changes, and the wrapped store answers the
        /// others.
        #[async_trait]
        pub trait StoreLayer: Send + Sync {
            /// The wrapped store.
            fn inner(&self) -> &dyn Store;

            $(
                #[doc = concat!("As [`Store::", stringify!($call), "`].")]
                ///
                /// # Errors
                /// As the wrapped store, unless the layer changes it.
                async fn $call(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                    self.inner().$call($($argument),*).await
                }
            )*
        }

        #[async_trait]
        impl<T: StoreLayer> Store for T {
            $(
                async fn $call(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                    StoreLayer::$call(self, $($argument),*).await
                }
            )*
        }
    };
}

store_layer! {
    head(object: &Location, version: Option<&str>) -> ObjectMeta;
    get(object: &Location, options: GetOptions) -> ObjectBody;
    put(object: &Location, body: Bytes, options: PutOptions) -> Written;
    list(prefix: &Location, after: Option<&str>) -> ListPage;
    copy(
        source: &Location,
        if_source_matches: Option<&str>,
        target: &Location,
        precondition: Precondition,
        encryption: Option<&Encryption>
    ) -> Written;
    delete(bucket: &str, objects: &[Deletion]) -> Vec<DeleteFailure>;
    create_multipart(
        object: &Location,
        content_type: Option<&str>,
        attributes: Option<&Attributes>
    ) -> UploadId;
    upload_part(object: &Location, upload: &UploadId, number: u16, body: Bytes) -> CompletedPart;
    complete_multipart(
        object: &Location,
        upload: &UploadId,
        parts: &[CompletedPart],
        precondition: Precondition
    ) -> Written;
    abort_multipart(object: &Location, upload: &UploadId) -> ();
}
