//! Avro, under a prefix and in a table.

use lakewright_core::config::Size;
use lakewright_model::virtual_time;
use lakewright_tests::semantics::stated;

use crate::{lake::Lake, sources::rows};

const AVRO: &str = "org.apache.hadoop.hive.serde2.avro.AvroSerDe";

fn avro_file(codec: &str) -> Vec<u8> {
    let path = format!("{}/data/avro/{codec}.avro", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

#[test]
fn a_prefix_of_avro() {
    stated(
        "Under a prefix, the columns are those of the first object's header, or of its Parquet, ORC or Avro schema, or of all JSON records; CSV columns are strings.",
    );
    virtual_time(async {
        let lake = Lake::new(
            "source = \"s3://lake/in/\"\nformat = \"avro\"\nfiles = 1\noutput = [{ format = \"json\", compression = \"none\" }]",
        );
        lake.place("in/a", avro_file("zstandard"));
        lake.place("in/b", avro_file("null"));
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
fn a_table_of_avro() {
    stated(
        "A table of AvroSerDe is read by its columns, matched by name whatever the case, each object by one task; those that the table lacks are left out, and those that the file lacks are null.",
    );
    stated(
        "A table's `avro.schema.literal` must be a record of the table's columns, in their order, without aliases and without defaults other than null, because readers would take other fields or values than those that are read by the columns; `avro.schema.url` is refused, because it is not looked up.",
    );
    let literal = |name: &str| {
        format!(
            r#"{{"type":"record","name":"t","fields":[{{"name":"{name}","type":"long"}},{{"name":"price","type":["null","double"],"default":null}},{{"name":"none","type":["null","int"]}}]}}"#
        )
    };
    for (parameters, task_size, says) in [
        (&[][..], 1 << 20, None),
        (&[("avro.schema.literal", literal("orderId"))], 1, None),
        (
            &[("avro.schema.literal", literal("id"))],
            1,
            Some("avro.schema.literal"),
        ),
        (
            &[("avro.schema.url", "s3://a/b.avsc".to_owned())],
            1,
            Some("avro.schema.url"),
        ),
        (
            &[("avro.mode", "odd".to_owned())],
            1,
            Some("`avro.mode` is `odd`"),
        ),
    ] {
        virtual_time(async {
            let mut lake =
                Lake::new("source = \"d.t\"\nfiles = 2\noutput = [{ format = \"parquet\" }]");
            lake.job.task_size = Size(task_size);
            let parameters = parameters
                .iter()
                .map(|(name, value)| (*name, value.as_str()));
            let mut table = lake.table(
                "d.t",
                "t/",
                AVRO,
                &[("orderid", "bigint"), ("price", "double"), ("none", "int")],
                &parameters.collect::<Vec<_>>(),
            );
            table.storage.input_format =
                Some("org.apache.hadoop.hive.ql.io.avro.AvroContainerInputFormat".to_owned());
            lake.cloud.with(|state| state.glue.put_table(table));
            lake.place("t/a.avro", avro_file("snappy"));
            lake.place("t/b.avro", avro_file("bzip2"));
            let found = lake.run().await;
            if let Some(says) = says {
                let error = found.unwrap_err();
                assert_eq!(error.name(), "SchemaUnusable");
                assert!(error.to_string().contains(says), "{error}");
                assert_eq!(lake.keys("out/"), Vec::<String>::new());
                return;
            }
            assert_eq!(
                found.unwrap().0.tasks.len(),
                if task_size == 1 { 2 } else { 1 }
            );
            let once = [
                &["1", "12.5", "-"][..],
                &["2", "-", "-"],
                &["3", "-0.01", "-"],
            ];
            assert_eq!(lake.rows("out/"), rows(&once.repeat(2)));
        });
    }
}
