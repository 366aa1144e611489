//! Checks a table's settings: each is honoured, or the table is refused because of a setting that is not supported.
//!
//! Hive passes the table's parameters to the `SerDe` together with the `SerDe`'s own, which take precedence, so both
//! are checked alike.

mod avro;
mod parameters;

use thiserror::Error;

use super::{ForeignTable, StorageDescriptor, Table};
use crate::config::{Output, OutputFormat};

/// The format of rows in a table's objects, by its `SerDe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    /// Hive's `LazySimpleSerDe`: a line of delimited fields.
    LazySimple,
    /// Hive's `OpenCSVSerde`: a line of fields with optional quotes.
    OpenCsv,
    /// OpenX's JSON: one object per line.
    OpenXJson,
    /// Hive's JSON: one object per line.
    HiveJson,
    /// Apache Parquet.
    Parquet,
    /// Avro object container files.
    Avro,
    /// Apache ORC.
    Orc,
}

/// Why a table cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TableError {
    /// Its files belong to another table format.
    #[error(transparent)]
    Foreign(#[from] ForeignTable),
    /// The `SerDe` is not supported.
    #[error(
        "the SerDe `{0}` is not read: LazySimpleSerDe, OpenCSVSerde, the JSON SerDes of OpenX and Hive, ParquetHiveSerDe, OrcSerde and AvroSerDe are"
    )]
    SerDe(String),
    /// No `SerDe` is named.
    #[error(
        "it names no SerDe, which would say how its objects are read; a view has none, and no objects"
    )]
    NoSerDe,
    /// The `InputFormat` does not pass the objects' bytes to the `SerDe` unchanged.
    #[error(
        "the InputFormat `{found}` is not read: with the SerDe `{serde}` it must be `{expected}`, which reads the objects themselves"
    )]
    InputFormat {
        /// The table's `InputFormat`.
        found: String,
        /// Its `SerDe`.
        serde: String,
        /// The supported one.
        expected: &'static str,
    },
    /// The `SerDe` cannot read the output's format.
    #[error("the SerDe `{serde}` does not read what is written: it must be {expected}")]
    OtherFormat {
        /// The table's `SerDe`.
        serde: String,
        /// The required one.
        expected: &'static str,
    },
    /// A parameter, or its value, is not supported.
    #[error("the parameter `{name}` is `{value}`: {reason}")]
    Parameter {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
        /// The reason.
        reason: &'static str,
    },
    /// It is bucketed: readers expect each bucket of its rows in a separate file.
    #[error(
        "its rows are in buckets by {by}, and readers leave out files by the buckets that they take them for; files that are written here have rows of every bucket. Have its engine write it, or make a table without buckets"
    )]
    Buckets {
        /// The bucket columns, or the parameter that names them.
        by: String,
    },
    /// The `SerDe` stores a column's values in a way that is not supported.
    #[error("the column `{column}` of type `{hive_type}`: {reason}")]
    Column {
        /// Its name.
        column: String,
        /// Its type.
        hive_type: String,
        /// The reason.
        reason: &'static str,
    },
}

/// <https://docs.aws.amazon.com/athena/latest/ug/lazy-simple-serde.html>
pub(crate) const LAZY_SIMPLE: &str = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe";
/// <https://docs.aws.amazon.com/athena/latest/ug/csv-serde.html>
pub(crate) const OPEN_CSV: &str = "org.apache.hadoop.hive.serde2.OpenCSVSerde";
/// <https://docs.aws.amazon.com/athena/latest/ug/openx-json-serde.html>
pub(crate) const OPENX_JSON: &str = "org.openx.data.jsonserde.JsonSerDe";
/// <https://docs.aws.amazon.com/athena/latest/ug/hive-json-serde.html>
pub(crate) const HIVE_JSON: [&str; 2] = [
    "org.apache.hive.hcatalog.data.JsonSerDe",
    "org.apache.hadoop.hive.serde2.JsonSerDe",
];
/// <https://docs.aws.amazon.com/athena/latest/ug/parquet-serde.html>
pub(crate) const PARQUET: &str = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";
/// <https://docs.aws.amazon.com/athena/latest/ug/avro-serde.html>
pub(crate) const AVRO: &str = "org.apache.hadoop.hive.serde2.avro.AvroSerDe";

