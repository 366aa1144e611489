//! Partitions that are refused, alone, while others are compacted.

use super::*;

/// A store that denies the listing of some partitions.
struct Denying {
    inner: Arc<dyn Store>,
    days: &'static [&'static str],
}

#[async_trait::async_trait]
impl StoreLayer for Denying {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn list(&self, prefix: &Location, after: Option<&str>) -> Result<ListPage, StoreError> {
        if self
            .days
            .iter()
            .any(|day| prefix.key.starts_with(&format!("t/day={day}/")))
        {
            return Err(StoreError {
                kind: StoreErrorKind::AccessDenied,
                operation: "ListObjectsV2",
                location: prefix.clone(),
                message: "denied".to_owned(),
            });
        }
        self.inner.list(prefix, after).await
    }
}

#[test]
fn a_partition_that_may_not_be_read_is_refused_and_others_go_on() {
    stated(
        "A partition that may not be read is refused by its name and the call that was denied, and others go on; where none may be read, the run fails.",
    );
    virtual_time(async {
        let world = World::new(job(TABLE, "files = 1"));
        for day in ["1", "2", "3"] {
            world.partition(day, &["a", "b", "c"]).await;
        }
        world.wait(6).await;
        let ask = async |days| {
            let (ports, budget) = world.ports(&world.client(Plan::default()));
            let ports = Ports {
                store: Arc::new(Denying {
                    inner: Arc::clone(&ports.store),
                    days,
                }),
                ..ports
            };
            compact::plan(&ports, &world.job, &PlanRequest::default(), &budget).await
        };
        let report = ask(&["2"]).await.unwrap();
        let planned = report.tasks.iter().map(|item| item.partition.as_str());
        assert_eq!(planned.collect::<Vec<_>>(), ["day=1/", "day=3/"]);
        assert_eq!(report.refused[0].partition, "day=2/");
        assert!(report.refused[0].reason.contains("denied"), "{report:?}");
        let error = ask(&["1", "2", "3"]).await.unwrap_err();
        assert_eq!(error.name(), "AccessDenied");
    });
}

#[test]
fn what_cannot_be_swapped_is_refused() {
    stated(
        "A table with partition projection is refused, because its readers would never be sent to the new files, and so is one without partitions.",
    );
    virtual_time(async {
        let world = World::new(job(TABLE, ""));
        world.put_table(&[("projection.enabled", "TRUE")]);
        let error = world.ask(PlanRequest::default()).await.unwrap_err();
        assert_eq!(error.name(), "TableUnsuited");
        assert!(error.to_string().contains("projection"), "{error}");

        let world = World::new(job(TABLE, "generations = \"s3://lake/t/g/\""));
        let error = world.ask(PlanRequest::default()).await.unwrap_err();
        assert!(error.to_string().contains("outside the table"), "{error}");

        let mut world = World::new(job(TABLE, ""));
        world.job.table = Some("lake.other".parse().unwrap());
        let error = world.ask(PlanRequest::default()).await.unwrap_err();
        assert_eq!(error.name(), "TableMissing");
    });
}

#[test]
fn a_partition_that_cannot_be_merged_is_refused_alone() {
    stated(
        "Files that do not fit together refuse their partition by two files and a column, a file that is no Parquet file by its name, and nothing of the partition is written; other partitions go on.",
    );
    virtual_time(async {
        let world = World::new(job(TABLE, ""));
        world.partition("1", &["a", "b"]).await;
        let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let other = RecordBatch::try_from_iter([("id", number)]).unwrap();
        world.place("t/day=1/z.parquet", parquet(&other));
        world.partition("2", &["d", "e"]).await;
        world.place("t/day=2/f.parquet", Bytes::from_static(b"no Parquet"));
        world.partition("3", &["g", "h", "i"]).await;
        world.wait(6).await;
        let report = world.plan().await;
        assert_eq!(report.tasks.len(), 1);
        let [first, second] = &report.refused[..] else {
            panic!("{report:?}");
        };
        for part in ["day=1/a.parquet", "day=1/z.parquet", "column id"] {
            assert!(first.reason.contains(part), "{first:?}");
        }
        assert!(second.reason.contains("day=2/f.parquet"), "{second:?}");
        let written = world.keys();
        let of_refused =
            |key: &&String| key.contains("partition/day=1") || key.contains("partition/day=2");
        assert_eq!(written.iter().find(of_refused), None);
    });
}
