//! How records are read from the bytes of a source's objects: the one place where input formats are registered.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    catalog::Table,
    config::{Csv, InputFormat, Limits},
    csv, json,
    lines::{Dialect, LineFramer},
    records::{FrameError, Records},
};

/// How records are read from the bytes of a source's objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reading {
    /// JSON objects. `lines`: whether each is on a separate line.
    Json {
        /// Whether a newline always ends a record.
        lines: bool,
    },
    /// CSV with quoted values, which may contain newlines.
    Csv(Csv),
    /// Delimited lines, as a Hive SerDe reads them.
    Lines {
        /// The special characters of a line.
        dialect: Dialect,
        /// How many lines at the start of each object are skipped.
        header_lines: u32,
        /// The columns of the fields, in order.
        columns: Vec<String>,
    },
    /// Apache Parquet, with columns matched by name.
    Parquet,
}

/// Why a table's objects cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadingError {
    /// The SerDe is not supported.
    #[error(
        "the SerDe `{0}` is not read: LazySimpleSerDe, OpenCSVSerde, the JSON SerDes of OpenX and Hive, and ParquetHiveSerDe are"
    )]
    SerDe(String),
    /// The value of a parameter is invalid.
    #[error("the SerDe's parameter `{name}` is `{value}`: {reason}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// The reason.
        reason: &'static str,
    },
}

/// <https://docs.aws.amazon.com/athena/latest/ug/lazy-simple-serde.html>
const LAZY_SIMPLE: &str = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe";
/// <https://docs.aws.amazon.com/athena/latest/ug/csv-serde.html>
const OPEN_CSV: &str = "org.apache.hadoop.hive.serde2.OpenCSVSerde";
/// <https://docs.aws.amazon.com/athena/latest/ug/json-serde.html>
const JSON: [&str; 3] = [
    "org.openx.data.jsonserde.JsonSerDe",
    "org.apache.hive.hcatalog.data.JsonSerDe",
    "org.apache.hadoop.hive.serde2.JsonSerDe",
];
/// <https://docs.aws.amazon.com/athena/latest/ug/parquet-serde.html>
const PARQUET: &str = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";

const HEADER_LINES: &str = "skip.header.line.count";

impl Reading {
    /// The reading of a prefix, from the configuration. `columns`: those of the table, in order; CSV fields get these
    /// names if there is no header and the settings name none.
    pub fn of_prefix(
        format: InputFormat,
        csv: Option<&Csv>,
        columns: impl Iterator<Item = String>,
    ) -> Self {
        match format {
            InputFormat::Json => Self::Json { lines: false },
            InputFormat::Csv => {
                let mut csv = csv.cloned().unwrap_or_default();
                if !csv.header && csv.columns.is_empty() {
                    csv.columns = columns.collect();
                }
                Self::Csv(csv)
            }
            InputFormat::Parquet => Self::Parquet,
        }
    }

    /// The reader that finds records in the bytes of one object. `first`: whether the bytes begin at the start of the
    /// object. `None` for Parquet, which is read by ranges ([`records`](crate::records)).
    ///
    /// # Errors
    /// Two columns of CSV have the same name.
    pub fn records(
        &self,
        limits: &Limits,
        first: bool,
    ) -> Result<Option<Box<dyn Records>>, FrameError> {
        let longest = limits.longest_record();
        Ok(Some(match self {
            Self::Json { .. } => Box::new(json::Framer::new(longest, limits.deepest())),
            Self::Csv(settings) => Box::new(csv::Framer::new(settings, &[], longest)?),
            Self::Lines {
                dialect,
                header_lines,
                columns,
            } => {
                let header_lines = if first { *header_lines } else { 0 };
                let dialect = dialect.clone();
                Box::new(LineFramer::new(dialect, header_lines, columns, longest))
            }
            Self::Parquet => return Ok(None),
        }))
    }