/// <https://docs.aws.amazon.com/athena/latest/ug/orc-serde.html>
pub(crate) const ORC: &str = "org.apache.hadoop.hive.ql.io.orc.OrcSerde";

pub(crate) const TEXT_INPUTS: [&str; 2] = [
    "org.apache.hadoop.mapred.TextInputFormat",
    "org.apache.hadoop.mapreduce.lib.input.TextInputFormat",
];
pub(crate) const PARQUET_INPUTS: [&str; 2] = [
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "parquet.hive.DeprecatedParquetInputFormat",
];
pub(crate) const AVRO_INPUTS: [&str; 1] =
    ["org.apache.hadoop.hive.ql.io.avro.AvroContainerInputFormat"];
pub(crate) const ORC_INPUTS: [&str; 1] = ["org.apache.hadoop.hive.ql.io.orc.OrcInputFormat"];

/// Whether a table's columns are found in ORC files by their places rather than by their names, in lower case.
/// <https://docs.aws.amazon.com/athena/latest/ug/handling-schema-updates-chapter.html#index-access>
pub(crate) const ORC_BY_PLACE: &str = "orc.column.index.access";

/// How many buckets Spark's tables have, if they have any.
const SPARK_BUCKETS: &str = "spark.sql.sources.schema.numBuckets";

impl RowFormat {
    /// The format of a `SerDe`.
    pub fn of_serde(serde: &str) -> Option<Self> {
        match serde {
            LAZY_SIMPLE => Some(Self::LazySimple),
            OPEN_CSV => Some(Self::OpenCsv),
            OPENX_JSON => Some(Self::OpenXJson),
            PARQUET => Some(Self::Parquet),
            AVRO => Some(Self::Avro),
            ORC => Some(Self::Orc),
            serde if HIVE_JSON.contains(&serde) => Some(Self::HiveJson),
            _ => None,
        }
    }

    fn inputs(self) -> &'static [&'static str] {
        match self {
            Self::Parquet => &PARQUET_INPUTS,
            Self::Avro => &AVRO_INPUTS,
            Self::Orc => &ORC_INPUTS,
            Self::LazySimple | Self::OpenCsv | Self::OpenXJson | Self::HiveJson => &TEXT_INPUTS,
        }
    }
}

impl Table {
    /// The format of the table's rows; `None` if it has neither a `SerDe` nor an `InputFormat`.
    ///
    /// # Errors
    /// The first setting of the table that is not supported: another table format that owns its files, a class, or a
    /// parameter with its value.
    pub fn row_format(&self) -> Result<Option<RowFormat>, TableError> {
        self.not_foreign()?;
        let storage = &self.storage;
        let serde = storage.serde_library.as_deref().unwrap_or_default();
        let input = storage.input_format.as_deref().unwrap_or_default();
        let Some(format) = RowFormat::of_serde(serde) else {
            if serde.is_empty() && input.is_empty() {
                return Ok(None);
            }
            return Err(if serde.is_empty() {
                TableError::NoSerDe
            } else {
                TableError::SerDe(serde.to_owned())
            });
        };
        if !input.is_empty() && !format.inputs().contains(&input) {
            return Err(TableError::InputFormat {
                found: input.to_owned(),
                serde: serde.to_owned(),
                expected: format.inputs().first().copied().unwrap_or_default(),
            });
        }
        let all = [
            &storage.serde_parameters,
            &storage.parameters,
            &self.parameters,
        ];
        for (name, value) in all.into_iter().flatten() {
            format
                .parameter(storage, name, value)
                .map_err(|reason| TableError::Parameter {
                    name: name.clone(),
                    value: value.clone(),
                    reason,
                })?;
        }
        Ok(Some(format))
    }

    /// Checks that the table's settings and files may be replaced.
    ///
    /// # Errors
    /// Its files belong to another table format, or are buckets.
    pub fn may_be_managed(&self) -> Result<(), TableError> {
        self.not_foreign()?;
        self.has_no_buckets()
    }

