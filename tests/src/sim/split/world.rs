use std::{
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use lakewright_core::{
    config::{Config, ResultColumn, Split},
    location::Location,
};
use lakewright_jobs::{
    JobError,
    retry::{Backoff, RetryPolicy, Retrying, RetryingService},
    split::{self, Budget, ChunkReport, PlanReport, PlanRequest, Ports, Task},
};
use lakewright_model::{Client, Cloud, FaultRates, Plan, Settings};
use lakewright_ports::{Clock, QueryExecution, QueryState, Store};

use super::{
    checker::Checker,
    mutant::{BrokenCallback, BrokenQueue, BrokenStore, Mutant},
    table::{Form, Table},
};
pub(super) use crate::sim::invocation::LIMIT;
use crate::sim::invocation::{self, Watched};

pub(super) const QUEUE: &str = "https://sqs/split-rows";
pub(super) const DEAD_LETTERS: &str = "https://sqs/split-rows-dead";

/// The job's id.
pub(super) const JOB: &str = "q-1";

/// The settings of the job under test.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) settings: Settings,
    pub(super) rates: FaultRates,
    pub(super) table: Table,
    pub(super) mutant: Option<Mutant>,
}

/// The cloud, the deployed job and the observer.
pub(super) struct World {
    pub(super) cloud: Arc<Cloud>,
    /// The configurations that are deployed at once: they cut the result differently.
    pub(super) jobs: Vec<Split>,
    form: Form,
    mutant: Option<Mutant>,
    seed: u64,
    checker: Watched<Checker>,
    clients: AtomicU32,
}

/// How an invocation ended.
pub(super) type End<T> = invocation::End<Result<T, JobError>>;

#[expect(clippy::expect_used, reason = "the text is fixed")]
fn jobs(table: &Table) -> Vec<Split> {
    [2, 3]
        .into_iter()
        .map(|chunk_rows| {
            let text = format!(
                "[[split]]\nname = \"sim\"\ntarget = \"s3://objects/sim/\"\nallow_any_source = true\nencryption = {{ algorithm = \"aws:kms\" }}\nchunk_rows = {chunk_rows}\nin_flight = 3\n{}",
                table.configuration()
            );
            let config = Config::parse(&text).expect("a valid configuration");
            config.split.into_iter().next().expect("one job")
        })
        .collect()
}

/// The location of the result.
fn result(form: Form) -> Location {
    Location::new(
        "results",
        match form {
            Form::Query | Form::Uri => "q-1.csv",
            Form::Unload => "q-1-manifest.csv",
        },
    )
}

fn place(cloud: &Cloud, table: &Table) {
    let at = result(table.form);
    if table.form == Form::Unload {
        let mut manifest = String::new();
        for (index, bytes) in table.unloaded().into_iter().enumerate() {
            let part = Location::new("results", format!("u/{index}.gz"));
            manifest += &part.to_string();
            manifest.push('\n');
            cloud.place(&part, bytes);
        }
        cloud.place(&at, manifest.into());
    } else {
        cloud.place(&at, table.csv());
    }
    let column = |name: &str, athena_type: &str| ResultColumn {
        name: name.to_owned(),
        athena_type: athena_type.to_owned(),
    };
    let unload = table.form == Form::Unload;
    let execution = QueryExecution {
        state: QueryState::Succeeded,
        reason: None,
        unload,
        output: (!unload).then(|| at.clone()),
        managed: false,
        manifest: unload.then_some(at),
    };
    let columns = vec![
        column("id", "varchar"),
        column("number", "integer"),
        column("text", "varchar"),
    ];
    cloud.with(|state| state.athena.put(JOB, execution, columns));
}

