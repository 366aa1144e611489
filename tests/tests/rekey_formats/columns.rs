//! What happens to columns on their way.

use super::*;

/// All ways that a column can take but a hash.
const EIGHT: &str = r#"
    table = "lake.t"
    [[rekey.column]]
    name = "password"
    drop = true
    [[rekey.column]]
    name = "plant"
    from = "site"
    [[rekey.column]]
    name = "price"
    cast = "decimal(6,2)"
    [[rekey.column]]
    name = "env"
    constant = "prod"
    [[rekey.column]]
    name = "tenant"
    key = "tenant"
    [[rekey.column]]
    name = "_source"
    event = "source"
    [[rekey.column]]
    name = "_landed_at"
    event = "landed_at"
    [[rekey.column]]
    name = "_offset"
    event = "offset"
    [[rekey.column]]
    name = "card"
    mask = { last = 4 }
"#;

/// The columns of the table, except `env` and `plant`, which are in the path.
const COLUMNS: [(&str, &str); 8] = [
    ("t", "timestamp"),
    ("price", "double"),
    ("tenant", "string"),
    ("_source", "string"),
    ("_landed_at", "timestamp"),
    ("_offset", "bigint"),
    ("card", "string"),
    ("n", "bigint"),
];

/// The same rows in each format.
fn objects() -> [(&'static str, Vec<u8>); 3] {
    let texts = |texts: [&str; 3]| -> ArrayRef { Arc::new(StringArray::from(texts.to_vec())) };
    let rows = [
        [
            "2026-05-01",
            "Bern",
            "12.50",
            "hush",
            "4111111111111111",
            "1",
        ],
        ["2026-05-01", "Ulm", "7", "hush", "123", "2"],
        [
            "2026-05-01",
            "Bern",
            "0.125",
            "hush",
            "4111111111112222",
            "3",
        ],
    ];
    let names = ["t", "Site", "price", "password", "card", "n"];
    let batch = RecordBatch::try_from_iter(
        (0..names.len()).map(|column| (names[column], texts(rows.map(|row| row[column])))),
    )
    .unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let csv = rows.map(|row| row.join(",")).join("\n");
    let json = rows.map(|row| {
        let fields = names.iter().zip(row);
        let fields = fields.map(|(name, value)| (*name, value));
        json!(fields.collect::<BTreeMap<_, _>>()).to_string()
    });
    [
        ("json", json.join("\n").into_bytes()),
        ("csv", format!("{}\n{csv}\n", names.join(",")).into_bytes()),
        ("parquet", writer.into_inner().unwrap()),
    ]
}

#[test]
fn each_operation_in_each_format() {
    stated(
        "With `column`, each entry has one operation for one column of the files or of the path; a field that an entry takes goes into no other column, and two entries that take one field or make one column are refused.",
    );
    stated(
        "`from` alone renames: the column `name` is read from the records' field `from`, and no column is called `from` any more.",
    );
    stated(
        "With `drop = true` the field `name` is left out, and known, whatever `on_unknown` says; a column of the table that is called so is null. A field that is called as a column of `constant`, `key` or `event` is left out in the same way.",
    );
    stated(
        "With `column`, JSON is written from the columns, as other formats are, and never passed through.",
    );
    stated(
        "What cannot be routed is in the quarantine as it landed, with the fields that are dropped, masked or hashed.",
    );
    for (format, bytes) in objects() {
        let mut written = Vec::new();
        for room in ROOMS {
            virtual_time(async {
                let lake = Lake::new(&format!(
                    "timestamp = {{ column = \"t\" }}\npartition_by = [\"env\", \"plant\"]\nformat = \"{format}\"\non_unknown = \"fail\"\noutput = [{{ format = \"parquet\" }}, {{ format = \"json\", compression = \"none\" }}]\n{EIGHT}"
                ));
                lake.table(&COLUMNS, &["env", "plant"]);
                let key = "tenant=a%20b/x";
                let report = lake.rekey(key, &bytes, room).await.unwrap();
                assert_eq!((report.rows_in, report.rows_out), (3, 2), "{format}");
                assert_eq!(report.fields_dropped, 0);
                let rows = lake.rows(&report);
                let bern = &rows["json/env=prod/plant=Bern/00000.json"][0];
                let landed = bern["_landed_at"].as_str().unwrap();
                assert!(landed.ends_with(".000"), "{landed}");
                let offset = match format {
                    "csv" => 29,
                    _ => 0,
                };
                assert_eq!(
                    *bern,
                    json!({
                        "t": "2026-05-01 00:00:00.000", "price": 12.5, "tenant": "a b",
                        "_source": format!("s3://landing/in/{key}"), "_landed_at": landed,
                        "_offset": offset, "card": "************1111", "n": 1,
                    })
                );
                let ulm = &rows["parquet/env=prod/plant=Ulm/00000.zstd.parquet"][0];
                assert_eq!((&ulm["card"], &ulm["price"]), (&json!("***"), &json!(7.0)));
                let refused = &lake.quarantine(&report)[0];
                assert_eq!(refused["reason"], "mismatch");
                let detail = refused["detail"].as_str().unwrap();
                assert!(
                    detail.starts_with("column `price` is decimal(6,2)"),
                    "{detail}"
                );
                assert!(refused["record"].as_str().unwrap().contains("hush"));
                written.push(json!(rows));
            });
        }
        assert!(written.iter().all(|rows| *rows == written[0]), "{format}");
    }
}

#[test]
fn a_hash_in_each_format_and_in_the_path() {
    let ulm = "8719b1d71639b752a371245cd2ba4dd341fc752b78f0a935cad5d5a045749102";
    for (format, bytes) in objects() {
        for room in ROOMS {
            virtual_time(async {
                let lake = Lake::new(&format!(
                    "timestamp = {{ column = \"t\" }}\npartition_by = [\"date\", \"plant\"]\nformat = \"{format}\"\non_unknown = \"drop\"\ntable = \"lake.t\"\ncolumn = [{{ name = \"plant\", from = \"Site\", hash = {{ secret = \"secretsmanager:a/b\" }} }}, {{ name = \"card\", hash = {{ secret = \"secretsmanager:a/b\" }} }}]"
                ));
                lake.table(&[("card", "string"), ("n", "bigint")], &["date", "plant"]);
                let name = "secretsmanager:a/b".parse().unwrap();
                lake.cloud
                    .with(|state| state.secrets.rotate(&name, b"Jefe"));
                let report = lake.rekey("x", &bytes, room).await.unwrap();
                let rows = lake.rows(&report);
                assert_eq!(rows.len(), 2, "{format}");
                assert_eq!(
                    json!(rows[&format!("date=2026-05-01/plant={ulm}/00000.zstd.parquet")]),
                    json!([{"card": "235555e21ca6792a24f832eedf01568b1c3ea0867e0e2ff19c61ab1176967055", "n": 2}])
                );
            });
        }
    }
}

#[test]
fn a_value_that_is_cast_and_has_no_place_in_the_table() {
    for (policy, ends) in [("quarantine", 1), ("drop", 2), ("fail", 0)] {
        for (format, text) in [
            (
                "json",
                "{\"t\":\"2026-05-01\",\"n\":\"1.50\"}\n{\"t\":\"2026-05-01\",\"n\":\"2.00\"}",
            ),
            ("csv", "t,n\n2026-05-01,1.50\n2026-05-01,2.00\n"),
        ] {
            virtual_time(async {
                let lake = Lake::new(&format!(
                    "{BY_DAY}\nformat = \"{format}\"\non_mismatch = \"{policy}\"\ntable = \"lake.t\"\ncolumn = [{{ name = \"n\", cast = \"decimal(3,2)\" }}]"
                ));
                lake.table(&[("n", "int")], &["date"]);
                let found = lake.rekey("a", text.as_bytes(), AMPLE).await;
                if ends == 0 {
                    let error = found.unwrap_err();
                    assert_eq!(error.name(), "RecordRefused");
                    let says = error.to_string();
                    assert!(
                        says.contains("column `n` is int") && !says.contains("1.50"),
                        "{says}"
                    );
                    return;
                }
                let report = found.unwrap();
                assert_eq!((report.rows_out, report.values_dropped), (ends, ends - 1));
                let rows = lake.rows(&report);
                let rows = &rows["date=2026-05-01/00000.zstd.parquet"];
                assert_eq!(rows.last(), Some(&json!({"n": 2})), "{rows:?}");
                if policy == "quarantine" {
                    let refused = &lake.quarantine(&report)[0];
                    let at = usize::try_from(refused["offset"].as_u64().unwrap()).unwrap();
                    let record = refused["record"].as_str().unwrap();
                    assert!(record.contains("1.50") && text[at..].starts_with(record));
                }
            });
        }
    }
}

#[test]
fn the_time_and_the_path_with_operations() {
    stated(
        "The record's time is read from the field that the timestamp names, by the name that it has in the record, whatever happens to it; `partition_by` names columns as they are written, with any operation but `drop`.",
    );
    virtual_time(async {
        let lake = Lake::new(
            "timestamp = { column = \"at.when\" }\npartition_by = [\"date\", \"who\"]\ncolumn = [{ name = \"at\", drop = true }, { name = \"who\", from = \"mail\", mask = { first = 1 } }]",
        );
        let text = r#"{"at":{"when":"2026-05-01"},"mail":"ann@x","n":1}"#;
        let report = lake.rekey("a", text.as_bytes(), AMPLE).await.unwrap();
        assert_eq!(
            json!(lake.rows(&report)),
            json!({"date=2026-05-01/who=a%2A%2A%2A%2A/00000.zstd.parquet": [{"n": 1}]})
        );
    });
}

#[test]
fn objects_that_lack_what_an_operation_takes() {
    for (format, column, key, says) in [
        ("csv", "{ name = \"a\", from = \"b\" }", "x", "column: "),
        (
            "parquet",
            "{ name = \"secret\", drop = true }",
            "x",
            "column: ",
        ),
        (
            "json",
            "{ name = \"k\", key = 3 }",
            "one/x",
            "has no part 3 for the column `k`",
        ),
        (
            "json",
            "{ name = \"site\", from = \"n\" }",
            "x",
            "`n` is renamed to `site`",
        ),
        ("json", "{ name = \"x\", from = \"n.a\" }", "x", "means no"),
    ] {
        virtual_time(async {
            let lake = Lake::new(&format!(
                "{BY_DAY}\nformat = \"{format}\"\ncolumn = [{column}]"
            ));
            let objects = objects();
            let (_, bytes) = objects.iter().find(|(name, _)| *name == format).unwrap();
            let found = lake.rekey(key, bytes, AMPLE).await;
            if says == "means no" {
                // Records of JSON need not have the same fields.
                return assert_eq!(found.unwrap().rows_out, 3);
            }
            let error = found.unwrap_err();
            assert_eq!(error.name(), "SchemaUnusable", "{error}");
            assert!(error.to_string().contains(says), "{error}");
        });
    }
}

#[test]
fn several_objects_of_one_batch_each_with_its_own_values() {
    virtual_time(async {
        let lake = Lake::new(&format!(
            "{BY_DAY}\nsort_by_time = true\ncolumn = [{{ name = \"p\", key = 1 }}, {{ name = \"o\", event = \"offset\" }}]"
        ));
        let objects = ["a/1", "b/2", "c/3"].map(|key| {
            let text = "{\"t\":\"2026-05-01T00:00:01Z\"}\n{\"t\":\"2026-05-01\"}\n";
            (key, text.as_bytes())
        });
        let reports = lake.together(&objects, AMPLE).await;
        let reports = reports.into_iter().map(Result::unwrap).collect::<Vec<_>>();
        let bytes = lake.object(&reports[0].outputs[0].key);
        let rows = read(&reports[0].outputs[0].key, bytes);
        let found = rows
            .iter()
            .map(|row| (row["p"].as_str().unwrap(), row["o"].as_u64().unwrap()));
        assert_eq!(
            found.collect::<Vec<_>>(),
            [
                ("a", 29),
                ("b", 29),
                ("c", 29),
                ("a", 0),
                ("b", 0),
                ("c", 0)
            ]
        );
    });
}
