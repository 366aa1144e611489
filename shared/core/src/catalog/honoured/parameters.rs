//! Which parameters of a table are honoured, and which change nothing.

use super::{ORC_BY_PLACE, RowFormat, StorageDescriptor, avro};
use crate::location::Location;

/// Parameters that describe the table to people, crawlers and engines but do not affect how its rows are read; in lower
/// case.
const NOTES: [&str; 52] = [
    "external",
    "comment",
    "notes",
    "description",
    "table_type",
    "classification",
    "typeofdata",
    "compressiontype",
    "averagerecordsize",
    "recordcount",
    "objectcount",
    "sizekey",
    "columnsordered",
    "arecolumnsquoted",
    "delimiter",
    "exclusions",
    "updated_by_crawler",
    "created_by_crawler",
    "connectionname",
    "partition_filtering.enabled",
    "has_encrypted_data",
    "transient_lastddltime",
    "last_modified_by",
    "last_modified_time",
    "numfiles",
    "numrows",
    "numpartitions",
    "numfileserasurecoded",
    "rawdatasize",
    "totalsize",
    "column_stats_accurate",
    "column_stats_accurate_time",
    "bucketing_version",
    "bucketing_format",
    "auto.purge",
    "external.table.purge",
    "discover.partitions",
    "partition.retention.period",
    "compression",
    "write.compression",
    "write_compression",
    "parquet.compression",
    "parquet.compress",
    "orc.compress",
    "storage.location.template",
    "useglueparquetwriter",
    "groupfiles",
    "groupsize",
    "provider",
    "transactional",
    "transactional_properties",
    "mergeschema",
];

/// Prefixes of such parameters' names; in lower case.
const NOTED: [&str; 8] = [
    "spark.sql.create.",
    "spark.sql.sources.",
    "spark.sql.statistics.",
    "spark.sql.partitionprovider",
    "projection.",
    "presto_",
    "trino_",
    "crawler",
];

/// The only supported encoding besides UTF-8: each byte is the character with its number.
const LATIN_1: [&str; 4] = ["iso-8859-1", "iso8859-1", "iso8859_1", "latin1"];

const NOT_UNDERSTOOD: &str = "it is not understood, and rows read without it could be wrong. Remove it from the table if it changes nothing, or name the table's prefix instead";

impl RowFormat {
    /// Checks a parameter of the `SerDe`: `Ok` if it is supported or has no effect.
    pub(super) fn parameter(
        self,
        storage: &StorageDescriptor,
        name: &str,
        value: &str,
    ) -> Result<(), &'static str> {
        let lower = name.to_ascii_lowercase();
        let is = |text: &str| value.trim().eq_ignore_ascii_case(text);
        let off = value.trim().is_empty() || is("false") || is("0");
        if NOTES.contains(&lower.as_str()) || NOTED.iter().any(|noted| lower.starts_with(noted)) {
            return Ok(());
        }
        match lower.as_str() {
            // Spark's name for the location.
            "path" => {
                return if same_place(value, &storage.location) {
                    Ok(())
                } else {
                    Err(
                        "it differs from the location, and readers disagree about which of the two they read",
                    )
                };
            }
            "serialization.format" => return Ok(()),
            "serialization.encoding" => {
                let latin = LATIN_1.iter().any(|name| is(name));
                return match self {
                    _ if is("utf-8") || is("utf8") => Ok(()),
                    Self::LazySimple | Self::OpenCsv if latin => Ok(()),
                    _ => Err(
                        "only UTF-8 is read, and ISO-8859-1 by LazySimpleSerDe and OpenCSVSerde",
                    ),
                };
            }
            "skip.footer.line.count" if off => return Ok(()),
            "skip.footer.line.count" => return Err("lines at an object's end are not left out"),
            // Header lines are only skipped in formats of delimited lines.
            "skip.header.line.count" => {
                return match self {
                    Self::LazySimple | Self::OpenCsv => Ok(()),
                    _ if off => Ok(()),
                    _ => Err("only objects of delimited lines have a header"),
                };
            }
            _ => {}
        }
        let known = match self {
            Self::LazySimple => match lower.as_str() {
                "field.delim"
                | "line.delim"
                | "escape.delim"
                | "collection.delim"
                | "colelction.delim"
                | "mapkey.delim"
                | "serialization.null.format"
                | "serialization.last.column.takes.rest"
                | "serialization.escape.crlf" => true,
                "hive.serialization.extend.nesting.levels"
                | "hive.serialization.extend.additional.nesting.levels"
                | "timestamp.formats" => value.trim().is_empty() || is("false"),
                _ => false,
            },
            Self::OpenCsv => match lower.as_str() {
                "separatorchar" | "quotechar" | "escapechar" => true,
                // The SerDe ignores it: none of its fields is null.
                "serialization.null.format" => value.is_empty(),
                _ => false,
            },
            Self::OpenXJson => match lower.as_str() {
                "case.insensitive" | "dots.in.keys" | "ignore.malformed.json" => {
                    if off || is("true") {
                        true
                    } else {
                        return Err("it is neither true nor false");
                    }
                }
                "explicit.null" | "use.null.for.invalid.data" => off,
                // A crawler's list of the columns.
                "paths" => true,
                name => name.starts_with("mapping."),
            },
            Self::HiveJson => match lower.as_str() {
                // A crawler's list of the columns; and a line that cannot be read stops the run in any case.
                "paths" | "ignore.malformed.json" => true,
                "timestamp.formats" => value.trim().is_empty(),
                _ => false,
            },
            Self::Parquet => match lower.as_str() {
                "parquet.column.index.access" => {
                    return if off {
                        Ok(())
                    } else {
                        Err("columns are found by their names here, not by their places")
                    };
                }
                "parquet.ignore.statistics" | "paths" => true,
                name => name.starts_with("parquet.bloom.filter"),
            },
            Self::Avro => match lower.as_str() {
                "avro.schema.literal" => return avro::check_literal(storage, value),
                "avro.schema.url" => {
                    return Err(
                        "it is not looked up: have the table say its columns alone, or name its prefix instead",
                    );
                }
                "avro.compress" | "avro.output.codec" | "paths" => true,
                _ => false,
            },
            Self::Orc => return of_orc(&lower, value),
        };
        if known { Ok(()) } else { Err(NOT_UNDERSTOOD) }
    }
}

/// Those of a table of ORC. Most of them say how files are written.
fn of_orc(name: &str, value: &str) -> Result<(), &'static str> {
    match name {
        ORC_BY_PLACE => {
            if ["true", "false", ""].contains(&value.trim().to_lowercase().as_str()) {
                Ok(())
            } else {
                Err("it is neither true nor false")
            }
        }
        "orc.compress"
        | "orc.compress.size"
        | "orc.stripe.size"
        | "orc.block.size"
        | "orc.block.padding"
        | "orc.row.index.stride"
        | "orc.create.index"
        | "orc.encoding.strategy"
        | "paths" => Ok(()),
        name if name.starts_with("orc.bloom.filter") => Ok(()),
        _ => Err(NOT_UNDERSTOOD),
    }
}

/// Whether two texts name one directory.
fn same_place(one: &str, other: &str) -> bool {
    match (Location::directory(one), Location::directory(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
