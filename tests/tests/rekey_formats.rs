//! rekey over the model of S3 and Glue: every input format, in any memory.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "what is not as it should be fails the test, and the names are ours"
)]

#[path = "rekey_formats/adding.rs"]
mod adding;
#[path = "rekey_formats/avro.rs"]
mod avro;
#[path = "rekey_formats/bounds.rs"]
mod bounds;
#[path = "rekey_formats/columns.rs"]
mod columns;
#[path = "rekey_formats/content.rs"]
mod content;
#[path = "rekey_formats/envelopes.rs"]
mod envelopes;
#[path = "rekey_formats/logs.rs"]
mod logs;
#[path = "rekey_formats/orc.rs"]
mod orc;
#[path = "rekey_formats/parts.rs"]
mod parts;
#[path = "rekey_formats/routes.rs"]
mod routes;
#[path = "rekey_formats/routes_config.rs"]
mod routes_config;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    sync::Arc,
};

use arrow::{
    array::{
        ArrayRef, Int64Array, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
    },
    datatypes::Field,
    json::LineDelimitedWriter,
};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use lakewright_core::{
    catalog::{Column, StorageDescriptor, Table},
    config::Config,
    location::Location,
};
use lakewright_jobs::{
    JobError,
    rekey::{Budget, Delivered, Ports, SourceObject, rekey},
    report::ObjectReport,
};
use lakewright_model::{Client, Cloud, FaultRates, Plan, Settings, virtual_time};
use lakewright_tests::semantics::stated;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::properties::WriterProperties,
};
use serde_json::{Value, json};

/// How much one run may use.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Room {
    memory: u64,
    scratch: u64,
}

const AMPLE: Room = Room {
    memory: 256 << 20,
    scratch: u64::MAX,
};
const ROOMS: [Room; 3] = [
    AMPLE,
    // Every batch of rows goes to the temporary folder, or to the store.
    Room {
        memory: 0,
        scratch: u64::MAX,
    },
    Room {
        memory: 0,
        scratch: 0,
    },
];

/// A cloud with one job, one object after the other.
struct Lake {
    cloud: Arc<Cloud>,
    config: Config,
}

impl Lake {
    fn new(settings: &str) -> Self {
        let config = Config::parse(&format!(
            r#"
            [[rekey]]
            name = "job"
            source = "s3://landing/in/"
            target = "s3://lake/out/"
            {settings}
            "#
        ))
        .unwrap();
        let rates = FaultRates::default();
        Self {
            cloud: Cloud::new(1, Settings::default(), rates),
            config,
        }
    }

    /// Registers the job's table, or changes its columns.
    fn table(&self, columns: &[(&str, &str)], keys: &[&str]) {
        let keys = keys.iter().map(|name| (*name, "string"));
        self.table_of_types(columns, &keys.collect::<Vec<_>>());
    }

    /// The same, with keys of other types.
    fn table_of_types(&self, columns: &[(&str, &str)], keys: &[(&str, &str)]) {
        let job = &self.config.rekey[0];
        let column = |name: &str, hive_type: &str| Column {
            name: name.to_owned(),
            hive_type: hive_type.to_owned(),
        };
        let table = Table {
            name: job.table.clone().unwrap(),
            storage: StorageDescriptor {
                location: job.target.to_string(),
                columns: columns.iter().map(|(n, t)| column(n, t)).collect(),
                ..StorageDescriptor::default()
            },
            partition_keys: keys.iter().map(|(n, t)| column(n, t)).collect(),
            parameters: BTreeMap::new(),
            version_id: None,
        };
        self.cloud.with(|state| state.glue.put_table(table));
    }

    async fn rekey(
        &self,
        key: &str,
        bytes: &[u8],
        room: Room,
    ) -> Result<ObjectReport, Arc<JobError>> {
        Box::pin(self.together(&[(key, bytes)], room))
            .await
            .remove(0)
    }

