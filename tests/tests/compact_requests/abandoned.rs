//! Abandoned plans.

use super::*;

#[test]
fn a_plan_is_given_up() {
    stated(
        "A plan that is given up by the step `abandon` is never published, even if an invocation still works on it, and what was made for it is deleted once no invocation can, except a file whose inputs do not all exist any more, which is named.",
    );
    virtual_time(async {
        let world = World::new(job(TABLE, "files = 1"));
        world.partition("1", &["a", "b", "c"]).await;
        world.wait(6).await;
        let report = world.plan().await;
        let item = &report.tasks[0];
        world.merge(item).await;
        let gone = Location::new("lake", "t/day=1/b.parquet");
        let (ports, _) = world.ports(&world.client(Plan::default()));
        ports
            .store
            .delete("lake", &[gone.key.into()])
            .await
            .unwrap();

        let abandoned = world.step(item, Step::Abandon).await.unwrap();
        assert_eq!(abandoned.status, StepStatus::Waiting);
        // S3 tells times in whole seconds.
        assert!(
            (300..=301).contains(&abandoned.wait_seconds),
            "{abandoned:?}"
        );
        assert_eq!(world.merge(item).await, [MergeStatus::Superseded]);
        let published = world.step(item, Step::Publish).await.unwrap();
        assert_eq!(published.status, StepStatus::Superseded);
        assert_eq!(world.location("1"), "s3://lake/t/day=1");

        world.wait(6).await;
        let due = world.plan().await;
        assert_eq!(due.tasks[0].step, Step::Abandon);
        let error = world.step(item, Step::Abandon).await.unwrap_err();
        assert_eq!(error.name(), "OnlyCopy");
        world.place("t/day=1/b.parquet", file(&["b"]));
        let cleared = world.step(item, Step::Abandon).await.unwrap();
        assert_eq!((cleared.status, cleared.files), (StepStatus::Done, 1));
        let again = world.step(item, Step::Abandon).await.unwrap();
        assert_eq!((again.status, again.files), (StepStatus::Done, 0));
        assert_eq!(world.files().len(), 3);

        world.wait(6).await;
        let report = world.plan().await;
        let next = &report.tasks[0];
        assert!(next.plan.key.ends_with("plan/00000002"), "{next:?}");
        assert_eq!(world.merge(next).await, [MergeStatus::Merged]);
        world.step(next, Step::Publish).await.unwrap();
        let late = world.step(next, Step::Abandon).await.unwrap();
        assert_eq!(late.status, StepStatus::Superseded);
        for (minutes, step) in [(6, Step::Sweep), (61, Step::Delete)] {
            world.wait(minutes).await;
            let done = world.step(next, step).await.unwrap();
            assert_eq!(done.status, StepStatus::Done);
        }
        let files = world.files();
        assert_eq!(files.len(), 1, "{files:?}");
        assert!(files.values().all(|ids| *ids == ["a", "b", "c"]));
        assert_eq!(world.status().await.counts["deleted"], 1);
        let too_late = world.step(next, Step::Abandon).await.unwrap();
        assert_eq!(too_late.status, StepStatus::Superseded);
    });
}

#[test]
fn what_is_published_is_not_given_up_after_a_later_plan_was() {
    virtual_time(async {
        let world = World::new(job(TABLE, "files = 1"));
        world.partition("1", &["a", "b", "c"]).await;
        world.wait(6).await;
        let report = world.plan().await;
        let first = &report.tasks[0];
        world.merge(first).await;
        world.step(first, Step::Publish).await.unwrap();
        world.wait(6).await;
        world.step(first, Step::Sweep).await.unwrap();

        let directory = world.location("1");
        let directory = directory.strip_prefix("s3://lake/").unwrap();
        for id in ["d", "e", "f"] {
            world.place(&format!("{directory}/{id}.parquet"), file(&[id]));
        }
        world.wait(6).await;
        let report = world.plan().await;
        let second = report.tasks.iter().find(|item| item.step == Step::Publish);
        let second = second.unwrap();
        let given_up = world.step(second, Step::Abandon).await.unwrap();
        assert_eq!(given_up.status, StepStatus::Waiting);
        world.wait(6).await;

        // The old files still exist, so all that was made for the first plan could be taken for superfluous.
        let before = world.files();
        for _ in 0..2 {
            let late = world.step(first, Step::Abandon).await.unwrap();
            assert_eq!(late.status, StepStatus::Superseded);
            world.wait(6).await;
        }
        assert_eq!(world.files(), before);
    });
}

#[test]
fn a_plan_that_cannot_succeed_is_given_up_by_itself() {
    stated(
        "A plan whose merge fails in a way that another attempt cannot mend, because a file is corrupt, was replaced, or cannot be merged, is given up by the next `compact-plan`, which names the partition and the reason; with `mode = \"in_place\"` it stays.",
    );
    virtual_time(async {
        let world = World::new(job(TABLE, ""));
        world.partition("1", &["a", "b", "c"]).await;
        world.wait(6).await;
        let item = world.plan().await.tasks.remove(0);
        // Its footer says what it did before, and its pages something else.
        world.place("t/day=1/b.parquet", file(&["other"]));
        let (ports, budget) = world.ports(&world.client(Plan::default()));
        for _ in 0..2 {
            let error = compact::merge(&ports, &item.merges[0], &budget)
                .await
                .unwrap_err();
            assert_eq!(error.name(), "InputChanged", "{error}");
        }

        let report = world.plan().await;
        assert_eq!(
            (report.tasks.len(), report.partitions_refused),
            (1, 1),
            "{report:?}"
        );
        assert_eq!(
            (report.tasks[0].step, &report.tasks[0].plan),
            (Step::Abandon, &item.plan)
        );
        let reason = &report.refused[0].reason;
        assert!(
            reason.contains("b.parquet") && reason.contains("given up"),
            "{reason}"
        );
        let given_up = world.step(&item, Step::Abandon).await.unwrap();
        assert_eq!(given_up.status, StepStatus::Waiting);
        world.wait(6).await;
        let cleared = world.step(&item, Step::Abandon).await.unwrap();
        assert_eq!(cleared.status, StepStatus::Done);

        world.wait(6).await;
        let report = world.plan().await;
        assert_eq!(report.partitions_refused, 0, "{report:?}");
        let next = &report.tasks[0];
        assert!(next.plan.key.ends_with("plan/00000002"), "{next:?}");
        assert_eq!(world.merge(next).await, [MergeStatus::Merged]);
        world.step(next, Step::Publish).await.unwrap();
    });
}