    /// Checks that the table's readers can read files of this output, whose columns have the table's names.
    ///
    /// # Errors
    /// A setting of the table is not supported, or its `SerDe` reads another format.
    pub fn takes(&self, output: &Output) -> Result<(), TableError> {
        self.has_no_buckets()?;
        // A table without a format cannot be read by any engine.
        let Some(format) = self.row_format()? else {
            return Ok(());
        };
        let refused = |expected| TableError::OtherFormat {
            serde: self.storage.serde_library.clone().unwrap_or_default(),
            expected,
        };
        match (output.format, format) {
            (OutputFormat::Parquet, RowFormat::Parquet)
            | (OutputFormat::Json, RowFormat::HiveJson) => Ok(()),
            (OutputFormat::Parquet, _) => Err(refused("ParquetHiveSerDe")),
            (OutputFormat::Json, RowFormat::OpenXJson) => {
                let serde = &self.storage.serde_parameters;
                let all = [serde, &self.storage.parameters, &self.parameters];
                for (name, value) in all.into_iter().flatten() {
                    let renames = name.starts_with("mapping.");
                    let on = |expected| value.trim().eq_ignore_ascii_case(expected);
                    if renames || name == "case.insensitive" && on("false") {
                        return Err(TableError::Parameter {
                            name: name.clone(),
                            value: value.clone(),
                            reason: "the files that are written have a key of each column's own name",
                        });
                    }
                }
                Ok(())
            }
            (OutputFormat::Json, _) => Err(refused("one of JSON")),
            (OutputFormat::Csv, RowFormat::OpenCsv) => {
                let header = usize::from(output.header.unwrap_or(true)).to_string();
                for (name, default, written, reason) in [
                    (
                        "separatorChar",
                        ",",
                        ",",
                        "the files that are written have commas",
                    ),
                    (
                        "quoteChar",
                        "\"",
                        "\"",
                        "the files that are written have double quotes",
                    ),
                    (
                        "escapeChar",
                        "\\",
                        "\0",
                        "the files that are written escape nothing, so a reader would take a backslash out of values: it must be U+0000",
                    ),
                    (
                        "skip.header.line.count",
                        "0",
                        header.as_str(),
                        "the files that are written have one line of names, or none with `header = false`",
                    ),
                ] {
                    let value = self.parameter(name).unwrap_or(default);
                    if value != written {
                        return Err(TableError::Parameter {
                            name: name.to_owned(),
                            value: value.to_owned(),
                            reason,
                        });
                    }
                }
                Ok(())
            }
            (OutputFormat::Csv, _) => Err(refused("OpenCSVSerde")),
        }
    }

    /// Checks that readers do not expect each file to have one bucket of the rows, as in Hive's and Spark's bucketed tables.
    fn has_no_buckets(&self) -> Result<(), TableError> {
        let columns = &self.storage.bucket_columns;
        if !columns.is_empty() {
            let names = columns.iter().map(|name| format!("`{name}`"));
            let by = names.collect::<Vec<_>>().join(", ");
            return Err(TableError::Buckets { by });
        }
        match self.parameter(SPARK_BUCKETS) {
            Some(count) if count.trim() != "0" => Err(TableError::Buckets {
                by: format!("its parameter `{SPARK_BUCKETS}`, which is `{count}`"),
            }),
            _ => Ok(()),
        }
    }

    /// Checks that the objects' bytes reach the `SerDe` unchanged, whichever `SerDe` it is.
    ///
    /// # Errors
    /// The files belong to another table format, or the `InputFormat` is not one of text.
    pub fn is_text(&self) -> Result<(), TableError> {
        self.not_foreign()?;
        match self.storage.input_format.as_deref() {
            Some(input) if !input.is_empty() && !TEXT_INPUTS.contains(&input) => {
                Err(TableError::InputFormat {
                    found: input.to_owned(),
                    serde: self.storage.serde_library.clone().unwrap_or_default(),
                    expected: TEXT_INPUTS[0],
                })
            }
            _ => Ok(()),
        }
    }

