//! Records of one object that go to several targets and tables.

use arrow::array::Float64Array;
use lakewright_core::config::Rekey;

use super::*;

/// By `kind`: orders, and sevens into JSON by shop.
const ROUTES: &str = r#"
    timestamp = { column = "t", earliest = "2026-01-01T00:00:00Z" }
    partition_by = ["date"]
    [rekey.route]
    column = "kind"
    [rekey.route.tables.order]
    target = "s3://lake/orders/"
    table = "lake.orders"
    [rekey.route.tables.7]
    target = "s3://lake/out/sevens/"
    table = "lake.sevens"
    partition_by = ["date", "shop"]
    on_mismatch = "drop"
    output = [{ format = "json", compression = "none" }]
    "#;

/// The columns of both tables.
const ORDERS: &[(&str, &str)] = &[("id", "bigint"), ("n", "int"), ("kind", "string")];
const SEVENS: &[(&str, &str)] = &[("id", "string"), ("n", "int")];

/// The job with this format.
fn lake(format: &str, more: &str) -> Lake {
    let lake = Lake::new(&format!("format = \"{format}\"\n{more}\n{ROUTES}"));
    put_tables(&lake);
    lake
}

/// Registers the tables of every destination.
fn put_tables(lake: &Lake) {
    for job in lake.config.rekey[0].destinations() {
        let name = job.table.clone().unwrap();
        let columns = if name.table == "orders" {
            ORDERS
        } else {
            SEVENS
        };
        let column = |name: &str, hive_type: &str| Column {
            name: name.to_owned(),
            hive_type: hive_type.to_owned(),
        };
        let table = Table {
            name,
            storage: StorageDescriptor {
                location: job.target.to_string(),
                columns: columns.iter().map(|(n, t)| column(n, t)).collect(),
                ..StorageDescriptor::default()
            },
            partition_keys: job
                .partition_by
                .iter()
                .map(|key| column(key, "string"))
                .collect(),
            parameters: BTreeMap::new(),
            version_id: None,
        };
        lake.cloud.with(|state| state.glue.put_table(table));
    }
}

/// A job of one destination alone.
fn alone(format: &str, destination: &Rekey) -> Lake {
    let mut lake = Lake::new(&format!("format = \"{format}\"\n{ROUTES}"));
    put_tables(&lake);
    lake.config.rekey[0] = destination.clone();
    lake
}

/// One record; `None`: the field is missing or null.
#[derive(Debug, Clone)]
struct Record {
    id: i64,
    t: &'static str,
    kind: Option<&'static str>,
    n: &'static str,
    shop: &'static str,
}

fn records(seed: u64) -> Vec<Record> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let count = rng.i64(0..40);
    let record = |id| Record {
        id,
        t: rng
            .choice([
                "2026-05-01",
                "2026-05-02",
                "2026-05-02T10:00:00Z",
                "1999-01-01",
            ])
            .unwrap(),
        kind: rng
            .choice([
                Some("order"),
                Some("7"),
                Some("order"),
                Some("ORDER"),
                Some("7.0"),
                None,
            ])
            .unwrap(),
        n: rng.choice(["1", "2", "3000000000"]).unwrap(),
        shop: rng.choice(["a", "b/c"]).unwrap(),
    };
    (0..count).map(record).collect()
}

/// An object of these records.
fn object(format: &str, records: &[Record]) -> Vec<u8> {
    match format {
        "json" => {
            let line = |of: &Record| {
                let mut line = json!({"id": of.id, "t": of.t, "n": of.n.parse::<i64>().unwrap(), "shop": of.shop});
                match of.kind {
                    // A number is compared as it is written.
                    Some("7") if of.id % 2 == 0 => line["kind"] = json!(7),
                    Some(kind) => line["Kind"] = json!(kind),
                    None if of.id % 2 == 0 => line["kind"] = Value::Null,
                    None => {}
                }
                format!("{line}\n")
            };
            records.iter().map(line).collect::<String>().into_bytes()
        }
        "csv" => {
            let line = |of: &Record| {
                let kind = of.kind.unwrap_or_default();
                format!("{},{},{kind},{},{}\n", of.id, of.t, of.n, of.shop)
            };
            let lines = records.iter().map(line).collect::<String>();
            format!("id,t,KIND,n,shop\n{lines}").into_bytes()
        }
        _ => {
            let texts = |of: fn(&Record) -> Option<&'static str>| -> ArrayRef {
                Arc::new(records.iter().map(of).collect::<StringArray>())
            };
            let numbers = |of: fn(&Record) -> i64| -> ArrayRef {
                Arc::new(Int64Array::from_iter_values(records.iter().map(of)))
            };
            let batch = RecordBatch::try_from_iter_with_nullable([
                ("id", numbers(|of| of.id), true),
                ("t", texts(|of| Some(of.t)), true),
                ("kind", texts(|of| of.kind), true),
                ("n", numbers(|of| of.n.parse().unwrap()), true),
                ("shop", texts(|of| Some(of.shop)), true),
            ])
            .unwrap();
            let properties = WriterProperties::builder()
                .set_max_row_group_row_count(Some(7))
                .build();
            let writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties));
            let mut writer = writer.unwrap();
            writer.write(&batch).unwrap();
            writer.into_inner().unwrap()
        }
    }
}

