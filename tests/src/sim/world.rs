use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use lakewright_core::{
    catalog::{Column, StorageDescriptor, Table, TableName},
    config::{Config, Rekey},
    location::Location,
};
use lakewright_jobs::{
    JobError,
    rekey::{Answers, Budget, Delivered, Ports, SourceObject, rekey},
    report::{ObjectReport, Status},
    retry::{Backoff, RetryPolicy, Retrying, RetryingCatalog, RetryingService},
    sweep::{self, SweepReport, SweepRequest},
};
use lakewright_model::{Client, Cloud, Fault, FaultRates, Plan, Settings};
use lakewright_ports::{GetOptions, ObjectBody, Store, StoreError, StoreLayer};

use super::{
    broken::{BrokenCatalog, BrokenStore},
    checker::{Checker, Columns},
    mutant::Mutant,
    source::{Flaw, Source},
};
pub(super) use crate::sim::invocation::LIMIT;
use crate::sim::invocation::{self, Watched};

/// The deployment that cuts partitions into files, by time.
pub(super) const CUTTING: usize = 3;

/// The deployment that refuses long records, the last one.
pub(super) const STRICT: usize = 4;

/// The memory with which a large object's outputs are uploaded in parts.
pub(super) const SMALL_MEMORY: u64 = 8 << 20;

/// The settings of the job under test.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    pub(super) settings: Settings,
    pub(super) rates: FaultRates,
    /// Whether the job has a table in the catalog.
    pub(super) table: bool,
    /// Whether it has two of them, and the records go to the one of their kind.
    pub(super) routed: bool,
    /// Whether fields without a column become columns of it.
    pub(super) adds: bool,
    /// Bytes of memory for each object.
    pub(super) memory: u64,
    /// Bytes of temporary files for each object.
    pub(super) scratch: u64,
    /// The number of bytes of records in a file, for deployments that cut files.
    pub(super) file_size: u64,
    pub(super) mutant: Option<Mutant>,
}

/// The cloud, the deployed job and the observer.
pub(super) struct World {
    pub(super) cloud: Arc<Cloud>,
    /// The configurations that are deployed one after the other.
    pub(super) jobs: Vec<Rekey>,
    setup: Setup,
    seed: u64,
    checker: Watched<Checker>,
    clients: AtomicU32,
    poisonous: Mutex<BTreeMap<Location, String>>,
}

/// What the function answers for an object.
pub(super) type Answer = Result<ObjectReport, Arc<JobError>>;

/// How an invocation ended: with an answer for each object, or not.
pub(super) type End = invocation::End<Vec<Answer>>;

/// A store in which some objects kill whoever reads them, as a record does that a decoder fails at, or that is too
/// large.
struct Poisoned {
    inner: Client,
    poisonous: BTreeMap<Location, String>,
}

#[async_trait]
impl StoreLayer for Poisoned {
    fn inner(&self) -> &dyn Store {
        &self.inner
    }

    async fn get(&self, object: &Location, options: GetOptions) -> Result<ObjectBody, StoreError> {
        let poison = self.poisonous.get(object);
        if poison.is_some_and(|etag| options.if_match.as_ref().is_none_or(|other| other == etag)) {
            self.inner.poison();
        }
        self.inner.get(object, options).await
    }
}

/// Deployments that make different files from the same rows: their plans name different outputs.
#[expect(clippy::expect_used, reason = "the text is fixed")]
fn jobs(setup: &Setup) -> Vec<Rekey> {
    let table = match (setup.table && !setup.routed, setup.adds) {
        (false, _) => "",
        (true, false) => "table = \"lake.sim\"",
        // Whose value counts for the type of a column is a matter of chance, so one that does not fit it is null.
        (true, true) => "table = \"lake.sim\"\non_unknown = \"add\"\non_mismatch = \"drop\"",
    };
    let route = if setup.routed {
        r#"
            [rekey.route]
            column = "kind"
            [rekey.route.tables.a]
            target = "s3://lake/sim/a/"
            table = "lake.a"
            [rekey.route.tables.b]
            target = "s3://lake/sim/b/"
            table = "lake.b"
        "#
    } else {
        ""
    };
    [
        ("none", "2020-01-01T00:00:00Z", false, "", "1GiB"),
        ("snappy", "2020-01-01T00:00:00Z", false, "", "1GiB"),
        ("none", "2000-01-01T00:00:00Z", false, "", "600B"),
        ("none", "2020-01-01T00:00:00Z", true, "", "1GiB"),
        (
            "none",
            "2020-01-01T00:00:00Z",
            false,
            "[rekey.limits]\nrecord_size = \"500B\"",
            "1GiB",
        ),
    ]
    .into_iter()
    .map(|(compression, earliest, sorted, limits, batch)| {
        let file_size = if sorted {
            format!("max_file_size = \"{}B\"", setup.file_size)
        } else {
            String::new()
        };
        let text = format!(
            r#"
            [[rekey]]
            name = "sim"
            source = "s3://landing/sim/"
            target = "s3://lake/sim/"
            timestamp = {{ column = "t", earliest = "{earliest}" }}
            sort_by_time = {sorted}
            batch = {{ size = "{batch}" }}
            encryption = {{ algorithm = "aws:kms" }}
            {table}
            [[rekey.output]]
            format = "parquet"
            compression = "{compression}"
            {file_size}
            {limits}
            {route}
            "#
        );
        let config = Config::parse(&text).expect("a valid configuration");
        config.rekey.into_iter().next().expect("one job")
    })
    .collect()
}

