//! One suite for every [`Store`] that checks what Lakewright relies on: the model, the local cloud's S3, a real bucket. Another one
//! for secrets.

mod conditional;
mod listing;
mod multipart;
mod objects;
mod secrets;

use std::fmt;

use bytes::Bytes;
use futures::future::BoxFuture;
use lakewright_core::location::Location;
use lakewright_ports::{
    GetOptions, ListPage, Listed, ObjectBody, ObjectMeta, Precondition, PutOptions, Store,
    StoreError, StoreErrorKind, Written,
};

pub use self::secrets::{Keeper, run_secrets};

/// Where the local cloud's S3 differs from S3 as AWS documents it: the check, and the reason.
pub const LOCAL_CLOUD_DIFFERENCES: &[(&str, &str)] = &[
    (
        "head_agrees_with_get_and_list",
        "its listing gives milliseconds, S3 whole seconds",
    ),
    (
        "times_are_whole_seconds_of_one_clock",
        "its listing gives milliseconds, S3 whole seconds",
    ),
    ("longest_key", "it takes keys of more than 1,024 bytes"),
    (
        "copy_conditions",
        "its CopyObject ignores If-None-Match and If-Match for the target",
    ),
    (
        "parts_out_of_order",
        "it completes an upload whose parts are listed out of order",
    ),
    (
        "part_too_small",
        "it completes an upload with a part below 5 MiB before the last",
    ),
];

/// The result of one check.
#[derive(Debug)]
pub struct Outcome {
    /// The check's name.
    pub name: &'static str,
    /// The behaviour that differs from the documentation.
    pub result: Result<(), Failure>,
}

/// The behaviour that differs from the documentation.
#[derive(Debug)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self(format!("{error} ({:?})", error.kind))
    }
}

type Verdict = Result<(), Failure>;
type Check = for<'a> fn(&'a Ground<'a>) -> BoxFuture<'a, Verdict>;

macro_rules! checks {
    ($($module:ident: $($name:ident),+;)+) => {
        &[$($((stringify!($name), |ground| Box::pin($module::$name(ground)))),+),+]
    };
}

const CHECKS: &[(&str, Check)] = checks! {
    objects:
        put_and_get, head_agrees_with_get_and_list, empty_object, missing_object, put_replaces,
        ranges, range_past_the_end, get_if_match, key_that_begins_another, odd_keys,
        control_characters_in_keys, longest_key, times_are_whole_seconds_of_one_clock,
        copy_object, copy_conditions, copy_of_odd_keys, delete_batch, delete_by_etag,
        delete_odd_keys;
    conditional:
        create_only, create_only_ignores_uploads_under_way, create_only_race, replace_if_match,
        replace_if_match_missing, replace_if_match_race, create_again_after_delete;
    listing:
        list_in_byte_order, list_after_key, list_exact_prefix, list_follows_writes_at_once,
        list_more_than_a_page, list_nothing;
    multipart:
        upload_in_parts, invisible_until_complete, part_sent_again, parts_out_of_order, part_too_small,
        part_unknown, complete_create_only, complete_if_match, complete_race, aborted_upload,
        abort_twice;
};

/// Runs every check, each below a separate prefix under `prefix`, which should be empty.
pub async fn run(store: &dyn Store, prefix: &Location) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for (name, check) in CHECKS {
        let ground = Ground {
            store,
            prefix: prefix.join(&format!("{name}/")),
        };
        let result = check(&ground).await;
        outcomes.push(Outcome { name, result });
    }
    outcomes
}

