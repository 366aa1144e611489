//! The Glue table of a job's output.

use std::collections::BTreeMap;

use super::Shape;
use crate::{
    catalog::{Column, StorageDescriptor, Table, TableName},
    config::{Output, OutputFormat},
    location::Location,
};

/// The Java classes and parameters with which a format is read.
/// <https://github.com/aws/aws-sdk-pandas/blob/main/awswrangler/catalog/_definitions.py>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TableFormat {
    input: &'static str,
    output: &'static str,
    serde: &'static str,
    parameters: &'static [(&'static str, &'static str)],
    classification: &'static str,
}

const TEXT_INPUT: &str = "org.apache.hadoop.mapred.TextInputFormat";
const TEXT_OUTPUT: &str = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat";

impl TableFormat {
    /// The classes and parameters for an output's format.
    fn of(format: OutputFormat) -> Self {
        match format {
            OutputFormat::Parquet => Self {
                input: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                output: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
                serde: "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
                parameters: &[("serialization.format", "1")],
                classification: "parquet",
            },
            OutputFormat::Json => Self {
                input: TEXT_INPUT,
                output: TEXT_OUTPUT,
                serde: "org.openx.data.jsonserde.JsonSerDe",
                parameters: &[("serialization.format", "1")],
                classification: "json",
            },
            OutputFormat::Csv => Self {
                input: TEXT_INPUT,
                output: TEXT_OUTPUT,
                serde: "org.apache.hadoop.hive.serde2.OpenCSVSerde",
                // The only escape is the doubled quote.
                parameters: &[
                    ("separatorChar", ","),
                    ("quoteChar", "\""),
                    ("escapeChar", "\u{0}"),
                ],
                classification: "csv",
            },
        }
    }
}

/// The table for the files of `output` in `directory`: the existing table with the necessary changes, or a new one.
pub fn target_table(
    name: &TableName,
    existing: Option<&Table>,
    shape: &Shape,
    output: &Output,
    directory: &Location,
) -> Table {
    let format = TableFormat::of(output.format);
    let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let lower = |column: &Column| Column {
        name: column.name.to_lowercase(),
        hive_type: column.hive_type.clone(),
    };
    let mut parameters = existing.map_or_else(BTreeMap::new, |table| table.parameters.clone());
    parameters.extend(pairs(&[
        ("EXTERNAL", "TRUE"),
        ("classification", format.classification),
    ]));
    if output.format == OutputFormat::Csv && output.header.unwrap_or(true) {
        parameters.extend(pairs(&[("skip.header.line.count", "1")]));
    } else {
        parameters.remove("skip.header.line.count");
    }
    Table {
        name: name.clone(),
        storage: StorageDescriptor {
            location: directory.to_string(),
            columns: shape
                .files
                .iter()
                .map(|written| lower(&written.column))
                .collect(),
            input_format: Some(format.input.to_owned()),
            output_format: Some(format.output.to_owned()),
            compressed: false,
            serde_library: Some(format.serde.to_owned()),
            serde_parameters: pairs(format.parameters),
            parameters: existing
                .map_or_else(BTreeMap::new, |table| table.storage.parameters.clone()),
            bucket_columns: Vec::new(),
        },
        partition_keys: shape
            .partition_by
            .iter()
            .map(|written| lower(&written.column))
            .collect(),
        parameters,
        version_id: existing.and_then(|table| table.version_id.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, semantics::stated};

    #[test]
    fn a_table_is_changed_only_where_it_differs() {
        stated(
            "With `manage_table` the table over the first output is created where it does not exist, and updated only where its columns, keys, format or location differ, with its version as the condition and no version archived.",
        );
        let text = "[[repartition]]\nname = \"j\"\nsource = \"d.t\"\ntarget = \"s3://b/t/\"\npartition_by = [\"B\"]";
        let job = Config::parse(text).unwrap().repartition.remove(0);
        let column = |name: &str| Column {
            name: name.to_owned(),
            hive_type: "string".to_owned(),
        };
        let shape = Shape::new(&job, &[column("A"), column("B")], &[], &[]).unwrap();
        let name = "d.out".parse().unwrap();
        let make = |existing: Option<&Table>, format| {
            target_table(&name, existing, &shape, &Output::new(format), &job.target)
        };
        let new = make(None, OutputFormat::Parquet);
        assert_eq!(new.storage.columns, [column("a")]);
        assert_eq!(new.partition_keys, [column("b")]);
        let existing = Table {
            version_id: Some("7".to_owned()),
            ..new.clone()
        };
        assert_eq!(make(Some(&existing), OutputFormat::Parquet), existing);
        let changed = make(Some(&existing), OutputFormat::Csv);
        assert_ne!(changed, existing);
        assert_eq!(changed.version_id, existing.version_id);
        assert_eq!(changed.parameters["skip.header.line.count"], "1");
        let again = make(Some(&changed), OutputFormat::Json);
        assert!(!again.parameters.contains_key("skip.header.line.count"));
    }
}
