//! Recognises tables and prefixes whose files belong to another table format: a log beside the files determines which
//! of them are current.

use thiserror::Error;

use super::Table;
use crate::location::Location;

/// Why a table or a prefix is refused: its files belong to another table format.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "it is a table of {format} ({by}): {format}'s own log determines which of its files count, so they are neither read, nor merged, nor replaced, nor added to here. Use an engine that knows {format}, or copy its rows into a separate table or prefix first"
)]
pub struct ForeignTable {
    /// The table format, such as `Delta Lake`.
    pub format: String,
    /// The evidence: a parameter with its value, a class or an object.
    pub by: String,
}

/// The prefixes of table formats' names in parameters and classes, and the formats' names.
const FORMATS: [(&str, &str); 5] = [
    ("iceberg", "Apache Iceberg"),
    ("delta", "Delta Lake"),
    ("hudi", "Apache Hudi"),
    ("hoodie", "Apache Hudi"),
    ("paimon", "Apache Paimon"),
];

/// Values that a plain table has in place of a table format's name, in lower case.
const PLAIN: [&str; 3] = ["hive", "external_table", "managed_table"];

/// Spark's data sources of plain files, in lower case. <https://spark.apache.org/docs/latest/sql-data-sources.html>
const PLAIN_SOURCES: [&str; 8] = [
    "parquet", "json", "csv", "text", "orc", "avro", "hive", "xml",
];

/// The table format in a text.
fn named(text: &str) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    FORMATS
        .iter()
        .find(|(name, _)| text.contains(name))
        .map(|(_, format)| *format)
}

impl Table {
    /// Checks that the table's files do not belong to another table format.
    ///
    /// # Errors
    /// The format, and the parameter or class that names it.
    pub fn not_foreign(&self) -> Result<(), ForeignTable> {
        let storage = &self.storage;
        let all = [
            &self.parameters,
            &storage.parameters,
            &storage.serde_parameters,
        ];
        for (name, value) in all.into_iter().flatten() {
            let foreign = |format: &str| ForeignTable {
                format: format.to_owned(),
                by: format!("its parameter `{name}` is `{value}`"),
            };
            let lower = value.trim().to_ascii_lowercase();
            let other = || named(value).unwrap_or(value);
            match name.to_ascii_lowercase().as_str() {
                "table_type" if !lower.is_empty() && !PLAIN.contains(&lower.as_str()) => {
                    return Err(foreign(other()));
                }
                "spark.sql.sources.provider" | "provider"
                    if !lower.is_empty() && !PLAIN_SOURCES.contains(&lower.as_str()) =>
                {
                    return Err(foreign(other()));
                }
                "storage_handler" if !lower.is_empty() => return Err(foreign(other())),
                "transactional" if lower == "true" => {
                    return Err(foreign("Hive's transactional tables"));
                }
                "classification" => {
                    if let Some(format) = named(value) {
                        return Err(foreign(format));
                    }
                }
                "metadata_location" | "previous_metadata_location" => {
                    return Err(foreign("Apache Iceberg"));
                }
                name => {
                    let owner = name.split('.').next().filter(|first| *first != name);
                    if let Some(format) = owner.and_then(named) {
                        return Err(foreign(format));
                    }
                }
            }
        }
        storage.not_foreign()
    }
}

impl super::StorageDescriptor {
    /// Checks that the classes that read the objects do not belong to another table format.
    ///
    /// # Errors
    /// The format, and the class that names it.
    pub fn not_foreign(&self) -> Result<(), ForeignTable> {
        let classes = [
            ("InputFormat", &self.input_format),
            ("OutputFormat", &self.output_format),
            ("SerDe", &self.serde_library),
        ];
        for (what, class) in classes {
            if let Some(class) = class
                && let Some(format) = named(class)
            {
                return Err(ForeignTable {
                    format: format.to_owned(),
                    by: format!("its {what} is `{class}`"),
                });
            }
        }
        Ok(())
    }
}

/// The table format whose marker an object is, by its key.
///
/// Delta Lake has a folder `_delta_log`, Hudi a folder `.hoodie` and files with this prefix, Iceberg
/// `metadata/*.metadata.json`.
fn mark(key: &str) -> Option<&'static str> {
    let mut parts = key.split('/').peekable();
    while let Some(part) = parts.next() {
        if part.starts_with(".hoodie") {
            return Some("Apache Hudi");
        }
        let next = parts.peek()?;
        if part == "_delta_log" {
            return Some("Delta Lake");
        }
        let metadata = next.strip_suffix(".gz").unwrap_or(next);
        if part == "metadata" && metadata.ends_with(".metadata.json") {
            return Some("Apache Iceberg");
        }
    }
    None
}

/// Checks that an object is not the marker of another table format, which would own everything beside it.
///
/// # Errors
/// The format, and the object.
pub fn not_a_mark(bucket: &str, key: &str) -> Result<(), ForeignTable> {
    match mark(key) {
        None => Ok(()),
        Some(format) => Err(ForeignTable {
            format: format.to_owned(),
            by: format!("`{}` exists", Location::new(bucket, key)),
        }),
    }
}

