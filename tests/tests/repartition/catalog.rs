//! The catalog's partitions, and objects that others change meanwhile.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use lakewright_core::location::Location;
use lakewright_jobs::{
    ErrorKind,
    repartition::{self, Commit, CommitRequest, Ports},
};
use lakewright_model::{Client, Cloud, Plan, virtual_time};
use lakewright_ports::{DeleteFailure, Deletion, Partition, Store, StoreError, StoreLayer};
use lakewright_tests::semantics::stated;

use crate::lake::Lake;

fn by_k(format: &str, more: &str) -> String {
    format!(
        "source = \"s3://lake/in/\"\nformat = \"csv\"\npartition_by = [\"k\"]\ntable = \"lake.t\"\nmanage_table = true\noutput = [{{ format = \"{format}\" }}]\n{more}"
    )
}

/// Moves the partition `a`, by hand.
async fn move_a(lake: &Lake, to: &str) {
    let (ports, _) = lake.ports(Plan::default());
    let found = lake.partitions("lake.t");
    let mut moved = found
        .into_iter()
        .find(|partition| partition.values == ["a"])
        .unwrap();
    to.clone_into(&mut moved.storage.location);
    let table = "lake.t".parse().unwrap();
    let failures = ports.catalog.update_partitions(&table, &[moved]).await;
    assert_eq!(failures.unwrap(), []);
}

#[test]
fn partitions_become_like_their_managed_table() {
    stated(
        "With `manage_table` a registered partition that the run writes is given the table's columns and format; with `append` one of another format refuses the run, because its objects stay.",
    );
    virtual_time(async {
        let mut lake = Lake::new(&by_k("json", ""));
        lake.place("in/a.csv", "k,v\na,1\nb,2\n");
        lake.run().await.unwrap();
        let serdes = |lake: &Lake| {
            let serde = |partition: Partition| partition.storage.serde_library.unwrap();
            let partitions = lake.partitions("lake.t").into_iter();
            partitions.map(serde).collect::<Vec<_>>()
        };
        assert!(
            serdes(&lake)
                .iter()
                .all(|serde| serde.ends_with("JsonSerDe"))
        );

        lake.set(&by_k("parquet", "mode = \"append\""));
        let refused = lake.plan().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::SchemaUnusable, "{refused}");

        lake.set(&by_k("parquet", ""));
        lake.run().await.unwrap();
        let serdes = serdes(&lake);
        assert_eq!(serdes.len(), 2);
        assert!(
            serdes
                .iter()
                .all(|serde| serde.ends_with("ParquetHiveSerDe")),
            "{serdes:?}"
        );
        assert_eq!(lake.rows("out/").len(), 2);
    });
}

#[test]
fn a_partition_elsewhere_is_found_before_the_commit_and_never_keeps_a_run_from_its_end() {
    stated(
        "A partition that is registered elsewhere refuses the run before its commit: when it is planned, if it lies outside of what is overwritten, and otherwise at the commit; after the commit it is reported, and the run ends nevertheless.",
    );
    virtual_time(async {
        let lake = Lake::new(&by_k("parquet", ""));
        lake.place("in/a.csv", "k,v\na,1\nb,2\n");
        lake.run().await.unwrap();
        let home = "s3://lake/out/k=a/";

        move_a(&lake, "s3://lake/elsewhere/").await;
        let refused = lake.plan().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PartitionElsewhere, "{refused}");

        move_a(&lake, home).await;
        let plan = lake.plan().await.unwrap();
        for task in &plan.tasks {
            lake.write(task).await.unwrap();
        }
        let before = lake.keys("out/");
        move_a(&lake, "s3://lake/out/other/").await;
        let refused = lake.commit(&plan).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PartitionElsewhere, "{refused}");
        assert_eq!(lake.keys("out/"), before, "nothing is removed");

        // The check passed, the run was committed, and then somebody moved the partition.
        let commit = Commit {
            version: Commit::VERSION,
            withdrawn: false,
            rows: 2,
            outputs: 2,
            bytes: 1,
        };
        let at = plan.plan.key.replace("/plan", "/commit");
        lake.place(&at, serde_json::to_vec(&commit).unwrap());
        let report = lake.commit(&plan).await.unwrap();
        let why = report.unregistered.unwrap();
        assert!(why.contains("s3://lake/out/other/"), "{why}");
        assert_eq!((report.removed, lake.keys("out/").len()), (2, 2));
        move_a(&lake, home).await;
        lake.run().await.unwrap();
    });
}

/// Somebody replaces an object after it was listed, and before it is deleted.
struct Meddling {
    inner: Client,
    cloud: Arc<Cloud>,
    at: Location,
}

#[async_trait]
impl StoreLayer for Meddling {
    fn inner(&self) -> &dyn Store {
        &self.inner
    }

    async fn delete(
        &self,
        bucket: &str,
        objects: &[Deletion],
    ) -> Result<Vec<DeleteFailure>, StoreError> {
        self.cloud.place(&self.at, Bytes::from_static(b"a\nnew\n"));
        self.inner.delete(bucket, objects).await
    }
}

#[test]
fn an_object_that_is_replaced_while_it_is_removed_stays() {
    stated(
        "An object is only deleted if it is the one that was verified or planned to go, by its ETag; what replaced it meanwhile stays.",
    );
    virtual_time(async {
        let lake = Lake::new(
            "source = \"s3://lake/in/\"\nformat = \"csv\"\nfiles = 1\noutput = [{ format = \"csv\", compression = \"none\" }]",
        );
        lake.place("in/a.csv", "a\n1\n");
        for key in ["out/old.csv", "out/replaced.csv"] {
            lake.place(key, "a\nold\n");
        }
        let plan = lake.plan().await.unwrap();
        lake.write(&plan.tasks[0]).await.unwrap();
        let (ports, budget) = lake.ports(Plan::default());
        let store = Arc::new(Meddling {
            inner: Client::new(Arc::clone(&lake.cloud), 9, Plan::default()),
            cloud: Arc::clone(&lake.cloud),
            at: Location::new("lake", "out/replaced.csv"),
        });
        let ports = Ports { store, ..ports };
        let request = CommitRequest {
            plan: plan.plan.clone(),
        };
        let report = repartition::commit(&ports, &request, budget.deadline)
            .await
            .unwrap();
        assert_eq!(
            (report.removed, &report.left[..]),
            (1, &["out/replaced.csv".to_owned()][..])
        );
        assert_eq!(lake.text("out/replaced.csv"), "a\nnew\n");
        assert!(!lake.keys("out/").contains(&"out/old.csv".to_owned()));
    });
}

#[test]
fn a_run_with_nothing_new_adds_no_file() {
    virtual_time(async {
        let lake = Lake::new(
            "source = \"lake.src\"\nfiles = 1\nmode = \"append\"\nbookmark = true\noutput = [{ format = \"parquet\" }]",
        );
        let serde = "org.apache.hadoop.hive.serde2.OpenCSVSerde";
        lake.table("lake.src", "in/", serde, &[("a", "string")], &[]);
        for (object, outputs) in [(Some("in/a.csv"), 1), (None, 0), (Some("in/b.csv"), 1)] {
            if let Some(key) = object {
                lake.place(key, "1\n");
            }
            let (_, commit) = lake.run().await.unwrap();
            assert_eq!(commit.outputs, outputs);
        }
        assert_eq!(lake.keys("out/").len(), 2);
    });
}
