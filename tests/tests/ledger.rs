//! The ledger, the quarantine, the files and the report after an object was processed, over the models.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "ledger/attempts.rs"]
mod attempts;
#[path = "ledger/batches.rs"]
mod batches;
#[path = "ledger/cost.rs"]
mod cost;
#[path = "ledger/secrets.rs"]
mod secrets;
#[path = "ledger/status.rs"]
mod status;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::Write as _,
    sync::Arc,
};

use arrow::{array::RecordBatch, util::display::array_value_to_string};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use jiff::{SignedDuration, Timestamp};
use lakewright_core::{
    catalog::{Column, StorageDescriptor, Table, TableName},
    config::{Config, Rekey},
    location::Location,
    naming::source_id,
};
use lakewright_jobs::{
    JobError,
    rekey::{Budget, Claim, Commit, Delivered, Plan, Ports, SourceObject, rekey},
    report::{ObjectReport, Status},
    retry::{Backoff, RetryPolicy, Retrying, RetryingCatalog},
};
use lakewright_model::{Client, Cloud, FaultRates, Plan as Faults, Settings, virtual_time};
use lakewright_ports::Clock;
use lakewright_tests::semantics::stated;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

/// A job by the date, with further settings of its timestamp and of itself.
fn job(time: &str, more: &str) -> Rekey {
    let config = format!(
        r#"
        [[rekey]]
        name = "t"
        source = "s3://landing/t/"
        target = "s3://lake/t/"
        timestamp = {{ column = "t", earliest = "2020-01-01", latest = "2030-01-01" {time} }}
        partition_by = ["date"]
        {more}
        "#
    );
    Config::parse(&config).unwrap().rekey.remove(0)
}

/// A cloud with a landed object.
struct World {
    cloud: Arc<Cloud>,
    object: SourceObject,
}

impl World {
    fn new(bytes: &[u8]) -> Self {
        let cloud = Cloud::new(1, Settings::default(), FaultRates::default());
        let location = Location::new("landing", "t/object");
        let etag = cloud.place(&location, Bytes::copy_from_slice(bytes));
        Self {
            cloud,
            object: SourceObject {
                location,
                etag: Some(etag),
                size: Some(bytes.len() as u64),
            },
        }
    }

    /// Makes the table `lake.t` of these columns and partition keys.
    fn with_table(self, columns: &[(&str, &str)], keys: &[&str]) -> Self {
        let column = |(name, hive_type): (&str, &str)| Column {
            name: name.to_owned(),
            hive_type: hive_type.to_owned(),
        };
        let table = Table {
            name: TableName {
                database: "lake".to_owned(),
                table: "t".to_owned(),
            },
            storage: StorageDescriptor {
                location: "s3://lake/t/".to_owned(),
                columns: columns.iter().copied().map(column).collect(),
                ..StorageDescriptor::default()
            },
            partition_keys: keys.iter().map(|key| column((key, "string"))).collect(),
            parameters: BTreeMap::new(),
            version_id: None,
        };
        self.cloud.with(|state| state.glue.put_table(table));
        self
    }

    /// One invocation that has so long, and how many calls it made.
    async fn attempt(
        &self,
        job: &Rekey,
        time: SignedDuration,
    ) -> (Result<ObjectReport, Arc<JobError>>, u64) {
        self.delivered(job, time, time, 1).await
    }

    /// One invocation whose work and calls end after these times, at this delivery.
    async fn delivered(
        &self,
        job: &Rekey,
        work: SignedDuration,
        calls: SignedDuration,
        receives: u32,
    ) -> (Result<ObjectReport, Arc<JobError>>, u64) {
        let client = Client::new(Arc::clone(&self.cloud), 1, Faults::default());
        let clock = Arc::new(self.cloud.clock);
        let deadline = clock.now() + calls;
        let backoff = |policy| Backoff::new(clock.clone(), deadline, 1, policy);
        let store = Retrying::new(client.clone(), backoff(RetryPolicy::S3));
        let catalog = RetryingCatalog::new(client.clone(), backoff(RetryPolicy::GLUE));
        let ports = Ports {
            store: Arc::new(store),
            catalog: Arc::new(catalog),
            clock: clock.clone(),
        };
        let budget = Budget {
            memory: 64 << 20,
            scratch: std::env::temp_dir(),
            scratch_bytes: u64::MAX,
            deadline: ports.clock.now() + work,
        };
        let objects = [Delivered {
            object: self.object.clone(),
            receives,
            just_landed: receives == 1,
        }];
        let answers = rekey(&ports, &client, job, &BTreeSet::new(), &objects, &budget).await;
        let [result] = <[_; 1]>::try_from(answers.objects).unwrap();
        (result, client.calls())
    }

