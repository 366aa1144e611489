use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use lakewright_core::{
    catalog::{Column, StorageDescriptor, Table, TableName},
    config::{Compact, Config, Rekey},
    location::Location,
};
use lakewright_jobs::{
    JobError,
    compact::{self, MergeReport, MergeTask, PlanReport, PlanRequest, StepReport, StepRequest},
    rekey::{self, Delivered, SourceObject},
    retry::{Backoff, RetryPolicy, Retrying, RetryingCatalog},
};
use lakewright_model::{Client, Cloud, FaultRates, Plan, Settings};
use lakewright_ports::{Clock, Store};

pub(super) use super::role::Role;
use super::{broken::BrokenStore, checker::Checker, mutant::Mutant};
pub(super) use crate::sim::invocation::LIMIT;
use crate::sim::{
    invocation::{self, Watched},
    source::Source,
};

/// The limit, and the same time again for requests that are in flight.
pub(super) const LONGEST_INVOCATION: SignedDuration = SignedDuration::from_mins(4);

/// How long old files are kept.
pub(super) const GRACE: SignedDuration = SignedDuration::from_mins(20);

/// The settings of the job under test.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    pub(super) settings: Settings,
    pub(super) rates: FaultRates,
    /// Whether each partition is to be one file.
    pub(super) one_file: bool,
    /// Whether the table is one of several that rekey writes to, so that its commits are elsewhere.
    pub(super) routed: bool,
    pub(super) mutant: Option<Mutant>,
}

/// The cloud, the deployed jobs and the observer.
pub(super) struct World {
    pub(super) cloud: Arc<Cloud>,
    rekey: Rekey,
    compact: Compact,
    compacted: BTreeSet<TableName>,
    mutant: Option<Mutant>,
    seed: u64,
    checker: Watched<Checker>,
    clients: AtomicU32,
}

/// How an invocation ended.
pub(super) type End<T, E> = invocation::End<Result<T, E>>;

