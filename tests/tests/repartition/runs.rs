//! Runs, one after the other.

use std::fmt::Write as _;

use jiff::SignedDuration;
use lakewright_core::config::Size;
use lakewright_jobs::{
    ErrorKind,
    repartition::{self, CommitRequest, Status},
};
use lakewright_model::{NoSecrets, virtual_time};
use lakewright_tests::semantics::stated;

use crate::lake::{Lake, Rows};

const CSV: &str = "source = \"s3://lake/in/\"\nformat = \"csv\"\nfiles = 1\noutput = [{ format = \"csv\", compression = \"none\" }]";

fn by_column(more: &str) -> String {
    format!(
        "source = \"s3://lake/in/\"\nformat = \"csv\"\npartition_by = [\"k\"]\noutput = [{{ format = \"parquet\" }}]\n{more}"
    )
}

fn manifest(lake: &Lake) -> Vec<String> {
    let text = lake.text("out/_lakewright/repartition/job/manifest/manifest");
    text.lines()
        .map(|line| line.trim_start_matches("s3://lake/").to_owned())
        .collect()
}

fn all(lake: &Lake) -> String {
    lake.keys("out/").iter().map(|key| lake.text(key)).collect()
}

#[test]
fn overwriting_removes_exactly_what_the_plan_lists() {
    stated(
        "`mode = \"overwrite\"` removes exactly the data that was under the outputs' directories when the run was planned, once the new data is committed; what came later, and what was replaced by other bytes since, stays.",
    );
    stated(
        "A finished run leaves an empty `_SUCCESS` in each output's directory, as Spark does, and a manifest, a list of the URIs of its files, in the ledger.",
    );
    virtual_time(async {
        let lake = Lake::new(CSV);
        lake.place("in/a.csv", "a\nnew\n");
        for key in [
            "out/old.csv",
            "out/deep/x=1/old.csv",
            "out/changed.csv",
            "out/_hidden/x",
            "out/.crc",
        ] {
            lake.place(key, "a\nold\n");
        }
        let plan = lake.plan().await.unwrap();
        lake.place("out/later.csv", "a\nlater\n");
        lake.place("out/changed.csv", "a\nchanged\n");
        lake.write(&plan.tasks[0]).await.unwrap();
        assert_eq!(lake.keys("out/").len(), 6);
        let commit = lake.commit(&plan).await.unwrap();
        assert_eq!((commit.status, commit.removed), (Status::Committed, 2));
        assert_eq!(commit.left, ["out/changed.csv"]);
        let keys = lake.keys("out/");
        assert_eq!(keys.len(), 4, "{keys:?}");
        assert!(
            keys.contains(&"out/later.csv".to_owned()) && keys.contains(&"out/.crc".to_owned())
        );
        assert_eq!(lake.bytes("out/_hidden/x"), b"a\nold\n");
        assert_eq!(lake.bytes("out/_SUCCESS"), b"");
        assert_eq!(manifest(&lake).len(), 1);
        let again = lake.commit(&plan).await.unwrap();
        assert_eq!((again.status, again.removed), (Status::Duplicate, 2));
        // The next run replaces what this one wrote.
        let (next, commit) = lake.run().await.unwrap();
        assert_eq!((next.run, commit.removed), (1, 3));
    });
}

#[test]
fn modes() {
    stated(
        "`mode = \"append\"` removes nothing, and `mode = \"fail\"` writes nothing where there is data under the outputs' directories.",
    );
    virtual_time(async {
        let lake = Lake::new(&format!("{CSV}\nmode = \"append\""));
        lake.place("in/a.csv", "a\nnew\n");
        lake.place("out/old.csv", "a\nold\n");
        for rows in 1..3 {
            let (_, commit) = lake.run().await.unwrap();
            assert_eq!(commit.removed, 0);
            assert_eq!(all(&lake).matches("new").count(), rows);
            assert_eq!(manifest(&lake), lake.keys("out/"));
        }
        let mut lake = lake;
        lake.set(&format!("{CSV}\nmode = \"fail\""));
        let error = lake.plan().await.unwrap_err();
        assert_eq!(error.name(), "TargetNotEmpty");
        for key in lake.keys("out/") {
            lake.remove(&key);
        }
        lake.run().await.unwrap();
    });
}

