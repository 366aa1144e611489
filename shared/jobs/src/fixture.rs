//! A lake in the models of the services, in which the tests of steps run them: each whole, and once for each request at
//! which an invocation may die, after which a second one must leave the same objects.

use std::{
    collections::BTreeMap, fmt::Display, future::pending, pin::pin, sync::Arc, time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::{Either, select};
use jiff::{SignedDuration, Timestamp};
use lakewright_core::{
    catalog::{Column, StorageDescriptor, Table},
    location::Location,
};
use lakewright_model::{Answer, Client, Cloud, Death, FaultRates, Plan, Settings, virtual_time};
use lakewright_ports::{Clock, Partition, PutOptions, Store, StoreError, StoreLayer, Written};

use crate::kit::{JobError, Ports};

/// The task token whose answer is looked at.
pub(crate) const TOKEN: &str = "token";

/// A lake with one bucket.
pub(crate) struct Lake {
    pub(crate) cloud: Arc<Cloud>,
}

/// The objects and the partitions of a lake, by where they are, and what a state machine was told, without the times of the
/// changes.
pub(crate) type Seen = BTreeMap<String, Bytes>;

impl Lake {
    /// An empty lake. Only within [`virtual_time`].
    pub(crate) fn new() -> Self {
        let settings = Settings {
            page: 3,
            smallest_part: 1,
            ..Settings::default()
        };
        Self {
            cloud: Cloud::new(1, settings, FaultRates::default()),
        }
    }

    /// The place of a key in the bucket.
    pub(crate) fn at(key: &str) -> Location {
        Location::new("lake", key)
    }

    /// Puts an object there. Returns its `ETag`.
    pub(crate) fn place(&self, key: &str, bytes: impl Into<Bytes>) -> String {
        self.cloud.place(&Self::at(key), bytes.into())
    }

    /// Removes the object.
    pub(crate) fn remove(&self, key: &str) {
        self.cloud.remove(&Self::at(key));
    }

    /// The content of an object.
    pub(crate) fn content(&self, key: &str) -> Option<Bytes> {
        let found = |object: &lakewright_model::Object| object.bytes.clone();
        self.cloud
            .with(|state| state.s3.object(&Self::at(key)).map(found))
    }

    /// Registers the table `lake.t` at `t/`, with string columns and one partition key, `day`.
    pub(crate) fn put_table(&self, columns: &[&str]) -> Table {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            hive_type: "string".to_owned(),
        };
        let table = Table {
            name: "lake.t".parse().unwrap(),
            storage: StorageDescriptor {
                location: "s3://lake/t/".to_owned(),
                columns: columns.iter().map(column).collect(),
                ..StorageDescriptor::default()
            },
            partition_keys: vec![column(&"day")],
            parameters: BTreeMap::new(),
            version_id: None,
        };
        self.cloud.with(|state| state.glue.put_table(table.clone()));
        table
    }

    /// The storage of its partitions, by their days.
    pub(crate) fn partitions(&self) -> BTreeMap<String, StorageDescriptor> {
        let table = "lake.t".parse().unwrap();
        self.cloud.with(|state| {
            let registered = state.glue.registered(&table);
            let registered = registered.map(|one| (one.values.join("/"), one.storage.clone()));
            registered.collect()
        })
    }

    /// Registers the partition of a day there, or points it there.
    pub(crate) async fn put_partition(&self, day: &str, at: &str) {
        let storage = StorageDescriptor {
            location: format!("s3://lake/{at}"),
            ..StorageDescriptor::default()
        };
        self.change_partition(day, |existing| *existing = storage)
            .await;
    }

    /// Changes the storage of a partition.
    pub(crate) async fn change_partition(
        &self,
        day: &str,
        change: impl FnOnce(&mut StorageDescriptor),
    ) {
        let table = "lake.t".parse().unwrap();
        let mut storage = self.partitions().remove(day).unwrap_or_default();
        change(&mut storage);
        let partition = Partition {
            values: vec![day.to_owned()],
            storage,
        };
        let partitions = std::slice::from_ref(&partition);
        let catalog = self.ports().catalog;
        catalog.create_partitions(&table, partitions).await.unwrap();
        catalog.update_partitions(&table, partitions).await.unwrap();
    }

    /// Lets time pass.
    pub(crate) async fn wait(&self, time: SignedDuration) {
        let time = Duration::try_from(time).unwrap();
        self.cloud.clock.sleep(time).await;
    }

    /// The ports of an invocation that is never ended.
    pub(crate) fn ports(&self) -> Ports {
        self.ports_of(&self.client(Plan::default()))
    }

    /// A deadline that no invocation reaches.
    pub(crate) fn deadline(&self) -> Timestamp {
        self.cloud.clock.now() + SignedDuration::from_hours(1)
    }

    /// A connection of one invocation.
    pub(crate) fn client(&self, plan: Plan) -> Client {
        Client::new(Arc::clone(&self.cloud), 1, plan)
    }

    /// The ports of a connection.
    pub(crate) fn ports_of(&self, client: &Client) -> Ports {
        Ports {
            store: Arc::new(client.clone()),
            catalog: Arc::new(client.clone()),
            clock: Arc::new(self.cloud.clock),
        }
    }

    /// Runs an invocation that dies right after it has written an object whose key contains `at`.
    pub(crate) async fn die_after<T>(&self, at: &'static str, work: impl AsyncFnOnce(Ports) -> T) {
        let client = self.client(Plan::default());
        let ports = Ports {
            store: Arc::new(Dying {
                client: client.clone(),
                at,
            }),
            ..self.ports_of(&client)
        };
        let work = pin!(work(ports));
        let died = pin!(client.died());
        let is_dead = matches!(select(work, died).await, Either::Right(_));
        assert!(is_dead, "nothing is written at {at}");
    }

    /// What is there now.
    pub(crate) fn seen(&self, kept: fn(&str, &Bytes) -> Option<Bytes>) -> Seen {
        let partitions = self.partitions().into_iter();
        let partitions = partitions.map(|(day, storage)| {
            let location = Bytes::from(storage.location);
            (format!("partition {day}"), location)
        });
        let root = Self::at("");
        self.cloud.with(|state| {
            let objects = state.s3.below(&root);
            let objects = objects.filter_map(|(location, object)| {
                Some((location.key.clone(), kept(&location.key, &object.bytes)?))
            });
            let told = state
                .step_functions
                .answer(TOKEN)
                .map(|answer| match answer {
                    Answer::Success(_) => "success",
                    Answer::Failure(error, _) => error,
                });
            let told = told.map(|told| (format!("told {told}"), Bytes::new()));
            objects.chain(partitions).chain(told).collect()
        })
    }
}