#[expect(clippy::expect_used, reason = "the text is fixed")]
fn config(setup: &Setup) -> Config {
    let (limit, grace) = (LONGEST_INVOCATION.as_secs(), GRACE.as_secs());
    let size = if setup.one_file {
        "files = 1"
    } else {
        // Two or three files as rekey writes them here.
        "target_size = \"6000B\""
    };
    let to = r#"target = "s3://lake/sim/"
        table = "lake.sim""#;
    let (own, route) = if setup.routed {
        let route = r#"[rekey.route]
        column = "kind"
        otherwise = "a"
        [rekey.route.tables.a]"#;
        (r#"target = "s3://lake/job/""#, format!("{route}\n{to}"))
    } else {
        (to, String::new())
    };
    let text = format!(
        r#"
        [[rekey]]
        name = "sim"
        source = "s3://landing/sim/"
        {own}
        timestamp = {{ column = "t" }}
        encryption = {{ algorithm = "aws:kms" }}
        output = [{{ format = "parquet", compression = "none" }}]
        {route}
        [[compact]]
        table = "lake.sim"
        min_files = 2
        encryption = {{ algorithm = "aws:kms" }}
        {size}
        quiet_for = "0s"
        longest_invocation = "{limit}s"
        grace_period = "{grace}s"
        "#
    );
    Config::parse(&text).expect("a valid configuration")
}

fn table(name: TableName) -> Table {
    let columns = |names: &[(&str, &str)]| {
        let column = |(name, hive_type): &(&str, &str)| Column {
            name: (*name).to_owned(),
            hive_type: (*hive_type).to_owned(),
        };
        names.iter().map(column).collect()
    };
    Table {
        name,
        storage: StorageDescriptor {
            location: "s3://lake/sim".to_owned(),
            columns: columns(&[("id", "string"), ("t", "string"), ("v", "bigint")]),
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
    #[expect(clippy::expect_used, reason = "the configuration is fixed")]
    pub(super) fn new(seed: u64, setup: Setup) -> Arc<Self> {
        let cloud = Cloud::new(seed, setup.settings, setup.rates);
        let mut config = config(&setup);
        let compacted = config
            .compacted_tables()
            .cloned()
            .collect::<BTreeSet<TableName>>();
        let name = compacted.first().expect("one table").clone();
        cloud.with(|state| state.glue.put_table(table(name.clone())));
        let roots = ["sim/", "sim.generations/"].map(|key| Location::new("lake", key));
        let checker = Watched::new(Checker::new(roots, name));
        cloud.watch(Box::new(checker.clone()));
        Arc::new(Self {
            cloud,
            rekey: config.rekey.remove(0),
            compact: config.compact.remove(0),
            compacted,
            mutant: setup.mutant,
            seed,
            checker,
            clients: AtomicU32::new(0),
        })
    }

    pub(super) fn checker(&self) -> MutexGuard<'_, Checker> {
        self.checker.lock()
    }

    pub(super) fn table(&self) -> &TableName {
        self.compacted.first().unwrap_or_else(|| unreachable!())
    }

    pub(super) fn failed(&self) -> bool {
        self.checker().violation().is_some()
    }

    pub(super) fn fail(&self, message: String) {
        let now = self.cloud.clock.now();
        self.checker().fail(now, message);
    }

    pub(super) async fn pause(&self, milliseconds: u64) {
        let clock = self.cloud.clock;
        clock.sleep(Duration::from_millis(milliseconds)).await;
    }

    /// Lands an object. Returns its source object, as a trigger would name it.
    pub(super) fn land(&self, source: &Source) -> SourceObject {
        let etag = self.cloud.place(&source.location, source.bytes.clone());
        self.checker().expect(source);
        SourceObject {
            location: source.location.clone(),
            etag: Some(etag),
            size: Some(source.bytes.len() as u64),
        }
    }

    pub(super) fn invocations(&self) -> u32 {
        self.clients.load(Ordering::Relaxed)
    }

    pub(super) fn client(&self, plan: Plan) -> Client {
        let id = self.clients.fetch_add(1, Ordering::Relaxed) + 1;
        Client::new(Arc::clone(&self.cloud), id, plan)
    }

    /// When an invocation that begins now must stop.
    pub(super) fn deadline(&self) -> Timestamp {
        invocation::deadline(&self.cloud)
    }

    /// Runs one invocation until it answers, is killed, or runs out of time.
    async fn invoke<T, E: std::fmt::Display, W: Future<Output = Result<T, E>>>(
        &self,
        role: Role,
        about: &Location,
        plan: Plan,
        work: impl FnOnce(compact::Ports, Timestamp) -> W,
    ) -> (End<T, E>, Client) {
        let client = self.client(plan);
        let clock = Arc::new(self.cloud.clock);
        let deadline = self.deadline();
        let seed = self.seed ^ u64::from(self.invocations());
        let backoff = |policy| Backoff::new(clock.clone(), deadline, seed, policy);
        let retrying = Retrying::new(client.clone(), backoff(RetryPolicy::S3));
        let store: Arc<dyn Store> = match self.mutant {
            Some(mutant) => Arc::new(BrokenStore::new(Arc::new(retrying), mutant, role)),
            None => Arc::new(retrying),
        };
        let catalog = RetryingCatalog::new(client.clone(), backoff(RetryPolicy::GLUE));
        let ports = compact::Ports {
            store,
            catalog: Arc::new(catalog),
            clock: clock.clone(),
        };
        let end = invocation::ended(&self.cloud, &client, Box::pin(work(ports, deadline))).await;
        let line = match &end {
            End::Died => format!("{role:?} died"),
            End::Answered(Ok(_)) => format!("{role:?} answered"),
            End::Answered(Err(error)) => format!("{role:?} failed: {error}"),
        };
        self.cloud.note("invocation", &about.to_string(), &line);
        (end, client)
    }

    /// `rekey`, for these sources together. It fails as the first one does that fails.
    pub(super) async fn rekey(
        &self,
        sources: &[SourceObject],
        plan: Plan,
    ) -> (End<(), Arc<JobError>>, Client) {
        let work = |ports: compact::Ports, deadline| {
            let ports = rekey::Ports {
                store: ports.store,
                catalog: ports.catalog,
                clock: ports.clock,
            };
            let budget = rekey::Budget {
                memory: 64 << 20,
                scratch: std::env::temp_dir(),
                scratch_bytes: 0,
                deadline,
            };
            let objects = sources.iter().cloned();
            let objects = objects
                .map(|object| Delivered {
                    object,
                    receives: 1,
                    just_landed: true,
                })
                .collect::<Vec<_>>();
            let secrets = Client::new(Arc::clone(&self.cloud), 0, Plan::default());
            async move {
                let answers = rekey::rekey(
                    &ports,
                    &secrets,
                    &self.rekey,
                    &self.compacted,
                    &objects,
                    &budget,
                )
                .await;
                answers
                    .objects
                    .into_iter()
                    .try_for_each(|answer| answer.map(|_| ()))
            }
        };
        let about = sources.first().map_or_else(
            || Location::new("landing", "sim/"),
            |source| source.location.clone(),
        );
        self.invoke(Role::Rekey, &about, plan, work).await
    }

    /// `compact-plan`.
    pub(super) async fn plan(&self, plan: Plan) -> (End<PlanReport, JobError>, Client) {
        let request = PlanRequest::default();
        let work = |ports: compact::Ports, deadline| {
            let budget = compact::Budget {
                memory: 64 << 20,
                deadline,
            };
            async move { compact::plan(&ports, &self.compact, &request, &budget).await }
        };
        let about = Location::new("lake", "sim/");
        self.invoke(Role::Plan, &about, plan, work).await
    }

    /// `compact-merge`.
    pub(super) async fn merge(
        &self,
        task: &MergeTask,
        plan: Plan,
    ) -> (End<MergeReport, JobError>, Client) {
        let work = |ports: compact::Ports, deadline| {
            let budget = compact::Budget {
                memory: 64 << 20,
                deadline,
            };
            async move { compact::merge(&ports, task, &budget).await }
        };
        self.invoke(Role::Merge, &task.plan, plan, work).await
    }

    /// `compact-publish`.
    pub(super) async fn step(
        &self,
        request: &StepRequest,
        plan: Plan,
    ) -> (End<StepReport, JobError>, Client) {
        let work = |ports: compact::Ports, deadline| async move {
            compact::step(&ports, request, deadline).await
        };
        self.invoke(request.step.into(), &request.plan, plan, work)
            .await
    }
}
