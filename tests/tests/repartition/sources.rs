//! Every kind of source.

use std::{collections::BTreeMap, io::Write as _, sync::Arc};

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use flate2::{Compression, write::GzEncoder};
use lakewright_core::config::Size;
use lakewright_jobs::ErrorKind;
use lakewright_model::virtual_time;
use lakewright_ports::Partition;
use lakewright_tests::semantics::stated;

use crate::lake::{Lake, Rows, column, parquet_file};

pub(crate) const LAZY_SIMPLE: &str = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe";
pub(crate) const OPEN_CSV: &str = "org.apache.hadoop.hive.serde2.OpenCSVSerde";
pub(crate) const OPENX: &str = "org.openx.data.jsonserde.JsonSerDe";
const PARQUET: &str = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";
pub(crate) const OUT: &str = "source = \"d.t\"\nfiles = 1\noutput = [{ format = \"parquet\" }]";

pub(crate) fn rows(texts: &[&[&str]]) -> Rows {
    let value = |text: &&str| (*text != "-").then(|| (*text).to_owned());
    texts
        .iter()
        .map(|row| row.iter().map(value).collect())
        .collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_partitioned_table_of_lazy_simple_csv() {
    stated(
        "`expression` selects partitions of the source, as Glue evaluates it; objects of the others are not read.",
    );
    virtual_time(async {
        let lake = Lake::new(
            &format!("{OUT}\nexpression = \"year=2020\"")
                .replace("expression = \"year=2020\"", "expression = 'year=2020'"),
        );
        let mut table = lake.table(
            "d.t",
            "t/",
            LAZY_SIMPLE,
            &[("a", "string"), ("n", "int")],
            &[("field.delim", ",")],
        );
        table.partition_keys = vec![column("year", "int"), column("month", "string")];
        lake.cloud.with(|state| state.glue.put_table(table.clone()));
        let partition = |year: &str, month: &str| Partition {
            values: vec![year.to_owned(), month.to_owned()],
            storage: lakewright_core::catalog::StorageDescriptor {
                location: format!("s3://lake/t/{year}-{month}"),
                ..table.storage.clone()
            },
        };
        let (ports, _) = lake.ports(lakewright_model::Plan::default());
        let partitions = [
            partition("2020", "05"),
            partition("2020", "06"),
            partition("2021", "05"),
        ];
        let refused = ports
            .catalog
            .create_partitions(&table.name, &partitions)
            .await
            .unwrap();
        assert!(refused.is_empty());
        lake.place("t/2020-05/a.csv", "x,1\n\\N,\n");
        lake.place("t/2020-06/a.csv.gz", gzip("y,2\n"));
        lake.place("t/2020-06/_hidden", "z,9\n");
        lake.place("t/2020-06/empty.csv", "");
        lake.place("t/2021-05/a.csv", "z,3\n");
        let (plan, commit) = lake.run().await.unwrap();
        assert_eq!((plan.files_before, commit.rows), (2, 3));
        assert_eq!(
            lake.rows("out/"),
            rows(&[
                &["x", "1", "2020", "05"],
                &["-", "-", "2020", "05"],
                &["y", "2", "2020", "06"]
            ])
        );
    });
}

#[test]
fn a_table_of_open_csv() {
    stated(
        "OpenCSVSerde's values are taken into the types of their columns, and a number in a timestamp column is milliseconds.",
    );
    virtual_time(async {
        let lake = Lake::new(OUT);
        lake.table(
            "d.t",
            "t/",
            OPEN_CSV,
            &[("a", "string"), ("n", "bigint"), ("t", "timestamp")],
            &[("separatorChar", ",")],
        );
        lake.place(
            "t/a.csv",
            "\"a,\"\"b\"\"\",\"7\",\"1500\"\n\"\",\"\",\"2020-05-22 01:02:03\"\n",
        );
        lake.run().await.unwrap();
        assert_eq!(
            lake.rows("out/"),
            rows(&[
                &["a,\"b\"", "7", "1970-01-01T00:00:01.500"],
                &["", "-", "2020-05-22T01:02:03"]
            ])
        );
    });
}

/// Lines of JSON that a SerDe reads, in two objects.
fn json_lines() -> [String; 2] {
    let line = |row: u32| {
        format!(
            "{{\"Plate\":\"p{row}\",\"extra\":1,\"N\":{row},\"pad\":\"{}\"}}\n",
            "x".repeat(row as usize % 17)
        )
    };
    [(0..40).map(line).collect(), (40..63).map(line).collect()]
}

#[test]
fn a_table_of_json_in_one_task_and_in_many() {
    stated(
        "JSON tables take their columns from the keys of their names, whatever the case, and leave other keys out.",
    );
    stated(
        "An object that is not compressed and whose records end with lines is read by several tasks in ranges, each record by one of them; any other object is read by one task, Parquet by row groups and ORC by stripes.",
    );
    stated("The files of several tasks are those of one: the same rows, cut in the same places.");
    virtual_time(async {
        let settings = "source = \"d.t\"\nfiles = 5\noutput = [{ format = \"parquet\" }, { format = \"json\", compression = \"none\" }, { format = \"csv\", compression = \"none\" }]";
        let mut texts = Vec::new();
        for task_size in [1 << 20, 300, 900] {
            let mut lake = Lake::new(settings);
            lake.job.task_size = Size(task_size);
            lake.table(
                "d.t",
                "t",
                OPENX,
                &[("plate", "string"), ("n", "int"), ("pad", "string")],
                &[],
            );
            let [a, b] = json_lines();
            lake.place("t/a.json", a);
            lake.place("t/b.json", b);
            let (plan, commit) = lake.run().await.unwrap();
            assert_eq!(plan.prepare.is_empty(), task_size == 1 << 20);
            assert_eq!((commit.rows, commit.outputs), (63, 15));
            let rows = lake.rows("out/parquet/");
            assert_eq!(rows.len(), 63);
            assert_eq!(rows[62][1].as_deref(), Some("62"));
            let text = |format: &str| {
                lake.keys(&format!("out/{format}/"))
                    .iter()
                    .map(|key| lake.text(key))
                    .collect::<Vec<_>>()
            };
            texts.push((rows, text("json"), text("csv")));
            lake.memory = 0;
        }
        assert_eq!(texts[0], texts[1]);
        assert_eq!(texts[0], texts[2]);
    });
}

#[test]
fn a_table_of_parquet_by_row_groups() {
    stated(
        "Parquet columns are matched by name whatever the case; those that the table lacks are left out, and those that the file lacks are null.",
    );
    virtual_time(async {
        for task_size in [1 << 20, 100] {
            let mut lake =
                Lake::new("source = \"d.t\"\nfiles = 4\noutput = [{ format = \"parquet\" }]");
            lake.job.task_size = Size(task_size);
            lake.table(
                "d.t",
                "t/",
                PARQUET,
                &[("n", "bigint"), ("s", "string"), ("none", "int")],
                &[],
            );
            let batch = |from: i32| {
                let columns: [(&str, ArrayRef); 3] = [
                    ("other", Arc::new(Int32Array::from_iter_values(0..10))),
                    (
                        "S",
                        Arc::new(
                            (from..from + 10)
                                .map(|n| Some(format!("s{n}")))
                                .collect::<StringArray>(),
                        ),
                    ),
                    ("N", Arc::new(Int32Array::from_iter_values(from..from + 10))),
                ];
                RecordBatch::try_from_iter(columns).unwrap()
            };
            lake.place("t/a.parquet", parquet_file(&batch(0), 3));
            lake.place("t/b.parquet", parquet_file(&batch(10), 4));
            let (plan, _) = lake.run().await.unwrap();
            assert_eq!(plan.tasks.len() > 1, task_size == 100);
            let expected: Rows = (0..20)
                .map(|n| vec![Some(n.to_string()), Some(format!("s{n}")), None])
                .collect();
            assert_eq!(lake.rows("out/"), expected);
            let sizes: Vec<_> = lake
                .keys("out/")
                .iter()
                .map(|key| lake.parquet(key).num_rows())
                .collect();
            assert_eq!(sizes, [5, 5, 5, 5]);
        }
    });
}

#[test]
fn quoted_csv_that_a_crawler_registered_without_quotes() {
    virtual_time(async {
        let lake = Lake::new(&format!("{OUT}\ncsv = {{}}"));
        lake.table(
            "d.t",
            "t/",
            LAZY_SIMPLE,
            &[("product_id", "bigint"), ("product_name", "string")],
            &[("field.delim", ","), ("skip.header.line.count", "1")],
        );
        lake.place(
            "t/a.csv",
            "product_id,product_name\n1,\"Toys, \"\"Games\"\"\"\n",
        );
        lake.run().await.unwrap();
        assert_eq!(lake.rows("out/"), rows(&[&["1", "Toys, \"Games\""]]));
    });
}

#[test]
fn lines_by_a_pattern_in_several_tasks() {
    stated(
        "Each group goes into the column of its name, whatever its case, as a field of CSV does; without a table, every field is a string.",
    );
    virtual_time(async {
        for task_size in [70, 512 << 20] {
            let mut lake = Lake::new(
                "source = \"s3://lake/in/\"\nformat = \"regex\"\nregex = { pattern = '\\[(?<Level>\\w+)\\] (?<n>\\d+)(?: (?<rest>.*))?', skip_lines = 1 }\nfiles = 3\noutput = [{ format = \"parquet\" }]",
            );
            lake.job.task_size = Size(task_size);
            let line = |n: usize| {
                format!(
                    "[info] {n}{}\n",
                    if n.is_multiple_of(2) { " x" } else { "" }
                )
            };
            let lines = |from: usize| (from..from + 20).map(line).collect::<String>();
            lake.place("in/a", format!("# no record\n{}", lines(0)));
            lake.place("in/b.gz", gzip(&format!("# nor this\n{}", lines(20))));
            let (plan, commit) = lake.run().await.unwrap();
            assert_eq!(plan.tasks.len() > 2, task_size == 70);
            assert_eq!(commit.rows, 40);
            let columns = plan.columns.iter();
            let columns = columns.map(|c| format!("{} {}", c.name, c.hive_type));
            assert_eq!(
                columns.collect::<Vec<_>>(),
                ["Level string", "n string", "rest string"]
            );
            let row = |n: usize| {
                let rest = n.is_multiple_of(2).then(|| "x".to_owned());
                vec![Some("info".to_owned()), Some(n.to_string()), rest]
            };
            assert_eq!(lake.rows("out/"), (0..40).map(row).collect::<Rows>());
            lake.place("in/c", "# x\nno match\n");
            let error = lake.run().await.unwrap_err();
            assert!(error.to_string().contains("does not match"), "{error}");
        }
    });
}

#[test]
fn prefixes() {
    stated(
        "Under a prefix, the columns are those of the first object's header, or of its Parquet, ORC or Avro schema, or of all JSON records; CSV columns are strings.",
    );
    virtual_time(async {
        let run = async |format: &str, objects: &[(&str, Vec<u8>)]| {
            let lake = Lake::new(&format!(
                "source = \"s3://lake/in/\"\nformat = \"{format}\"\nfiles = 1\noutput = [{{ format = \"parquet\" }}]"
            ));
            for (key, bytes) in objects {
                lake.place(key, bytes.clone());
            }
            lake.run().await.map(|(plan, _)| {
                let columns = plan
                    .columns
                    .iter()
                    .map(|c| format!("{} {}", c.name, c.hive_type));
                (columns.collect::<Vec<_>>(), lake.rows("out/"))
            })
        };
        let (columns, found) = run(
            "csv",
            &[
                ("in/a", b"A b,n\nx,1\n".to_vec()),
                ("in/b", b"n,A b\n2,y\n".to_vec()),
            ],
        )
        .await
        .unwrap();
        assert_eq!(columns, ["A b string", "n string"]);
        assert_eq!(found, rows(&[&["x", "1"], &["y", "2"]]));
        let (columns, found) = run("json", &[("in/a", b"{\"A\":1}{\"b\":[1]}".to_vec())])
            .await
            .unwrap();
        assert_eq!(columns, ["A bigint", "b array<bigint>"]);
        assert_eq!(found.len(), 2);
        let error = run(
            "csv",
            &[
                ("in/a", b"a\nx\n".to_vec()),
                ("in/b", b"a,c\n1,2\n".to_vec()),
            ],
        )
        .await
        .unwrap_err();
        assert!(error.to_string().contains("`c`"), "{error}");
        let error = run("csv", &[]).await.unwrap_err();
        assert_eq!(error.name(), "NothingToRead");
    });
}

#[test]
fn names_are_as_they_are_spelled() {
    stated(
        "Column names are those of the source as they are spelled there, spaces too, also in paths; a table's are lower-case because Glue has them so.",
    );
    virtual_time(async {
        let text = "{\"MPAA Rating\":\"PG\",\"Props\":{\"L\":[{\"X y\":1}],\"magType\":\"mb\"}}\n";
        let lake_of = |format: &str| {
            Lake::new(&format!(
                "source = \"s3://lake/in/\"\nformat = \"{format}\"\nfiles = 1\noutput = [{{ format = \"json\", compression = \"none\" }}]"
            ))
        };
        let lake = lake_of("json");
        lake.place("in/a", text);
        lake.run().await.unwrap();
        let keys = lake.keys("out/");
        let key = keys.iter().find(|key| key.ends_with(".json")).unwrap();
        assert_eq!(lake.text(key), text);
        // A Parquet file's too, down to the fields of structs.
        let mut reader = arrow::json::ReaderBuilder::new(Arc::new(
            arrow::json::reader::infer_json_schema(text.as_bytes(), None)
                .unwrap()
                .0,
        ))
        .build(text.as_bytes())
        .unwrap();
        let of_parquet = lake_of("parquet");
        of_parquet.place("in/a", parquet_file(&reader.next().unwrap().unwrap(), 9));
        of_parquet.run().await.unwrap();
        let keys = of_parquet.keys("out/");
        let key = keys.iter().find(|key| key.ends_with(".json")).unwrap();
        assert_eq!(of_parquet.text(key), text);
        // As the directories are called, too, whatever the case in which they are asked for.
        for spelled in ["MPAA Rating", "mpaa rating"] {
            let lake = Lake::new(&format!(
                "source = \"s3://lake/in/\"\nformat = \"json\"\npartition_by = [\"{spelled}\"]"
            ));
            lake.place("in/a", text);
            lake.run().await.unwrap();
            let keys = lake.keys("out/");
            assert!(
                keys.iter()
                    .any(|key| key.starts_with("out/MPAA Rating=PG/")),
                "{keys:?}"
            );
        }
        // Records of one field in two spellings are refused by both.
        let lake = Lake::new("source = \"s3://lake/in/\"\nformat = \"json\"\nfiles = 1");
        lake.place("in/a", "{\"aB\":1}\n{\"Ab\":2}\n");
        let error = lake.run().await.unwrap_err().to_string();
        assert!(error.contains("`aB`") && error.contains("`Ab`"), "{error}");
    });
}

#[test]
fn an_object_is_refused_by_the_names_that_rekey_gives() {
    stated(
        "What exceeds a limit is refused by that limit's own error before anything is written; a record nested too deep is set aside alone.",
    );
    let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(0..1_000));
    let batch = RecordBatch::try_from_iter([("a", Arc::clone(&numbers)), ("A", numbers)]).unwrap();
    let twice = parquet_file(&batch, 1_000);
    let once = parquet_file(&batch.project(&[0]).unwrap(), 1_000);
    let zeros = gzip(&" ".repeat(20 << 20));
    let long = "{\"a\":12345678901234567890}\n";
    for (format, limits, bytes, name) in [
        (
            "json",
            "record_size = \"20B\"",
            long.as_bytes().to_vec(),
            "RecordTooLong",
        ),
        (
            "csv",
            "record_size = \"20B\"",
            b"a\n12345678901234567890123\n".to_vec(),
            "RecordTooLong",
        ),
        (
            "json",
            "compression_ratio = 100",
            zeros,
            "CompressionRatioExceeded",
        ),
        (
            "parquet",
            "parquet_footer = \"100B\"",
            once.to_vec(),
            "ParquetFooterTooLarge",
        ),
        (
            "parquet",
            "parquet_row_group = \"100B\"",
            once.to_vec(),
            "ParquetRowGroupTooLarge",
        ),
        (
            "parquet",
            "partitions = 3",
            twice.to_vec(),
            "SchemaUnusable",
        ),
        (
            "json",
            "partitions = 3",
            b"{\"aB\":1}\n{\"Ab\":2}\n".to_vec(),
            "SchemaUnusable",
        ),
    ] {
        virtual_time(async {
            let lake = Lake::new(&format!(
                "source = \"s3://lake/in/\"\nformat = \"{format}\"\nfiles = 1\nlimits = {{ {limits} }}\noutput = [{{ format = \"json\" }}]"
            ));
            lake.place("in/a", bytes);
            let error = lake.run().await.unwrap_err();
            assert_eq!(error.name(), name, "{format} {limits}: {error}");
            assert!(error.to_string().contains("lake/in/a"), "{error}");
            assert_eq!(lake.keys("out/"), Vec::<String>::new());
        });
    }
}