    /// The reading of a table, from its SerDe, or from the configuration's `csv` in place of that.
    ///
    /// # Errors
    /// The SerDe is not supported, or one of its parameters is invalid.
    pub fn of_table(table: &Table, csv: Option<&Csv>) -> Result<Self, ReadingError> {
        let columns = table
            .storage
            .columns
            .iter()
            .map(|column| column.name.clone());
        if csv.is_some() {
            return Ok(Self::of_prefix(InputFormat::Csv, csv, columns));
        }
        let serde = table.storage.serde_library.as_deref().unwrap_or_default();
        if serde == PARQUET {
            return Ok(Self::Parquet);
        }
        if JSON.contains(&serde) {
            return Ok(Self::Json { lines: true });
        }
        let dialect = match serde {
            LAZY_SIMPLE => lazy_simple(table)?,
            OPEN_CSV => Dialect::OpenCsv {
                separator: character(table, "separatorChar")?.unwrap_or(b','),
                quote: character(table, "quoteChar")?.unwrap_or(b'"'),
                escape: character(table, "escapeChar")?.unwrap_or(b'\\'),
            },
            other => return Err(ReadingError::SerDe(other.to_owned())),
        };
        let header_lines = match parameter(table, HEADER_LINES) {
            None => 0,
            Some(text) => text.trim().parse().map_err(|_| ReadingError::Parameter {
                name: HEADER_LINES,
                value: text.to_owned(),
                reason: "it is no number of lines",
            })?,
        };
        Ok(Self::Lines {
            dialect,
            header_lines,
            columns: columns.collect(),
        })
    }

    /// Whether an uncompressed object can be read from after any newline.
    pub fn ends_at_newlines(&self) -> bool {
        matches!(self, Self::Json { lines: true } | Self::Lines { .. })
    }

    /// Whether the objects are Parquet.
    pub fn is_parquet(&self) -> bool {
        *self == Self::Parquet
    }
}

fn lazy_simple(table: &Table) -> Result<Dialect, ReadingError> {
    let delimiter = match character(table, "field.delim")? {
        Some(delimiter) => delimiter,
        None => character(table, "serialization.format")?.unwrap_or(1),
    };
    if let Some(value) = parameter(table, "line.delim")
        && value != "\n"
    {
        return Err(ReadingError::Parameter {
            name: "line.delim",
            value: value.to_owned(),
            reason: "only a newline ends a line",
        });
    }
    Ok(Dialect::LazySimple {
        delimiter,
        escape: character(table, "escape.delim")?,
        null: parameter(table, "serialization.null.format")
            .unwrap_or("\\N")
            .to_owned(),
    })
}

/// A parameter of the SerDe, of the storage or of the table.
fn parameter<'a>(table: &'a Table, name: &str) -> Option<&'a str> {
    let storage = &table.storage;
    [
        &storage.serde_parameters,
        &storage.parameters,
        &table.parameters,
    ]
    .into_iter()
    .find_map(|parameters| parameters.get(name))
    .map(String::as_str)
}

