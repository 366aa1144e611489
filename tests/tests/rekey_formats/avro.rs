//! Avro object container files that fastavro wrote, of three blocks, with every codec that it has.

use super::*;

fn orders(codec: &str) -> Vec<u8> {
    let path = format!("{}/data/avro/{codec}.avro", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

const BY_HOUR: &str = "timestamp = { column = \"AT\" }\npartition_by = [\"date\", \"hour\", \"kind\"]\nformat = \"avro\"\n";

#[test]
fn orders_by_hour() {
    stated(
        "Avro object container files are read block by block, whatever the size of the object, by the schema in their header; an object that is also compressed as a whole is decompressed, as text is.",
    );
    let gz = lakewright_tests::not_text::gzip(&orders("null"));
    let codecs = ["null", "deflate", "snappy", "zstandard", "bzip2"].map(orders);
    for object in codecs.into_iter().chain([gz]) {
        for room in ROOMS {
            virtual_time(async {
                let lake = Lake::new(&format!(
                    "{BY_HOUR}output = [{{ format = \"json\", compression = \"none\" }}]"
                ));
                let report = lake.rekey("orders.avro", &object, room).await.unwrap();
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
            let report = lake.rekey("a", &orders("snappy"), room).await.unwrap();
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
    let whole = orders("deflate");
    let mut damaged = orders("snappy");
    let last = damaged.len() - 20;
    damaged[last] ^= 1;
    for (object, settings, name, says) in [
        (orders("xz"), "", "Unreadable", "compressed with `xz`"),
        (
            whole[..whole.len() - 1].to_vec(),
            "",
            "Unreadable",
            "truncated Avro file",
        ),
        (damaged, "", "Unreadable", "its checksum does not fit"),
        (
            b"{\"at\":1}".to_vec(),
            "",
            "Unreadable",
            "not an Avro object container file: it is text",
        ),
        (
            whole.clone(),
            "limits = { record_size = \"50B\" }",
            "RecordTooLong",
            "limits.record_size",
        ),
        (
            whole.clone(),
            "limits = { partitions = 1 }",
            "TooManyPartitions",
            "limits.partitions",
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
    let union = br#"{"type":"record","name":"r","fields":[{"name":"at","type":["int","long"]}]}"#;
    let mut object = b"Obj\x01\x02\x16avro.schema".to_vec();
    object.extend([
        u8::try_from((2 * union.len()) & 0x7f).unwrap() | 0x80,
        u8::try_from((2 * union.len()) >> 7).unwrap(),
    ]);
    object.extend(union);
    object.extend([0; 17]);
    virtual_time(async {
        let lake = Lake::new(BY_HOUR);
        let error = lake.rekey("a", &object, AMPLE).await.unwrap_err();
        assert_eq!(error.name(), "SchemaUnusable");
        assert!(
            error
                .to_string()
                .contains("column `at` is a union of [int, long]"),
            "{error}"
        );
    });
}
