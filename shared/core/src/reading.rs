//! How records are read from the bytes of a source's objects: the one place where input formats are registered.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};

use crate::{
    catalog::{RowFormat, Table, TableError, honoured::ORC_BY_PLACE},
    config::{Csv, InputFormat, Limits, Pattern, Ranged},
    csv, hive_type,
    json::{self, Envelope, KeyNames},
    lines::{self, Dialect, LineColumns, LineFramer},
    pattern::PatternFramer,
    records::{FrameError, OfText, Records},
};

/// How records are read from the bytes of a source's objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reading {
    /// JSON objects. `lines`: whether each is on a separate line.
    Json {
        /// Whether a newline always ends a record.
        lines: bool,
        /// Which columns the keys name.
        #[serde(default)]
        keys: KeyNames,
        /// Where the records are, if the objects are envelopes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        envelope: Option<Envelope>,
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
        /// The types of those that are lists, maps or structs, by their places.
        #[serde(default)]
        nested: BTreeMap<usize, String>,
        /// Whether each byte is the character of its number, rather than UTF-8.
        #[serde(default)]
        latin_1: bool,
    },
    /// Lines that follow a pattern.
    Regex(Pattern),
    /// Apache Parquet, with columns matched by name.
    Parquet,
    /// Avro object container files, with columns matched by name.
    Avro,
    /// Apache ORC, with columns matched by name.
    Orc {
        /// The table's columns, in order, if its engines may find them by their places.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        columns: Vec<String>,
    },
}

const HEADER_LINES: &str = "skip.header.line.count";

impl Reading {
    /// The reading of a prefix, from the configuration. `regex` is there where the format is that. `columns`: those of the
    /// table, in order; CSV fields get these names if there is no header and the settings name none.
    pub fn of_prefix(
        format: InputFormat,
        csv: Option<&Csv>,
        regex: Option<&Pattern>,
        columns: impl Iterator<Item = String>,
    ) -> Self {
        match format {
            InputFormat::Regex => Self::Regex(regex.cloned().unwrap_or_default()),
            InputFormat::Json => Self::Json {
                lines: false,
                keys: KeyNames::default(),
                envelope: None,
            },
            InputFormat::Csv => {
                let mut csv = csv.cloned().unwrap_or_default();
                if !csv.header && csv.columns.is_empty() {
                    csv.columns = columns.collect();
                }
                Self::Csv(csv)
            }
            InputFormat::Parquet => Self::Parquet,
            InputFormat::Avro => Self::Avro,
            InputFormat::Orc => Self::Orc {
                columns: Vec::new(),
            },
        }
    }

    /// The same, where the objects of JSON are envelopes.
    #[must_use]
    pub fn within(mut self, of_records: Option<Envelope>) -> Self {
        if let Self::Json { envelope, .. } = &mut self {
            *envelope = of_records;
        }
        self
    }

    /// The reader that finds records in the bytes of one object. `first`: whether the bytes begin at the start of the
    /// object. `None` for Parquet, ORC and Avro, which are read in batches ([`records`](crate::records)).
    ///
    /// # Errors
    /// Two columns of CSV have the same name.
    pub fn records(
        &self,
        limits: &Limits,
        first: bool,
    ) -> Result<Option<Box<dyn Records>>, FrameError> {
        let longest = limits.longest_record();
        let records: Box<dyn Records> = match self {
            Self::Json { envelope, .. } => Box::new(json::Aggregates::new(
                longest,
                limits.deepest(),
                envelope.clone(),
            )),
            Self::Csv(settings) => Box::new(csv::Framer::new(settings, &[], longest)?),
            Self::Lines {
                dialect,
                header_lines,
                ..
            } => {
                let columns = self.line_columns();
                let header_lines = if first { *header_lines } else { 0 };
                let dialect = dialect.clone();
                Box::new(LineFramer::new(dialect, header_lines, columns, longest))
            }
            Self::Regex(pattern) => Box::new(PatternFramer::new(pattern, first, longest)?),
            Self::Parquet | Self::Orc { .. } | Self::Avro => return Ok(None),
        };
        Ok(Some(if first {
            Box::new(OfText::new(records))
        } else {
            records
        }))
    }

