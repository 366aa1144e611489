//! Without a catalog.

use std::sync::Mutex;

use jiff::Timestamp;
use lakewright_model::{Change, ModelGlue, Observer};

use super::*;

const IN_PLACE: &str = r#"
    [[compact]]
    target = "s3://lake/t/"
    mode = "in_place"
    min_files = 3
    quiet_for = "0s"
    longest_invocation = "5m"
    grace_period = "1h"
"#;

/// How often each row occurs in visible files.
fn counts(files: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for id in files.values().flatten() {
        *counts.entry(id.clone()).or_default() += 1;
    }
    counts
}

/// What readers find after each change.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<BTreeMap<String, usize>>>>);

impl Observer for Seen {
    fn step(&mut self, _: Timestamp, _: &[Change], s3: &ModelS3, _: &ModelGlue) {
        self.0.lock().unwrap().push(counts(&visible(s3)));
    }
}

#[test]
fn in_place_without_a_catalog() {
    stated(
        "With `mode = \"in_place\"` a merged file is put beside its files, which are then deleted: for as long as that takes readers see their rows twice, and none of them is ever missing.",
    );
    virtual_time(async {
        let world = World::new(job(IN_PLACE, ""));
        for key in ["t/a", "t/b", "t/c", "t/x/d", "t/x/e"] {
            world.place(&format!("{key}.parquet"), file(&[key]));
        }
        world.wait(6).await;
        let item = world.plan().await.tasks.remove(0);
        assert_eq!(item.partition, "");
        world.merge(&item).await;
        assert!(counts(&world.files()).into_values().all(|count| count == 1));
        let seen = Seen::default();
        world.cloud.watch(Box::new(seen.clone()));
        let done = world.step(&item, Step::Publish).await.unwrap();
        assert_eq!((done.status, done.files), (StepStatus::Done, 3));
        let seen = seen.0.lock().unwrap().clone();
        let ever = |id: &str, count| seen.iter().any(|counts| counts.get(id).copied() == count);
        for id in ["t/a", "t/b", "t/c"] {
            assert!(ever(id, Some(2)) && !ever(id, None), "{seen:?}");
        }
        for id in ["t/x/d", "t/x/e"] {
            assert!(!ever(id, Some(2)) && !ever(id, None), "{seen:?}");
        }
        assert_eq!(done.next, None);
        let files = world.files();
        assert_eq!(
            files["t/compacted-00000001-00000.parquet"],
            ["t/a", "t/b", "t/c"]
        );
        assert_eq!(files.len(), 3);
        assert!(!world.keys().iter().any(|key| key.contains("_compacting/")));
        for id in ["f", "g"] {
            world.place(&format!("t/{id}.parquet"), file(&[id]));
        }
        assert_eq!(world.plan().await.left["settling"], 1);
        world.wait(6).await;
        let next = world.plan().await.tasks.remove(0);
        world.merge(&next).await;
        world.step(&next, Step::Publish).await.unwrap();
        assert!(counts(&world.files()).into_values().all(|count| count == 1));
        assert_eq!(world.files().len(), 3);
    });
}

#[test]
fn in_place_killed_anywhere_is_finished_by_the_next_run() {
    let play = |death: Option<Death>| {
        virtual_time(async move {
            let world = World::new(job(IN_PLACE, "files = 2"));
            for id in ["a", "b", "c", "d"] {
                world.place(&format!("t/{id}.parquet"), file(&[id]));
            }
            world.wait(6).await;
            let item = world.plan().await.tasks.remove(0);
            world.merge(&item).await;
            let client = world.client(Plan {
                death,
                ..Plan::default()
            });
            let (ports, budget) = world.ports(&client);
            let request = StepRequest {
                plan: item.plan.clone(),
                partition: item.partition.clone(),
                step: Step::Publish,
            };
            let killed = tokio::select! {
                biased;
                () = client.died() => true,
                done = compact::step(&ports, &request, budget.deadline) => done.is_err(),
            };
            world.wait(1).await;
            let between = counts(&world.files());
            assert_eq!(between.len(), 4, "{death:?}: {between:?}");
            let unfinished = world.plan().await.tasks;
            // Where only the merges were not lost it is the same item.
            assert!(
                unfinished.iter().all(|again| *again == item),
                "{death:?}: {unfinished:?}"
            );
            for item in &unfinished {
                world.merge(item).await;
                world.step(item, Step::Publish).await.unwrap();
            }
            let after = counts(&world.files());
            assert!(
                after.len() == 4 && after.values().all(|count| *count == 1),
                "{death:?}: {after:?}"
            );
            assert_eq!(world.files().len(), 2, "{death:?}");
            (client.calls(), killed, between)
        })
    };
    let (calls, _, _) = play(None);
    assert!(calls > 15, "{calls}");
    let mut twice = 0;
    for call in 1..=calls {
        for death in [Death::Before(call), Death::After(call)] {
            let (_, killed, counts) = play(Some(death));
            assert!(killed, "{death:?}");
            twice += usize::from(counts.values().any(|count| *count == 2));
        }
    }
    assert!(twice > 0, "the new files exist before the old ones go");
}
