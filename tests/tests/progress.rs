//! Any job, in any time that allows one piece of its work, is done after a bounded number of attempts.
//!
//! Only calls take time here, so a seed determines how far each attempt comes.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "progress/compact.rs"]
mod compact;
#[path = "progress/rekey.rs"]
mod rekey;
#[path = "progress/repartition.rs"]
mod repartition;
#[path = "progress/split.rs"]
mod split;
#[path = "progress/uploads.rs"]
mod uploads;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use lakewright_aws::invocation::{Deadlines, WorkError, run_one};
use lakewright_core::{
    catalog::{Column, StorageDescriptor, Table},
    location::Location,
};
use lakewright_jobs::{
    JobError,
    rekey::{Budget, Ports},
    retry::{Backoff, RetryPolicy, Retrying, RetryingCatalog, RetryingService},
};
use lakewright_model::{Client, Cloud, FaultRates, Plan, Settings, SimClock, virtual_time};
use lakewright_ports::{Clock, Store};

/// One invocation of a function, with the clients that it has.
struct Invocation {
    client: Client,
    clock: Arc<SimClock>,
    deadlines: Deadlines,
    /// Which attempt it is, from 1.
    attempt: u32,
}

impl Invocation {
    fn backoff(&self, policy: RetryPolicy) -> Backoff {
        Backoff::new(self.clock.clone(), self.deadlines.calls, 1, policy)
    }

    fn store(&self) -> Arc<dyn Store> {
        let backoff = self.backoff(RetryPolicy::S3);
        Arc::new(Retrying::new(self.client.clone(), backoff))
    }

    fn catalog(&self) -> Arc<RetryingCatalog<Client>> {
        let backoff = self.backoff(RetryPolicy::GLUE);
        Arc::new(RetryingCatalog::new(self.client.clone(), backoff))
    }

    fn service(&self) -> Arc<RetryingService<Client>> {
        let backoff = self.backoff(RetryPolicy::SQS);
        Arc::new(RetryingService::new(self.client.clone(), backoff))
    }

    fn work(&self) -> Timestamp {
        self.deadlines.work
    }

    /// What rekey and repartition work with.
    fn ports(&self) -> (Ports, Budget) {
        let ports = Ports {
            store: self.store(),
            catalog: self.catalog(),
            clock: self.clock.clone(),
        };
        let budget = Budget {
            memory: 64 << 20,
            scratch: std::env::temp_dir(),
            scratch_bytes: u64::MAX,
            deadline: self.work(),
        };
        (ports, budget)
    }
}

/// A job that is attempted until it is done.
trait Work {
    fn cloud(&self) -> &Arc<Cloud>;

    /// One attempt. Returns whether all is done.
    async fn attempt(&mut self, invocation: &Invocation) -> Result<bool, Arc<JobError>>;

    /// What others do before the next attempt.
    async fn meanwhile(&mut self) {}
}

/// How an attempt ended: whether it has done all, or the name of its error and what it says.
type Ended = Result<bool, (&'static str, String)>;

/// How an attempt ended, and how long it took.
async fn attempted(work: &mut impl Work, time: Duration, attempt: u32) -> (Ended, Duration) {
    let cloud = Arc::clone(work.cloud());
    let clock = Arc::new(cloud.clock);
    let begun = clock.now();
    // A function keeps two seconds for its last calls and its answer.
    let invocation = Invocation {
        client: Client::new(Arc::clone(&cloud), attempt, Plan::default()),
        deadlines: Deadlines::before(begun + time + Duration::from_secs(2), begun),
        clock: Arc::clone(&clock),
        attempt,
    };
    let stop = invocation.deadlines.stop;
    let ended = run_one(&*clock, stop, work.attempt(&invocation)).await;
    invocation.client.kill();
    let open = cloud.with(|state| state.s3.uploads_under_way().count());
    assert_eq!(open, 0, "attempt {attempt} in {time:?} left an upload open");
    let ended = ended.map_err(|error| match error {
        WorkError::Failed(error) => (error.name(), error.to_string()),
        error => ("Stopped", error.to_string()),
    });
    (ended, clock.now().duration_since(begun).unsigned_abs())
}

/// Makes attempts in each of these times (in milliseconds), until the job is done, each time with a new one. Five times as many
/// are allowed as its length in one attempt would fill, and five more: what each attempt reads again takes some of its time.
async fn done<W: Work>(name: &str, times: &[u64], make: impl AsyncFn(Arc<Cloud>) -> W) {
    let cloud = || Cloud::new(1, Settings::default(), FaultRates::default());
    let mut work = make(cloud()).await;
    let (ended, whole) = attempted(&mut work, Duration::from_mins(15), 1).await;
    assert_eq!(ended, Ok(true), "{name}");
    for &time in times {
        let time = Duration::from_millis(time);
        let mut work = make(cloud()).await;
        let most = 5 + 5 * u32::try_from(whole.as_millis() / time.as_millis()).unwrap();
        let mut attempts = 1;
        let case = format!("{name} in {time:?}, all takes {whole:?}");
        loop {
            work.meanwhile().await;
            match attempted(&mut work, time, attempts).await {
                (Ok(true), _) => break,
                (Ok(false) | Err(("Deadline", _)), _) if attempts < most => attempts += 1,
                (ended, _) => panic!("{case}, attempt {attempts} of {most}: {ended:?}"),
            }
        }
    }
}

/// What an invocation has without a limit.
fn ample(cloud: &Arc<Cloud>) -> Invocation {
    let clock = Arc::new(cloud.clock);
    Invocation {
        client: Client::new(Arc::clone(cloud), 0, Plan::default()),
        deadlines: Deadlines::before(clock.now() + Duration::from_hours(1), clock.now()),
        clock,
        attempt: 1,
    }
}

/// Registers a table of these columns, partitioned by text.
fn table(cloud: &Cloud, name: &str, location: &str, columns: &[(&str, &str)], keys: &[&str]) {
    let column = |(name, hive_type): (&str, &str)| Column {
        name: name.to_owned(),
        hive_type: hive_type.to_owned(),
    };
    let table = Table {
        name: name.parse().unwrap(),
        storage: StorageDescriptor {
            location: location.to_owned(),
            columns: columns.iter().copied().map(column).collect(),
            ..StorageDescriptor::default()
        },
        partition_keys: keys.iter().map(|key| column((key, "string"))).collect(),
        parameters: BTreeMap::new(),
        version_id: None,
    };
    cloud.with(|state| state.glue.put_table(table));
}

fn at(text: &str) -> Location {
    text.parse().unwrap()
}

#[test]
fn rekey_and_its_sweeps() {
    virtual_time(rekey::done());
}

#[test]
fn split() {
    virtual_time(split::done());
}

#[test]
fn repartition() {
    virtual_time(repartition::done());
}

#[test]
fn compact() {
    virtual_time(compact::done());
}