fn table(name: TableName, location: &Location) -> Table {
    let columns = |names: &[(&str, &str)]| {
        names
            .iter()
            .map(|(name, hive_type)| Column {
                name: (*name).to_owned(),
                hive_type: (*hive_type).to_owned(),
            })
            .collect()
    };
    Table {
        name,
        storage: StorageDescriptor {
            location: location.to_string(),
            columns: columns(&[
                ("id", "string"),
                ("t", "string"),
                ("v", "bigint"),
                ("kind", "string"),
                ("padding", "string"),
            ]),
            ..StorageDescriptor::default()
        },
        partition_keys: columns(&[
            ("year", "string"),
            ("month", "string"),
            ("day", "string"),
            ("hour", "string"),
        ]),
        parameters: BTreeMap::new(),
        version_id: None,
    }
}

impl World {
    pub(super) fn new(seed: u64, setup: Setup) -> Arc<Self> {
        let cloud = Cloud::new(seed, setup.settings, setup.rates);
        let jobs = jobs(&setup);
        let target = Location::new("lake", "sim/");
        let destinations = jobs.first().map(Rekey::destinations).unwrap_or_default();
        let mut tables = Vec::new();
        for destination in destinations {
            if let Some(name) = destination.table {
                let table = table(name.clone(), &destination.target);
                cloud.with(|state| state.glue.put_table(table));
                tables.push((destination.target, name));
            }
        }
        let columns = tables.first().filter(|_| setup.adds);
        let columns = columns.map(|(target, name)| Columns::of(table(name.clone(), target)));
        let checker = Watched::new(Checker::new(target, tables, columns));
        cloud.watch(Box::new(checker.clone()));
        Arc::new(Self {
            cloud,
            jobs,
            setup,
            seed,
            checker,
            clients: AtomicU32::new(0),
            poisonous: Mutex::default(),
        })
    }

    /// Whether records go to the table of their kind.
    pub(super) fn is_routed(&self) -> bool {
        self.setup.routed
    }

