//! split-plan and split-rows.

use async_trait::async_trait;
use bytes::Bytes;
use lakewright_core::config::{Config, Split};
use lakewright_jobs::split::{self, Budget, ChunkStatus, PlanRequest, Ports, State, Task};
use lakewright_ports::{Callback, CallbackError, CallbackErrorKind};

use super::*;

const ROWS: usize = 3_000;

fn job(more: &str) -> Split {
    let text = format!(
        "[[split]]\nname = \"j\"\ntarget = \"s3://objects/j/\"\nallow_any_source = true\nkey = \"{{row}}\"\nin_flight = 8\n{more}"
    );
    Config::parse(&text).unwrap().split.remove(0)
}

fn ports(invocation: &Invocation) -> (Ports, Budget) {
    let ports = Ports {
        store: invocation.store(),
        queries: invocation.service(),
        queue: invocation.service(),
        callback: invocation.service(),
        clock: invocation.clock.clone(),
    };
    let budget = Budget {
        memory: 64 << 20,
        deadline: invocation.work(),
    };
    (ports, budget)
}

fn result(cloud: &Cloud) {
    cloud.with(|state| state.sqs.create("queue", Duration::from_hours(1), None));
    let text = (0..ROWS).fold("\"id\",\"n\"\n".to_owned(), |text, row| {
        format!("{text}\"a\",\"{row}\"\n")
    });
    cloud.place(&at("s3://results/q.csv"), Bytes::from(text));
}

fn request() -> PlanRequest {
    PlanRequest {
        name: "j".to_owned(),
        result: Some(at("s3://results/q.csv")),
        ..PlanRequest::default()
    }
}

/// Takes all messages from the queue.
fn received(cloud: &Cloud) -> Vec<Task> {
    let now = cloud.clock.now();
    let mut rng = fastrand::Rng::with_seed(1);
    cloud.with(|state| {
        let (received, ..) = state.sqs.receive("queue", usize::MAX, now, 0.0, &mut rng);
        for message in &received {
            state.sqs.delete("queue", message.id);
        }
        received
            .iter()
            .map(|message| serde_json::from_str(&message.body).unwrap())
            .collect()
    })
}

/// A job of many chunks, which other functions write while it is planned.
struct Planned {
    cloud: Arc<Cloud>,
    job: Split,
}

impl Planned {
    fn new(cloud: Arc<Cloud>) -> Self {
        result(&cloud);
        Self {
            cloud,
            job: job("chunk_rows = 10"),
        }
    }
}

impl Work for Planned {
    fn cloud(&self) -> &Arc<Cloud> {
        &self.cloud
    }

    async fn attempt(&mut self, invocation: &Invocation) -> Result<bool, Arc<JobError>> {
        let (ports, budget) = ports(invocation);
        split::plan(&ports, &self.job, &request(), "queue", &budget).await?;
        Ok(true)
    }

    /// The chunks that were enqueued are written.
    async fn meanwhile(&mut self) {
        let (ports, budget) = ports(&ample(&self.cloud));
        for task in received(&self.cloud) {
            split::rows(&ports, &task, 1, &budget).await.unwrap();
        }
    }
}

/// A chunk of many rows.
struct Chunk {
    cloud: Arc<Cloud>,
    task: Task,
}

impl Chunk {
    async fn new(cloud: Arc<Cloud>) -> Self {
        result(&cloud);
        let (ports, budget) = ports(&ample(&cloud));
        split::plan(&ports, &job(""), &request(), "queue", &budget)
            .await
            .unwrap();
        let task = received(&cloud).remove(0);
        Self { cloud, task }
    }
}

impl Work for Chunk {
    fn cloud(&self) -> &Arc<Cloud> {
        &self.cloud
    }

    async fn attempt(&mut self, invocation: &Invocation) -> Result<bool, Arc<JobError>> {
        let (ports, budget) = ports(invocation);
        let report = split::rows(&ports, &self.task, invocation.attempt, &budget).await?;
        assert_eq!(report.status, ChunkStatus::Done);
        Ok(true)
    }
}

pub(super) async fn done() {
    super::done("split-plan", &[400, 600], async |cloud| Planned::new(cloud)).await;
    super::done("split-rows", &[600, 1_000, 3_000], Chunk::new).await;
}

/// State machines that hear nothing but the end.
struct Deaf;

#[async_trait]
impl Callback for Deaf {
    async fn succeed(&self, _: &str, _: &str) -> Result<(), CallbackError> {
        Ok(())
    }

    async fn fail(&self, _: &str, _: &str, _: &str) -> Result<(), CallbackError> {
        Ok(())
    }

    async fn heartbeat(&self, _: &str) -> Result<(), CallbackError> {
        Err(CallbackError {
            kind: CallbackErrorKind::Retryable,
            operation: "SendTaskHeartbeat",
            message: "ThrottlingException".to_owned(),
        })
    }
}

#[test]
fn a_heartbeat_that_fails_does_not_fail_its_chunk() {
    virtual_time(async {
        let cloud = Cloud::new(1, Settings::default(), FaultRates::default());
        result(&cloud);
        let (mut ports, budget) = ports(&ample(&cloud));
        ports.callback = Arc::new(Deaf);
        let request = PlanRequest {
            task_token: Some("token".to_owned()),
            ..request()
        };
        let job = job("chunk_rows = 1000");
        split::plan(&ports, &job, &request, "queue", &budget)
            .await
            .unwrap();
        let tasks = received(&cloud);
        assert_eq!(tasks.len(), 3);
        let mut states = Vec::new();
        for task in tasks {
            let report = split::rows(&ports, &task, 1, &budget).await.unwrap();
            assert_eq!(report.status, ChunkStatus::Done);
            states.push(report.state);
        }
        assert_eq!(states, [State::Running, State::Running, State::Succeeded]);
    });
}
