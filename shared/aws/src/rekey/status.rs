//! Where objects are, for a person who asks: `{"status": ["s3://bucket/key", …]}`.

use std::collections::BTreeSet;

use lakewright_core::{config::Config, location::Location};
use lakewright_jobs::{
    ErrorKind, JobError,
    rekey::{ObjectStatus, SourceObject, State, status},
};
use lakewright_ports::Store;
use serde::Serialize;
use serde_json::Value;

use super::route::{Route, route};
use crate::{
    adapters::failure::chain,
    handler::{FunctionError, reported},
    trigger,
};

/// The answer.
#[derive(Serialize)]
struct Answer {
    job: &'static str,
    objects: Vec<Named>,
    /// The objects that were not looked up before the time was over: ask for these again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unseen: Vec<Location>,
}

/// The answer for one object.
#[derive(Serialize)]
struct Named {
    /// The job that reads it, or below whose prefixes it is; empty if there is none.
    name: String,
    #[serde(flatten)]
    status: ObjectStatus,
}

/// Answers for each object, in the order of the request.
pub(super) async fn answer(
    config: &Config,
    store: &dyn Store,
    payload: &Value,
) -> Result<Value, FunctionError> {
    let objects = trigger::objects(payload, "status")
        .map_err(|error| FunctionError::bad_trigger(chain(&error)))?;
    reported(named(config, store, objects).await)
}

async fn named(
    config: &Config,
    store: &dyn Store,
    objects: Vec<SourceObject>,
) -> Result<Answer, JobError> {
    let mut named: Vec<_> = objects
        .iter()
        .map(|object| {
            let route = route(config, &object.location);
            let status = ObjectStatus::new(object.location.clone(), State::Unread);
            let name = route.name().to_owned();
            (route, Named { name, status })
        })
        .collect();
    let mut unseen = BTreeSet::new();
    for job in &config.rekey {
        let (mut places, mut asked) = (Vec::new(), Vec::new());
        for ((route, named), object) in named.iter_mut().zip(&objects) {
            if matches!(route, Route::Job(own) if own.name == job.name) {
                places.push(&mut named.status);
                asked.push(object.clone());
            }
        }
        let found = status(store, job, &asked).await;
        for (place, found) in places.into_iter().zip(found) {
            match found {
                Err(error) if error.kind() == ErrorKind::Deadline => {
                    unseen.insert(place.source.clone());
                }
                found => *place = found?,
            }
        }
    }
    if !objects.is_empty() && unseen.len() == objects.len() {
        return Err(JobError::deadline());
    }
    let mut named = named
        .into_iter()
        .map(|(_, named)| named)
        .collect::<Vec<_>>();
    named.retain(|named| !unseen.contains(&named.status.source));
    Ok(Answer {
        job: "rekey",
        objects: named,
        unseen: unseen.into_iter().collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use lakewright_ports::{ObjectMeta, StoreError, StoreErrorKind, StoreLayer};

    use super::*;

    /// An empty store that has time for this many calls.
    struct Empty {
        calls: AtomicU32,
    }

    #[async_trait]
    impl StoreLayer for Empty {
        fn inner(&self) -> &dyn Store {
            panic!("an object that is missing is looked up by its HEAD")
        }

        async fn head(&self, object: &Location, _: Option<&str>) -> Result<ObjectMeta, StoreError> {
            let left = self.calls.load(Ordering::Relaxed);
            self.calls.store(left.saturating_sub(1), Ordering::Relaxed);
            Err(StoreError {
                kind: if left > 0 {
                    StoreErrorKind::NotFound
                } else {
                    StoreErrorKind::Deadline
                },
                operation: "HeadObject",
                location: object.clone(),
                message: String::new(),
            })
        }
    }

    #[tokio::test]
    async fn what_was_not_looked_up_in_time_is_named() {
        let config = "[[rekey]]\nname = \"t\"\nsource = \"s3://landing/t/\"\ntarget = \"s3://lake/t/\"\ntimestamp = { column = \"t\" }";
        let config = Config::parse(config).unwrap();
        let objects = (0..40).map(|number| SourceObject {
            location: Location::new("landing", format!("t/{number}")),
            etag: None,
            size: None,
        });
        let objects = objects.collect::<Vec<_>>();
        for calls in [1, 20, 39, 40] {
            let store = Empty {
                calls: AtomicU32::new(calls),
            };
            let answer = named(&config, &store, objects.clone()).await.unwrap();
            let seen = answer.objects.iter().map(|object| &object.status.source);
            let all = seen.chain(&answer.unseen).collect::<BTreeSet<_>>();
            assert_eq!(all.len(), 40, "{calls} calls");
            assert_eq!(answer.objects.len(), calls as usize);
        }
        let store = Empty {
            calls: AtomicU32::new(0),
        };
        let error = named(&config, &store, objects).await.err().unwrap();
        assert_eq!(error.name(), "Deadline");
    }
}
