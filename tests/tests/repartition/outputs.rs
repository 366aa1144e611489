//! The outputs.

use std::collections::BTreeSet;

use lakewright_core::config::Size;
use lakewright_model::virtual_time;
use lakewright_tests::semantics::stated;

use crate::lake::{Lake, plain};

const PREFIX: &str = "source = \"s3://lake/in/\"\n";

#[test]
fn directories_are_those_of_spark() {
    stated("Directories are those that Spark makes of the same values, character by character.");
    // What `df.write.partitionBy("k")` of Spark 4.3.0 has made of these values.
    let spark = [
        (" lead", "k= lead"),
        ("[x]", "k=%5Bx%5D"),
        ("{x}", "k=%7Bx}"),
        ("\u{7f}", "k=%7F"),
        (".", "k=."),
        ("2020-05-22", "k=2020-05-22"),
        ("NULL", "k=NULL"),
        ("TH!NK", "k=TH!NK"),
        ("", "k=__HIVE_DEFAULT_PARTITION__"),
        ("a b", "k=a b"),
        ("a\\\"b", "k=a%22b"),
        ("a#b", "k=a%23b"),
        ("a%b", "k=a%25b"),
        ("a'b", "k=a%27b"),
        ("a*b", "k=a%2Ab"),
        ("a/b", "k=a%2Fb"),
        ("a:b", "k=a%3Ab"),
        ("a=b", "k=a%3Db"),
        ("a?b", "k=a%3Fb"),
        ("a\\\\b", "k=a%5Cb"),
        ("a^b", "k=a%5Eb"),
        ("a&b", "k=a&b"),
        ("a+b", "k=a+b"),
        ("a,b", "k=a,b"),
        ("a;b", "k=a;b"),
        ("a<b>", "k=a<b>"),
        ("a@b$", "k=a@b$"),
        ("a|b", "k=a|b"),
        ("a~b", "k=a~b"),
        ("nl\\nx", "k=nl%0Ax"),
        ("tab\\there", "k=tab%09here"),
        ("é中", "k=é中"),
    ];
    virtual_time(async {
        let lake = Lake::new(&format!(
            "{PREFIX}format = \"json\"\npartition_by = [\"k\"]\noutput = [{{ format = \"csv\", compression = \"none\" }}]"
        ));
        let lines: String = spark
            .iter()
            .map(|(value, _)| format!("{{\"k\":\"{value}\",\"v\":1}}\n"))
            .collect();
        lake.place("in/a.json", lines + "{\"v\":1}\n");
        lake.run().await.unwrap();
        let found: BTreeSet<_> = lake
            .keys("out/")
            .iter()
            .map(|key| key.split('/').nth(1).unwrap().to_owned())
            .collect();
        let expected: BTreeSet<_> = spark
            .iter()
            .map(|(_, directory)| (*directory).to_owned())
            .collect();
        assert_eq!(found, expected);
    });
}