/// A parameter whose value is one ASCII character, or its code in decimal digits as Hive also writes it.
fn character(table: &Table, name: &'static str) -> Result<Option<u8>, ReadingError> {
    let Some(value) = table.storage.serde_parameters.get(name) else {
        return Ok(None);
    };
    if let &[byte] = value.as_bytes()
        && byte.is_ascii()
    {
        // Hive reads `serialization.format = 1` as U+0001.
        let code = name == "serialization.format" && byte.is_ascii_digit();
        return Ok(Some(if code { byte - b'0' } else { byte }));
    }
    let code = value.parse().ok().filter(u8::is_ascii);
    code.map(Some).ok_or_else(|| ReadingError::Parameter {
        name,
        value: value.clone(),
        reason: "it is not one ASCII character",
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        catalog::{Column, StorageDescriptor},
        semantics::stated,
    };

    fn table(serde: &str, of_serde: &[(&str, &str)], of_table: &[(&str, &str)]) -> Table {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|&(k, v)| (k.to_owned(), v.to_owned()))
                .collect()
        };
        Table {
            name: "d.t".parse().unwrap(),
            storage: StorageDescriptor {
                columns: vec![Column {
                    name: "a".to_owned(),
                    hive_type: "string".to_owned(),
                }],
                serde_library: Some(serde.to_owned()),
                serde_parameters: map(of_serde),
                ..StorageDescriptor::default()
            },
            partition_keys: Vec::new(),
            parameters: map(of_table),
            version_id: None,
        }
    }

    #[test]
    fn serdes() {
        stated(
            "A table is read as its SerDe says: LazySimpleSerDe, OpenCSVSerde, the JSON SerDes of OpenX and Hive, or ParquetHiveSerDe; any other is refused by name.",
        );
        let lazy = |delimiter, escape, null: &str| Dialect::LazySimple {
            delimiter,
            escape,
            null: null.to_owned(),
        };
        for (of_serde, of_table, dialect, header_lines) in [
            (&[][..], &[][..], lazy(1, None, "\\N"), 0),
            (
                &[("field.delim", ","), ("serialization.format", ",")],
                &[("skip.header.line.count", "1")],
                lazy(b',', None, "\\N"),
                1,
            ),
            (
                &[
                    ("serialization.format", "9"),
                    ("escape.delim", "\\"),
                    ("serialization.null.format", ""),
                ],
                &[],
                lazy(9, Some(b'\\'), ""),
                0,
            ),
        ] {
            let expected = Reading::Lines {
                dialect,
                header_lines,
                columns: vec!["a".to_owned()],
            };
            let found = Reading::of_table(&table(LAZY_SIMPLE, of_serde, of_table), None);
            assert_eq!(found, Ok(expected));
        }
        let found = Reading::of_table(&table(OPEN_CSV, &[("separatorChar", ";")], &[]), None);
        let expected = Dialect::OpenCsv {
            separator: b';',
            quote: b'"',
            escape: b'\\',
        };
        assert!(matches!(found, Ok(Reading::Lines { dialect, .. }) if dialect == expected));
        for serde in JSON {
            let found = Reading::of_table(&table(serde, &[], &[]), None);
            assert_eq!(found, Ok(Reading::Json { lines: true }));
        }
        let found = Reading::of_table(&table(PARQUET, &[], &[]), None);
        assert_eq!(found, Ok(Reading::Parquet));
        let orc = table("org.apache.hadoop.hive.ql.io.orc.OrcSerde", &[], &[]);
        let error = Reading::of_table(&orc, None).unwrap_err().to_string();
        assert!(error.contains("OrcSerde"), "{error}");
    }

    #[test]
    fn the_configuration_takes_the_place_of_the_serde() {
        stated(
            "With `csv`, a table's objects are read as CSV with quotes as it says, and the SerDe counts for nothing.",
        );
        let quoted = table(LAZY_SIMPLE, &[("field.delim", ",")], &[]);
        let csv = Csv::default();
        let found = Reading::of_table(&quoted, Some(&csv));
        assert_eq!(found, Ok(Reading::Csv(csv)));
        let csv = Csv {
            header: false,
            ..Csv::default()
        };
        let found = Reading::of_table(&quoted, Some(&csv));
        assert!(matches!(found, Ok(Reading::Csv(csv)) if csv.columns == ["a"]));
    }

    #[test]
    fn parameters_that_mean_nothing_are_named() {
        for (serde, of_serde, of_table, says) in [
            (
                LAZY_SIMPLE,
                &[("field.delim", "||")][..],
                &[][..],
                "field.delim",
            ),
            (LAZY_SIMPLE, &[("line.delim", "\r")], &[], "line.delim"),
            (OPEN_CSV, &[("quoteChar", "é")], &[], "quoteChar"),
            (LAZY_SIMPLE, &[], &[(HEADER_LINES, "one")], HEADER_LINES),
        ] {
            let error = Reading::of_table(&table(serde, of_serde, of_table), None).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