    /// Lands these objects and processes them in one invocation.
    async fn together(
        &self,
        landed: &[(&str, &[u8])],
        room: Room,
    ) -> Vec<Result<ObjectReport, Arc<JobError>>> {
        let land = |(key, bytes): &(&str, &[u8])| {
            let location = Location::new("landing", format!("in/{key}"));
            let etag = self.cloud.place(&location, Bytes::copy_from_slice(bytes));
            let object = SourceObject {
                location,
                etag: Some(etag),
                size: Some(bytes.len() as u64),
            };
            Delivered {
                object,
                receives: 1,
                just_landed: true,
            }
        };
        let objects = landed.iter().map(land).collect::<Vec<_>>();
        let client = Client::new(Arc::clone(&self.cloud), 1, Plan::default());
        let ports = Ports {
            store: Arc::new(client.clone()),
            catalog: Arc::new(client.clone()),
            clock: Arc::new(self.cloud.clock),
        };
        let budget = Budget {
            memory: room.memory,
            scratch: std::env::temp_dir(),
            scratch_bytes: room.scratch,
            deadline: Timestamp::MAX,
        };
        rekey(
            &ports,
            &client,
            &self.config.rekey[0],
            &BTreeSet::new(),
            &objects,
            &budget,
        )
        .await
        .objects
    }

    fn object(&self, key: &str) -> Bytes {
        self.cloud.with(|state| {
            let object = state.s3.object(&Location::new("lake", key));
            object
                .unwrap_or_else(|| panic!("{key} does not exist"))
                .bytes
                .clone()
        })
    }

    /// The keys that begin with this below the lake's bucket.
    fn keys(&self, prefix: &str) -> Vec<String> {
        let prefix = Location::new("lake", prefix);
        self.cloud.with(|state| {
            let below = state.s3.below(&prefix);
            below.map(|(location, _)| location.key.clone()).collect()
        })
    }

    /// The keys below the target, except what says that an object is being processed.
    fn written(&self) -> Vec<String> {
        let is_note = |key: &String| {
            ["/batch/", "/claim/", "/failed/"]
                .iter()
                .any(|note| key.contains(note))
        };
        let keys = self.keys("out/").into_iter();
        keys.filter(|key| !is_note(key)).collect()
    }

    /// The rows of each output, in their order, by its directory and part.
    fn rows(&self, report: &ObjectReport) -> BTreeMap<String, Vec<Value>> {
        let mut rows = BTreeMap::new();
        for output in &report.outputs {
            let bytes = self.object(&output.key);
            assert_eq!(bytes.len() as u64, output.bytes);
            let (directory, name) = output.key.rsplit_once('/').unwrap();
            let part = name.rsplit('-').next().unwrap();
            let read = read(name, bytes);
            assert_eq!(read.len() as u64, output.rows, "{}", output.key);
            let directory = directory.strip_prefix("out/").unwrap_or("");
            rows.insert(format!("{directory}/{part}"), read);
        }
        rows
    }

