//! How long calls wait for a service that does not recover.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use futures::{FutureExt, future::BoxFuture};
use lakewright_ports::{Callback as _, CallbackErrorKind, GetOptions, Queries as _};

use super::*;

/// The clients of one invocation.
struct Services {
    store: Retrying<Client>,
    catalog: RetryingCatalog<Client>,
    service: RetryingService<Client>,
}

/// A call, and whether it failed because the time was over.
type Call = for<'a> fn(&'a Services) -> BoxFuture<'a, bool>;

const CALLS: [(&str, Call); 8] = [
    ("GetObject", |services| {
        let call = async {
            let got = services.store.get(&at("k"), GetOptions::default()).await;
            got.unwrap_err().kind == StoreErrorKind::Deadline
        };
        call.boxed()
    }),
    ("GetTable", |services| {
        let call = async {
            let table = services.catalog.table(&"lake.t".parse().unwrap()).await;
            table.unwrap_err().kind == CatalogErrorKind::Deadline
        };
        call.boxed()
    }),
    ("SendMessageBatch", |services| {
        let call = async {
            let sent = services.service.send("queue", &["x".to_owned()]).await;
            sent.unwrap_err().kind == ServiceErrorKind::Deadline
        };
        call.boxed()
    }),
    ("GetQueryExecution", |services| {
        let call = async {
            let execution = services.service.execution("q-1").await;
            execution.unwrap_err().kind == ServiceErrorKind::Deadline
        };
        call.boxed()
    }),
    ("GetQueryResults", |services| {
        let call = async {
            let columns = services.service.columns("q-1").await;
            columns.unwrap_err().kind == ServiceErrorKind::Deadline
        };
        call.boxed()
    }),
    ("SendTaskSuccess", |services| {
        let call = async {
            let told = services.service.succeed("token", "{}").await;
            told.unwrap_err().kind == CallbackErrorKind::Deadline
        };
        call.boxed()
    }),
    ("SendTaskFailure", |services| {
        let call = async {
            let told = services.service.fail("token", "KeyTaken", "").await;
            told.unwrap_err().kind == CallbackErrorKind::Deadline
        };
        call.boxed()
    }),
    ("SendTaskHeartbeat", |services| {
        let call = async {
            let told = services.service.heartbeat("token").await;
            told.unwrap_err().kind == CallbackErrorKind::Deadline
        };
        call.boxed()
    }),
];

/// When the attempts of a call began, in milliseconds, that a service refuses for as long as it is asked.
fn attempts(name: &str, call: Call, seed: u64, time: Duration) -> Vec<i128> {
    virtual_time(async {
        let cloud = calm();
        cloud.with(|state| state.sqs.create("queue", Duration::from_mins(1), None));
        let plan = Plan {
            script: vec![Some(Fault::SlowDown); 100].into_iter().collect(),
            ..Plan::default()
        };
        let client = Client::new(Arc::clone(&cloud), 1, plan);
        let begun = cloud.clock.now();
        let deadline = begun + time;
        let policy = RetryPolicy {
            attempts: 100,
            ..RetryPolicy::SQS
        };
        let backoff = || Backoff::new(Arc::new(cloud.clock), deadline, seed, policy);
        let services = Services {
            store: Retrying::new(client.clone(), backoff()),
            catalog: RetryingCatalog::new(client.clone(), backoff()),
            service: RetryingService::new(client.clone(), backoff()),
        };
        let case = format!("{name}, seed {seed}, {time:?}");
        assert!(call(&services).await, "{case}");
        assert!(cloud.clock.now() <= deadline, "{case}");
        cloud.with(|state| {
            let entries = state.history.entries().iter();
            let own = entries.filter(|entry| entry.client == 1);
            let since = |at: Timestamp| at.duration_since(begun).as_millis();
            own.map(|entry| {
                assert_eq!(entry.operation, name, "{case}");
                since(entry.at)
            })
            .collect()
        })
    })
}

#[test]
fn no_call_waits_past_the_deadline_and_no_two_invocations_wait_in_step() {
    for (name, call) in CALLS {
        for time in [100, 2_000, 30_000].map(Duration::from_millis) {
            let waits = (0..8).map(|seed| attempts(name, call, seed, time));
            let distinct = waits.collect::<BTreeSet<_>>();
            if time > Duration::from_secs(1) {
                assert_eq!(distinct.len(), 8, "{name}, {time:?}: {distinct:?}");
                assert!(distinct.iter().all(|waits| waits.len() > 2), "{distinct:?}");
            }
            let again = attempts(name, call, 0, time);
            assert!(distinct.contains(&again), "{name}, {time:?}");
        }
    }
}