    /// The reading of a table, from its SerDe, or from the configuration's `csv` in place of that.
    ///
    /// # Errors
    /// A setting of the table is not supported.
    pub fn of_table(table: &Table, csv: Option<&Csv>) -> Result<Self, TableError> {
        let columns = table
            .storage
            .columns
            .iter()
            .map(|column| column.name.clone());
        if csv.is_some() {
            table.is_text()?;
            return Ok(Self::of_prefix(InputFormat::Csv, csv, None, columns));
        }
        let format = table.row_format()?;
        let format = format.ok_or(TableError::NoSerDe)?;
        let dialect = match format {
            RowFormat::Parquet => return Ok(Self::Parquet),
            RowFormat::Avro => return Ok(Self::Avro),
            RowFormat::Orc => {
                let by_name = table.parameter(ORC_BY_PLACE);
                let by_name =
                    by_name.is_some_and(|value| value.trim().eq_ignore_ascii_case("false"));
                return Ok(Self::Orc {
                    columns: if by_name {
                        Vec::new()
                    } else {
                        columns.collect()
                    },
                });
            }
            RowFormat::HiveJson => {
                return Ok(Self::Json {
                    lines: true,
                    keys: KeyNames::default(),
                    envelope: None,
                });
            }
            RowFormat::OpenXJson => {
                return Ok(Self::Json {
                    lines: true,
                    keys: key_names(table)?,
                    envelope: None,
                });
            }
            RowFormat::LazySimple => lazy_simple(table)?,
            RowFormat::OpenCsv => Dialect::OpenCsv {
                separator: character(table, "separatorChar", false)?.unwrap_or(b','),
                quote: character(table, "quoteChar", false)?.unwrap_or(b'"'),
                escape: character(table, "escapeChar", false)?.unwrap_or(b'\\'),
            },
        };
        let header_lines = match table.parameter(HEADER_LINES) {
            None => 0,
            Some(text) => text
                .trim()
                .parse()
                .map_err(|_| parameter(HEADER_LINES, text, "it is not a number of lines"))?,
        };
        let encoding = table.parameter("serialization.encoding");
        Ok(Self::Lines {
            nested: nested(table, format)?,
            latin_1: encoding.is_some_and(|name| !name.trim().to_lowercase().starts_with("utf")),
            dialect,
            header_lines,
            columns: columns.collect(),
        })
    }

    /// Whether an uncompressed object can be read from after any newline.
    pub fn ends_at_newlines(&self) -> bool {
        matches!(
            self,
            Self::Json { lines: true, .. } | Self::Lines { .. } | Self::Regex(_)
        )
    }

    /// Whether objects that are read so are read alike by `table`: a partition may lack the columns that were added to the
    /// table later, after its own.
    pub fn reads_as(&self, table: &Self) -> bool {
        let mut own = self.clone();
        if let (Self::Orc { columns }, Self::Orc { columns: of_table }) = (&mut own, table)
            && columns.is_empty() == of_table.is_empty()
        {
            let mut both = columns.iter().zip(of_table);
            if !both.all(|(one, other)| one.eq_ignore_ascii_case(other)) {
                return false;
            }
            columns.clone_from(of_table);
        }
        if let (
            Self::Lines {
                columns, nested, ..
            },
            Self::Lines {
                columns: of_table,
                nested: nested_of_table,
                ..
            },
        ) = (&mut own, table)
        {
            let alike = columns
                .iter()
                .zip(of_table)
                .all(|(one, other)| one.eq_ignore_ascii_case(other));
            let known = columns.len();
            let types_alike = nested_of_table
                .iter()
                .filter(|(index, _)| **index < known)
                .eq(nested.iter().filter(|(index, _)| **index < of_table.len()));
            if !alike || !types_alike {
                return false;
            }
            columns.clone_from(of_table);
            nested.clone_from(nested_of_table);
        }
        own == *table
    }