    async fn rekey(&self, job: &Rekey) -> Result<ObjectReport, Arc<JobError>> {
        Box::pin(self.attempt(job, SignedDuration::from_hours(1)))
            .await
            .0
    }

    fn read(&self, key: &str) -> Option<Bytes> {
        let location = Location::new("lake", key);
        self.cloud
            .with(|state| Some(state.s3.object(&location)?.bytes.clone()))
    }

    /// All objects below the target: when each was written, by key.
    fn existing(&self) -> BTreeMap<String, Timestamp> {
        let target = Location::new("lake", "t/");
        self.cloud.with(|state| {
            let objects = state.s3.below(&target);
            objects
                .map(|(location, object)| (location.key.clone(), object.last_modified))
                .collect()
        })
    }

    /// The keys below the target, except what says that the object is being processed.
    fn written(&self) -> Vec<String> {
        let is_note = |key: &String| {
            ["batch", "claim", "failed"]
                .iter()
                .any(|note| key.contains(&format!("/_lakewright/{note}/")))
        };
        let keys = self.existing().into_keys();
        keys.filter(|key| !is_note(key)).collect()
    }

    fn sid(&self) -> String {
        let etag = self.object.etag.as_deref().unwrap();
        source_id("landing", "t/object", etag)
    }

    /// The batch of the object's claim of this number.
    fn batch(&self, claim: u32) -> String {
        let key = format!("t/_lakewright/claim/{}/{claim}", self.sid());
        let claim: Claim = serde_json::from_slice(&self.read(&key).unwrap()).unwrap();
        claim.batch
    }

    fn commit(&self) -> Commit {
        let key = format!("t/_lakewright/commit/{}", self.batch(0));
        serde_json::from_slice(&self.read(&key).unwrap()).unwrap()
    }

    fn plan(&self) -> Plan {
        let key = format!("t/_lakewright/plan/{}", self.batch(0));
        serde_json::from_slice(&self.read(&key).unwrap()).unwrap()
    }

    /// The rows of a Parquet output, each as the text of its values by column.
    fn rows(&self, key: &str) -> Vec<BTreeMap<String, String>> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(self.read(key).unwrap()).unwrap();
        let mut rows = Vec::new();
        for batch in builder.build().unwrap() {
            let batch = batch.unwrap();
            rows.extend((0..batch.num_rows()).map(|row| texts(&batch, row)));
        }
        rows
    }
}

fn texts(batch: &RecordBatch, row: usize) -> BTreeMap<String, String> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    columns
        .filter(|(_, array)| array.is_valid(row))
        .map(|(field, array)| {
            let text = array_value_to_string(array, row).unwrap();
            (field.name().clone(), text)
        })
        .collect()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// The quarantine: each reason as SEMANTICS.md defines it, and a record for it. The last record ends the input.