    /// A parameter of the `SerDe`, of the storage or of the table, in this order.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let storage = &self.storage;
        [
            &storage.serde_parameters,
            &storage.parameters,
            &self.parameters,
        ]
        .into_iter()
        .find_map(|parameters| parameters.get(name))
        .map(String::as_str)
    }

    /// The table as its readers see one of its partitions: settings of the partition's storage replace the table's.
    #[must_use]
    pub fn with_storage(&self, storage: &StorageDescriptor) -> Self {
        let own = &self.storage;
        let or =
            |one: &Option<String>, other: &Option<String>| one.clone().or_else(|| other.clone());
        let says = storage.serde_library.is_some();
        Self {
            storage: StorageDescriptor {
                location: storage.location.clone(),
                columns: if storage.columns.is_empty() {
                    own.columns.clone()
                } else {
                    storage.columns.clone()
                },
                input_format: or(&storage.input_format, &own.input_format),
                output_format: or(&storage.output_format, &own.output_format),
                compressed: storage.compressed,
                serde_library: or(&storage.serde_library, &own.serde_library),
                serde_parameters: if says {
                    storage.serde_parameters.clone()
                } else {
                    own.serde_parameters.clone()
                },
                parameters: if says {
                    storage.parameters.clone()
                } else {
                    own.parameters.clone()
                },
                bucket_columns: if storage.bucket_columns.is_empty() {
                    own.bucket_columns.clone()
                } else {
                    storage.bucket_columns.clone()
                },
            },
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::stated;

    /// A table of a `SerDe` with these parameters.
    fn table(serde: Option<&str>, parameters: &[(&str, &str)]) -> Table {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Table {
            name: "d.t".parse().unwrap(),
            storage: StorageDescriptor {
                serde_library: serde.map(str::to_owned),
                serde_parameters: parameters.iter().map(own).collect(),
                ..StorageDescriptor::default()
            },
            partition_keys: Vec::new(),
            parameters: std::collections::BTreeMap::new(),
            version_id: None,
        }
    }

    #[test]
    fn tables_with_buckets() {
        stated(
            "A table whose rows are in buckets is read, and refused by each job that would write or merge its files, by the columns of the buckets or by Spark's `spark.sql.sources.schema.numBuckets`.",
        );
        let output = Output::new(OutputFormat::Parquet);
        for serde in [None, Some(PARQUET)] {
            let mut by_columns = table(serde, &[]);
            by_columns.storage.bucket_columns = vec!["Id".to_owned()];
            let of_spark = table(serde, &[(SPARK_BUCKETS, "8")]);
            for (table, says) in [(by_columns, "by `Id`"), (of_spark, SPARK_BUCKETS)] {
                let error = table.takes(&output).unwrap_err().to_string();
                assert!(error.contains(says), "{error}");
                assert!(table.row_format().is_ok());
                let own = table.with_storage(&StorageDescriptor::default());
                assert!(own.takes(&output).is_err() && table.may_be_managed().is_err());
            }
            assert_eq!(table(serde, &[(SPARK_BUCKETS, "0")]).takes(&output), Ok(()));
        }
    }

    #[test]
    fn tables_that_are_written_to() {
        stated(
            "A table that a job writes to, and does not manage, is refused where its SerDe and parameters would have readers read other values than those that are written; one that names no class is taken as it is.",
        );
        let parquet = Output::new(OutputFormat::Parquet);
        let json = Output::new(OutputFormat::Json);
        let csv = Output::new(OutputFormat::Csv);
        let written = [("escapeChar", "\0"), ("skip.header.line.count", "1")];
        for (output, serde, parameters, refusal) in [
            (&parquet, None, &[][..], None),
            (&parquet, Some(PARQUET), &[], None),
            (&parquet, Some(OPENX_JSON), &[], Some("ParquetHiveSerDe")),
            (
                &parquet,
                Some(PARQUET),
                &[("parquet.column.index.access", "true")],
                Some("parquet.column.index.access"),
            ),
            (&json, Some(HIVE_JSON[0]), &[], None),
            (&json, Some(OPENX_JSON), &[("dots.in.keys", "true")], None),
            (
                &json,
                Some(OPENX_JSON),
                &[("mapping.a", "b")],
                Some("mapping.a"),
            ),
            (&json, Some(LAZY_SIMPLE), &[], Some("JSON")),
            (&csv, Some(OPEN_CSV), &written[..], None),
            (
                &csv,
                Some(OPEN_CSV),
                &written[..1],
                Some("skip.header.line.count"),
            ),
            (&csv, Some(OPEN_CSV), &written[1..], Some("escapeChar")),
            (&csv, Some(LAZY_SIMPLE), &[], Some("OpenCSVSerde")),
            (
                &parquet,
                Some("com.acme.SerDe"),
                &[],
                Some("com.acme.SerDe"),
            ),
        ] {
            let taken = table(serde, parameters).takes(output);
            match refusal {
                None => assert_eq!(taken, Ok(()), "{serde:?} {parameters:?}"),
                Some(says) => {
                    let error = taken.unwrap_err().to_string();
                    assert!(error.contains(says), "{error}");
                }
            }
        }
    }
}
