//! The documents of a ledger: JSON objects that are created once and never changed.

use bytes::Bytes;
use lakewright_core::location::Location;
use serde::{Serialize, de::DeserializeOwned};

use super::{JobError, Stage};
use crate::ports::{GetOptions, ObjectMeta, PutOptions, Store, StoreErrorKind};

/// A document of a ledger.
pub(crate) trait Document: Serialize + DeserializeOwned {
    /// The version that this code writes, and the only one that it reads.
    const FORM: u32;

    /// The version of this document.
    fn form(&self) -> u32;
}

/// Implements [`Document`] with the version `$form` for types that have a field `version`.
macro_rules! documents {
    ($form:expr; $($document:ident),* $(,)?) => {$(
        impl $document {
            /// The version that is written now.
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

/// Reads the document, if it exists.
///
/// # Errors
/// The store fails, or the document has an unknown version.
pub(crate) async fn read<T: Document>(
    store: &dyn Store,
    location: &Location,
) -> Result<Option<T>, JobError> {
    let found = read_with_meta(store, location).await?;
    Ok(found.map(|(document, _)| document))
}

/// Reads the document, if it exists, with its object's metadata.
///
/// # Errors
/// The store fails, or the document has an unknown version.
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

/// Creates the document, or returns the existing one: all invocations that propose one use the first.
///
/// # Errors
/// The store fails, or the existing document cannot be read.
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

/// Writes a value as JSON, unless the object exists. Returns whether it was created.
///
/// # Errors
/// The store fails.
pub(crate) async fn create<T: Serialize>(
    store: &dyn Store,
    location: &Location,
    value: &T,
) -> Result<bool, JobError> {
    // R1, C4, P5: the first document of its name stays.
    put(store, location, value, PutOptions::create_only()).await
}

/// Writes a value as JSON, also over an existing object. Only for what no decision about rows depends on.
///
/// # Errors
/// The store fails.
pub(crate) async fn replace<T: Serialize>(
    store: &dyn Store,
    location: &Location,
    value: &T,
) -> Result<(), JobError> {
    put(store, location, value, PutOptions::default()).await?;
    Ok(())
}

async fn put<T: Serialize>(
    store: &dyn Store,
    location: &Location,
    value: &T,
    options: PutOptions,
) -> Result<bool, JobError> {
    let body =
        serde_json::to_vec(value).map_err(|error| JobError::entry(location.clone(), error))?;
    let options = PutOptions {
        content_type: Some("application/json".to_owned()),
        ..options
    };
    match store.put(location, Bytes::from(body), options).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind == StoreErrorKind::PreconditionFailed => Ok(false),
        Err(error) => Err(JobError::store(Stage::Ledger, error)),
    }
}

/// Whether an entry exists.
///
/// # Errors
/// The store fails.
pub(crate) async fn exists(store: &dyn Store, location: &Location) -> Result<bool, JobError> {
    match store.head(location, None).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind == StoreErrorKind::NotFound => Ok(false),
        Err(error) => Err(JobError::store(Stage::Ledger, error)),
    }
}

/// Compares types of documents with their examples in docs/ARCHITECTURE.md.
#[cfg(test)]
pub(crate) mod documented {
    use serde::{Serialize, de::DeserializeOwned};
    use serde_json::{Value, json};

    /// Reads an example as a document, and writes it again.
    pub(crate) type Again = fn(Value) -> serde_json::Result<Value>;

    /// As [`Again`], for a type of document.
    pub(crate) fn again<T: Serialize + DeserializeOwned>(
        example: Value,
    ) -> serde_json::Result<Value> {
        serde_json::to_value(serde_json::from_value::<T>(example)?)
    }

    /// The examples of a job, by their titles.
    fn examples(job: &str) -> Vec<(String, String)> {
        let text = include_str!("../../../../docs/ARCHITECTURE.md");
        let after = text
            .split_once("## The documents of the ledgers")
            .unwrap()
            .1;
        let section = after.split_once(&format!("### {job}\n")).unwrap().1;
        let section = section.split("\n#").next().unwrap();
        let examples = section.split("\n```json\n").collect::<Vec<_>>();
        let title = |text: &str| text.trim().rsplit('`').nth(1).unwrap().to_owned();
        let pairs = examples.windows(2);
        pairs
            .map(|pair| {
                let example = pair[1].split_once("\n```").unwrap().0;
                (title(pair[0]), example.to_owned())
            })
            .collect()
    }

    /// Each document of a job must have an example, with exactly the fields that are written. `settings`: the job's
    /// configuration, which the examples leave out.
    pub(crate) fn compare(job: &str, settings: &impl Serialize, documents: &[(&str, Again)]) {
        let settings = serde_json::to_value(settings).unwrap();
        let examples = examples(job);
        let titles = examples.iter().map(|(title, _)| title.as_str());
        assert!(
            titles.eq(documents.iter().map(|(title, _)| *title)),
            "{examples:?}"
        );
        for ((title, example), (_, again)) in examples.iter().zip(documents) {
            let example: Value = serde_json::from_str(example).expect(title);
            let mut whole = example.clone();
            if let Some(left_out) = whole.get_mut("settings") {
                *left_out = settings.clone();
            }
            let mut written = again(whole).unwrap_or_else(|error| panic!("{title}: {error}"));
            if let Some(settings) = written.get_mut("settings") {
                *settings = json!({});
            }
            assert_eq!(written, example, "{title}");
        }
    }
}