    /// The columns of a line's fields; empty for formats without such fields.
    pub fn line_columns(&self) -> LineColumns {
        let Self::Lines {
            columns,
            nested,
            latin_1,
            ..
        } = self
        else {
            return LineColumns::default();
        };
        // They were understood when the table was looked at.
        let nested = nested.iter().filter_map(|(index, hive_type)| {
            let field = hive_type::parse_field("", hive_type).ok()?;
            Some((*index, field.data_type().clone()))
        });
        LineColumns {
            names: columns.clone(),
            nested: nested.collect(),
            latin_1: *latin_1,
        }
    }

    /// Whether the objects are Parquet.
    pub fn is_parquet(&self) -> bool {
        *self == Self::Parquet
    }

    /// Of the formats that are read by ranges, which one it is.
    pub fn by_ranges(&self) -> Option<Ranged> {
        match self {
            Self::Parquet => Some(Ranged::Parquet),
            Self::Orc { .. } => Some(Ranged::Orc),
            _ => None,
        }
    }
}

fn lazy_simple(table: &Table) -> Result<Dialect, TableError> {
    let code = |name| character(table, name, true);
    let delimiter = match code("field.delim")? {
        Some(delimiter) => delimiter,
        None => code("serialization.format")?.unwrap_or(1),
    };
    if let Some(value) = table.parameter("line.delim")
        && !["\n", "10"].contains(&value)
    {
        let reason = "only a newline ends a line";
        return Err(parameter("line.delim", value, reason));
    }
    // Hive 1 and 2 write the one, Hive 3 the other.
    let collections = match code("colelction.delim")? {
        Some(delimiter) => Some(delimiter),
        None => code("collection.delim")?,
    };
    let rest = table.parameter("serialization.last.column.takes.rest");
    Ok(Dialect::LazySimple {
        delimiter,
        escape: code("escape.delim")?,
        null: table
            .parameter("serialization.null.format")
            .unwrap_or("\\N")
            .to_owned(),
        collections: collections.unwrap_or_else(lines::collections),
        keys: code("mapkey.delim")?.unwrap_or_else(lines::keys),
        rest: rest.is_some_and(|value| value.trim().eq_ignore_ascii_case("true")),
    })
}

/// The types of the columns that are lists, maps or structs, by their places.
fn nested(table: &Table, format: RowFormat) -> Result<BTreeMap<usize, String>, TableError> {
    let mut nested = BTreeMap::new();
    for (index, column) in table.storage.columns.iter().enumerate() {
        let refused = |reason| TableError::Column {
            column: column.name.clone(),
            hive_type: column.hive_type.clone(),
            reason,
        };
        // A type that is not understood is refused by its own error.
        let Ok(field) = hive_type::parse_field(&column.name, &column.hive_type) else {
            continue;
        };
        let levels = lines::levels(field.data_type());
        if *field.data_type() == DataType::Binary {
            return Err(refused(
                "binary values are base64 or not in delimited text, which cannot be told apart",
            ));
        }
        if levels == 0 {
            continue;
        }
        if format == RowFormat::OpenCsv {
            return Err(refused("OpenCSVSerde has columns of single values only"));
        }
        if 1 + levels > lines::LEVELS {
            return Err(refused(
                "it is nested deeper than LazySimpleSerDe has delimiters for",
            ));
        }
        nested.insert(index, column.hive_type.clone());
    }
    Ok(nested)
}

/// The settings `mapping.*`, `dots.in.keys` and `case.insensitive`.
fn key_names(table: &Table) -> Result<KeyNames, TableError> {
    let says = |name: &str, value: &str| {
        let parameter = table.parameter(name);
        parameter.is_some_and(|found| found.trim().eq_ignore_ascii_case(value))
    };
    let storage = &table.storage;
    let all = [
        &table.parameters,
        &storage.parameters,
        &storage.serde_parameters,
    ];
    let mapping = all.into_iter().flatten().filter_map(|(name, key)| {
        let column = name.strip_prefix("mapping.")?;
        Some((column.to_lowercase(), key.clone()))
    });
    let names = KeyNames {
        mapping: mapping.collect(),
        dots: says("dots.in.keys", "true"),
        case_sensitive: says("case.insensitive", "false"),
    };
    let columns = storage.columns.iter().map(|column| column.name.clone());
    let columns = columns.collect::<Vec<_>>();
    if let Some((_, column, key)) = names.shared(&columns) {
        let reason = "another column is read from the same key";
        return Err(parameter(&format!("mapping.{column}"), key, reason));
    }
    for (column, key) in &names.mapping {
        let name = format!("mapping.{column}");
        if !columns.iter().any(|known| known.to_lowercase() == *column) {
            return Err(parameter(&name, key, "the table has no such column"));
        }
        let inside = storage.columns.iter().any(|other| {
            let field = hive_type::parse_field(&other.name, &other.hive_type);
            field.is_ok_and(|field| has_field(field.data_type(), column))
        });
        if inside {
            let reason = "a field of a struct has the column's name, and readers differ in whether it is mapped too";
            return Err(parameter(&name, key, reason));
        }
    }
    Ok(names)
}

