use std::{
    collections::BTreeSet,
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
};

use jiff::Timestamp;
use lakewright_core::config::Repartition;
use lakewright_jobs::{
    JobError,
    repartition::{
        self, Budget, CommitReport, CommitRequest, PlanReport, Ports, TaskReport, TaskRequest,
    },
    retry::{Backoff, RetryPolicy, Retrying, RetryingCatalog, RetryingService},
};
use lakewright_model::{Client, Cloud, FaultRates, Plan, Settings};
use lakewright_ports::{Clock, Store};

use super::{
    checker::Checker,
    mutant::{BrokenStore, Mutant},
    scene::Scene,
};
pub(super) use crate::sim::invocation::LIMIT;
use crate::sim::invocation::{self, Watched};

/// The cloud, the deployed job and the observer.
pub(super) struct World {
    pub(super) cloud: Arc<Cloud>,
    pub(super) scene: Scene,
    job: Repartition,
    mutant: Option<Mutant>,
    seed: u64,
    checker: Watched<Checker>,
    clients: AtomicU32,
}

/// How an invocation ended.
pub(super) type End<T> = invocation::End<Result<T, JobError>>;

impl World {
    pub(super) fn new(
        seed: u64,
        scene: Scene,
        rates: FaultRates,
        mutant: Option<Mutant>,
    ) -> Arc<Self> {
        let settings = Settings {
            page: 2,
            encrypted_only: true,
            ..Settings::default()
        };
        let cloud = Cloud::new(seed, settings, rates);
        let checker = Watched::new(Checker::new(scene));
        cloud.watch(Box::new(checker.clone()));
        Arc::new(Self {
            cloud,
            scene,
            job: scene.job(),
            mutant,
            seed,
            checker,
            clients: AtomicU32::new(0),
        })
    }

    pub(super) fn checker(&self) -> MutexGuard<'_, Checker> {
        self.checker.lock()
    }

    pub(super) fn fail(&self, message: String) {
        let now = self.cloud.clock.now();
        self.checker().fail(now, message);
    }

    pub(super) fn failed(&self) -> bool {
        self.checker().violation().is_some()
    }

    /// Lands the objects of a run, and starts the run.
    pub(super) fn begin(&self, run: u64) {
        for (at, bytes) in self.scene.sources(run) {
            self.cloud.place(&at, bytes);
        }
        self.cloud
            .with(|state| self.checker.lock().begin(run, &state.s3));
    }

    /// The numbers of the calls that have created a file since an entry of the history.
    pub(super) fn created_since(&self, entry: usize) -> BTreeSet<u64> {
        self.cloud.with(|state| {
            let since = state.history.entries().iter().skip(entry);
            let files = since
                .filter(|entry| entry.operation == "PutObject" && !entry.target.contains("/_"));
            files.map(|entry| entry.call).collect()
        })
    }

    /// Replaces a file of the run by another object of the same size. Returns how to undo it.
    pub(super) fn replace_a_file(&self) -> Option<impl FnOnce() + '_> {
        let (at, bytes) = self.cloud.with(|state| self.checker().file(&state.s3))?;
        let other = bytes.iter().map(|byte| byte ^ 1).collect();
        self.cloud.place(&at, other);
        Some(move || {
            self.cloud.place(&at, bytes);
        })
    }

    /// The run is over.
    pub(super) fn end(&self) {
        let now = self.cloud.clock.now();
        self.cloud
            .with(|state| self.checker.lock().end(now, &state.s3, &state.glue));
    }

    /// The deadline of an invocation that starts now.
    pub(super) fn deadline(&self) -> Timestamp {
        invocation::deadline(&self.cloud)
    }

    /// One invocation of a deployed function.
    async fn invoke<T: std::fmt::Debug, W>(
        &self,
        what: &'static str,
        plan: Plan,
        work: impl FnOnce(Ports, RetryingService<Client>, Budget) -> W,
    ) -> (End<T>, Client)
    where
        W: Future<Output = Result<T, JobError>>,
    {
        let id = self.clients.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Client::new(Arc::clone(&self.cloud), id, plan);
        let (clock, deadline) = (Arc::new(self.cloud.clock), self.deadline());
        let seed = self.seed ^ u64::from(id);
        let backoff = |policy| Backoff::new(clock.clone(), deadline, seed, policy);
        let store = Retrying::new(client.clone(), backoff(RetryPolicy::S3));
        let store: Arc<dyn Store> = match self.mutant {
            Some(mutant) => Arc::new(BrokenStore::new(Arc::new(store), mutant)),
            None => Arc::new(store),
        };
        let catalog = RetryingCatalog::new(client.clone(), backoff(RetryPolicy::GLUE));
        let secrets = RetryingService::new(client.clone(), backoff(RetryPolicy::SECRETS));
        let ports = Ports {
            store,
            catalog: Arc::new(catalog),
            clock: clock.clone(),
        };
        let budget = Budget {
            memory: 128 << 20,
            scratch: std::env::temp_dir(),
            scratch_bytes: u64::MAX,
            deadline: invocation::end_of_work(deadline),
        };
        let end =
            invocation::ended(&self.cloud, &client, Box::pin(work(ports, secrets, budget))).await;
        self.cloud.note("invocation", what, &format!("{end:?}"));
        (end, client)
    }

    /// `repartition-plan`.
    pub(super) async fn plan(&self, plan: Plan) -> (End<PlanReport>, Client) {
        let job = &self.job;
        self.invoke(
            "repartition-plan",
            plan,
            |ports, secrets, budget| async move {
                repartition::plan(&ports, &secrets, job, &budget).await
            },
        )
        .await
    }

    /// `repartition-write`.
    pub(super) async fn write(
        &self,
        request: &TaskRequest,
        plan: Plan,
    ) -> (End<TaskReport>, Client) {
        self.invoke(
            "repartition-write",
            plan,
            |ports, secrets, budget| async move {
                repartition::write(&ports, &secrets, request, &budget).await
            },
        )
        .await
    }

    /// `repartition-commit`.
    pub(super) async fn commit(
        &self,
        request: &CommitRequest,
        plan: Plan,
    ) -> (End<CommitReport>, Client) {
        self.invoke("repartition-commit", plan, |ports, _, budget| async move {
            repartition::commit(&ports, request, budget.deadline).await
        })
        .await
    }
}
