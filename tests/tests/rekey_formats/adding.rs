//! `on_unknown = "add"`: fields without a column become columns of the table.

use lakewright_jobs::rekey::AddedColumn;

use super::*;

const ADD: &str = "timestamp = { column = \"t\" }\npartition_by = [\"date\"]\ntable = \"lake.t\"\non_unknown = \"add\"\noutput = [{ format = \"parquet\", compression = \"none\" }]\n";

impl Lake {
    /// A table with the columns `t` and `n`, to which columns are added.
    fn adding(settings: &str) -> Self {
        let lake = Self::new(&format!("{ADD}{settings}"));
        lake.table(&[("t", "string"), ("n", "bigint")], &["date"]);
        lake
    }

    /// The columns that were added to the table, and how often it was updated.
    fn added(&self) -> (Vec<String>, u64) {
        let name = self.config.rekey[0].table.clone().unwrap();
        let table = self.cloud.with(|state| state.glue.table(&name)).unwrap();
        let columns = table.storage.columns.iter().skip(2);
        let columns = columns.map(|column| format!("{} {}", column.name, column.hive_type));
        let updates = table
            .version_id
            .map_or(0, |version| version.parse().unwrap());
        (columns.collect(), updates)
    }

    /// What the ledger says of a column.
    fn brought(&self, name: &str) -> AddedColumn {
        let bytes = self.object(&format!("out/_lakewright/columns/{name}"));
        serde_json::from_slice(&bytes).unwrap()
    }

    /// The columns of the partition of a day.
    fn columns_on(&self, day: &str) -> usize {
        let name = self.config.rekey[0].table.clone().unwrap();
        self.cloud.with(|state| {
            let mut partitions = state.glue.registered(&name);
            let partition = partitions.find(|partition| partition.values == [day]);
            partition.unwrap().storage.columns.len()
        })
    }
}