#[test]
fn each_record_is_written_as_by_a_job_of_its_destination_alone() {
    stated(
        "With `route`, each record goes to one destination, where it is written as by a job of that destination alone, or to the quarantine; the records of one object, whatever their destinations, are in one plan and one commit.",
    );
    for (format, seed) in ["json", "csv", "parquet"]
        .into_iter()
        .flat_map(|format| (0..24).map(move |seed| (format, seed)))
    {
        let records = records(seed);
        let room = ROOMS[usize::try_from(seed).unwrap() % ROOMS.len()];
        virtual_time(async {
            let lake = lake(
                format,
                if seed % 4 == 0 {
                    "sort_by_time = true"
                } else {
                    ""
                },
            );
            let report = lake
                .rekey("a", &object(format, &records), room)
                .await
                .unwrap();
            let found = lake.rows(&report);
            let mut wanted = BTreeMap::new();
            let (mut by_route, mut refused) = (BTreeMap::new(), 0);
            for (kind, destination) in ["7", "order"]
                .into_iter()
                .zip(lake.config.rekey[0].destinations())
            {
                let is_mine = |of: &&Record| of.kind == Some(kind);
                let mine = records.iter().filter(is_mine).cloned().collect::<Vec<_>>();
                let other = alone(format, &destination);
                let report = other
                    .rekey("a", &object(format, &mine), AMPLE)
                    .await
                    .unwrap();
                wanted.extend(other.rows(&report));
                if report.rows_out > 0 {
                    by_route.insert(kind.to_owned(), report.rows_out);
                }
                refused += report.rows_quarantined;
            }
            assert_eq!(found, wanted, "{format} {seed}");
            assert_eq!(report.rows_by_route, by_route, "{format} {seed}");
            let is_routed = |of: &&Record| matches!(of.kind, Some("order" | "7"));
            let nowhere = records.len() - records.iter().filter(is_routed).count();
            let no_route = lake
                .quarantine(&report)
                .into_iter()
                .filter(|line| line["reason"] == "no_route")
                .count();
            assert_eq!(no_route, nowhere, "{format} {seed}");
            assert_eq!(
                report.rows_quarantined,
                refused + nowhere as u64,
                "{format} {seed}"
            );
            assert_eq!(report.rows_in, records.len() as u64);
            assert_eq!(report.rows_in, report.rows_out + report.rows_quarantined);
            let commits = lake.keys("out/_lakewright/commit/").len();
            assert_eq!((commits, lake.keys("out/_lakewright/plan/").len()), (1, 1));
            assert!(lake.keys("out/_lakewright/spool/").is_empty());
        });
    }
}