    fn quarantine(&self, report: &ObjectReport) -> Vec<Value> {
        let Some(key) = &report.quarantine else {
            return Vec::new();
        };
        lines(&self.object(key))
    }
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn read(name: &str, bytes: Bytes) -> Vec<Value> {
    if name.ends_with(".parquet") {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        let batches = reader
            .build()
            .unwrap()
            .map(Result::unwrap)
            .collect::<Vec<_>>();
        let mut json = LineDelimitedWriter::new(Vec::new());
        json.write_batches(&batches.iter().collect::<Vec<_>>())
            .unwrap();
        json.finish().unwrap();
        return lines(&json.into_inner());
    }
    let mut plain = Vec::new();
    if name.ends_with(".gz") {
        MultiGzDecoder::new(&bytes[..])
            .read_to_end(&mut plain)
            .unwrap();
    } else {
        plain.extend_from_slice(&bytes);
    }
    if name.contains(".csv") {
        let text = String::from_utf8(plain).unwrap();
        return text.lines().skip(1).map(|line| json!(line)).collect();
    }
    lines(&plain)
}

const BY_DAY: &str = r#"timestamp = { column = "t" }
partition_by = ["date"]
"#;

#[test]
fn csv_goes_into_the_columns_of_the_table() {
    let settings = format!("{BY_DAY}\nformat = \"csv\"\ntable = \"lake.t\"");
    let text = "N,t,Text,more\r\n1,2026-05-01T00:00:00Z,\"a\nb \"\"c\"\"\",x\n2,2026-05-02,,\"\"\n3,2026-05-01\nx,2026-05-01,,\n4,never,,\n";
    for room in ROOMS {
        virtual_time(async {
            let lake = Lake::new(&settings);
            lake.table(
                &[("n", "int"), ("t", "timestamp"), ("text", "string")],
                &["date"],
            );
            let report = lake.rekey("a.csv", text.as_bytes(), room).await.unwrap();
            assert_eq!((report.rows_in, report.rows_out), (5, 2), "{room:?}");
            assert_eq!(report.fields_dropped, 2);
            assert_eq!(
                json!(lake.rows(&report)),
                json!({
                    "date=2026-05-01/00000.zstd.parquet": [{"n": 1, "t": "2026-05-01T00:00:00", "text": "a\nb \"c\""}],
                    "date=2026-05-02/00000.zstd.parquet": [{"n": 2, "t": "2026-05-02T00:00:00"}],
                })
            );
            let refused = lake.quarantine(&report);
            let refused = refused.iter().map(|line| {
                let start = usize::try_from(line["offset"].as_u64().unwrap()).unwrap();
                let record = line["record"].as_str().unwrap();
                assert!(text[start..].starts_with(record));
                (record, line["reason"].as_str().unwrap())
            });
            assert_eq!(
                refused.collect::<Vec<_>>(),
                [
                    ("3,2026-05-01", "field_count"),
                    ("x,2026-05-01,,", "mismatch"),
                    ("4,never,,", "bad_timestamp")
                ]
            );
            let reasons = json!(report.quarantined_by_reason);
            assert_eq!(
                reasons,
                json!({"bad_timestamp": 1, "field_count": 1, "mismatch": 1})
            );
        });
    }
}

#[test]
fn csv_without_a_table_is_strings_and_may_have_no_header() {
    for (csv, text) in [
        ("", "n,t\n1,2026-05-01\n"),
        (
            "csv = { header = false, columns = [\"N\", \"t\"], delimiter = \";\" }",
            "1;2026-05-01\n",
        ),
    ] {
        virtual_time(async {
            let settings =
                format!("{BY_DAY}\nformat = \"csv\"\n{csv}\noutput = [{{ format = \"json\" }}]");
            let lake = Lake::new(&settings);
            let report = lake.rekey("a.csv", text.as_bytes(), AMPLE).await.unwrap();
            assert_eq!(
                json!(lake.rows(&report)),
                json!({"date=2026-05-01/00000.json.gz": [{"n": "1", "t": "2026-05-01"}]})
            );
        });
    }
}

/// A Parquet file of `rows` rows in row groups of 100, one an hour from 2026-05-01 on, with a nested column.
fn parquet(rows: i64) -> Vec<u8> {
    let start: Timestamp = "2026-05-01T00:00:00Z".parse().unwrap();
    let times = (0..rows).map(|row| start.as_microsecond() + row * 3_600_000_000);
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(times));
    let plates = (0..rows).map(|row| (row % 3 > 0).then(|| format!("p{row}")));
    let plates: ArrayRef = Arc::new(plates.collect::<StringArray>());
    let detail = StructArray::from(vec![
        (
            Arc::new(Field::new("plate", plates.data_type().clone(), true)),
            plates,
        ),
        (
            Arc::new(Field::new("time", times.data_type().clone(), true)),
            times,
        ),
    ]);
    let batch = RecordBatch::try_from_iter([
        (
            "N",
            Arc::new(Int64Array::from_iter_values(0..rows)) as ArrayRef,
        ),
        ("detail", Arc::new(detail) as ArrayRef),
    ])
    .unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(100))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn parquet_is_read_row_group_by_row_group() {
    stated("A Parquet object is read one row group at a time, whatever its size.");
    stated("Every output of a job holds the same rows, each in its format.");
    let settings = r#"format = "parquet"
        timestamp = { column = "detail.time", earliest = "2026-05-01T01:00:00Z" }
        partition_by = ["date"]
        sort_by_time = true
        [[rekey.output]]
        format = "parquet"
        [[rekey.output]]
        format = "json"
        compression = "none"
        "#;
    for room in ROOMS {
        virtual_time(async {
            let lake = Lake::new(settings);
            let report = lake.rekey("a.parquet", &parquet(480), room).await.unwrap();
            assert_eq!((report.rows_in, report.rows_out), (480, 479));
            let rows = lake.rows(&report);
            assert_eq!(rows.len(), 40, "{room:?}");
            for (path, of_json) in rows.iter().filter(|(path, _)| path.starts_with("json/")) {
                let path = path
                    .replace("json/", "parquet/")
                    .replace(".json", ".zstd.parquet");
                let numbers =
                    |rows: &[Value]| rows.iter().map(|row| row["n"].clone()).collect::<Vec<_>>();
                assert_eq!(numbers(&rows[&path]), numbers(of_json), "{path}");
            }
            let last =
                json!({"n": 479, "detail": {"plate": "p479", "time": "2026-05-20 23:00:00.000"}});
            assert_eq!(rows["json/date=2026-05-20/00000.json"][23], last);
            let numbers = rows["parquet/date=2026-05-05/00000.zstd.parquet"].iter();
            let numbers = numbers.map(|row| row["n"].as_i64().unwrap());
            assert_eq!(numbers.collect::<Vec<_>>(), (96..120).collect::<Vec<_>>());
            let refused = lake.quarantine(&report);
            assert_eq!(refused.len(), 1);
            assert_eq!(
                (&refused[0]["offset"], &refused[0]["reason"]),
                (&json!(0), &json!("before_earliest"))
            );
            assert!(lake.keys("out/_lakewright/spool/").is_empty());
        });
    }
}