/// Whether a struct in a type has a field of a lower-case name.
fn has_field(data_type: &DataType, name: &str) -> bool {
    match data_type {
        DataType::Struct(fields) => fields
            .iter()
            .any(|field| field.name().to_lowercase() == name || has_field(field.data_type(), name)),
        DataType::List(element) => has_field(element.data_type(), name),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => fields
                .iter()
                .any(|field| has_field(field.data_type(), name)),
            _ => false,
        },
        _ => false,
    }
}

fn parameter(name: &str, value: &str, reason: &'static str) -> TableError {
    TableError::Parameter {
        name: name.to_owned(),
        value: value.to_owned(),
        reason,
    }
}

/// A parameter that is one ASCII character. `codes`: digits are its code, as `LazySimpleSerDe` has it.
fn character(table: &Table, name: &'static str, codes: bool) -> Result<Option<u8>, TableError> {
    let Some(value) = table.parameter(name) else {
        return Ok(None);
    };
    let code = value.parse().ok().filter(u8::is_ascii);
    if let &[byte] = value.as_bytes()
        && byte.is_ascii()
        && (!codes || code.is_none())
    {
        return Ok(Some(byte));
    }
    code.map(Some)
        .ok_or_else(|| parameter(name, value, "it is not one ASCII character"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{
            Column, StorageDescriptor,
            honoured::{AVRO, HIVE_JSON, LAZY_SIMPLE, OPEN_CSV, OPENX_JSON, ORC, PARQUET},
        },
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
            "A table is read as its SerDe says: LazySimpleSerDe, OpenCSVSerde, the JSON SerDes of OpenX and Hive, ParquetHiveSerDe, OrcSerde or AvroSerDe; any other is refused by name.",
        );
        let lazy = |delimiter, escape, null: &str| Dialect::LazySimple {
            delimiter,
            escape,
            null: null.to_owned(),
            collections: 2,
            keys: 3,
            rest: false,
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
                nested: BTreeMap::new(),
                latin_1: false,
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
        for serde in [OPENX_JSON, HIVE_JSON[0], HIVE_JSON[1]] {
            let found = Reading::of_table(&table(serde, &[], &[]), None);
            assert_eq!(
                found,
                Ok(Reading::Json {
                    lines: true,
                    keys: KeyNames::default(),
                    envelope: None,
                })
            );
        }
        let found = Reading::of_table(&table(PARQUET, &[], &[]), None);
        assert_eq!(found, Ok(Reading::Parquet));
        let found = Reading::of_table(&table(AVRO, &[], &[]), None);
        assert_eq!(found, Ok(Reading::Avro));
        let found = Reading::of_table(&table(ORC, &[], &[]), None);
        assert_eq!(
            found,
            Ok(Reading::Orc {
                columns: vec!["a".to_owned()]
            })
        );
        let other = "org.apache.hadoop.hive.serde2.columnar.LazyBinaryColumnarSerDe";
        let other = table(other, &[], &[]);
        let error = Reading::of_table(&other, None).unwrap_err().to_string();
        assert!(error.contains("LazyBinaryColumnarSerDe"), "{error}");
    }

    #[test]
    fn the_configuration_takes_the_place_of_the_serde() {
        stated(
            "With `csv`, a table's objects are read as CSV with quotes as it says, and the SerDe is ignored.",
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