/// The prefixes below which a table format that owns the whole `prefix` would have its markers: beside it, and beside
/// each prefix above it.
pub fn marks_above(prefix: &Location) -> Vec<Location> {
    let ends = prefix.key.match_indices('/').map(|(at, _)| at + 1);
    let folders = std::iter::once(0).chain(ends);
    let marks = folders.flat_map(|end| {
        let folder = prefix.key.get(..end).unwrap_or_default();
        ["_delta_log/", ".hoodie", "metadata/"]
            .map(|mark| Location::new(&prefix.bucket, format!("{folder}{mark}")))
    });
    marks.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{catalog::StorageDescriptor, semantics::stated};

    fn table(parameters: &[(&str, &str)], input_format: Option<&str>) -> Table {
        let parameters = parameters.iter();
        Table {
            name: "d.t".parse().unwrap(),
            storage: StorageDescriptor {
                input_format: input_format.map(str::to_owned),
                ..StorageDescriptor::default()
            },
            partition_keys: Vec::new(),
            parameters: parameters
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect::<BTreeMap<_, _>>(),
            version_id: None,
        }
    }

    #[test]
    fn tables_of_other_formats_are_named() {
        stated(
            "A table that another format owns is refused by every job before anything is read, written or deleted, by the format and by what says so: `table_type`, `spark.sql.sources.provider`, `classification`, `metadata_location`, `storage_handler`, `transactional`, a parameter of the format's own, or a class.",
        );
        for (parameters, input_format, format) in [
            (&[("table_type", "ICEBERG")][..], None, "Apache Iceberg"),
            (&[("Table_Type", "delta")], None, "Delta Lake"),
            (&[("table_type", "LANCE")], None, "LANCE"),
            (
                &[("spark.sql.sources.provider", "hudi")],
                None,
                "Apache Hudi",
            ),
            (
                &[("spark.sql.sources.provider", "com.acme.Source")],
                None,
                "com.acme.Source",
            ),
            (&[("classification", "Delta")], None, "Delta Lake"),
            (
                &[("metadata_location", "s3://b/t/metadata/1.metadata.json")],
                None,
                "Apache Iceberg",
            ),
            (
                &[(
                    "storage_handler",
                    "org.apache.iceberg.mr.hive.HiveIcebergStorageHandler",
                )],
                None,
                "Apache Iceberg",
            ),
            (&[("delta.minReaderVersion", "1")], None, "Delta Lake"),
            (
                &[("hoodie.table.name", "t"), ("EXTERNAL", "TRUE")],
                None,
                "Apache Hudi",
            ),
            (
                &[("transactional", "true")],
                None,
                "Hive's transactional tables",
            ),
            (
                &[],
                Some("org.apache.hudi.hadoop.HoodieParquetInputFormat"),
                "Apache Hudi",
            ),
            (&[], Some("io.delta.hive.DeltaInputFormat"), "Delta Lake"),
        ] {
            let error = table(parameters, input_format).not_foreign().unwrap_err();
            assert_eq!(error.format, format, "{parameters:?} {input_format:?}");
            let by = parameters
                .first()
                .map_or(input_format.unwrap_or_default(), |(name, _)| name);
            assert!(error.to_string().contains(by), "{error}");
        }
        for plain in [
            &[][..],
            &[("classification", "parquet"), ("EXTERNAL", "TRUE")],
            &[("spark.sql.sources.provider", "Parquet")],
            &[("table_type", "EXTERNAL_TABLE"), ("transactional", "false")],
            &[("deltas", "7")],
        ] {
            let input = Some("org.apache.hadoop.mapred.TextInputFormat");
            assert_eq!(table(plain, input).not_foreign(), Ok(()), "{plain:?}");
        }
    }

    #[test]
    fn marks_of_other_formats_are_known_by_their_keys() {
        for (key, format) in [
            ("t/_delta_log/00000000000000000000.json", Some("Delta Lake")),
            ("_delta_log/_last_checkpoint", Some("Delta Lake")),
            ("t/.hoodie/hoodie.properties", Some("Apache Hudi")),
            ("t/dt=1/.hoodie_partition_metadata", Some("Apache Hudi")),
            ("t/.hoodie_$folder$", Some("Apache Hudi")),
            ("t/metadata/00000-a.metadata.json", Some("Apache Iceberg")),
            ("metadata/v1.metadata.json", Some("Apache Iceberg")),
            ("t/metadata/v2.metadata.json.gz", Some("Apache Iceberg")),
            ("t/metadata/a.json", None),
            ("t/x.metadata.json", None),
            ("t/not_delta_log/a", None),
            ("t/_delta_log", None),
            ("t/hoodie/a.parquet", None),
        ] {
            assert_eq!(mark(key), format, "{key}");
        }
        let above = marks_above(&Location::new("b", "a/t/"));
        let above = above.iter().map(|mark| mark.key.as_str());
        assert_eq!(
            above.collect::<Vec<_>>(),
            [
                "_delta_log/",
                ".hoodie",
                "metadata/",
                "a/_delta_log/",
                "a/.hoodie",
                "a/metadata/",
                "a/t/_delta_log/",
                "a/t/.hoodie",
                "a/t/metadata/"
            ]
        );
    }
}