/// Ends its client after a write.
struct Dying {
    client: Client,
    at: &'static str,
}

#[async_trait]
impl StoreLayer for Dying {
    fn inner(&self) -> &dyn Store {
        &self.client
    }

    async fn put(
        &self,
        object: &Location,
        body: Bytes,
        options: PutOptions,
    ) -> Result<Written, StoreError> {
        let written = self.client.put(object, body, options).await;
        if object.key.contains(self.at) {
            self.client.poison();
            pending::<()>().await;
        }
        written
    }
}

/// What a job's tests look at.
pub(crate) struct View<G> {
    /// What of an object does not depend on when or how often something was tried; nothing is left out by [`everything`].
    pub(crate) kept: fn(&str, &Bytes) -> Option<Bytes>,
    /// Texts in keys and answers, and what is shown in their place.
    pub(crate) names: fn(&Lake, &G) -> Vec<(String, String)>,
}

/// Everything is kept.
#[expect(
    clippy::unnecessary_wraps,
    reason = "another one may leave something out"
)]
pub(crate) fn everything(_: &str, bytes: &Bytes) -> Option<Bytes> {
    Some(bytes.clone())
}

/// The differences between two looks: `+` is new, `-` gone, `~` has another content.
fn changes(before: &Seen, after: &Seen) -> Vec<String> {
    let mut changes = Vec::new();
    for (key, content) in after {
        match before.get(key) {
            None => changes.push(format!("+{key}")),
            Some(earlier) if earlier != content => changes.push(format!("~{key}")),
            Some(_) => {}
        }
    }
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    changes.extend(gone.map(|key| format!("-{key}")));
    changes
}

/// Runs a step in a lake that `given` prepares. Returns what it answers, or the name of its error, and what it changes.
///
/// Checks that the same objects are there where the first invocation dies at any of its requests, before the request arrives
/// or before its answer comes, and a second one is sent, and that a third one changes nothing.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the closures are written where it is called"
)]
pub(crate) fn told<G, A: Display>(
    view: &View<G>,
    given: impl AsyncFn(&Lake) -> G,
    step: impl AsyncFn(&Lake, &Client, &G) -> Result<A, JobError>,
) -> (String, Vec<String>) {
    let (told, after, calls) = virtual_time(async {
        let lake = Lake::new();
        let given = given(&lake).await;
        let before = lake.seen(view.kept);
        let mut names = (view.names)(&lake, &given);
        let client = lake.client(Plan::default());
        let mut answer = answer(step(&lake, &client, &given).await);
        let after = lake.seen(view.kept);
        let mut changes = changes(&before, &after);
        names.extend((view.names)(&lake, &given));
        for (text, name) in names {
            for shown in changes.iter_mut().chain([&mut answer]) {
                *shown = shown.replace(&text, &name);
            }
        }
        changes.sort();
        ((answer, changes), after, client.calls())
    });
    let deaths = (1..=calls).flat_map(|call| [Death::Before(call), Death::After(call)]);
    for death in deaths {
        virtual_time(async {
            let lake = Lake::new();
            let given = given(&lake).await;
            let client = lake.client(Plan {
                death: Some(death),
                ..Plan::default()
            });
            let first = pin!(step(&lake, &client, &given));
            let died = pin!(client.died());
            let is_dead = matches!(select(first, died).await, Either::Right(_));
            assert!(is_dead, "{death:?} is survived");
            // Until what is under way has arrived.
            lake.wait(SignedDuration::from_secs(1)).await;
            for attempt in ["second", "third"] {
                let client = lake.client(Plan::default());
                let again = answer(step(&lake, &client, &given).await);
                let differs = changes(&after, &lake.seen(view.kept));
                assert!(
                    differs.is_empty(),
                    "the {attempt} attempt after {death:?} answered {again}: {differs:?} ({told:?})"
                );
            }
        });
    }
    told
}

/// Checks a table of examples: each with a title, what it is told, the expected answer, and the expected changes.
pub(crate) fn check<'a>(
    examples: impl Iterator<Item = (String, (String, Vec<String>), &'a str, &'a [&'a str])>,
) {
    let mut differ = Vec::new();
    for (title, told, answer, changes) in examples {
        if told.0 != answer || told.1 != changes {
            differ.push(format!(
                "{title}\n  is {told:?}\n  not {:?}",
                (answer, changes)
            ));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

fn answer<A: Display>(result: Result<A, JobError>) -> String {
    match result {
        Ok(answer) => answer.to_string(),
        Err(error) => error.name().to_owned(),
    }
}
