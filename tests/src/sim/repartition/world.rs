use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use lakewright_core::config::Repartition;
use lakewright_jobs::{
    ports::{Clock, Store},
    repartition::{
        self, Budget, CommitReport, CommitRequest, PlanReport, Ports, RepartitionError, TaskReport,
        TaskRequest,
    },
    retry::{RetryPolicy, Retrying, RetryingCatalog},
};

use super::{
    checker::Checker,
    mutant::{BrokenStore, Mutant},
    scene::Scene,
};
use crate::model::{
    Change, Client, Cloud, Fault, FaultRates, ModelGlue, ModelS3, Observer, Plan, Settings,
};

/// How long an invocation may live: Lambda ends it then.
pub(super) const LIMIT: SignedDuration = SignedDuration::from_secs(120);

/// How long before that an invocation stops by itself.
const MARGIN: SignedDuration = SignedDuration::from_secs(5);

/// The cloud, the deployed job and the one who watches both.
pub(super) struct World {
    pub(super) cloud: Arc<Cloud>,
    pub(super) scene: Scene,
    job: Repartition,
    mutant: Option<Mutant>,
    seed: u64,
    checker: Arc<Mutex<Checker>>,
    clients: AtomicU32,
}

/// How an invocation ended.
#[derive(Debug)]
pub(super) enum End<T> {
    Answered(Result<T, RepartitionError>),
    /// Killed, by its plan or at its time limit.
    Died,
}

struct Watch(Arc<Mutex<Checker>>);

impl Observer for Watch {
    fn step(&mut self, now: Timestamp, changes: &[Change], s3: &ModelS3, glue: &ModelGlue) {
        lock(&self.0).step(now, changes, s3, glue);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(super) fn new(
        seed: u64,
        scene: Scene,
        rates: FaultRates,
        mutant: Option<Mutant>,
    ) -> Arc<Self> {
        let settings = Settings {
            page: 2,
            ..Settings::default()
        };
        let cloud = Cloud::new(seed, settings, rates);
        let checker = Arc::new(Mutex::new(Checker::new(scene)));
        cloud.watch(Box::new(Watch(Arc::clone(&checker))));
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
        lock(&self.checker)
    }

    pub(super) fn fail(&self, message: String) {
        let now = self.cloud.clock.now();
        self.checker().fail(now, message);
    }

    pub(super) fn failed(&self) -> bool {
        self.checker().violation().is_some()
    }

    /// What is to be read lands, and a run begins.
    pub(super) fn begin(&self, run: u64) {
        for (at, bytes) in self.scene.sources(run) {
            self.cloud.place(&at, bytes);
        }
        self.cloud
            .with(|state| lock(&self.checker).begin(run, &state.s3));
    }

    /// The run is over.
    pub(super) fn end(&self) {
        let now = self.cloud.clock.now();
        self.cloud
            .with(|state| lock(&self.checker).end(now, &state.s3, &state.glue));
    }

    /// When an invocation that begins now must stop.
    pub(super) fn deadline(&self) -> Timestamp {
        self.cloud.clock.now() + (LIMIT - MARGIN)
    }

    /// One invocation of a deployed function.
    async fn invoke<T: std::fmt::Debug, W>(
        &self,
        what: &'static str,
        plan: Plan,
        work: impl FnOnce(Ports, Budget) -> W,
    ) -> (End<T>, Client)
    where
        W: Future<Output = Result<T, RepartitionError>>,
    {
        let id = self.clients.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Client::new(Arc::clone(&self.cloud), id, plan);
        let (clock, deadline) = (Arc::new(self.cloud.clock), self.deadline());
        let seed = self.seed ^ u64::from(id);
        let (policy, glue) = (RetryPolicy::S3, RetryPolicy::GLUE);
        let store = Retrying::new(client.clone(), clock.clone(), deadline, seed, policy);
        let store: Arc<dyn Store> = match self.mutant {
            Some(mutant) => Arc::new(BrokenStore::new(Arc::new(store), mutant)),
            None => Arc::new(store),
        };
        let catalog = RetryingCatalog::new(client.clone(), clock.clone(), deadline, seed, glue);
        let ports = Ports {
            store,
            catalog: Arc::new(catalog),
            clock,
        };
        let budget = Budget {
            memory: 128 << 20,
            scratch: std::env::temp_dir(),
            scratch_bytes: u64::MAX,
            deadline,
        };
        let limit = Duration::try_from(LIMIT).unwrap_or_default();
        let end = tokio::select! {
            biased;
            () = client.died() => End::Died,
            answer = work(ports, budget) => End::Answered(answer),
            () = self.cloud.clock.sleep(limit) => {
                self.cloud.count(Fault::TimedOut);
                End::Died
            }
        };
        client.kill();
        self.cloud.note("invocation", what, &format!("{end:?}"));
        (end, client)
    }

    /// `repartition-plan`.
    pub(super) async fn plan(&self, plan: Plan) -> (End<PlanReport>, Client) {
        let job = &self.job;
        self.invoke("repartition-plan", plan, |ports, budget| async move {
            repartition::plan(&ports, job, &budget).await
        })
        .await
    }

    /// `repartition-write`.
    pub(super) async fn write(
        &self,
        request: &TaskRequest,
        plan: Plan,
    ) -> (End<TaskReport>, Client) {
        self.invoke("repartition-write", plan, |ports, budget| async move {
            repartition::write(&ports, request, &budget).await
        })
        .await
    }

    /// `repartition-commit`.
    pub(super) async fn commit(
        &self,
        request: &CommitRequest,
        plan: Plan,
    ) -> (End<CommitReport>, Client) {
        self.invoke("repartition-commit", plan, |ports, _| async move {
            repartition::commit(&ports, request).await
        })
        .await
    }
}