fn parquet() -> Vec<u8> {
    let texts =
        |texts: [Option<&str>; 4]| -> ArrayRef { Arc::new(StringArray::from(texts.to_vec())) };
    let instants = TimestampMicrosecondArray::from(vec![Some(1_500_000), None, None, None]);
    let day = Some("2026-05-01");
    let columns = [
        ("n", texts([Some("1"), Some("2"), Some("x"), Some("4")])),
        ("t", texts([day, day, day, None])),
        ("At", Arc::new(instants.with_timezone("UTC")) as ArrayRef),
        ("none", texts([None; 4])),
        ("of_mismatch", texts([None, None, Some("a"), None])),
        ("of_late", texts([None, None, None, Some("b")])),
        ("date", texts([None; 4])),
    ];
    let columns = columns.map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_field_without_a_column_becomes_one() {
    stated(
        "With `on_unknown = \"add\"` a field without a column becomes a column of the table, behind the others, with its name in lower case and the type that its values in the batch have by the rules of inference. Of CSV and of lines by a pattern it is a string; of Parquet, Avro and ORC it has the type of the file's column, and an instant is a `timestamp`.",
    );
    stated(
        "Only records that are written bring columns. A field that is null, or an object or array without any value, brings none and is left out.",
    );
    let json = br#"{"t":"2026-05-01","n":1,"New":{"a":1},"l":[]}
{"t":"2026-05-01","n":2,"new":{"A":2.5,"b":"x"},"z":null,"e":{"f":[null]}}
{"n":3,"of_late":1}
{"t":"2026-05-01","n":4,"l":[true]}
{"t":"2026-05-01","n":"x","of_mismatch":1}
"#;
    let csv = b"T,n,New,of_mismatch,of_late,none\n2026-05-01,1,x,,,\n2026-05-01,2,,,,\n2026-05-01,x,,a,,\n,4,,,b,\n";
    let lines = b"2026-05-01 1 x\n2026-05-01 2 -\n2026-05-01 x - a\n- 4 - - b\n";
    let pattern = r#"regex = { pattern = '(?P<t>\S+) (?P<n>\S+) (?P<New>\S+)( (?P<of_mismatch>\S+)( (?P<of_late>\S+))?)?', null = "-" }"#;
    let of_text = json!([
        {"n": 1, "new": "x", "t": "2026-05-01"},
        {"n": 2, "t": "2026-05-01"},
    ]);
    for (format, settings, bytes, columns, rows) in [
        (
            "json",
            "",
            &json[..],
            &["new struct<a:double,b:string>", "l array<boolean>"][..],
            json!([
                {"l": [], "n": 1, "new": {"a": 1.0}, "t": "2026-05-01"},
                {"n": 2, "new": {"a": 2.5, "b": "x"}, "t": "2026-05-01"},
                {"l": [true], "n": 4, "t": "2026-05-01"},
            ]),
        ),
        ("csv", "", &csv[..], &["new string"], of_text.clone()),
        ("regex", pattern, &lines[..], &["new string"], of_text),
        (
            "parquet",
            "",
            &parquet(),
            &["at timestamp"],
            json!([
                {"at": "1970-01-01T00:00:01.500", "n": 1, "t": "2026-05-01"},
                {"n": 2, "t": "2026-05-01"},
            ]),
        ),
    ] {
        for room in ROOMS {
            virtual_time(async {
                let lake = Lake::adding(&format!("format = \"{format}\"\n{settings}"));
                let report = lake.rekey("a", bytes, room).await.unwrap();
                // All of them in one update.
                assert_eq!(lake.added(), (texts(columns), 1), "{format}");
                let found = lake.rows(&report).into_values().next();
                assert_eq!(json!(found), rows, "{format}");
                assert_eq!(
                    json!(report.quarantined_by_reason),
                    json!({"mismatch": 1, "no_timestamp": 1}),
                    "{format}"
                );
                for column in columns {
                    let (name, hive_type) = column.split_once(' ').unwrap();
                    assert_eq!(report.columns_added[name], hive_type);
                    let brought = lake.brought(name);
                    assert_eq!(brought.hive_type, hive_type);
                    assert_eq!(brought.source.to_string(), "s3://landing/in/a");
                    assert_eq!(Some(brought.batch), report.batch);
                }
                assert_eq!(lake.columns_on("2026-05-01"), 2 + columns.len());
            });
        }
    }
}

#[test]
fn columns_of_avro_and_orc_have_their_types() {
    for format in ["avro", "orc"] {
        let orders = std::fs::read(format!(
            "{}/data/{format}/snappy.{format}",
            env!("CARGO_MANIFEST_DIR")
        ));
        let orders = orders.unwrap();
        virtual_time(async {
            let lake = Lake::adding(&format!("format = \"{format}\"\n"));
            let job = format!(
                "timestamp = {{ column = \"AT\" }}\npartition_by = [\"date\", \"kind\"]\nformat = \"{format}\"\ntable = \"lake.t\"\non_unknown = \"add\""
            );
            let lake = Lake {
                config: Lake::new(&job).config,
                ..lake
            };
            lake.table(&[("t", "string"), ("n", "bigint")], &["date", "kind"]);
            let report = lake.rekey("a", &orders, AMPLE).await.unwrap();
            assert_eq!(report.rows_out, 3);
            let columns = [
                "orderid bigint",
                "at timestamp",
                "price decimal(10,2)",
                "tags array<string>",
                "place struct<lat:double,kind:string>",
                "attributes map<string,int>",
                "day date",
            ];
            assert_eq!(lake.added(), (texts(&columns), 1));
            let rows = lake.rows(&report);
            let row = &rows["date=2026-05-01/kind=ONLINE/00000.zstd.parquet"][0];
            assert_eq!(row["place"], json!({"lat": 48.5, "kind": "SHOP"}));
        });
    }
}

#[test]
fn a_column_that_exists_is_never_changed() {
    stated(
        "A column that exists is never changed: a later value that does not fit its type is handled as `on_mismatch` says. Of two objects that bring a column at once, the first determines its type; `columns/<name>` in the ledger says which object that was.",
    );
    for room in ROOMS {
        virtual_time(async {
            let lake = Lake::adding("");
            for (key, record, quarantined) in [
                ("a", r#"{"t":"2026-05-01","n":1}"#, 0),
                ("b", r#"{"t":"2026-05-02","x":1}"#, 0),
                ("c", r#"{"t":"2026-05-02","x":2.5,"y":true}"#, 1),
                ("d", r#"{"t":"2026-05-03","x":3}"#, 0),
            ] {
                let report = lake.rekey(key, record.as_bytes(), room).await.unwrap();
                assert_eq!(report.rows_quarantined, quarantined, "{key}");
            }
            // The record of `y` was set aside because of `x`.
            assert_eq!(lake.added(), (texts(&["x bigint"]), 1));
            assert_eq!(lake.brought("x").source.to_string(), "s3://landing/in/b");
            let columns = ["2026-05-01", "2026-05-02", "2026-05-03"];
            assert_eq!(columns.map(|day| lake.columns_on(day)), [2, 3, 3]);
        });
        virtual_time(async {
            let lake = Lake::adding("");
            // An invocation that was killed has brought it, and not added it.
            let column = AddedColumn {
                version: AddedColumn::VERSION,
                name: "x".to_owned(),
                hive_type: "bigint".to_owned(),
                source: Location::new("landing", "in/other"),
                etag: "\"e\"".to_owned(),
                batch: "b".to_owned(),
            };
            let at = Location::new("lake", "out/_lakewright/columns/x");
            lake.cloud
                .place(&at, serde_json::to_vec(&column).unwrap().into());
            let objects = r#"{"t":"2026-05-01","x":"text","y":1}
{"t":"2026-05-01","n":1,"z":1}"#;
            let report = lake.rekey("a", objects.as_bytes(), room).await.unwrap();
            assert_eq!((report.rows_out, report.rows_quarantined), (1, 1));
            assert_eq!(lake.added(), (texts(&["x bigint", "z bigint"]), 2));
            let names = report.columns_added.keys().collect::<Vec<_>>();
            assert_eq!(names, ["z"], "the other object has brought `x`");
        });
    }
}

#[test]
fn what_cannot_be_a_column_sets_its_record_aside() {
    stated(
        "A field with a value that cannot become a column sets its record aside as `unknown_field`, with the reason: it is inside another column, it is called as a part of the path or as a column of `[[rekey.column]]`, its name is empty, longer than 255 bytes or has control characters, Hive has no type for it, which counts without a value too, or the table has as many columns as `limits.columns` allows.",
    );
    let long = format!(r#""{}":1"#, "x".repeat(256));
    for (field, says) in [
        (
            r#""s":{"a":1,"b":1}"#,
            "`s.b` has no column and cannot become one: it is inside",
        ),
        (r#""s":{"a":1,"b":{}}"#, ""),
        (r#""Date":1"#, "partitioned by a key"),
        (r#""Date":null"#, ""),
        (r#""made":1"#, "`column` has an operation"),
        (r#""from":1"#, ""),
        (r#""left":1"#, ""),
        (r#""":1"#, "it has no name"),
        (&*long, "longer than 255 bytes"),
        (r#""a\nb":1"#, "characters"),
        (r#""o":{"":1}"#, "no type of Hive"),
        (
            r#""o":{"k":1,"K":2}"#,
            "differ only in upper and lower case",
        ),
        (
            r#""k":1,"K":2"#,
            "`k` and `K` differ only in upper and lower case",
        ),
        (r#""one":1,"two":2"#, "limits.columns"),
    ] {
        virtual_time(async {
            let lake = Lake::new(&format!(
                "{ADD}limits = {{ columns = 4 }}\ncolumn = [{{ name = \"made\", from = \"from\" }}, {{ name = \"left\", drop = true }}]\n"
            ));
            lake.table(
                &[("t", "string"), ("s", "struct<a:int>"), ("made", "int")],
                &["date"],
            );
            let record = format!("{{\"t\":\"2026-05-01\",{field}}}");
            let report = lake.rekey("a", record.as_bytes(), AMPLE).await.unwrap();
            let quarantine = lake.quarantine(&report);
            if says.is_empty() {
                assert_eq!((report.rows_out, lake.added().1), (1, 0), "{field}");
                return;
            }
            let [line] = &quarantine[..] else {
                panic!("{field}: {report:?}");
            };
            let reasons = [json!("unknown_field"), json!("key_collision")];
            assert!(reasons.contains(&line["reason"]), "{line}");
            let detail = line["detail"].as_str().unwrap();
            assert!(detail.contains(says), "{field}: {detail}");
            assert_eq!(lake.added().1, 0, "{field}");
        });
    }
    virtual_time(async {
        let lake = Lake::adding("format = \"csv\"\n");
        let csv = b"t,n,date,\n2026-05-01,1,x,\n2026-05-01,2,,\n2026-05-01,3,,y\n";
        let report = lake.rekey("a", csv, AMPLE).await.unwrap();
        assert_eq!((report.rows_out, report.rows_quarantined), (1, 2));
    });
    virtual_time(async {
        let job = ADD.replace("[\"date\"]", "[\"date\", \"n\"]");
        let lake = Lake::new(&format!("{job}format = \"parquet\"\n"));
        lake.table(&[("t", "string"), ("at", "struct<x:int>")], &["date", "n"]);
        let nested = StructArray::from(vec![(
            Arc::new(Field::new("y", arrow::datatypes::DataType::Int64, true)),
            Arc::new(Int64Array::from(vec![1])) as ArrayRef,
        )]);
        let day = Arc::new(StringArray::from(vec!["2026-05-01"])) as ArrayRef;
        let batch = RecordBatch::try_from_iter([
            ("t", Arc::clone(&day)),
            ("n", day),
            ("at", Arc::new(nested) as ArrayRef),
        ]);
        let batch = batch.unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        let object = writer.into_inner().unwrap();
        let report = lake.rekey("a", &object, AMPLE).await.unwrap();
        assert_eq!(report.rows_quarantined, 1);
        let detail = lake.quarantine(&report)[0]["detail"].clone();
        assert!(detail.as_str().unwrap().contains("`at.y`"), "{detail}");
    });
}

#[test]
fn objects_of_one_batch_bring_their_columns_together() {
    for room in ROOMS {
        virtual_time(async {
            let lake = Lake::adding("");
            let objects = [
                ("a", &br#"{"t":"2026-05-01","x":1}"#[..]),
                ("b", &br#"{"t":"2026-05-01","X":"text","y":1}"#[..]),
            ];
            let reports = Box::pin(lake.together(&objects, room)).await;
            let reports = reports.into_iter().map(Result::unwrap).collect::<Vec<_>>();
            assert_eq!(lake.added(), (texts(&["x string", "y bigint"]), 1));
            let names = |of: &ObjectReport| of.columns_added.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&reports[0]), ["x"]);
            assert_eq!(names(&reports[1]), ["y"]);
            assert_eq!(reports[0].batch, reports[1].batch);
        });
        // Of files, the first determines the type; what does not fit it is set aside, and brings nothing.
        virtual_time(async {
            let lake = Lake::adding("format = \"parquet\"\n");
            let file = |columns: Vec<(&str, ArrayRef)>| {
                let batch = RecordBatch::try_from_iter(columns).unwrap();
                let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
                writer.write(&batch).unwrap();
                writer.into_inner().unwrap()
            };
            let text = |text| Arc::new(StringArray::from(vec![text])) as ArrayRef;
            let numbers = || Arc::new(Int64Array::from(vec![7])) as ArrayRef;
            let one = file(vec![("t", text("2026-05-01")), ("x", numbers())]);
            let other = file(vec![
                ("t", text("2026-05-01")),
                ("x", text("many")),
                ("y", numbers()),
            ]);
            let objects = [("a", &one[..]), ("b", &other[..])];
            let reports = Box::pin(lake.together(&objects, room)).await;
            assert_eq!(reports[1].as_ref().unwrap().rows_quarantined, 1);
            assert_eq!(lake.added(), (texts(&["x bigint"]), 1));
        });
    }
}
