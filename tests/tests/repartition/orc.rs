//! ORC, under a prefix and in a table.

use lakewright_core::config::Size;
use lakewright_model::virtual_time;
use lakewright_tests::semantics::stated;

use crate::{lake::Lake, sources::rows};

fn orc_file(codec: &str) -> Vec<u8> {
    let path = format!("{}/data/orc/{codec}.orc", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

#[test]
fn a_prefix_of_orc() {
    stated(
        "ORC's `boolean`, `tinyint`, `smallint`, `int`, `bigint`, `float`, `double`, `string`, `binary`, `date`, `decimal`, `timestamp`, `timestamp with local time zone`, `array`, `map` and `struct` are themselves, and `char` and `varchar` are `string`, as they are stored.",
    );
    virtual_time(async {
        let lake = Lake::new(
            "source = \"s3://lake/in/\"\nformat = \"orc\"\nfiles = 1\noutput = [{ format = \"json\", compression = \"none\" }]",
        );
        lake.place("in/a", orc_file("zstd"));
        lake.place("in/b", orc_file("uncompressed"));
        let (plan, commit) = lake.run().await.unwrap();
        let columns = plan.columns.iter();
        let columns = columns.map(|column| format!("{} {}", column.name, column.hive_type));
        assert_eq!(
            columns.collect::<Vec<_>>(),
            [
                "orderId bigint",
                "at timestamp with local time zone",
                "kind string",
                "price decimal(10,2)",
                "tags array<string>",
                "place struct<lat:double,kind:string>",
                "attributes map<string,int>",
                "day date"
            ]
        );
        assert_eq!((plan.files_before, commit.rows), (2, 6));
    });
}

#[test]
fn a_table_of_orc() {
    stated(
        "A table of OrcSerde is read by its columns, its stripes by several tasks; those that the table lacks are left out, and those that the file lacks are null.",
    );
    stated(
        "In a table of OrcSerde a column must have the same name in the file as at its place in the table, because Athena takes places and Spark names; with `orc.column.index.access` = `false` columns are found by name, and those of a file with the names `_col0`, `_col1` and so on are those of the table at their places.",
    );
    let in_order = &[
        ("orderid", "bigint"),
        ("at", "timestamp"),
        ("kind", "string"),
    ][..];
    let by_name = &[("kind", "string"), ("price", "double"), ("none", "int")][..];
    let once = [["1", "ONLINE"], ["2", "SHOP"], ["3", "SHOP"]];
    let of_names = [
        ["ONLINE", "12.5", "-"],
        ["SHOP", "-", "-"],
        ["SHOP", "-0.01", "-"],
    ];
    for (columns, parameters, task_size, expected) in [
        (in_order, &[("orc.compress", "ZLIB")][..], 1 << 20, Ok(2)),
        (in_order, &[("orc.column.index.access", "true")], 1, Ok(2)),
        (by_name, &[("orc.column.index.access", "false")], 1, Ok(3)),
        (by_name, &[], 1, Err("is at the place of `kind`")),
        (
            by_name,
            &[("orc.column.index.access", "x")],
            1,
            Err("neither true nor false"),
        ),
        (
            by_name,
            &[("orc.encrypt", "x")],
            1,
            Err("`orc.encrypt` is `x`"),
        ),
    ] {
        virtual_time(async {
            let mut lake =
                Lake::new("source = \"d.t\"\nfiles = 4\noutput = [{ format = \"parquet\" }]");
            lake.job.task_size = Size(task_size);
            let serde = "org.apache.hadoop.hive.ql.io.orc.OrcSerde";
            let mut table = lake.table("d.t", "t/", serde, columns, parameters);
            table.storage.input_format =
                Some("org.apache.hadoop.hive.ql.io.orc.OrcInputFormat".to_owned());
            lake.cloud.with(|state| state.glue.put_table(table));
            lake.place("t/a.orc", orc_file("uncompressed"));
            lake.place("t/b.orc", orc_file("lz4"));
            let found = lake.run().await;
            let width = match expected {
                Ok(width) => width,
                Err(says) => {
                    let error = found.unwrap_err();
                    assert_eq!(error.name(), "SchemaUnusable");
                    assert!(error.to_string().contains(says), "{error}");
                    assert_eq!(lake.keys("out/"), Vec::<String>::new());
                    return;
                }
            };
            let tasks = found.unwrap().0.tasks.len();
            // One file has three stripes, and the other one.
            assert_eq!(tasks, if task_size == 1 { 4 } else { 1 });
            let found = lake.rows("out/");
            if width == 3 {
                let rows_of = of_names.iter().map(|row| &row[..]).collect::<Vec<_>>();
                assert_eq!(found, rows(&rows_of.repeat(2)));
            } else {
                let found = found.iter();
                let found =
                    found.map(|row| [0, 2].map(|column: usize| row[column].clone().unwrap()));
                assert_eq!(found.collect::<Vec<_>>(), once.repeat(2));
            }
        });
    }
}
