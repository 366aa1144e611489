//! ORC files that pyarrow wrote, of three stripes or of one, with every codec that it has.

use super::*;

fn orders(codec: &str) -> Vec<u8> {
    let path = format!("{}/data/orc/{codec}.orc", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

const BY_HOUR: &str = "timestamp = { column = \"AT\" }\npartition_by = [\"date\", \"hour\", \"kind\"]\nformat = \"orc\"\n";

#[test]
fn orders_by_hour() {
    stated(
        "An ORC object is read one stripe at a time, whatever its size, and a stripe is in memory decompressed.",
    );
    for codec in ["uncompressed", "zlib", "snappy", "lz4", "zstd"] {
        for room in ROOMS {
            virtual_time(async {
                let lake = Lake::new(&format!(
                    "{BY_HOUR}output = [{{ format = \"json\", compression = \"none\" }}]"
                ));
                let report = lake
                    .rekey("orders.orc", &orders(codec), room)
                    .await
                    .unwrap();
                assert_eq!((report.rows_in, report.rows_out), (3, 3));
                assert_eq!(
                    json!(lake.rows(&report)),
                    json!({
                        "date=2026-05-01/hour=12/kind=ONLINE/00000.json": [{
                            "orderid": 1, "at": "2026-05-01 12:30:00.000", "price": 12.50, "tags": ["a", "b"],
                            "place": {"lat": 48.5, "kind": "SHOP"}, "attributes": {"x": 1}, "day": "2026-05-01",
                        }],
                        "date=2026-05-01/hour=12/kind=SHOP/00000.json": [{
                            "orderid": 2, "at": "2026-05-01 12:30:00.000", "tags": [], "attributes": {}, "day": "2026-05-01",
                        }],
                        "date=2026-05-01/hour=13/kind=SHOP/00000.json": [{
                            "orderid": 3, "at": "2026-05-01 13:30:00.000", "price": -0.01, "tags": ["c"],
                            "place": {"lat": -1.25}, "attributes": {"y": -2}, "day": "2026-05-01",
                        }],
                    })
                );
            });
        }
    }
}

#[test]
fn a_table_and_what_does_not_fit_it() {
    stated(
        "Columns and values of an ORC file are taken as those of Parquet are: by name whatever its case, with `on_unknown` and `on_mismatch`, into a column of the same kind where they are in range, and any other value where a JSON string of its text would be.",
    );
    stated(
        "In the quarantine, `offset` of a row of an ORC file is its number in the object, counted from 0, and `record` is the row as JSON.",
    );
    for room in ROOMS {
        virtual_time(async {
            let lake = Lake::new(&format!(
                "{BY_HOUR}table = \"lake.t\"\non_mismatch = \"quarantine\"\ncolumn = [{{ name = \"of\", event = \"offset\" }}]"
            ));
            lake.table(
                &[
                    ("orderid", "string"),
                    ("price", "decimal(12,3)"),
                    ("place", "struct<LAT:float>"),
                    ("attributes", "map<string,tinyint>"),
                    ("tags", "array<int>"),
                    ("none", "double"),
                    ("of", "bigint"),
                ],
                &["date", "hour", "kind"],
            );
            let object = orders("uncompressed");
            let report = lake.rekey("a", &object, room).await.unwrap();
            assert_eq!((report.rows_in, report.rows_out), (3, 1));
            // The times, the days, and the kinds of places.
            assert_eq!(report.fields_dropped, 3);
            let [row] =
                &lake.rows(&report)["date=2026-05-01/hour=12/kind=SHOP/00000.zstd.parquet"][..]
            else {
                panic!("one row");
            };
            assert_eq!(
                *row,
                json!({"orderid": "2", "attributes": {}, "tags": [], "of": 1})
            );
            let quarantine = lake.quarantine(&report);
            let found = quarantine.iter();
            let found = found.map(|record| (&record["offset"], &record["reason"]));
            assert_eq!(
                found.collect::<Vec<_>>(),
                [
                    (&json!(0), &json!("mismatch")),
                    (&json!(2), &json!("mismatch"))
                ]
            );
            let record: Value =
                serde_json::from_str(quarantine[1]["record"].as_str().unwrap()).unwrap();
            assert_eq!(
                record,
                json!({
                    "orderId": 3, "at": "2026-05-01 13:30:00.000", "kind": "SHOP", "price": -0.01, "tags": ["c"],
                    "place": {"lat": -1.25}, "attributes": {"y": -2}, "day": "2026-05-01",
                })
            );
        });
    }
}

#[test]
fn what_is_not_read_is_refused_before_anything_is_written() {
    stated(
        "An object that is no ORC file and should be one is refused by what its first bytes say that it is, and so is one that was not written to its end.",
    );
    let whole = orders("zstd");
    let mut damaged = orders("uncompressed");
    // The magic bytes are followed by the first stripe's streams.
    damaged[3..400].fill(0xff);
    for (object, settings, name, says) in [
        (damaged, "", "Unreadable", "corrupt ORC file: stripe 0"),
        (
            whole[..whole.len() - 1].to_vec(),
            "",
            "Unreadable",
            "it begins as one, but has no end",
        ),
        (
            b"{\"at\":1}".to_vec(),
            "",
            "Unreadable",
            "not an ORC file: it is text",
        ),
        (
            lakewright_tests::not_text::gzip(&whole),
            "",
            "Unreadable",
            "ORC is compressed inside",
        ),
        (
            whole.clone(),
            "limits = { parquet_row_group = \"50B\" }",
            "OrcStripeTooLarge",
            "limits.parquet_row_group",
        ),
        (
            whole.clone(),
            "limits = { parquet_footer = \"50B\" }",
            "OrcFooterTooLarge",
            "limits.parquet_footer",
        ),
        (
            whole.clone(),
            "on_unknown = \"fail\"\ntable = \"lake.t\"",
            "RecordRefused",
            "orderId",
        ),
        (
            whole,
            "column = [{ name = \"k\", from = \"missing\" }]",
            "SchemaUnusable",
            "missing",
        ),
    ] {
        virtual_time(async {
            let lake = Lake::new(&format!("{BY_HOUR}{settings}"));
            if settings.contains("table") {
                lake.table(&[("price", "double")], &["date", "hour", "kind"]);
            }
            let error = lake.rekey("object", &object, AMPLE).await.unwrap_err();
            assert_eq!(error.name(), name, "{error}");
            assert!(error.to_string().contains(says), "{error}");
            assert!(error.to_string().contains("landing/in/object"), "{error}");
            assert!(lake.written().is_empty(), "{says}");
        });
    }
}