/// Compares the outcomes with the known differences of a store. Returns, by the check's name, what is unexpected: a
/// check that failed, or a known difference that no longer occurs.
pub fn surprises(outcomes: &[Outcome], differences: &[(&str, &str)]) -> Vec<String> {
    let known = |name: &str| differences.iter().find(|(check, _)| *check == name);
    let mut surprises: Vec<String> = outcomes
        .iter()
        .filter_map(|outcome| match (&outcome.result, known(outcome.name)) {
            (Err(failure), None) => Some(format!("{}: {failure}", outcome.name)),
            (Ok(()), Some((_, reason))) => Some(format!(
                "{}: passes, though it is listed as a difference ({reason})",
                outcome.name
            )),
            _ => None,
        })
        .collect();
    for (name, _) in differences {
        if !outcomes.iter().any(|outcome| outcome.name == *name) {
            surprises.push(format!(
                "{name}: listed as a difference, but there is no such check"
            ));
        }
    }
    surprises
}

/// The store and the prefix of a check.
struct Ground<'a> {
    store: &'a dyn Store,
    prefix: Location,
}

impl Ground<'_> {
    fn at(&self, name: &str) -> Location {
        self.prefix.join(name)
    }

    async fn put(&self, name: &str, body: &str) -> Result<Written, StoreError> {
        self.put_if(name, body, Precondition::None).await
    }

    async fn put_if(
        &self,
        name: &str,
        body: &str,
        precondition: Precondition,
    ) -> Result<Written, StoreError> {
        let options = PutOptions {
            precondition,
            ..PutOptions::default()
        };
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.store.put(&self.at(name), body, options).await
    }

    async fn get(&self, name: &str) -> Result<ObjectBody, StoreError> {
        self.store.get(&self.at(name), GetOptions::default()).await
    }

    async fn head(&self, name: &str) -> Result<ObjectMeta, StoreError> {
        self.store.head(&self.at(name), None).await
    }

    async fn range(
        &self,
        name: &str,
        range: std::ops::Range<u64>,
    ) -> Result<ObjectBody, StoreError> {
        let options = GetOptions {
            range: Some(range),
            ..GetOptions::default()
        };
        self.store.get(&self.at(name), options).await
    }

    async fn page(&self, prefix: &str, after: Option<&str>) -> Result<ListPage, StoreError> {
        let after = after.map(|name| self.at(name).key);
        self.store.list(&self.at(prefix), after.as_deref()).await
    }

    /// Every object below a prefix, page by page.
    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let mut objects: Vec<Listed> = Vec::new();
        loop {
            let after = objects.last().map(|object| object.key.clone());
            let page = self.store.list(&self.at(prefix), after.as_deref()).await?;
            objects.extend(page.objects);
            if !page.truncated {
                return Ok(objects);
            }
        }
    }

    async fn names(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let objects = self.list(prefix).await?;
        Ok(objects
            .iter()
            .map(|object| {
                let name = object.key.strip_prefix(&self.prefix.key);
                name.unwrap_or(&object.key).to_owned()
            })
            .collect())
    }

    async fn holds(&self, name: &str, body: &[u8]) -> Verdict {
        let found = self.get(name).await?;
        same(&format!("{name:?}'s content"), found.bytes.as_ref(), body)
    }
}

fn same<T: PartialEq + fmt::Debug + ?Sized>(what: &str, seen: &T, wanted: &T) -> Verdict {
    ensure(seen == wanted, || {
        format!("{what} is {}, not {}", short(seen), short(wanted))
    })
}

fn short<T: fmt::Debug + ?Sized>(value: &T) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds {
        Ok(())
    } else {
        Err(Failure(otherwise()))
    }
}

/// Checks that the call fails with one of the kinds.
fn refused<T: fmt::Debug>(
    what: &str,
    result: Result<T, StoreError>,
    kinds: &[StoreErrorKind],
) -> Verdict {
    match result {
        Err(error) if kinds.contains(&error.kind) => Ok(()),
        Err(error) => Err(Failure(format!(
            "{what}: {:?} ({error}), not {kinds:?}",
            error.kind
        ))),
        Ok(answer) => Err(Failure(format!(
            "{what}: succeeded with {}, not {kinds:?}",
            short(&answer)
        ))),
    }
}