fn set_aside() -> Vec<(&'static str, String)> {
    let good = r#"{"t":"2026-05-01T13:00:00Z","n":1"#;
    vec![
        (
            "`not_an_object`: it is JSON, but no object.",
            "17".to_owned(),
        ),
        (
            "`invalid_json`: the bytes are not JSON.",
            r#"{"t":"2026-05-01","n":x}"#.to_owned(),
        ),
        (
            "`too_deep`: it is nested deeper than the limit.",
            format!(
                r#"{good},"n":{}1{}}}"#,
                "[".repeat(9_999),
                "]".repeat(9_999)
            ),
        ),
        (
            "`no_timestamp`: the timestamp's field is missing or null.",
            r#"{"n":1}"#.to_owned(),
        ),
        (
            "`bad_timestamp`: the timestamp's field holds no time.",
            r#"{"t":"yesterday"}"#.to_owned(),
        ),
        (
            "`before_earliest`: the time is before `earliest`.",
            r#"{"t":"2019-12-31T23:59:59Z"}"#.to_owned(),
        ),
        (
            "`after_latest`: the time is after `latest`.",
            r#"{"t":"2030-01-01T00:00:01Z"}"#.to_owned(),
        ),
        (
            "`unknown_field`: it has a field without a column, and `on_unknown` is `quarantine`.",
            format!(r#"{good},"x":1}}"#),
        ),
        (
            "`mismatch`: a value does not fit its column, and `on_mismatch` is `quarantine`.",
            format!(r#"{good},"n":"many"}}"#),
        ),
        (
            "`key_collision`: two keys mean one column and differ in case.",
            format!(r#"{good},"N":2}}"#),
        ),
        (
            "`bad_partition`: the value that would name its partition is too long for a path.",
            format!(r#"{good},"city":"{}"}}"#, "x".repeat(1_025)),
        ),
        (
            "`truncated`: the input ends inside the record.",
            good.to_owned(),
        ),
    ]
}

#[test]
fn every_record_is_in_a_file_or_in_the_quarantine() {
    stated(
        "A record that is set aside is one line of JSON in `_lakewright/quarantine/<batch id>-<plan hash>.jsonl` under the target: `source`, `etag`, `offset`, `length`, `reason`, `detail` and `record`.",
    );
    stated(
        "`offset` and `length` count bytes of the decompressed object, and `record` is exactly these bytes; of a Parquet file, `offset` is the row, counted from 0.",
    );
    stated(
        "A report and its commit say `rows_in` = `rows_out` + `rows_quarantined`, and `rows_out` counts each record once, whatever the number of outputs.",
    );
    stated(
        "`committed`: all rows of the object are in files, their partitions are registered, and the ledger says so.",
    );
    let good = r#"{"t":"2026-05-01T13:00:00Z","n":1,"city":"Åre"}"#;
    let set_aside = set_aside();
    let mut plain = String::new();
    for (_, record) in &set_aside {
        write!(plain, "{good}\n{record}\n").unwrap();
    }
    let plain = plain.trim_end();
    let more = r#"
        on_unknown = "quarantine"
        table = "lake.t"
        output = [{ format = "parquet" }, { format = "json", compression = "none" }]
    "#;
    let mut job = job("", more);
    job.partition_by.push("city".to_owned());
    virtual_time(async {
        let columns = [("t", "string"), ("n", "int")];
        let world = World::new(&gzip(plain.as_bytes())).with_table(&columns, &["date", "city"]);
        let report = world.rekey(&job).await.unwrap();
        let rows = set_aside.len() as u64;
        assert_eq!(report.status, Status::Committed);
        assert_eq!(
            (report.rows_in, report.rows_out, report.rows_quarantined),
            (2 * rows, rows, rows)
        );
        let commit = world.commit();
        let of_object = &commit.objects[&world.sid()];
        assert_eq!(
            (
                of_object.rows_in,
                of_object.rows_out,
                of_object.rows_quarantined
            ),
            (2 * rows, rows, rows)
        );
        assert_eq!(
            (&commit.outputs, &of_object.quarantine),
            (&report.outputs, &report.quarantine)
        );

        let [json, parquet] = report.outputs.as_slice() else {
            panic!("{report:?}");
        };
        assert_eq!((json.rows, parquet.rows), (rows, rows));
        let lines = world.read(&json.key).unwrap();
        assert_eq!(lines, format!("{good}\n").repeat(set_aside.len()));
        let registered = world.cloud.with(|state| {
            let partitions = state.glue.registered(job.table.as_ref().unwrap());
            partitions.map(|p| p.values.clone()).collect::<Vec<_>>()
        });
        assert_eq!(registered, [["2026-05-01", "Åre"]]);

        let key = report.quarantine.unwrap();
        let name = key.strip_prefix("t/_lakewright/quarantine/").unwrap();
        let (bid, hash) = name
            .strip_suffix(".jsonl")
            .unwrap()
            .split_once('-')
            .unwrap();
        assert_eq!(bid, world.batch(0));
        assert!(json.key.contains(&format!("{bid}-{hash}-")), "{}", json.key);

        let lines = world.read(&key).unwrap();
        let mut lines = str::from_utf8(&lines)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .collect::<Vec<_>>();
        lines.sort_by_key(|line| line["offset"].as_u64());
        assert_eq!(lines.len(), set_aside.len());
        for (line, (statement, record)) in lines.iter().zip(&set_aside) {
            stated(statement);
            let code = statement.split('`').nth(1).unwrap();
            let offset = usize::try_from(line["offset"].as_u64().unwrap()).unwrap();
            assert_eq!(plain[offset..][..record.len()], **record);
            let detail = line["detail"].as_str().unwrap();
            assert!(!detail.is_empty(), "{line}");
            let expected = json!({
                "source": "s3://landing/t/object", "etag": world.object.etag,
                "offset": offset, "length": record.len(), "reason": code, "detail": detail, "record": record,
            });
            assert_eq!(*line, expected);
        }
    });
}

#[test]
fn policies() {
    stated(
        "A field without a column is left out, or sets its record aside, or refuses the object, as `on_unknown` says.",
    );
    stated(
        "A value that does not fit its column becomes null, or sets its record aside, or refuses the object, as `on_mismatch` says; the error names the column by its path and the value.",
    );
    let unknown = r#"{"t":"2026-05-01","s":{"n":1},"x":{"y":1}}"#;
    let mismatch = r#"{"t":"2026-05-01","s":{"n":"many"}}"#;
    for (setting, record, row, detail) in [
        (
            "on_unknown",
            unknown,
            "{n: 1}",
            "the schema has no column for the field `x`",
        ),
        (
            "on_mismatch",
            mismatch,
            "{n: }",
            "column `s.n` is int, the record has \"many\"",
        ),
    ] {
        for policy in ["drop", "quarantine", "fail"] {
            let job = job("", &format!("{setting} = \"{policy}\"\ntable = \"lake.t\""));
            let what = format!("{setting} = {policy}");
            virtual_time(async {
                let columns = [("t", "string"), ("s", "struct<n:int>")];
                let world = World::new(record.as_bytes()).with_table(&columns, &["date"]);
                let result = world.rekey(&job).await;
                match policy {
                    "drop" => {
                        let report = result.unwrap();
                        let row_of = |key: &str| world.rows(key)[0]["s"].clone();
                        assert_eq!(row_of(&report.outputs[0].key), row, "{what}");
                        let dropped = u64::from(setting == "on_unknown");
                        assert_eq!(report.fields_dropped, dropped, "{what}");
                    }
                    "quarantine" => {
                        let line = world.read(&result.unwrap().quarantine.unwrap()).unwrap();
                        let line: Value = serde_json::from_slice(&line).unwrap();
                        assert_eq!(line["detail"], detail, "{what}");
                    }
                    _ => {
                        let error = result.unwrap_err();
                        assert_eq!(error.name(), "RecordRefused", "{what}");
                        let told = detail.replace("\"many\"", "a value of 6 bytes");
                        assert!(error.to_string().contains(&told), "{error}");
                        assert_eq!(world.written(), Vec::<String>::new(), "{what}");
                    }
                }
            });
        }
    }
}

#[test]
fn timestamp_columns() {
    stated(
        "A timestamp column takes what a record's time may be, in the configured zone but without the configured pattern, unit and bounds; what is below its precision is cut off towards the past.",
    );
    let job = job(
        r#", unit = "s", zone = "Europe/Paris""#,
        "table = \"lake.t\"",
    );
    for (value, expected) in [
        ("1777593600000", "2026-05-01T00:00:00"),
        ("\"2026-05-01 12:00:00\"", "2026-05-01T10:00:00"),
        ("\"20260501\"", "2026-04-30T22:00:00"),
        ("\"1066-10-14T12:00:00Z\"", "1066-10-14T12:00:00"),
        (
            "\"2026-05-01T00:00:00.0000019Z\"",
            "2026-05-01T00:00:00.000001",
        ),
        (
            "\"1969-12-31T23:59:59.9999999Z\"",
            "1969-12-31T23:59:59.999999",
        ),
        ("\"1969-12-31T23:59:59.0000001Z\"", "1969-12-31T23:59:59"),
    ] {
        let record = format!(r#"{{"t":1777593600,"u":{value}}}"#);
        virtual_time(async {
            let columns = [("t", "bigint"), ("u", "timestamp")];
            let world = World::new(record.as_bytes()).with_table(&columns, &["date"]);
            let report = world.rekey(&job).await.unwrap();
            assert_eq!(report.rows_out, 1, "{value}");
            assert_eq!(
                world.rows(&report.outputs[0].key)[0]["u"],
                expected,
                "{value}"
            );
        });
    }
}

#[test]
fn inferred_columns() {
    stated(
        "Where no table gives the columns, they are those of all records of the batch that are JSON, by names in lower case, in the order in which they are first seen.",
    );
    stated(
        "A record that is set aside because it is not JSON counts for nothing, and one that is set aside for its time counts.",
    );
    let records = r#"
{"B":1,"t":"2026-05-01"}
{"broken":1,"t":"2026-05-01","n":}
{"t":"tomorrow","n":{"Late":true}}
{"t":"2026-05-01","b":2.5}
"#;
    let records = records.replace("\"b\":2.5", "\"B\":2.5,\"a\":\"\"");
    virtual_time(async {
        let world = World::new(records.as_bytes());
        let report = world.rekey(&job("", "")).await.unwrap();
        assert_eq!((report.rows_out, report.rows_quarantined), (2, 2));
        let bytes = world.read(&report.outputs[0].key).unwrap();
        let schema = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        let columns = schema.schema().fields().iter();
        let columns = columns.map(|field| format!("{} {}", field.name(), field.data_type()));
        assert_eq!(
            columns.collect::<Vec<_>>(),
            [
                "b Float64",
                "t Utf8",
                "n Struct(\"late\": Boolean)",
                "a Utf8"
            ]
        );
    });
}