#[test]
fn what_cannot_be_read_fails_before_the_commit() {
    stated(
        "Unlike Spark, which makes nulls of it, a record that cannot be read or has a value that does not fit its column fails the run before its commit, and the error names the object and the offset; with `on_mismatch = \"drop\"` such a value is null, and counted.",
    );
    let table = |settings: &str, text: &str| {
        let lake = Lake::new(settings);
        let columns = [("a", "string"), ("n", "int")];
        lake.table("d.t", "t/", LAZY_SIMPLE, &columns, &[("field.delim", ",")]);
        lake.place("t/a.csv", text.to_owned());
        lake
    };
    virtual_time(async {
        for (text, says) in [
            ("x,1\ny,two\n", "at 4: column `n`"),
            ("x,1\n\u{0}\u{0},9999999999\n", "column `n`"),
        ] {
            let lake = table(OUT, text);
            lake.place("out/old.parquet", "whatever");
            let plan = lake.plan().await.unwrap();
            let error = lake.write(&plan.tasks[0]).await.unwrap_err();
            assert_eq!(error.name(), "RecordRefused");
            assert!(
                error.to_string().contains("s3://lake/t/a.csv") && error.to_string().contains(says),
                "{error}"
            );
            assert_eq!(lake.commit(&plan).await.unwrap_err().name(), "TasksMissing");
            assert_eq!(lake.keys("out/"), ["out/old.parquet"]);
            // In a range, the offset is that in the object.
            let mut lake = table(&OUT.replace("files = 1", "files = 2"), text);
            lake.job.task_size = Size(8);
            let plan = lake.plan().await.unwrap();
            let mut errors = Vec::new();
            for prepare in plan.prepare.iter().chain(&plan.tasks) {
                errors.extend(
                    lake.write(prepare)
                        .await
                        .err()
                        .map(|error| error.to_string()),
                );
            }
            assert!(
                errors.iter().any(|error| error.contains(says)),
                "{errors:?}"
            );
            let lake = table(&format!("{OUT}\non_mismatch = \"drop\""), text);
            let plan = lake.plan().await.unwrap();
            let report = lake.write(&plan.tasks[0]).await.unwrap();
            assert_eq!((report.rows, report.values_dropped), (2, 1));
        }
    });
}

#[test]
fn sources_that_are_none() {
    virtual_time(async {
        let lake = Lake::new(OUT);
        let error = lake.plan().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TableMissing);
        lake.table("d.t", "t/", "com.acme.SerDe", &[("a", "string")], &[]);
        let error = lake.plan().await.unwrap_err();
        assert!(error.to_string().contains("com.acme.SerDe"), "{error}");
        let mut table = lake.table("d.t", "t/", PARQUET, &[("a", "string")], &[]);
        table.partition_keys = vec![column("day", "string")];
        table.parameters = BTreeMap::from([("projection.enabled".to_owned(), "true".to_owned())]);
        lake.cloud.with(|state| state.glue.put_table(table));
        let error = lake.plan().await.unwrap_err();
        assert!(error.to_string().contains("projected"), "{error}");
        lake.table("d.t", "t/", PARQUET, &[("a", "frob")], &[]);
        let error = lake.plan().await.unwrap_err();
        assert!(error.to_string().contains("frob"), "{error}");
    });
}