#[test]
fn what_has_no_route_is_set_aside_or_goes_where_otherwise_says() {
    stated(
        "A record whose value has no route goes to the quarantine or, with `otherwise`, where the records of the value go that it names.",
    );
    stated(
        "`route.column` is compared as text with the values in `route.tables`, exactly: a number as it is written, `true` or `false`; null, an object, a list and a missing field are no value.",
    );
    stated(
        "`no_route`: its value has no route, or two of its keys match the name of `route.column`.",
    );
    let examples = [
        (r#""kind":"order""#, Some("orders")),
        (r#""KIND":"order""#, Some("orders")),
        (r#""kind":"order","kind":"7""#, Some("out/sevens")),
        (r#""kind":7"#, Some("out/sevens")),
        (r#""kind":"7""#, Some("out/sevens")),
        (r#""kind":7.0"#, None),
        (r#""kind":"Order""#, None),
        (r#""kind":" order""#, None),
        (r#""kind":true"#, None),
        (r#""kind":null"#, None),
        (r#""kind":["order"]"#, None),
        (r#""x":1"#, None),
        (r#""kind":"order","Kind":"7""#, None),
    ];
    for otherwise in ["quarantine", "order"] {
        for (field, place) in &examples {
            virtual_time(async {
                let mut lake = lake("json", "");
                let route = lake.config.rekey[0].route.as_mut().unwrap();
                route.otherwise = otherwise.to_owned();
                let text = format!(r#"{{"id":1,"t":"2026-05-01",{field},"shop":"a"}}"#);
                let report = lake.rekey("a", text.as_bytes(), AMPLE).await.unwrap();
                let is_ambiguous = field.contains("Kind");
                let place = place.or((otherwise == "order" && !is_ambiguous).then_some("orders"));
                let written = report
                    .outputs
                    .first()
                    .map(|output| output.key.split("/date=").next().unwrap());
                assert_eq!(written, place, "{field} {otherwise}");
                let quarantine = lake.quarantine(&report);
                let reason = quarantine
                    .first()
                    .map(|line| line["reason"].as_str().unwrap());
                assert_eq!(
                    reason,
                    place.is_none().then_some("no_route"),
                    "{field} {otherwise}"
                );
            });
        }
    }
}

#[test]
fn a_detail_names_the_value() {
    virtual_time(async {
        let lake = lake("json", "");
        let text = r#"{"id":1,"t":"2026-05-01","kind":"x"} {"id":2,"t":"2026-05-01"}"#;
        let report = lake.rekey("a", text.as_bytes(), AMPLE).await.unwrap();
        let details = lake.quarantine(&report);
        let details = details.iter().map(|line| line["detail"].as_str().unwrap());
        assert_eq!(
            details.collect::<Vec<_>>(),
            [
                "`kind` is \"x\", which has no route",
                "`kind` has no value that a route is named by"
            ]
        );
    });
}

#[test]
fn avro_and_orc_are_routed_by_their_column() {
    for (format, room) in ["avro", "orc"]
        .into_iter()
        .flat_map(|format| ROOMS.map(|room| (format, room)))
    {
        let data = format!("{}/data/{format}", env!("CARGO_MANIFEST_DIR"));
        let object = std::fs::read(format!("{data}/snappy.{format}")).unwrap();
        virtual_time(async {
            let settings = ROUTES
                .replace("column = \"t\"", "column = \"AT\"")
                .replace("tables.order", "tables.ONLINE")
                .replace("tables.7", "tables.SHOP")
                .replace("\"shop\"", "\"day\"");
            let lake = Lake::new(&format!("format = \"{format}\"\n{settings}"));
            let mut lake = lake;
            for destination in lake.config.rekey[0]
                .route
                .as_mut()
                .unwrap()
                .tables
                .values_mut()
            {
                destination.on_mismatch = None;
            }
            put_tables(&lake);
            let report = lake.rekey("a", &object, room).await.unwrap();
            assert_eq!((report.rows_in, report.rows_out), (3, 3));
            let routes = BTreeMap::from([("ONLINE".to_owned(), 1), ("SHOP".to_owned(), 2)]);
            assert_eq!(report.rows_by_route, routes);
        });
    }
}

#[test]
fn an_object_without_the_column_or_with_one_of_another_type_is_refused() {
    stated(
        "An object of a format other than JSON is refused if it lacks `route.column`, and one of Parquet, ORC or Avro also if the column has no texts, integers or booleans.",
    );
    virtual_time(async {
        let lake = lake("csv", "");
        let error = lake
            .rekey("a", b"id,t,shop\n1,2026-05-01,a\n", AMPLE)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("route.column"), "{error}");
    });
    virtual_time(async {
        let mut lake = lake("parquet", "");
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
        let times: ArrayRef = Arc::new(StringArray::from(vec!["2026-05-01"]));
        let columns = [("t", Arc::clone(&times)), ("shop", times), ("f", floats)];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        let object = writer.into_inner().unwrap();
        for (column, says) in [
            ("none", "route.column: "),
            ("f", "route.column: `f` is Float64: records are routed by"),
        ] {
            lake.config.rekey[0].route.as_mut().unwrap().column = column.to_owned();
            let error = lake.rekey(column, &object, AMPLE).await.unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    });
}

#[test]
fn partitions_are_counted_together() {
    stated("With `route`, `limits.partitions` counts the partitions of all destinations.");
    let text =
        r#"{"id":1,"t":"2026-05-01","kind":"order"} {"id":2,"t":"2026-05-01","kind":7,"shop":"a"}"#;
    for (limit, fits) in [(1, false), (2, true)] {
        virtual_time(async {
            let lake = lake("json", &format!("limits = {{ partitions = {limit} }}"));
            let found = lake.rekey("a", text.as_bytes(), AMPLE).await;
            assert_eq!(found.is_ok(), fits, "{limit}");
        });
    }
}