impl World {
    pub(super) fn new(seed: u64, setup: &Setup) -> Arc<Self> {
        let cloud = Cloud::new(seed, setup.settings, setup.rates);
        let jobs = jobs(&setup.table);
        place(&cloud, &setup.table);
        let target = Location::new("objects", "sim/");
        let ledger = target.join(&format!("_lakewright/split/{JOB}/"));
        let expected = setup.table.expected(JOB);
        let checker = Watched::new(Checker::new(target, ledger, expected));
        cloud.watch(Box::new(checker.clone()));
        let visibility = Duration::try_from(LIMIT * 2).unwrap_or_default();
        cloud.with(|state| {
            state.sqs.create(DEAD_LETTERS, visibility, None);
            state.sqs.create(QUEUE, visibility, Some((4, DEAD_LETTERS)));
        });
        Arc::new(Self {
            cloud,
            jobs,
            form: setup.table.form,
            mutant: setup.mutant,
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

    pub(super) fn finish(&self) {
        let now = self.cloud.clock.now();
        self.cloud
            .with(|state| self.checker.lock().finish(now, &state.s3));
    }

    pub(super) fn invocations(&self) -> u32 {
        self.clients.load(Ordering::Relaxed)
    }

    /// Puts another object under a row's key.
    pub(super) fn occupy(&self, name: &str) {
        let at = Location::new("objects", format!("sim/{name}"));
        let bytes = Bytes::from_static(b"somebody else's");
        self.cloud.place(&at, bytes.clone());
        self.checker().add_foreign(at.key, bytes);
    }

    /// Removes the object under a row's key.
    pub(super) fn vacate(&self) {
        let keys = self.checker().remove_foreign();
        for key in keys {
            self.cloud.remove(&Location::new("objects", key));
        }
    }

    /// The deadline of an invocation that starts now.
    pub(super) fn deadline(&self) -> Timestamp {
        invocation::deadline(&self.cloud)
    }

    /// The request of a state machine, with a token that it waits for.
    pub(super) fn request(&self, token: &str) -> PlanRequest {
        self.cloud.with(|state| state.step_functions.wait(token));
        let by_uri = self.form == Form::Uri;
        PlanRequest {
            name: "sim".to_owned(),
            query_execution_id: (!by_uri).then(|| JOB.to_owned()),
            result: by_uri.then(|| result(self.form)),
            job: by_uri.then(|| JOB.to_owned()),
            task_token: Some(token.to_owned()),
            ..PlanRequest::default()
        }
    }

    fn store(&self, client: Client, deadline: Timestamp, invocation: u32) -> Arc<dyn Store> {
        let seed = self.seed ^ u64::from(invocation);
        let backoff = Backoff::new(Arc::new(self.cloud.clock), deadline, seed, RetryPolicy::S3);
        let target = Location::new("objects", "sim/");
        match self.mutant {
            Some(mutant) if mutant.is_below_retries() => {
                let broken = BrokenStore::new(Arc::new(client), mutant, target);
                Arc::new(Retrying::new(broken, backoff))
            }
            Some(mutant) => {
                let store = Retrying::new(client, backoff);
                Arc::new(BrokenStore::new(Arc::new(store), mutant, target))
            }
            None => Arc::new(Retrying::new(client, backoff)),
        }
    }

    /// One invocation of a deployed function.
    async fn invoke<T: std::fmt::Debug, W>(
        &self,
        what: &'static str,
        plan: Plan,
        work: impl FnOnce(Ports, Budget) -> W,
    ) -> (End<T>, Client)
    where
        W: Future<Output = Result<T, JobError>>,
    {
        let id = self.clients.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Client::new(Arc::clone(&self.cloud), id, plan);
        let deadline = self.deadline();
        let seed = self.seed ^ u64::from(id);
        // Messages are sent again above the queue that a mutant breaks, and calls to Athena and Step Functions likewise.
        let clock = Arc::new(self.cloud.clock);
        let queue = BrokenQueue {
            inner: client.clone(),
            mutant: self.mutant,
        };
        let callback = BrokenCallback {
            inner: client.clone(),
            mutant: self.mutant,
        };
        let backoff = |policy| Backoff::new(clock.clone(), deadline, seed, policy);
        let ports = Ports {
            store: self.store(client.clone(), deadline, id),
            queries: Arc::new(RetryingService::new(
                client.clone(),
                backoff(RetryPolicy::ATHENA),
            )),
            queue: Arc::new(RetryingService::new(queue, backoff(RetryPolicy::SQS))),
            callback: Arc::new(RetryingService::new(
                callback,
                backoff(RetryPolicy::STEP_FUNCTIONS),
            )),
            clock: clock.clone(),
        };
        let budget = Budget {
            memory: 64 << 20,
            deadline,
        };
        let end = invocation::ended(&self.cloud, &client, Box::pin(work(ports, budget))).await;
        self.cloud.note("invocation", what, &format!("{end:?}"));
        (end, client)
    }

    /// `split-plan`.
    pub(super) async fn plan(
        &self,
        request: &PlanRequest,
        deployment: usize,
        plan: Plan,
    ) -> (End<PlanReport>, Client) {
        let job = &self.jobs[deployment % self.jobs.len()];
        self.invoke("split-plan", plan, |ports, budget| async move {
            split::plan(&ports, job, request, QUEUE, &budget).await
        })
        .await
    }

    /// `split-rows`, from the queue.
    pub(super) async fn rows(
        &self,
        task: &Task,
        resumed: bool,
        plan: Plan,
    ) -> (End<ChunkReport>, Client) {
        self.invoke("split-rows", plan, |ports, budget| async move {
            split::rows(&ports, task, 1 + u32::from(resumed), &budget).await
        })
        .await
    }

    /// `split-rows`, from the dead-letter queue.
    pub(super) async fn abandon(&self, task: &Task, plan: Plan) -> (End<ChunkReport>, Client) {
        self.invoke("split-rows (dead letters)", plan, |ports, _| async move {
            split::abandon(&ports, task).await
        })
        .await
    }

    /// A cancel request.
    pub(super) async fn cancel(&self) {
        let job = &self.jobs[0];
        self.invoke("cancel", Plan::default(), |ports, _| async move {
            split::cancel(&ports, job, JOB, None).await
        })
        .await;
    }
}
