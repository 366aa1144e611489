//! What is published, and what others do to a partition in between.

use super::*;

#[test]
fn what_others_leave_in_an_old_directory_is_not_deleted() {
    virtual_time(async {
        let world = World::new(job(TABLE, ""));
        world.partition("1", &["a", "b", "c"]).await;
        world.wait(6).await;
        let item = world.plan().await.tasks.remove(0);
        world.merge(&item).await;
        world.step(&item, Step::Publish).await.unwrap();
        world.wait(6).await;
        world.step(&item, Step::Sweep).await.unwrap();
        world.place("t/day=1/stray.parquet", file(&["stray"]));
        world.wait(61).await;
        let before = world.files();
        let error = world.step(&item, Step::Delete).await.unwrap_err();
        assert_eq!(error.name(), "Stray");
        assert!(error.to_string().contains("stray.parquet"), "{error}");
        assert_eq!(world.files(), before);
    });
}

#[test]
fn nothing_is_published_that_is_not_merged_or_was_changed() {
    virtual_time(async {
        let world = World::new(job(TABLE, ""));
        world.partition("1", &["a", "b", "c"]).await;
        world.wait(6).await;
        let item = world.plan().await.tasks.remove(0);
        let error = world.step(&item, Step::Publish).await.unwrap_err();
        assert_eq!(error.name(), "NotMerged");
        assert!(error.to_string().contains("task 0"), "{error}");
        world.merge(&item).await;
        world.place("t/day=1/a.parquet", file(&["other"]));
        let error = world.step(&item, Step::Publish).await.unwrap_err();
        assert_eq!(error.name(), "InputChanged");
        assert_eq!(world.location("1"), "s3://lake/t/day=1");
        let other = StepRequest {
            plan: item.plan.clone(),
            partition: "day=2/".to_owned(),
            step: Step::Publish,
        };
        let (ports, budget) = world.ports(&world.client(Plan::default()));
        let error = compact::step(&ports, &other, budget.deadline)
            .await
            .unwrap_err();
        assert_eq!(error.name(), "BadRequest");
    });
}

#[test]
fn a_partition_that_others_moved_is_left_alone() {
    virtual_time(async {
        let world = World::new(job(TABLE, ""));
        world.partition("1", &["a", "b", "c"]).await;
        world.wait(6).await;
        let item = world.plan().await.tasks.remove(0);
        world.merge(&item).await;
        let moved = Partition {
            values: vec!["1".to_owned()],
            storage: StorageDescriptor {
                location: "s3://lake/elsewhere/".to_owned(),
                ..StorageDescriptor::default()
            },
        };
        let client = world.client(Plan::default());
        let table = "lake.t".parse().unwrap();
        client.update_partitions(&table, &[moved]).await.unwrap();
        let error = world.step(&item, Step::Publish).await.unwrap_err();
        assert_eq!(error.name(), "PartitionElsewhere");
        assert_eq!(world.location("1"), "s3://lake/elsewhere/");
    });
}
