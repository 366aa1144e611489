//! The documents of a ledger: JSON objects that are created once and never changed.

use bytes::Bytes;
use lakewright_core::location::Location;
use serde::{Serialize, de::DeserializeOwned};

use crate::ports::{GetOptions, ObjectMeta, PutOptions, Store, StoreError, StoreErrorKind};

/// Why a document was not written or read.
pub(crate) enum DocumentError {
    /// The store failed.
    Store(StoreError),
    /// It cannot be written or read as JSON.
    Json {
        /// Where it stands, or was to stand.
        location: Location,
        /// What is wrong.
        message: String,
    },
}

impl DocumentError {
    fn json(location: &Location, error: &serde_json::Error) -> Self {
        Self::Json {
            location: location.clone(),
            message: error.to_string(),
        }
    }
}

/// Writes a document, unless one stands. Returns whether none stood.
pub(crate) async fn create<T: Serialize>(
    store: &dyn Store,
    location: &Location,
    document: &T,
) -> Result<bool, DocumentError> {
    let body =
        serde_json::to_vec(document).map_err(|error| DocumentError::json(location, &error))?;
    let options = PutOptions {
        content_type: Some("application/json".to_owned()),
        ..PutOptions::create_only()
    };
    match store.put(location, Bytes::from(body), options).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind == StoreErrorKind::PreconditionFailed => Ok(false),
        Err(error) => Err(DocumentError::Store(error)),
    }
}

/// The document that stands, if one does, and what is known of its object.
pub(crate) async fn read<T: DeserializeOwned>(
    store: &dyn Store,
    location: &Location,
) -> Result<Option<(T, ObjectMeta)>, DocumentError> {
    let body = match store.get(location, GetOptions::default()).await {
        Ok(body) => body,
        Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DocumentError::Store(error)),
    };
    match serde_json::from_slice(&body.bytes) {
        Ok(document) => Ok(Some((document, body.meta))),
        Err(error) => Err(DocumentError::json(location, &error)),
    }
}
