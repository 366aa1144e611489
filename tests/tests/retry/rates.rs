//! The rate of requests while a service throttles, and afterwards.

use super::*;

#[test]
fn slow_down_slows_all_calls_down() {
    let time_for_a_thousand = |refusals| {
        virtual_time(async move {
            let cloud = calm();
            let script = vec![Some(Fault::SlowDown); refusals];
            let (store, _) = retrying(&cloud, script, SignedDuration::from_hours(1));
            for _ in 0..refusals {
                let _ = store.head(&at("none"), None).await;
            }
            let start = cloud.clock.now();
            let heads = (0..1_000).map(|_| async {
                let _ = store.head(&at("none"), None).await;
            });
            futures::future::join_all(heads).await;
            cloud.clock.now().duration_since(start)
        })
    };
    let (free, refused) = (time_for_a_thousand(0), time_for_a_thousand(5));
    assert!(refused > free * 3, "{free:#} against {refused:#}");
}

/// The requests that a service answers within a second while as many are made as the policy's rate allows, before it
/// throttles for five seconds and then seven seconds after that.
fn rate_before_and_after_throttling<F>(request: fn(Arc<Retrying<Client>>, u64) -> F) -> [u64; 2]
where
    F: Future<Output = ()> + 'static,
{
    virtual_time(async move {
        let cloud = calm();
        let (store, client) = retrying(&cloud, [], SignedDuration::from_hours(1));
        assert!(create(&store, "there").await.is_ok());
        let store = Arc::new(store);
        for worker in 0..2_000 {
            let store = Arc::clone(&store);
            tokio::task::spawn_local(async move {
                for number in 0.. {
                    request(Arc::clone(&store), worker * 1_000_000 + number).await;
                }
            });
        }
        let pass = |seconds| cloud.clock.sleep(Duration::from_secs(seconds));
        pass(2).await;
        let mut calls = [client.calls(); 2];
        pass(1).await;
        calls[0] = client.calls() - calls[0];
        cloud.with(|state| state.rates.slow_down = 1.0);
        pass(5).await;
        cloud.with(|state| state.rates.slow_down = 0.0);
        // The delay before a call's next attempt is part of it.
        pass(7).await;
        calls[1] = client.calls();
        pass(1).await;
        calls[1] = client.calls() - calls[1];
        calls
    })
}

#[test]
fn requests_are_fast_again_soon_after_throttling_whatever_they_are_answered() {
    type Phase = fn(Arc<Retrying<Client>>, u64) -> futures::future::LocalBoxFuture<'static, ()>;
    let phases: [(&str, Phase); 4] = [
        ("objects that exist", |store, _| {
            Box::pin(async move { drop(store.head(&at("k"), None).await) })
        }),
        ("objects that do not exist", |store, _| {
            Box::pin(async move { drop(store.head(&at("none"), None).await) })
        }),
        ("creations of objects that exist", |store, _| {
            Box::pin(async move { drop(create(&*store, "another").await) })
        }),
        ("creations", |store, number| {
            Box::pin(async move {
                let options = PutOptions {
                    precondition: Precondition::Absent,
                    ..PutOptions::default()
                };
                let key = at(&number.to_string());
                drop(store.put(&key, body("x"), options).await);
            })
        }),
    ];
    for (phase, request) in phases {
        let [before, after] = rate_before_and_after_throttling(request);
        assert!(before > 5_000, "{phase}: {before} requests a second");
        assert!(
            after * 10 >= before * 9,
            "{phase}: {after} requests a second after throttling, {before} before"
        );
    }
}
