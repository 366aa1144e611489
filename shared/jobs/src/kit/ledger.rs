//! The documents of a ledger: JSON objects that are created once and never changed.

use bytes::Bytes;
use lakewright_core::location::Location;
use lakewright_ports::{GetOptions, ObjectMeta, PutOptions, Store, StoreErrorKind};
use serde::{Serialize, de::DeserializeOwned};

use super::{JobError, Stage, known};

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
    let document: T =
        known::from_slice(&body.bytes).map_err(|error| JobError::entry(location.clone(), error))?;
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

/// Writes a value as JSON, and replaces an existing object. Only for documents on which no decision about rows depends.
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

/// The counts of [`reach`] are smaller.
const MOST: u64 = 9_999_999_999;

/// Records how far an attempt came before its time ran out, as `count`. If another attempt came as far, its document stays.
///
/// # Errors
/// The store fails.
pub(crate) async fn reach<T: Document>(
    store: &dyn Store,
    prefix: &Location,
    count: usize,
    document: &T,
) -> Result<(), JobError> {
    create(store, &prefix.join(&countdown(count)), document).await?;
    Ok(())
}

/// The name of the document for this count. The names count down, so that the furthest is the first in a listing.
pub(crate) fn countdown(count: usize) -> String {
    format!("{:010}", MOST.saturating_sub(count as u64))
}

/// The count of a document with this name.
pub(crate) fn counted_down(name: &str) -> Option<usize> {
    let left = MOST.checked_sub(name.parse().ok()?)?;
    usize::try_from(left).ok()
}

/// The document of the attempt that came furthest, if one ran out of time.
///
/// # Errors
/// The store fails, or the document has an unknown version.
pub(crate) async fn furthest<T: Document>(
    store: &dyn Store,
    prefix: &Location,
) -> Result<Option<T>, JobError> {
    let page = store.list(prefix, None).await;
    let page = page.map_err(|error| JobError::store(Stage::Ledger, error))?;
    match page.objects.into_iter().next() {
        Some(first) => read(store, &Location::new(&prefix.bucket, first.key)).await,
        None => Ok(None),
    }
}

/// Whether a document exists.
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

    use super::known;

    /// Reads an example as a document, and writes it again.
    pub(crate) type Again = fn(&Value) -> serde_json::Result<Value>;

    /// As [`Again`], for a type of document.
    pub(crate) fn again<T: Serialize + DeserializeOwned>(
        example: &Value,
    ) -> serde_json::Result<Value> {
        serde_json::to_value(known::from_slice::<T>(&serde_json::to_vec(example)?)?)
    }

    /// The settings as the first version that was committed wrote them. Never change these files: documents that were
    /// written with them are in ledgers.
    fn committed(job: &str) -> Value {
        let text = match job {
            "rekey" => include_str!("../../documents/rekey-settings.json"),
            "split" => include_str!("../../documents/split-settings.json"),
            "compact" => include_str!("../../documents/compact-settings.json"),
            _ => include_str!("../../documents/repartition-settings.json"),
        };
        serde_json::from_str(text).expect(job)
    }

    /// Whether everything that `earlier` has is in `now`, however deep.
    fn has(now: &Value, earlier: &Value) -> bool {
        match (now, earlier) {
            (Value::Object(now), Value::Object(earlier)) => earlier
                .iter()
                .all(|(name, value)| now.get(name).is_some_and(|now| has(now, value))),
            (Value::Array(now), Value::Array(earlier)) => {
                now.len() == earlier.len()
                    && now
                        .iter()
                        .zip(earlier)
                        .all(|(now, earlier)| has(now, earlier))
            }
            _ => now == earlier,
        }
    }

    /// Objects whose names are data.
    const MAPS: &[&str] = &["objects", "left_out", "tags"];

    /// The places of all objects in a value that are structs, as JSON pointers.
    fn structs(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if !MAPS.iter().any(|map| at.ends_with(&format!("/{map}"))) {
                    found.push(at.to_owned());
                }
                for (name, value) in fields {
                    structs(
                        value,
                        &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")),
                        found,
                    );
                }
            }
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    structs(value, &format!("{at}/{index}"), found);
                }
            }
            _ => {}
        }
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

    /// Each document of a job must have an example, with exactly the fields that are written, and is read with fields that
    /// are unknown, anywhere in it. `settings`: the job's configuration, which the examples leave out.
    pub(crate) fn compare(job: &str, settings: &impl Serialize, documents: &[(&str, Again)]) {
        let settings = serde_json::to_value(settings).unwrap();
        let committed = committed(job);
        assert!(
            has(&settings, &committed),
            "an earlier version does not find in the settings what it wrote:\n{settings:#}\n{committed:#}"
        );
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
                *left_out = committed.clone();
            }
            let mut written = again(&whole).unwrap_or_else(|error| panic!("{title}: {error}"));
            let mut places = Vec::new();
            structs(&whole, "", &mut places);
            for place in places {
                let mut later = whole.clone();
                later.pointer_mut(&place).unwrap()["of_a_later_version"] = json!({"added": [1]});
                match again(&later) {
                    Ok(read) => assert_eq!(read, written, "{title}{place}"),
                    // The object is a variant of an enum, which has one name.
                    Err(error) => {
                        let error = error.to_string();
                        let is_variant = ["unknown variant", "expected value"];
                        assert!(
                            is_variant.iter().any(|says| error.contains(says)),
                            "{title}{place}: {error}"
                        );
                    }
                }
            }
            if let Some(settings) = written.get_mut("settings") {
                *settings = json!({});
            }
            assert_eq!(written, example, "{title}");
        }
    }
}

#[cfg(test)]
#[expect(unreachable_pub, reason = "the versions of documents are public")]
mod tests {
    use async_trait::async_trait;
    use jiff::Timestamp;
    use lakewright_ports::{ObjectBody, StoreError, StoreLayer};
    use serde::Deserialize;

    use super::*;

    /// A store with one document.
    struct One(&'static str);

    #[async_trait]
    impl StoreLayer for One {
        fn inner(&self) -> &dyn Store {
            panic!("a document is read by one GET")
        }

        async fn get(&self, _: &Location, _: GetOptions) -> Result<ObjectBody, StoreError> {
            Ok(ObjectBody {
                meta: ObjectMeta {
                    size: self.0.len() as u64,
                    etag: String::new(),
                    version: None,
                    last_modified: Timestamp::UNIX_EPOCH,
                    answered_at: Timestamp::UNIX_EPOCH,
                },
                bytes: Bytes::from_static(self.0.as_bytes()),
            })
        }
    }

    #[derive(Serialize, Deserialize)]
    struct Small {
        version: u32,
    }

    documents!(3; Small);

    #[tokio::test]
    async fn a_document_of_another_version_is_refused_whatever_the_job() {
        let at = Location::new("lake", "_lakewright/x");
        let found: Option<Small> = read(&One(r#"{"version":3}"#), &at).await.unwrap();
        assert_eq!(found.map(|small| small.version), Some(Small::VERSION));
        for other in [r#"{"version":2}"#, r#"{"version":4}"#, "{}", "[]", ""] {
            let error = read::<Small>(&One(other), &at).await.err().unwrap();
            assert_eq!(error.name(), "LedgerUnreadable", "{other}");
            assert!(error.to_string().contains(&at.to_string()), "{error}");
        }
    }
}