#[test]
fn floating_point_partitions_are_those_of_spark() {
    stated(
        "A floating point number of a partition column is what Java, and so Spark, prints: `1.0E7`, `0.001`, `1.0E-4`, `-0.0`; that of a `float` column has the digits of a float, `0.1`.",
    );
    let values = [
        ("1e7", "1.0E7"),
        ("12345678.9", "1.23456789E7"),
        ("0.001", "0.001"),
        ("0.0001", "1.0E-4"),
        ("-0.0", "-0.0"),
        ("2", "2.0"),
        ("9999999", "9999999.0"),
    ];
    let text = |values: &[(&str, &str)]| {
        let lines = values
            .iter()
            .map(|(value, _)| format!("{{\"t\":\"2026-05-01\",\"x\":{value}}}\n"));
        lines.collect::<String>()
    };
    let paths = |report: &ObjectReport, lake: &Lake| {
        let mut paths = lake.rows(report).into_keys().collect::<Vec<_>>();
        paths.sort_unstable();
        paths
    };
    let expected = |values: &[(&str, &str)]| {
        let path = |(_, path): &(&str, &str)| format!("x={path}/00000.zstd.parquet");
        let mut expected = values.iter().map(path).collect::<Vec<_>>();
        expected.sort_unstable();
        expected
    };
    let settings = "timestamp = { column = \"t\" }\npartition_by = [\"x\"]\n";
    virtual_time(async {
        let lake = Lake::new(settings);
        let report = lake.rekey("1", text(&values).as_bytes(), AMPLE).await;
        assert_eq!(paths(&report.unwrap(), &lake), expected(&values));
        for (hive_type, values) in [
            ("double", &[("0.1", "0.1"), ("\"NaN\"", "NaN")][..]),
            ("float", &[("0.1", "0.1"), ("1e10", "1.0E10")]),
        ] {
            let lake = Lake::new(&format!("{settings}table = \"lake.t\""));
            lake.table_of_types(&[("t", "string")], &[("x", hive_type)]);
            let report = lake.rekey("1", text(values).as_bytes(), AMPLE).await;
            assert_eq!(paths(&report.unwrap(), &lake), expected(values));
        }
    });
}

#[test]
fn a_column_added_to_the_table_takes_effect() {
    stated("A column that is added to the table takes effect with the next object.");
    virtual_time(async {
        let lake = Lake::new(&format!("{BY_DAY}table = \"lake.t\""));
        let record = br#"{"t":"2026-05-01","a":1,"b":2}"#;
        lake.table(&[("a", "int")], &["date"]);
        let before = lake.rekey("1", record, AMPLE).await.unwrap();
        lake.table(&[("a", "int"), ("b", "int")], &["date"]);
        let after = lake.rekey("2", record, AMPLE).await.unwrap();
        let rows = |report: &ObjectReport| lake.rows(report).into_values().next().unwrap();
        assert_eq!(rows(&before), [json!({"a": 1})]);
        assert_eq!(rows(&after), [json!({"a": 1, "b": 2})]);
    });
}
