//! Columns that are hashed with a secret, which is rotated while a run is under way.

use lakewright_core::config::{SecretName, Size};
use lakewright_model::virtual_time;
use lakewright_tests::semantics::stated;

use crate::lake::Lake;

const VALUES: [&[u8]; 2] = [b"first value", b"second value"];

/// `ann`, hashed with each of the values.
const HASHES: [&str; 2] = [
    "00d79022e7f8a0cb49608915ab1dd42a66a812397033db8b169a3899eefdaf5c",
    "4d0d44f1bfe26b68c8d0aafa6ec7e60c33c6a63d06ae63e040ff887a94e952ed",
];

fn hashing(secret: &str, more: &str) -> Lake {
    let mut lake = Lake::new(&format!(
        "source = \"s3://lake/in/\"\nformat = \"json\"\ncolumns = [\"k\", {{ name = \"who\", hash = {{ secret = \"{secret}\" }} }}]\n{more}\noutput = [{{ format = \"parquet\" }}]"
    ));
    // Each object is a task of its own.
    lake.job.task_size = Size::kib(1);
    for object in 0..3 {
        let null = r#"{"k":"a","who":null}"#;
        let text = format!("{null}{}", r#"{"k":"b","who":"ann"}"#.repeat(60));
        lake.place(&format!("in/{object}"), text);
    }
    lake
}

fn rotate(lake: &Lake, secret: &str, value: &[u8]) -> String {
    let name = secret.parse::<SecretName>().unwrap();
    lake.cloud.with(|state| state.secrets.rotate(&name, value))
}

/// How often each text, or none, is in the column of the hashes.
fn hashes(lake: &Lake) -> Vec<(Option<String>, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for row in lake.rows("out/") {
        *counts.entry(row.last().cloned().flatten()).or_default() += 1;
    }
    counts.into_iter().collect()
}

#[test]
fn every_task_hashes_with_the_version_that_was_planned() {
    stated(
        "In repartition the plan names the version of each secret that was the current one when it was made, and every task of the run hashes with that version, also after a rotation; where the version is gone, the task fails as `SecretFailed`, and what was there before stays.",
    );
    for secret in ["secretsmanager:pseudonyms", "ssm:/lake/pseudonyms"] {
        for more in [
            "files = 1",
            "files = 2",
            "partition_by = [\"k\"]",
            "partition_by = [\"k\"]\nmerge = true",
        ] {
            virtual_time(async {
                let lake = hashing(secret, more);
                let first = rotate(&lake, secret, VALUES[0]);
                let plan = lake.plan().await.unwrap();
                for task in plan.prepare.iter().chain(&plan.tasks) {
                    rotate(&lake, secret, VALUES[1]);
                    lake.write(task).await.unwrap();
                }
                assert_eq!(lake.plan().await.unwrap(), plan);
                lake.commit(&plan).await.unwrap();
                let expected = vec![(None, 3), (Some(HASHES[0].to_owned()), 180)];
                assert_eq!(hashes(&lake), expected, "{secret} {more}");
                let document = lake.text(&plan.plan.key);
                let version = format!(r#""secrets":{{"{secret}":"{first}"}}"#);
                assert!(document.contains(&version), "{document}");
                for value in VALUES {
                    let value = std::str::from_utf8(value).unwrap();
                    assert!(!document.contains(value), "{document}");
                }
                // The next run has the version of then.
                lake.run().await.unwrap();
                let expected = vec![(None, 3), (Some(HASHES[1].to_owned()), 180)];
                assert_eq!(hashes(&lake), expected, "{secret} {more}");
            });
        }
    }
}

#[test]
fn where_the_version_is_gone_nothing_changes() {
    virtual_time(async {
        let secret = "ssm:/lake/pseudonyms";
        let lake = hashing(secret, "files = 1");
        lake.place("out/old", "");
        let error = lake.plan().await.unwrap_err();
        assert_eq!(error.name(), "SecretFailed");
        rotate(&lake, secret, VALUES[0]);
        let plan = lake.plan().await.unwrap();
        let name = secret.parse().unwrap();
        lake.cloud.with(|state| state.secrets.delete(&name));
        rotate(&lake, secret, VALUES[1]);
        let error = lake.write(&plan.tasks[0]).await.unwrap_err();
        assert_eq!(error.name(), "SecretFailed");
        let says = error.to_string();
        assert!(says.contains(secret) && !says.contains("value"), "{says}");
        assert!(says.contains("GetParameter"), "{says}");
        assert_eq!(lake.keys("out/"), ["out/old"]);
        // As docs/OPERATIONS.md says.
        lake.remove(&plan.plan.key);
        lake.run().await.unwrap();
        let expected = vec![(None, 3), (Some(HASHES[1].to_owned()), 180)];
        assert_eq!(hashes(&lake), expected);
    });
}
