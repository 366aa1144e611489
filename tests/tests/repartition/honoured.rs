//! A table's settings: each is honoured, or the table is refused before anything is read.

use std::collections::BTreeMap;

use lakewright_core::catalog::Table;
use lakewright_model::virtual_time;
use lakewright_ports::Partition;
use lakewright_tests::semantics::stated;

use crate::{
    lake::{Lake, Rows, column},
    sources::{LAZY_SIMPLE, OPEN_CSV, OPENX, OUT, rows},
};

const TEXT: &str = "org.apache.hadoop.mapred.TextInputFormat";

/// The rows of a run over one object of a table, or its error.
async fn run(
    serde: &str,
    columns: &[(&str, &str)],
    parameters: &[(&str, &str)],
    bytes: &[u8],
) -> Result<Rows, String> {
    let lake = Lake::new(OUT);
    lake.place("t/a", bytes.to_vec());
    let mut table = lake.table("d.t", "t/", serde, columns, &[]);
    table.storage.input_format = Some(TEXT.to_owned());
    let own = |&(k, v): &(&str, &str)| (k.to_owned(), v.to_owned());
    table.storage.serde_parameters = parameters.iter().map(own).collect();
    lake.cloud.with(|state| state.glue.put_table(table));
    match lake.run().await {
        Ok(_) => Ok(lake.rows("out/")),
        Err(error) => {
            assert_eq!(lake.keys("out/"), Vec::<String>::new(), "{error}");
            Err(error.to_string())
        }
    }
}

