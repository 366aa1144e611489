//! The documents of a ledger: JSON objects that are created once and never changed.

use bytes::Bytes;
use lakewright_core::location::Location;
use serde::{Serialize, de::DeserializeOwned};

use super::{JobError, Stage};
use crate::ports::{GetOptions, ObjectMeta, PutOptions, Store, StoreErrorKind};

/// A document that a ledger holds.
pub(crate) trait Document: Serialize + DeserializeOwned {
    /// The form that this code writes, and the only one that it reads.
    const FORM: u32;

    /// The form of this document.
    fn form(&self) -> u32;
}

/// Makes each type, which has a field `version`, a [`Document`] of the form `$form`.
macro_rules! documents {
    ($form:expr; $($document:ident),* $(,)?) => {$(
        impl $document {
            /// The form of the document that is written now.
            pub const VERSION: u32 = $form;
        }

        impl $crate::kit::ledger::Document for $document {
            const FORM: u32 = $form;

            fn form(&self) -> u32 {
                self.version
            }
        }
    )*};
}
pub(crate) use documents;

/// The document, if there is one.
///
/// # Errors
/// When the store fails, or the document is not of the form that this code knows.
pub(crate) async fn read<T: Document>(
    store: &dyn Store,
    location: &Location,
) -> Result<Option<T>, JobError> {
    let found = read_with_meta(store, location).await?;
    Ok(found.map(|(document, _)| document))
}

/// The document, if there is one, and what is known of its object.
///
/// # Errors
/// When the store fails, or the document is not of the form that this code knows.
pub(crate) async fn read_with_meta<T: Document>(
    store: &dyn Store,
    location: &Location,
) -> Result<Option<(T, ObjectMeta)>, JobError> {
    let body = match store.get(location, GetOptions::default()).await {
        Ok(body) => body,
        Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(JobError::store(Stage::Ledger, error)),
    };
    let document: T = serde_json::from_slice(&body.bytes)
        .map_err(|error| JobError::entry(location.clone(), error))?;
    if document.form() != T::FORM {
        let what = format!("form {} is not {}", document.form(), T::FORM);
        return Err(JobError::entry(location.clone(), what));
    }
    Ok(Some((document, body.meta)))
}

/// Writes the document, or answers with the one that is there already: of all who propose one, all go by the first.
///
/// # Errors
/// When the store fails, or the document that is there cannot be read.
pub(crate) async fn propose<T: Document>(
    store: &dyn Store,
    location: &Location,
    document: T,
) -> Result<T, JobError> {
    if create(store, location, &document).await? {
        return Ok(document);
    }
    let existing = read(store, location).await?;
    existing.ok_or_else(|| JobError::entry_vanished(location.clone()))
}

/// Writes a value as JSON, unless there is an object. Returns whether there was none.
///
/// # Errors
/// When the store fails.
pub(crate) async fn create<T: Serialize>(
    store: &dyn Store,
    location: &Location,
    value: &T,
) -> Result<bool, JobError> {
    let body =
        serde_json::to_vec(value).map_err(|error| JobError::entry(location.clone(), error))?;
    let options = PutOptions {
        content_type: Some("application/json".to_owned()),
        ..PutOptions::create_only()
    };
    match store.put(location, Bytes::from(body), options).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind == StoreErrorKind::PreconditionFailed => Ok(false),
        Err(error) => Err(JobError::store(Stage::Ledger, error)),
    }
}

/// Whether there is an entry.
///
/// # Errors
/// When the store cannot say.
pub(crate) async fn exists(store: &dyn Store, location: &Location) -> Result<bool, JobError> {
    match store.head(location, None).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind == StoreErrorKind::NotFound => Ok(false),
        Err(error) => Err(JobError::store(Stage::Ledger, error)),
    }
}
