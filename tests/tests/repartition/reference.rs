//! The three jobs that repartition replaces, against what they are to give.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use lakewright_model::virtual_time;
use lakewright_tests::semantics::stated;
use serde_json::Value;

use crate::lake::{Lake, parquet_file, plain};

const LAZY_SIMPLE: &str = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe";
const THREE: &str = r#"output = [{ format = "parquet", compression = "snappy" }, { format = "json", compression = "none" }, { format = "csv", compression = "none" }]"#;
const MAKES: [&str; 5] = ["TESLA", "FORD", "A/B \"x\"", "", "KIA"];

/// The electric vehicles, as a crawler registers them: year, make and an empty value now and then.
fn vehicles(rows: usize) -> (String, Vec<(usize, &'static str, String)>) {
    let mut text = "VIN (1-10),County,Model Year,Make,Base MSRP\n".to_owned();
    let mut expected = Vec::new();
    for row in 0..rows {
        let (year, make) = (2015 + row % 7, MAKES[row % 5]);
        let county = if row % 11 == 0 { "" } else { "King" };
        let msrp = if row % 3 == 0 {
            String::new()
        } else {
            row.to_string()
        };
        writeln!(text, "VIN{row},{county},{year},{make},{msrp}").unwrap();
        expected.push((year, make, format!("VIN{row}|{county}|{msrp}")));
    }
    (text, expected)
}

#[test]
fn vehicles_by_year_and_make_in_three_formats() {
    stated("Every output of a run has the same rows, all from one read.");
    stated("Columns to partition by are not repeated inside the files.");
    virtual_time(async {
        let lake = Lake::new(&format!(
            "source = \"glue_db.ev\"\npartition_by = [\"Model Year\", \"Make\"]\n{THREE}"
        ));
        let (text, rows) = vehicles(500);
        lake.place("ev/data.csv", text);
        lake.table(
            "glue_db.ev",
            "ev",
            LAZY_SIMPLE,
            &[
                ("vin (1-10)", "string"),
                ("county", "string"),
                ("model year", "bigint"),
                ("make", "string"),
                ("base msrp", "bigint"),
            ],
            &[("field.delim", ","), ("skip.header.line.count", "1")],
        );
        let (plan, commit) = lake.run().await.unwrap();
        assert_eq!((plan.files_before, plan.splits_before), (1, 1));
        let columns: Vec<_> = plan
            .columns
            .iter()
            .map(|c| format!("{} {}", c.name, c.hive_type))
            .collect();
        assert_eq!(
            columns,
            [
                "vin (1-10) string",
                "county string",
                "base msrp bigint",
                "model year bigint",
                "make string"
            ]
        );
        assert_eq!((plan.prepare.len(), plan.tasks.len()), (0, 1));
        assert_eq!((commit.rows, commit.outputs), (500, 3 * 35));

        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (year, make, row) in rows {
            let make = match make {
                "" => "__HIVE_DEFAULT_PARTITION__".to_owned(),
                other => other.replace('/', "%2F").replace('"', "%22"),
            };
            expected
                .entry(format!("model year={year}/make={make}/"))
                .or_default()
                .push(row);
        }
        let directory = |format: &str, key: &str| {
            let path = key.strip_prefix(&format!("out/{format}/")).unwrap();
            assert!(plain(key).contains("/part-00000."), "{key}");
            path[..=path.rfind('/').unwrap()].to_owned()
        };
        let mut found: [BTreeMap<String, Vec<String>>; 3] = Default::default();
        for key in lake.keys("out/parquet/") {
            assert!(key.ends_with(".snappy.parquet"), "{key}");
            let batch = lake.parquet(&key);
            let names: Vec<_> = batch
                .schema()
                .fields()
                .iter()
                .map(|f| f.name().clone())
                .collect();
            assert_eq!(names, ["vin (1-10)", "county", "base msrp"]);
            let texts = crate::lake::texts(&batch);
            let rows = texts.iter().map(|row| {
                row.iter()
                    .map(|v| v.clone().unwrap_or_default())
                    .collect::<Vec<_>>()
                    .join("|")
            });
            found[0].insert(directory("parquet", &key), rows.collect());
        }
        for key in lake.keys("out/json/") {
            let rows = lake
                .text(&key)
                .lines()
                .map(|line| {
                    let row: Value = serde_json::from_str(line).unwrap();
                    assert!(row.get("make").is_none());
                    let msrp = row
                        .get("base msrp")
                        .map_or_else(String::new, Value::to_string);
                    format!(
                        "{}|{}|{msrp}",
                        row["vin (1-10)"].as_str().unwrap(),
                        row["county"].as_str().unwrap()
                    )
                })
                .collect();
            found[1].insert(directory("json", &key), rows);
        }
        for key in lake.keys("out/csv/") {
            let text = lake.text(&key);
            let mut lines = text.lines();
            assert_eq!(lines.next(), Some("vin (1-10),county,base msrp"));
            let rows = lines
                .map(|line| line.replace("\"\"", "").replace(',', "|"))
                .collect();
            found[2].insert(directory("csv", &key), rows);
        }
        for (found, format) in found.iter().zip(["parquet", "json", "csv"]) {
            assert_eq!(*found, expected, "{format}");
        }
    });
}

/// The products: quoted names with commas, quotes and newlines.
fn products(rows: usize) -> (String, Vec<[String; 3]>) {
    let mut text = "product_id,product_name,unit_price\n".to_owned();
    let mut expected = Vec::new();
    for row in 0..rows {
        let name = match row % 4 {
            0 => "Toys, Games".to_owned(),
            1 => format!("12\" Pro {}", "x".repeat(row % 90)),
            2 => "two\nlines".to_owned(),
            _ => "Lamp".to_owned(),
        };
        writeln!(text, "{row},\"{}\",{row}.50", name.replace('"', "\"\"")).unwrap();
        expected.push([row.to_string(), name, format!("{row}.50")]);
    }
    (text, expected)
}

#[test]
fn products_as_they_are_and_with_one_file_more() {
    stated(
        "Without `partition_by` a run writes `files` files of each output, or as many as the source has splits; the order of the rows is kept from file to file.",
    );
    stated(
        "`files = \"+1\"` is one more than the source has splits, as after `df.repartition(df.rdd.getNumPartitions() + 1)`.",
    );
    virtual_time(async {
        let (text, expected) = products(1_000);
        for (files, memory) in [
            ("", 1 << 28),
            ("files = \"+1\"", 1 << 28),
            ("files = 7", 1 << 28),
            ("files = 7", 0),
        ] {
            let mut lake = Lake::new(&format!(
                "source = \"s3://lake/products/\"\nformat = \"csv\"\n{files}\n{THREE}"
            ));
            lake.memory = memory;
            lake.place("products/p.csv", text.clone());
            let (plan, commit) = lake.run().await.unwrap();
            let number = match files {
                "" => 1,
                "files = 7" => 7,
                _ => 2,
            };
            assert_eq!(plan.splits_before, 1);
            assert_eq!(plan.files, Some(number));
            assert_eq!((commit.rows, commit.outputs), (1_000, 3 * number));
            // Parquet: the same rows, give or take one.
            let sizes: Vec<_> = lake
                .keys("out/parquet/")
                .iter()
                .map(|key| lake.parquet(key).num_rows())
                .collect();
            assert!(
                sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1,
                "{sizes:?}"
            );
            let rows: Vec<[String; 3]> = lake
                .rows("out/parquet/")
                .into_iter()
                .map(|row| {
                    row.into_iter()
                        .map(Option::unwrap)
                        .collect::<Vec<_>>()
                        .try_into()
                        .unwrap()
                })
                .collect();
            assert_eq!(rows, expected);
            // Text: the same bytes, give or take a record, cut between records.
            for format in ["json", "csv"] {
                let keys = lake.keys(&format!("out/{format}/"));
                let sizes: Vec<_> = keys.iter().map(|key| lake.bytes(key).len()).collect();
                let (most, least) = (sizes.iter().max().unwrap(), sizes.iter().min().unwrap());
                assert!(most - least <= 200, "{sizes:?}");
                let mut all = Vec::new();
                for key in &keys {
                    let text = lake.text(key);
                    if format == "json" {
                        all.extend(text.lines().map(|line| {
                            let row: Value = serde_json::from_str(line).unwrap();
                            ["product_id", "product_name", "unit_price"]
                                .map(|name| row[name].as_str().unwrap().to_owned())
                        }));
                    } else {
                        let body = text
                            .strip_prefix("product_id,product_name,unit_price\n")
                            .unwrap();
                        all.push([body.to_owned(), String::new(), String::new()]);
                    }
                }
                if format == "json" {
                    assert_eq!(all, expected);
                } else {
                    let whole: String = all.iter().map(|part| part[0].as_str()).collect();
                    let quoted = |name: &str| match name {
                        "Lamp" => name.to_owned(),
                        other => format!("\"{}\"", other.replace('"', "\"\"")),
                    };
                    let text: String = expected
                        .iter()
                        .map(|[id, name, price]| format!("{id},{},{price}\n", quoted(name)))
                        .collect();
                    assert_eq!(whole, text);
                }
            }
        }
    });
}

#[test]
fn a_small_table_once_uncompressed_and_once_with_snappy() {
    stated("`files = 1` makes one file of each output, whatever the size of the source.");
    virtual_time(async {
        let lake = Lake::new(
            "source = \"s3://lake/small/\"\nformat = \"parquet\"\nfiles = 1\noutput = [{ format = \"parquet\", compression = \"none\", prefix = \"parquet/\" }, { format = \"parquet\", compression = \"snappy\", prefix = \"parquet-snappy/\" }]",
        );
        let columns = |names: Vec<&str>, ages: Vec<i64>| {
            let columns: [(&str, ArrayRef); 2] = [
                ("Name", Arc::new(StringArray::from(names))),
                ("age", Arc::new(Int64Array::from(ages))),
            ];
            RecordBatch::try_from_iter(columns).unwrap()
        };
        lake.place(
            "small/a.parquet",
            parquet_file(&columns(vec!["John Doe", "Jane Smith"], vec![30, 25]), 1),
        );
        lake.place(
            "small/b.parquet",
            parquet_file(&columns(vec!["Mike Johnson"], vec![35]), 1),
        );
        let (plan, commit) = lake.run().await.unwrap();
        assert_eq!((plan.files_before, plan.splits_before), (2, 2));
        assert_eq!((commit.rows, commit.outputs), (3, 2));
        let all = columns(
            vec!["John Doe", "Jane Smith", "Mike Johnson"],
            vec![30, 25, 35],
        );
        for (prefix, extension) in [("parquet", "parquet"), ("parquet-snappy", "snappy.parquet")] {
            let keys = lake.keys(&format!("out/{prefix}/"));
            let names: Vec<_> = keys.iter().map(|key| plain(key)).collect();
            assert_eq!(names, [format!("out/{prefix}/part-00000.{extension}")]);
            let batch = lake.parquet(&keys[0]);
            assert_eq!(crate::lake::texts(&batch), crate::lake::texts(&all));
            assert_eq!(batch.schema().field(0).name(), "Name");
        }
    });
}