#[test]
fn keys_of_json_tables() {
    stated(
        "In a table of OpenX's JSON SerDe, `mapping.<column>` names the column's key, which no other column takes; with `dots.in.keys` a dot in a key is an underscore in the column's name, and with `case.insensitive` = `false` a key must be spelled as the column or its mapping is.",
    );
    virtual_time(async {
        let text = br#"{"id":1,"timestamp":"x","detail-type":"Opened","geo.lat":1.5,"URL":"U","url":"u","ts":"no","in":{"a.b":"d"}}"#;
        for (columns, parameters, expected) in [
            (
                &[("ts", "string"), ("detail_type", "string")][..],
                &[
                    ("mapping.ts", "timestamp"),
                    ("mapping.detail_type", "detail-type"),
                    ("case.insensitive", "false"),
                ][..],
                &["x", "Opened"][..],
            ),
            (
                &[("geo_lat", "double"), ("id", "int")],
                &[("dots.in.keys", "true"), ("case.insensitive", "false")],
                &["1.5", "1"],
            ),
            (
                &[("full_url", "string"), ("path", "string")],
                &[
                    ("case.insensitive", "FALSE"),
                    ("mapping.full_url", "URL"),
                    ("mapping.path", "url"),
                ],
                &["U", "u"],
            ),
            (
                &[("ts", "string"), ("id", "int")],
                &[("mapping.ts", "missing"), ("case.insensitive", "false")],
                &["-", "1"],
            ),
        ] {
            let found = run(OPENX, columns, parameters, text).await;
            assert_eq!(found, Ok(rows(&[expected])), "{parameters:?}");
        }
        for (columns, parameters, says) in [
            (
                &[("a", "string"), ("timestamp", "string")][..],
                &[("mapping.a", "timestamp")][..],
                "mapping.a",
            ),
            (
                &[("a", "string"), ("b", "string")],
                &[("mapping.a", "x"), ("mapping.b", "X")],
                "mapping.",
            ),
            (&[("a", "string")], &[("mapping.zz", "x")], "mapping.zz"),
            (
                &[("ts", "string"), ("s", "struct<ts:string>")],
                &[("mapping.ts", "timestamp")],
                "mapping.ts",
            ),
            (
                &[("a", "string")],
                &[("dots.in.keys", "yes")],
                "dots.in.keys",
            ),
            (
                &[("a", "string")],
                &[("explicit.null", "true")],
                "explicit.null",
            ),
        ] {
            let error = run(OPENX, columns, parameters, text).await.unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    });
}

#[test]
fn a_malformed_line_stops_the_run_whatever_the_table_says() {
    stated(
        "With `ignore.malformed.json` too a record that cannot be read fails the run by its object and offset, because leaving it out would lose a row.",
    );
    virtual_time(async {
        let error = run(
            OPENX,
            &[("a", "int")],
            &[("ignore.malformed.json", "true")],
            b"{\"a\":1}\n{\"a\":\n",
        )
        .await;
        let error = error.unwrap_err();
        assert!(
            error.contains("s3://lake/t/a") && error.contains('8'),
            "{error}"
        );
    });
}

#[test]
fn collections_of_delimited_text() {
    stated(
        "Lists, maps and structs of LazySimpleSerDe lie between `collection.delim` (or `colelction.delim`, as Hive 1 and 2 spell it) and `mapkey.delim`, U+0002 and U+0003 by default, and the levels inside them between U+0004 and the characters that follow; nothing is an empty list or map, of equal keys the first counts, and a null key does not fit.",
    );
    virtual_time(async {
        let output =
            "source = \"d.t\"\nfiles = 1\noutput = [{ format = \"json\", compression = \"none\" }]";
        let columns = [
            ("id", "int"),
            ("tags", "array<string>"),
            ("attrs", "map<string,int>"),
            ("deep", "array<struct<a:int,b:array<string>>>"),
        ];
        for (parameters, line, expected) in [
            (
                &[("serialization.format", "1")][..],
                "1\u{1}red\u{2}green\u{1}a\u{3}1\u{2}b\u{3}2\u{1}7\u{3}x\u{4}y\u{2}8\n2\u{1}\\N\u{1}\\N\n3\u{1}\u{1}\n4\u{1}one\u{1}k\u{3}\\N\n5\u{1}a\u{2}\u{2}\\N\u{1}k\u{3}1\u{2}k\u{3}2\n",
                "{\"id\":1,\"tags\":[\"red\",\"green\"],\"attrs\":{\"a\":1,\"b\":2},\"deep\":[{\"a\":7,\"b\":[\"x\",\"y\"]},{\"a\":8}]}\n{\"id\":2}\n{\"id\":3,\"tags\":[],\"attrs\":{}}\n{\"id\":4,\"tags\":[\"one\"],\"attrs\":{\"k\":null}}\n{\"id\":5,\"tags\":[\"a\",\"\",null],\"attrs\":{\"k\":1}}\n",
            ),
            (
                &[
                    ("field.delim", "\t"),
                    ("colelction.delim", ","),
                    ("mapkey.delim", ":"),
                ],
                "1\tred,green\ta:1,b:2\n",
                "{\"id\":1,\"tags\":[\"red\",\"green\"],\"attrs\":{\"a\":1,\"b\":2}}\n",
            ),
            (
                &[
                    ("field.delim", "\t"),
                    ("collection.delim", ","),
                    ("mapkey.delim", ":"),
                    ("escape.delim", "\\"),
                ],
                "1\ta\\,b,c\tk\\:x:1\n",
                "{\"id\":1,\"tags\":[\"a,b\",\"c\"],\"attrs\":{\"k:x\":1}}\n",
            ),
        ] {
            let lake = Lake::new(output);
            lake.place("t/a", line.as_bytes().to_vec());
            lake.table("d.t", "t/", LAZY_SIMPLE, &columns, parameters);
            lake.run().await.unwrap();
            assert_eq!(lake.text(&lake.keys("out/")[0]), expected);
        }
        for (columns, line, says) in [
            (&[("m", "map<string,int>")][..], "\\N\u{3}1", "m"),
            (&[("m", "array<int>")], "x", "m"),
            (&[("m", "binary")], "x", "m"),
            (
                &[(
                    "m",
                    "array<array<array<array<array<array<array<array<int>>>>>>>>",
                )],
                "x",
                "m",
            ),
        ] {
            let error = run(LAZY_SIMPLE, columns, &[], line.as_bytes()).await;
            let error = error.unwrap_err();
            assert!(error.contains(&format!("`{says}")), "{error}");
        }
        let error = run(OPEN_CSV, &[("m", "array<int>")], &[], b"[1]").await;
        assert!(error.unwrap_err().contains("`m`"));
    });
}

#[test]
fn the_rest_of_a_line() {
    stated(
        "With `serialization.last.column.takes.rest` the last column is all that is left of the line.",
    );
    virtual_time(async {
        let columns = [("ts", "string"), ("level", "string"), ("message", "string")];
        let parameters = [
            ("field.delim", "\t"),
            ("serialization.last.column.takes.rest", "true"),
        ];
        let found = run(
            LAZY_SIMPLE,
            &columns,
            &parameters,
            b"t\tE\tdisk\tfull\tsda1\nu\tF\n",
        )
        .await;
        assert_eq!(
            found,
            Ok(rows(&[&["t", "E", "disk\tfull\tsda1"], &["u", "F", "-"]]))
        );
    });
}

#[test]
fn encodings_of_delimited_text() {
    stated(
        "`serialization.encoding` may be UTF-8 or ISO-8859-1, whose bytes are the characters of their numbers; any other is refused by name.",
    );
    virtual_time(async {
        let columns = [("a", "string"), ("n", "int")];
        for name in ["ISO-8859-1", "iso8859_1"] {
            let parameters = [("field.delim", ","), ("serialization.encoding", name)];
            for serde in [LAZY_SIMPLE, OPEN_CSV] {
                let parameters = if serde == OPEN_CSV {
                    &parameters[1..]
                } else {
                    &parameters[..]
                };
                let found = run(serde, &columns, parameters, b"M\xfcnchen,1\n").await;
                assert_eq!(found, Ok(rows(&[&["München", "1"]])));
            }
        }
        for name in ["windows-1252", "UTF-16LE", "GBK"] {
            let parameters = [("serialization.encoding", name)];
            let error = run(LAZY_SIMPLE, &columns, &parameters, b"a\x011\n").await;
            let error = error.unwrap_err();
            assert!(
                error.contains("serialization.encoding") && error.contains(name),
                "{error}"
            );
        }
    });
}

#[test]
fn days_of_open_csv() {
    stated(
        "In a date column of OpenCSVSerde an integer counts days since 1970-01-01, as Athena has it, and a text `yyyy-MM-dd` is that date.",
    );
    virtual_time(async {
        let columns = [("id", "int"), ("d", "date"), ("t", "timestamp")];
        let text = b"\"1\",\"18276\",\"1579059880000\"\n\"2\",\"0\",\"0\"\n\"3\",\"-1\",\"-1\"\n\"4\",\"\",\"\"\n\"5\",\"2020-01-15\",\"2020-01-15 03:44:40\"";
        let found = run(OPEN_CSV, &columns, &[], text).await;
        let expected = rows(&[
            &["1", "2020-01-15", "2020-01-15T03:44:40"],
            &["2", "1970-01-01", "1970-01-01T00:00:00"],
            &["3", "1969-12-31", "1969-12-31T23:59:59.999"],
            &["4", "-", "-"],
            &["5", "2020-01-15", "2020-01-15T03:44:40"],
        ]);
        assert_eq!(found, Ok(expected));
        for bad in ["20200115000", "99999999", "1.5"] {
            let text = format!("1,{bad},0\n");
            let error = run(OPEN_CSV, &columns, &[], text.as_bytes()).await;
            assert!(error.unwrap_err().contains("`d`"), "{bad}");
        }
    });
}

/// A change to a table, and the expected refusal.
type Change = (fn(&mut Table), &'static str);

#[test]
fn what_a_table_says_and_is_not_understood() {
    stated(
        "The InputFormat of a table must be the one that its SerDe's reader expects, TextInputFormat, MapredParquetInputFormat, OrcInputFormat or AvroContainerInputFormat; any other, SymlinkTextInputFormat among them, is refused by name.",
    );
    stated(
        "Each parameter of a table and of its SerDe is honoured, or is known to change nothing, or is refused by its name and value.",
    );
    virtual_time(async {
        let changes: &[Change] = &[
            (
                |table| {
                    let symlinks = "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat";
                    table.storage.input_format = Some(symlinks.to_owned());
                },
                "SymlinkTextInputFormat",
            ),
            (
                |table| {
                    table.storage.input_format = Some("com.acme.Input".to_owned());
                },
                "com.acme.Input",
            ),
            (
                |table| {
                    let iceberg = ("table_type".to_owned(), "ICEBERG".to_owned());
                    table.parameters.extend([iceberg]);
                },
                "table_type",
            ),
            (
                |table| {
                    let footer = ("skip.footer.line.count".to_owned(), "1".to_owned());
                    table.parameters.extend([footer]);
                },
                "`skip.footer.line.count` is `1`",
            ),
            (
                |table| {
                    let unknown = ("acme.mode".to_owned(), "odd".to_owned());
                    table.storage.serde_parameters.extend([unknown]);
                },
                "`acme.mode` is `odd`",
            ),
            (
                |table| {
                    let elsewhere = ("path".to_owned(), "s3://lake/other".to_owned());
                    table.storage.serde_parameters.extend([elsewhere]);
                },
                "`path` is `s3://lake/other`",
            ),
        ];
        for (serde, csv) in [(LAZY_SIMPLE, ""), (OPENX, ""), (LAZY_SIMPLE, "\ncsv = {}")] {
            for (change, says) in changes {
                // With `csv`, only classes and other table formats' markers matter.
                if !csv.is_empty() && says.contains(" is `") {
                    continue;
                }
                let lake = Lake::new(&format!("{OUT}{csv}"));
                lake.place("t/a", "s3://lake/real/a\n");
                let mut table = lake.table("d.t", "t/", serde, &[("a", "string")], &[]);
                change(&mut table);
                lake.cloud.with(|state| state.glue.put_table(table));
                let error = lake.plan().await.unwrap_err();
                assert_eq!(error.name(), "SchemaUnusable");
                assert!(error.to_string().contains(says), "{error}");
                assert_eq!(lake.ledger(""), 0);
            }
        }
        // An output that names a column which no file has.
        let output = OUT.replace(
            "format = \"parquet\"",
            "format = \"parquet\", bloom_filter_columns = [\"nope\"]",
        );
        assert_ne!(output, OUT);
        let lake = Lake::new(&output);
        lake.place("t/a", "x\n");
        let table = lake.table("d.t", "t/", LAZY_SIMPLE, &[("a", "string")], &[]);
        lake.cloud.with(|state| state.glue.put_table(table));
        let error = lake.plan().await.unwrap_err();
        assert_eq!(error.name(), "SchemaUnusable");
        assert!(
            error
                .to_string()
                .contains("bloom_filter_columns names `nope`"),
            "{error}"
        );
        assert_eq!(lake.ledger(""), 0);
        // The notes of crawlers, Hive and Spark have no effect.
        let lake = Lake::new(OUT);
        lake.place("t/a", "x\n");
        let parameters = [
            ("EXTERNAL", "TRUE"),
            ("classification", "csv"),
            ("compressionType", "none"),
            ("averageRecordSize", "12"),
            ("CrawlerSchemaDeserializerVersion", "1.0"),
            ("UPDATED_BY_CRAWLER", "c"),
            ("spark.sql.sources.schema.part.0", "{}"),
            ("transient_lastDdlTime", "1"),
            ("path", "s3a://lake/t"),
        ];
        lake.table("d.t", "t/", LAZY_SIMPLE, &[("a", "string")], &parameters);
        lake.run().await.unwrap();
    });
}

#[test]
fn partitions_that_say_something_else() {
    stated(
        "A partition whose own SerDe, parameters or columns have its objects read in another way than the table's is refused by its values; it may lack columns that were added after its own.",
    );
    virtual_time(async {
        type Change = fn(&mut Table);
        let changes: &[(Change, bool)] = &[
            (|_| {}, true),
            (|table| drop(table.storage.columns.pop()), true),
            (|table| table.storage.columns.reverse(), false),
            (
                |table| table.storage.serde_library = Some(OPEN_CSV.to_owned()),
                false,
            ),
            (
                |table| {
                    let symlinks = "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat";
                    table.storage.input_format = Some(symlinks.to_owned());
                },
                false,
            ),
            (
                |table| {
                    let delimiter = ("field.delim".to_owned(), ";".to_owned());
                    table.storage.serde_parameters = BTreeMap::from([delimiter]);
                },
                false,
            ),
        ];
        for (change, fits) in changes {
            let lake = Lake::new(OUT);
            lake.place("t/1/a", "x,y\n");
            let columns = [("a", "string"), ("b", "string")];
            let delimiter = [("field.delim", ",")];
            let mut table = lake.table("d.t", "t/", LAZY_SIMPLE, &columns, &delimiter);
            table.partition_keys = vec![column("day", "string")];
            lake.cloud.with(|state| state.glue.put_table(table.clone()));
            let mut other = table.clone();
            change(&mut other);
            let partition = Partition {
                values: vec!["d1".to_owned()],
                storage: lakewright_core::catalog::StorageDescriptor {
                    location: "s3://lake/t/1/".to_owned(),
                    ..other.storage
                },
            };
            let (ports, _) = lake.ports(lakewright_model::Plan::default());
            let partitions = [partition];
            let created = ports.catalog.create_partitions(&table.name, &partitions);
            assert!(created.await.unwrap().is_empty());
            match lake.run().await {
                Ok(_) => assert!(fits),
                Err(error) => {
                    assert!(!fits, "{error}");
                    assert!(error.to_string().contains("d1"), "{error}");
                }
            }
        }
    });
}

#[test]
fn prefixes_that_another_format_owns() {
    stated(
        "A prefix with `_delta_log/`, `.hoodie` or `metadata/*.metadata.json` beside it or below it, or above it where the role may list there, is refused by compact and repartition before anything is read, written or deleted, and by rekey and split, which list nothing below their targets, where it is beside or above; rekey looks once in the life of an execution environment.",
    );
    virtual_time(async {
        for mark in [
            "_delta_log/0.json",
            "in/_delta_log/0.json",
            "in/t/_delta_log/0.json",
            "in/t/deep/er/_delta_log/0.json",
            "in/.hoodie/hoodie.properties",
            "in/t/dt=1/.hoodie_partition_metadata",
            "in/metadata/00001-a.metadata.json",
            "in/t/x/metadata/v1.metadata.json",
            "out/_delta_log/0.json",
            "out/x/metadata/v1.metadata.json",
        ] {
            let lake = Lake::new("source = \"s3://lake/in/t/\"\nformat = \"json\"\nfiles = 1");
            lake.place("in/t/a.json", "{\"a\":1}\n");
            lake.place(mark, "{}");
            let error = lake.plan().await.unwrap_err();
            assert!(error.to_string().contains(mark), "{mark}: {error}");
            assert_eq!(lake.ledger(""), 0);
        }
    });
}

/// A file of 100 rows whose footer claims to have none, while its row groups have them.
fn without_rows(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    // The number, between its field's header and the list of row groups: 0, encoded in as many bytes.
    let number = [0x16, 0xc8, 0x01, 0x19];
    let place = file
        .windows(4)
        .rposition(|window| window == number)
        .unwrap();
    file[place + 1..place + 3].copy_from_slice(&[0x80, 0x00]);
    file
}

#[test]
fn files_that_contradict_themselves_stay() {
    stated(
        "A footer that counts other rows than its row groups, or a row group whose columns have other numbers of values than it has rows, refuses the file in every job, and what is read is counted once more.",
    );
    stated(
        "A page that has a checksum is compared with it wherever it is read, by every job, and one that differs refuses its file by column and page.",
    );
    virtual_time(async {
        let good = include_bytes!("../../data/good.parquet");
        let flipped = include_bytes!("../../data/flipped.parquet");
        for (file, says) in [
            (without_rows(good), "row groups have 100"),
            (flipped.to_vec(), "page "),
        ] {
            for settings in ["", "files = 1", "partition_by = [\"id\"]"] {
                let lake = Lake::new(&format!(
                    "source = \"s3://lake/out/\"\nformat = \"parquet\"\n{settings}"
                ));
                lake.place("out/a.parquet", file.clone());
                lake.place("out/b.parquet", good.to_vec());
                let error = lake.run().await.unwrap_err();
                assert_eq!(error.name(), "Unreadable", "{error}");
                let text = error.to_string();
                assert!(
                    text.contains("out/a.parquet") && text.contains(says),
                    "{text}"
                );
                assert_eq!(lake.bytes("out/a.parquet"), file);
            }
        }
    });
}
