//! Many documents in one object, one after the other, so that each can be read without the others.

use bytes::Bytes;
use lakewright_core::location::Location;
use lakewright_ports::{GetOptions, PutOptions, Store, StoreErrorKind};
use serde::{Serialize, de::DeserializeOwned};
use twox_hash::XxHash3_128;

use super::{JobError, Stage, known};

/// The documents of an object that is not written yet.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    bytes: Vec<u8>,
    ends: Vec<u64>,
}

/// An object with documents.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) key: String,
    /// Where each of them ends.
    pub(crate) ends: Vec<u64>,
}

impl Parts {
    /// Adds a document. `None` takes no bytes.
    pub(crate) fn push<T: Serialize>(&mut self, document: Option<&T>) -> serde_json::Result<()> {
        if let Some(document) = document {
            serde_json::to_writer(&mut self.bytes, document)?;
        }
        self.ends.push(self.bytes.len() as u64);
        Ok(())
    }

    /// Writes the object beside the entry `at`, which will name it. The object's key contains a hash of its content, so if
    /// two invocations write different objects, the entry names the one that its `ends` belong to.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn write(self, store: &dyn Store, at: &Location) -> Result<Written, JobError> {
        let object = at.join(&format!("-{:032x}", XxHash3_128::oneshot(&self.bytes)));
        let options = PutOptions::create_only();
        match store.put(&object, Bytes::from(self.bytes), options).await {
            Ok(_) => {}
            Err(error) if error.kind == StoreErrorKind::PreconditionFailed => {}
            Err(error) => return Err(JobError::store(Stage::Ledger, error)),
        }
        Ok(Written {
            key: object.key,
            ends: self.ends,
        })
    }
}

/// Reads the document of this index; `None` if it has no bytes.
///
/// # Errors
/// The store fails, there is no such document, or it cannot be read.
pub(crate) async fn part<T: DeserializeOwned>(
    store: &dyn Store,
    object: &Location,
    ends: &[u64],
    index: usize,
) -> Result<Option<T>, JobError> {
    let before = match index.checked_sub(1) {
        Some(before) => ends.get(before),
        None => Some(&0),
    };
    let (Some(&start), Some(&end)) = (before, ends.get(index)) else {
        let what = format!("it has no document {index}");
        return Err(JobError::entry(object.clone(), what));
    };
    if start == end {
        return Ok(None);
    }
    let options = GetOptions {
        range: Some(start..end),
        ..GetOptions::default()
    };
    let body = store.get(object, options).await;
    let body = body.map_err(|error| JobError::store(Stage::Ledger, error))?;
    let document = known::from_slice(&body.bytes);
    Ok(Some(
        document.map_err(|error| JobError::entry(object.clone(), error))?,
    ))
}

#[cfg(test)]
mod tests {
    use lakewright_model::virtual_time;

    use super::*;
    use crate::fixture::{Lake, everything};

    #[test]
    fn each_document_is_read_by_itself() {
        for documents in [
            &[][..],
            &[Some("a")],
            &[None],
            &[Some("a"), None, Some(""), Some("bc"), None],
        ] {
            virtual_time(async {
                let lake = Lake::new();
                let (store, at) = (lake.ports().store, Lake::at("gathered/0"));
                let written = async || {
                    let mut parts = Parts::default();
                    for document in documents {
                        parts.push(document.as_ref()).unwrap();
                    }
                    parts.write(&*store, &at).await.unwrap()
                };
                let Written { key, ends } = written().await;
                let seen = lake.seen(everything);
                // Whoever writes the same finds it there.
                assert_eq!(written().await.key, key);
                assert_eq!(lake.seen(everything), seen);
                assert!(key.starts_with("gathered/0-"), "{key}");
                let object = Lake::at(&key);
                let read = async |index| part::<String>(&*store, &object, &ends, index).await;
                for (index, &document) in documents.iter().enumerate() {
                    let found = read(index).await.unwrap();
                    assert_eq!(found.as_deref(), document, "{documents:?} {index}");
                }
                let error = read(documents.len()).await.unwrap_err();
                assert_eq!(error.name(), "LedgerUnreadable", "{error}");
            });
        }
    }

    #[test]
    fn ends_of_another_object_are_refused() {
        virtual_time(async {
            let lake = Lake::new();
            let store = lake.ports().store;
            lake.place("gathered/0-x", "\"a\"\"b\"");
            let object = Lake::at("gathered/0-x");
            for (ends, index, name) in [
                (&[3, 6][..], 2, "LedgerUnreadable"),
                (&[2, 6], 0, "LedgerUnreadable"),
                (&[3, 5], 1, "LedgerUnreadable"),
            ] {
                let read = part::<String>(&*store, &object, ends, index).await;
                assert_eq!(read.unwrap_err().name(), name, "{ends:?} {index}");
            }
            let gone = Lake::at("gathered/1-x");
            let read = part::<String>(&*store, &gone, &[3], 0).await;
            assert_eq!(read.unwrap_err().name(), "StoreFailed");
        });
    }
}