    pub(super) fn checker(&self) -> MutexGuard<'_, Checker> {
        self.checker.lock()
    }

    /// Lands an object. Returns its source object, as a trigger would name it.
    pub(super) fn land(&self, source: Source) -> SourceObject {
        let location = source.location.clone();
        let size = Some(source.bytes.len() as u64);
        let etag = self.cloud.place(&location, source.bytes.clone());
        let mut poisonous = self.poisonous();
        if source.flaw == Some(Flaw::Poisonous) {
            poisonous.insert(location.clone(), etag.clone());
        } else {
            poisonous.remove(&location);
        }
        drop(poisonous);
        self.checker().expect(etag.clone(), source);
        SourceObject {
            location,
            etag: Some(etag),
            size,
        }
    }

    fn poisonous(&self) -> MutexGuard<'_, BTreeMap<Location, String>> {
        let poisonous = self.poisonous.lock();
        poisonous.unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes an object, if it still is the one that landed. Returns its bytes.
    pub(super) fn remove(&self, source: &SourceObject) -> Option<Bytes> {
        let bytes = self.cloud.with(|state| {
            let object = state.s3.object(&source.location)?;
            let is_it = source.etag.as_ref() == Some(&object.etag);
            is_it.then(|| object.bytes.clone())
        })?;
        self.cloud.count(Fault::SourceRemoved);
        self.checker().lose(source);
        self.cloud.remove(&source.location);
        self.cloud
            .note("removed", &source.location.to_string(), "by its owner");
        Some(bytes)
    }

    /// Puts a removed object back, unless another one has taken its place. It is the same version if `ETag`s are hashes
    /// of the content; returns whether it is.
    pub(super) fn put_back(&self, source: &SourceObject, bytes: Bytes) -> bool {
        let taken = self
            .cloud
            .with(|state| state.s3.object(&source.location).is_some());
        if taken || self.setup.settings.opaque_etags {
            return false;
        }
        self.cloud.place(&source.location, bytes);
        self.cloud.count(Fault::SourceBack);
        self.cloud
            .note("put back", &source.location.to_string(), "by its owner");
        true
    }

    /// Whether the table gets columns.
    pub(super) fn adds(&self) -> bool {
        self.setup.adds
    }

    pub(super) fn invocations(&self) -> u32 {
        self.clients.load(Ordering::Relaxed)
    }

    pub(super) fn client(&self, plan: Plan) -> Client {
        let id = self.clients.fetch_add(1, Ordering::Relaxed) + 1;
        Client::new(Arc::clone(&self.cloud), id, plan)
    }

    /// The deadline of an invocation that starts now.
    pub(super) fn deadline(&self) -> Timestamp {
        invocation::deadline(&self.cloud)
    }

    /// Sends landed objects without a commit to the queue.
    pub(super) async fn sweep(&self, queue_url: &str) -> Result<SweepReport, JobError> {
        let client = self.client(Plan::default());
        let (deadline, clock) = (self.deadline(), Arc::new(self.cloud.clock));
        let job = &self.jobs[0];
        let backoff = |policy| Backoff::new(clock.clone(), deadline, self.seed, policy);
        let ports = sweep::Ports {
            store: Arc::new(Retrying::new(client.clone(), backoff(RetryPolicy::S3))),
            queue: Arc::new(RetryingService::new(client, backoff(RetryPolicy::SQS))),
            clock,
        };
        let request = SweepRequest {
            sweep: job.name.clone(),
            prefix: String::new(),
            after: None,
            min_age_seconds: Some(0),
            since: None,
            dry_run: false,
            scheduled: false,
        };
        sweep::sweep(&ports, job, &request, queue_url, deadline).await
    }

    fn store(
        &self,
        client: Client,
        deadline: Timestamp,
        invocation: u32,
        target: &Location,
    ) -> Arc<dyn Store> {
        let seed = self.seed ^ u64::from(invocation);
        let backoff = Backoff::new(Arc::new(self.cloud.clock), deadline, seed, RetryPolicy::S3);
        let client = Poisoned {
            inner: client,
            poisonous: self.poisonous().clone(),
        };
        let break_by = |mutant, store: Arc<dyn Store>| {
            BrokenStore::new(store, mutant, target.clone(), invocation)
        };
        match self.setup.mutant {
            Some(mutant) if mutant.is_below_retries() => {
                let broken = break_by(mutant, Arc::new(client));
                Arc::new(Retrying::new(broken, backoff))
            }
            mutant => {
                let store = Retrying::new(client, backoff);
                match mutant {
                    Some(mutant) => Arc::new(break_by(mutant, Arc::new(store))),
                    None => Arc::new(store),
                }
            }
        }
    }

    /// One invocation of the deployed function, for one or more objects, with the number of times that the message of
    /// each has been received.
    pub(super) async fn invoke(
        &self,
        objects: &[Delivered],
        deployment: usize,
        plan: Plan,
    ) -> (End, Client) {
        let client = self.client(plan);
        let Some(job) = self.jobs.get(deployment) else {
            return (End::Died, client);
        };
        let clock = Arc::new(self.cloud.clock);
        let deadline = self.deadline();
        let invocation = self.clients.load(Ordering::Relaxed);
        let seed = self.seed ^ u64::from(invocation);
        let catalog = BrokenCatalog {
            inner: client.clone(),
            mutant: self.setup.mutant,
        };
        let backoff = Backoff::new(clock.clone(), deadline, seed, RetryPolicy::GLUE);
        let ports = Ports {
            store: self.store(client.clone(), deadline, invocation, &job.target),
            catalog: Arc::new(RetryingCatalog::new(catalog, backoff)),
            clock: clock.clone(),
        };
        let budget = Budget {
            memory: self.setup.memory,
            scratch: std::env::temp_dir(),
            scratch_bytes: self.setup.scratch,
            deadline: invocation::end_of_work(deadline),
        };
        let compacted = BTreeSet::new();
        let work = async {
            let answers = rekey(&ports, &client, job, &compacted, objects, &budget).await;
            self.acknowledged(answers)
        };
        let end = invocation::ended(&self.cloud, &client, Box::pin(work)).await;
        for (delivered, line) in objects.iter().zip(describe(&end, objects.len())) {
            let location = &delivered.object.location;
            self.cloud.note("invocation", &location.to_string(), &line);
        }
        (end, client)
    }

    /// The answers, as the caller takes them.
    fn acknowledged(&self, answers: Answers) -> Vec<Answer> {
        let mut answers = answers.objects;
        let committed = answers.iter().flatten().find(|report| {
            // The others of its batch, which may not be committed at all.
            matches!(report.status, Status::Committed)
        });
        if self.setup.mutant == Some(Mutant::AckUnfinished)
            && let Some(committed) = committed.cloned()
        {
            for answer in &mut answers {
                if answer.is_err() {
                    *answer = Ok(committed.clone());
                }
            }
        }
        answers
    }
}

fn describe(end: &End, objects: usize) -> Vec<String> {
    match end {
        End::Died => vec!["died".to_owned(); objects],
        End::Answered(answers) => answers
            .iter()
            .map(|answer| match answer {
                Ok(report) => format!("{:?}", report.status),
                Err(error) => format!("failed: {error}"),
            })
            .collect(),
    }
}