#[test]
fn text_differs_from_that_of_spark_where_it_must() {
    stated(
        "Unlike in Spark's CSV, a quote inside quotes is doubled, as RFC 4180 has it and as Athena, DuckDB, Polars and pyarrow read it, white space at the ends of a value stays, and `#` needs no quotes.",
    );
    stated(
        "Unlike in Spark's JSON, `NaN` and the infinities are `null`, because JSON has none, floating point numbers are written in their shortest form, times are `yyyy-MM-dd HH:mm:ss.fff`, which Athena reads, and the digits of an escaped control character are lower-case, as most writers have them.",
    );
    virtual_time(async {
        let lake = Lake::new(&format!(
            "{PREFIX}format = \"csv\"\nfiles = 1\ncolumns = [\"v\", {{ name = \"f\", type = \"double\" }}, {{ name = \"t\", type = \"timestamp\" }}]\noutput = [{{ format = \"csv\", compression = \"none\" }}, {{ format = \"json\", compression = \"none\" }}]"
        ));
        let text = "v,f,t\nplain,1.0,2020-05-22T14:03:11.123Z\n\"comma,x\",1e20,\n\"quote\"\"x\",NaN,\n\"nl\nx\",,\n lead,,\ntrail ,,\nback\\slash,,\n\"\",,\n,,\n#hash,,\n\u{1f},,\n";
        lake.place("in/a.csv", text);
        lake.run().await.unwrap();
        let file = |format: &str| lake.text(&lake.keys(&format!("out/{format}/"))[0]);
        assert_eq!(
            file("csv"),
            "v,f,t\nplain,1.0,2020-05-22 14:03:11.123\n\"comma,x\",1e20,\n\"quote\"\"x\",NaN,\n\"nl\nx\",,\n lead,,\ntrail ,,\nback\\slash,,\n\"\",,\n,,\n#hash,,\n\u{1f},,\n"
        );
        let json = file("json");
        let lines: Vec<_> = json.lines().take(3).collect();
        assert_eq!(
            lines[0],
            "{\"v\":\"plain\",\"f\":1.0,\"t\":\"2020-05-22 14:03:11.123\"}"
        );
        assert_eq!(lines[1], "{\"v\":\"comma,x\",\"f\":1.0e20}");
        assert!(!lines[2].contains("NaN"), "{}", lines[2]);
        assert_eq!(json.lines().last(), Some(r#"{"v":"\u001f"}"#));
    });
}

#[test]
fn timestamps_in_parquet_are_no_int96() {
    stated(
        "Unlike in Spark's Parquet, timestamps are INT64 in microseconds, because INT96 is deprecated.",
    );
    virtual_time(async {
        let lake = Lake::new(&format!(
            "{PREFIX}format = \"csv\"\nfiles = 1\ncolumns = [{{ name = \"t\", type = \"timestamp\" }}]"
        ));
        lake.place("in/a.csv", "t\n2020-05-22T14:03:11.123456Z\n");
        lake.run().await.unwrap();
        let batch = lake.parquet(&lake.keys("out/")[0]);
        let expected =
            arrow::datatypes::DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None);
        assert_eq!(batch.schema().field(0).data_type(), &expected);
    });
}

#[test]
fn several_files_for_each_partition() {
    stated(
        "With `partition_by` and `files`, each partition has that many files, or as many as it has rows where that is fewer.",
    );
    virtual_time(async {
        for memory in [1 << 28, 0] {
            let mut lake = Lake::new(&format!(
                "{PREFIX}format = \"csv\"\npartition_by = [\"k\"]\nfiles = 2\noutput = [{{ format = \"csv\", compression = \"none\" }}, {{ format = \"parquet\" }}]"
            ));
            lake.memory = memory;
            lake.place("in/a.csv", "k,v\na,1\nb,2\na,3\na,4\n");
            lake.run().await.unwrap();
            let files: Vec<_> = lake
                .keys("out/csv/")
                .iter()
                .map(|key| (plain(key), lake.text(key)))
                .collect();
            let file = |name: &str, text: &str| (format!("out/csv/{name}"), text.to_owned());
            assert_eq!(
                files,
                [
                    file("k=a/part-00000.csv", "v\n1\n3\n"),
                    file("k=a/part-00001.csv", "v\n4\n"),
                    file("k=b/part-00000.csv", "v\n2\n"),
                ]
            );
            assert_eq!(lake.keys("out/parquet/").len(), 3);
        }
    });
}

#[test]
fn each_task_has_files_of_its_own() {
    stated(
        "By columns, a file of a partition is of one task, so a partition has as many files as tasks have rows of it; with `merge`, or with `files`, the rows of all tasks are brought together first.",
    );
    virtual_time(async {
        for (more, expected) in [
            (
                "",
                vec!["k=a/part-00000", "k=a/part-00001", "k=b/part-00001"],
            ),
            ("merge = true", vec!["k=a/part-00000", "k=b/part-00000"]),
            (
                "files = 2",
                vec!["k=a/part-00000", "k=a/part-00001", "k=b/part-00000"],
            ),
        ] {
            for (memory, scratch) in [(1 << 28, u64::MAX), (0, u64::MAX), (0, 0)] {
                let mut lake = Lake::new(&format!(
                    "{PREFIX}format = \"csv\"\npartition_by = [\"k\"]\n{more}\noutput = [{{ format = \"csv\", compression = \"none\" }}]"
                ));
                lake.job.task_size = Size(10);
                lake.place("in/a.csv", "k,v\na,1\na,2\n");
                lake.place("in/b.csv", "k,v\na,3\nb,4\n");
                (lake.memory, lake.scratch) = (memory, scratch);
                let (plan, commit) = lake.run().await.unwrap();
                assert_eq!(plan.tasks.len(), 2);
                assert_eq!(commit.rows, 4);
                let files: Vec<_> = lake.keys("out/").iter().map(|key| plain(key)).collect();
                let expected: Vec<_> = expected
                    .iter()
                    .map(|name| format!("out/{name}.csv"))
                    .collect();
                assert_eq!(files, expected, "{more}");
                let of_a: String = lake
                    .keys("out/k=a/")
                    .iter()
                    .map(|key| lake.text(key))
                    .collect();
                assert_eq!(of_a.replace("v\n", ""), "1\n2\n3\n", "{more}");
                assert_eq!(lake.at_work(), 0, "{more}");
            }
        }
    });
}

#[test]
fn a_table_without_rows_keeps_its_columns() {
    stated(
        "Of a source without rows, a run without `partition_by` writes one file of each output that has the columns and no row; with `append`, a run without objects writes nothing.",
    );
    virtual_time(async {
        let lake = Lake::new(&format!(
            "{PREFIX}format = \"csv\"\nfiles = 3\noutput = [{{ format = \"csv\", compression = \"none\" }}, {{ format = \"parquet\" }}]"
        ));
        lake.place("in/a.csv", "a,b\n");
        let (_, commit) = lake.run().await.unwrap();
        assert_eq!((commit.rows, commit.outputs), (0, 2));
        assert_eq!(lake.text(&lake.keys("out/csv/")[0]), "a,b\n");
        assert_eq!(lake.parquet(&lake.keys("out/parquet/")[0]).num_columns(), 2);
    });
}