#[test]
fn a_plan_is_adopted_until_it_is_committed() {
    stated(
        "A run that is planned and not committed is continued, even if the configuration or the source has changed since; after one that is committed, a new run begins.",
    );
    virtual_time(async {
        let mut lake = Lake::new(CSV);
        lake.place("in/a.csv", "a\n1\n");
        let first = lake.plan().await.unwrap();
        lake.place("in/b.csv", "a\n2\n");
        lake.set(&CSV.replace("files = 1", "files = 2"));
        assert_eq!(lake.plan().await.unwrap(), first);
        lake.write(&first.tasks[0]).await.unwrap();
        assert_eq!(
            lake.write(&first.tasks[0]).await.unwrap().status,
            Status::Duplicate
        );
        lake.commit(&first).await.unwrap();
        assert_eq!(all(&lake), "a\n1\n");
        let second = lake.plan().await.unwrap();
        assert_eq!((second.run, second.files), (1, Some(2)));
        lake.write(&second.tasks[0]).await.unwrap();
        // An unfinished commit is finished before the next run.
        lake.commit(&second).await.unwrap();
        assert_eq!(all(&lake), "a\n1\na\n2\n");
    });
}

#[test]
fn a_source_that_changes_gives_the_run_up() {
    stated(
        "Where an object of the source is deleted or replaced after it was planned, the run fails before its commit; planning again gives it up and begins a new one, whose commit removes what it left.",
    );
    virtual_time(async {
        let lake = Lake::new(&by_column("mode = \"append\""));
        lake.place("in/a.csv", "k,v\na,1\n");
        lake.place("in/b.csv", "k,v\nb,1\n");
        let mut job = lake.job.clone();
        job.task_size = Size(10);
        let lake = Lake { job, ..lake };
        let first = lake.plan().await.unwrap();
        assert_eq!(first.tasks.len(), 2);
        lake.write(&first.tasks[0]).await.unwrap();
        lake.place("in/b.csv", "k,v\nb,2\n");
        let error = lake.write(&first.tasks[1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SourceChanged, "{error}");
        let second = lake.plan().await.unwrap();
        assert_eq!(second.run, 1);
        assert_eq!(
            lake.write(&first.tasks[0]).await.unwrap_err().name(),
            "Withdrawn"
        );
        assert_eq!(lake.commit(&first).await.unwrap_err().name(), "Withdrawn");
        for task in &second.tasks {
            lake.write(task).await.unwrap();
        }
        assert_eq!(lake.keys("out/").len(), 3);
        assert_eq!(lake.commit(&second).await.unwrap().removed, 1);
        let found = lake.rows("out/");
        assert_eq!(found, [[Some("1".to_owned())], [Some("2".to_owned())]]);
    });
}

#[test]
fn a_commit_verifies_what_exists() {
    virtual_time(async {
        let lake = Lake::new(CSV);
        lake.place("in/a.csv", "a\nnew\n");
        lake.place("out/old.csv", "a\nold\n");
        let plan = lake.plan().await.unwrap();
        assert_eq!(lake.commit(&plan).await.unwrap_err().name(), "TasksMissing");
        lake.write(&plan.tasks[0]).await.unwrap();
        let new = lake
            .keys("out/")
            .into_iter()
            .find(|key| key.contains("part-"))
            .unwrap();
        lake.place(&new, "a\n");
        assert_eq!(
            lake.commit(&plan).await.unwrap_err().name(),
            "OutputsDiffer"
        );
        lake.remove(&new);
        assert_eq!(
            lake.commit(&plan).await.unwrap_err().name(),
            "OutputsDiffer"
        );
        assert_eq!(all(&lake), "a\nold\n");
    });
}

#[test]
fn bookmarks() {
    virtual_time(async {
        let lake = Lake::new(&by_column("mode = \"append\"\nbookmark = true"));
        let mut expected = 0;
        for (run, objects) in [&["a", "b"][..], &["c"], &[], &["a"]]
            .into_iter()
            .enumerate()
        {
            for object in objects {
                lake.place(
                    &format!("in/{object}.csv"),
                    format!("k,v\n{object},{run}\n"),
                );
                expected += 1;
            }
            let (plan, commit) = lake.run().await.unwrap();
            assert_eq!(
                (plan.run, plan.files_before),
                (run as u64, objects.len() as u64)
            );
            assert_eq!(commit.rows, objects.len() as u64);
            assert_eq!(lake.rows("out/").len(), expected);
        }
    });
}

#[test]
fn the_target_may_be_the_source_itself() {
    stated(
        "The target may be the source's own prefix: the objects that were read are then those that are replaced. A target inside the source, and a source inside the target, are refused.",
    );
    virtual_time(async {
        let settings = "source = \"s3://lake/out/\"\nformat = \"csv\"\nfiles = 2\noutput = [{ format = \"csv\", compression = \"none\" }]";
        let lake = Lake::new(settings);
        let mut text = "a\n".to_owned();
        for row in 0..10 {
            writeln!(text, "{row}").unwrap();
        }
        lake.place("out/a.csv", text);
        for run in 0..2 {
            let (plan, commit) = lake.run().await.unwrap();
            assert_eq!(
                (plan.run, commit.rows, commit.outputs, commit.removed),
                (run, 10, 2, run + 1)
            );
            let parts: Vec<_> = lake.keys("out/").iter().map(|key| lake.text(key)).collect();
            assert_eq!(parts, ["a\n0\n1\n2\n3\n4\n", "a\n5\n6\n7\n8\n9\n"]);
        }
        for (source, says) in [
            ("s3://lake/", "inside the source"),
            ("s3://lake/out/in/", "lies inside"),
        ] {
            let lake = Lake::new(&settings.replace("s3://lake/out/", source));
            lake.place("out/in/a.csv", "a\n1\n");
            let error = lake.plan().await.unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    });
}

#[test]
fn the_target_table() {
    stated(
        "The partitions of the first output are registered in `table` once the run is committed; those that have no data any more stay registered.",
    );
    virtual_time(async {
        let settings = by_column("table = \"d.out\"\nmanage_table = true");
        let mut lake = Lake::new(&settings);
        lake.place("in/a.csv", "k,v\na/b,1\n,2\n");
        lake.run().await.unwrap();
        let table = |lake: &Lake| {
            let (ports, _) = lake.ports(lakewright_model::Plan::default());
            async move {
                ports
                    .catalog
                    .table(&"d.out".parse().unwrap())
                    .await
                    .unwrap()
                    .unwrap()
            }
        };
        let made = table(&lake).await;
        assert_eq!(made.storage.location, "s3://lake/out/");
        assert_eq!(made.partition_keys[0].name, "k");
        let registered: Vec<_> = lake
            .partitions("d.out")
            .into_iter()
            .map(|p| (p.values[0].clone(), p.storage.location))
            .collect();
        assert_eq!(
            registered,
            [
                (
                    "__HIVE_DEFAULT_PARTITION__".to_owned(),
                    "s3://lake/out/k=__HIVE_DEFAULT_PARTITION__/".to_owned()
                ),
                ("a/b".to_owned(), "s3://lake/out/k=a%2Fb/".to_owned()),
            ]
        );
        lake.run().await.unwrap();
        assert_eq!(table(&lake).await.version_id, made.version_id);
        // Values are converted to the types of the existing table.
        let mut typed = made.clone();
        typed.storage.columns[0].hive_type = "int".to_owned();
        lake.cloud.with(|state| state.glue.put_table(typed.clone()));
        let (plan, _) = lake.run().await.unwrap();
        assert_eq!(plan.columns[0].hive_type, "int");
        assert_eq!(table(&lake).await, typed);
        lake.set(&by_column("table = \"d.out\"").replace("[\"k\"]", "[\"v\"]"));
        let error = lake.plan().await.unwrap_err();
        assert!(error.to_string().contains("partitioned by"), "{error}");
        lake.set(&by_column("table = \"d.none\""));
        assert_eq!(lake.plan().await.unwrap_err().name(), "TableMissing");
    });
}

#[test]
fn long_lists_are_objects() {
    virtual_time(async {
        let mut lake = Lake::new(&by_column(""));
        lake.job.task_size = Size(1);
        for object in 0..1_001 {
            lake.place(&format!("in/{object}"), "k,v\n");
        }
        let plan = lake.plan().await.unwrap();
        assert!(plan.tasks.is_empty() && plan.prepare_list.is_none());
        let list = plan.tasks_list.unwrap();
        assert_eq!(list.bucket, "lake");
        let tasks: Vec<repartition::TaskRequest> =
            serde_json::from_str(&lake.text(&list.key)).unwrap();
        assert_eq!(tasks.len(), 1_001);
        assert_eq!(tasks[1_000].task, Some(1_000));
        let found: Rows = Vec::new();
        assert_eq!(lake.rows("out/"), found);
    });
}

const FILES: usize = 900;

#[test]
fn every_attempt_at_a_task_and_at_the_commit_gets_further_than_the_one_before() {
    stated(
        "Each attempt at a task or at the commit of a run gets further than the one before, however little time it has, as long as it can read what the task reads and write one file.",
    );
    for (settings, milliseconds) in [
        ("partition_by = [\"place\"]", 900),
        ("partition_by = [\"place\"]", 1_700),
        ("files = 900", 900),
    ] {
        virtual_time(async {
            let lake = Lake::new(&format!(
                "source = \"s3://lake/in/\"\nformat = \"json\"\n{settings}\n[[repartition.output]]\nformat = \"parquet\"",
            ));
            let text = (0..FILES).fold(String::new(), |text, place| {
                format!("{text}{{\"n\":{place},\"place\":\"{place:04}\"}}\n")
            });
            lake.place("in/a.json", text);
            let plan = lake.plan().await.unwrap();
            let [task] = &plan.tasks[..] else {
                panic!("{:?}", plan.tasks)
            };
            let time = SignedDuration::from_millis(milliseconds);
            let mut files_after = Vec::new();
            loop {
                let (ports, budget) = lake.ports_within(time);
                match repartition::write(&ports, &NoSecrets, task, &budget).await {
                    Ok(report) => break assert_eq!(report.outputs, FILES as u64),
                    Err(error) => assert_eq!(error.name(), "Deadline", "{error}"),
                }
                files_after.push(lake.keys("out/").len());
                assert!(
                    files_after.is_sorted_by(|before, after| before < after),
                    "{settings}, {milliseconds} ms: {files_after:?}"
                );
            }
            assert!(
                files_after.len() > 1,
                "{settings}, {milliseconds} ms: {files_after:?}"
            );

            let mut attempts = 0;
            let request = CommitRequest {
                plan: plan.plan.clone(),
            };
            loop {
                attempts += 1;
                assert!(attempts < 10, "{settings}, {milliseconds} ms");
                let time = SignedDuration::from_millis(600);
                let (ports, budget) = lake.ports_within(time);
                match repartition::commit(&ports, &request, budget.deadline).await {
                    Ok(report) => break assert_eq!(report.outputs, FILES as u64),
                    Err(error) => assert_eq!(error.name(), "Deadline", "{error}"),
                }
            }
            assert!(attempts > 1);
        });
    }
}
