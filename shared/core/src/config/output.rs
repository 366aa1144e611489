//! Outputs.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{mistake::Problems, size::Size};

use crate::location::Location;

/// An output: a format in which the records are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// The file format.
    pub format: OutputFormat,
    /// The compression. By default, zstd for Parquet and gzip for JSON and CSV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// The prefix of the files below the target, ending with `/`. By default, a single output goes to the target
    /// itself, and each of several to `<format>/`. No output may be inside another, because a table reads every file
    /// below its location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// A new file of a partition starts when the records in one reach this size. It is the size of the records as they
    /// were read, decompressed, because the names of all files are fixed before the first is written. A single larger
    /// record is a separate file. If the rows are sorted, files have this size on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_file_size: Option<Size>,
    /// With `max_file_size`: a last file smaller than this is joined with the previous one. A partition with fewer rows
    /// is still one smaller file, because each source object has separate files. Use compact to merge many small files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_file_size: Option<Size>,
    /// Parquet: the size at which a row group ends; 128 MiB by default. Row groups are smaller if the function's memory
    /// requires it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_group_size: Option<Size>,
    /// Parquet: columns that get a bloom filter, in any case; `a.b` for a field of a struct.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bloom_filter_columns: Vec<String>,
    /// CSV: whether the first line of each file names the columns. By default, it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
}

/// An output file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// Apache Parquet.
    Parquet,
    /// JSON objects, one per line.
    Json,
    /// Comma-separated values.
    Csv,
}

/// How an output is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Uncompressed.
    None,
    /// Snappy, for Parquet only.
    Snappy,
    /// Zstandard.
    Zstd,
    /// Gzip.
    Gzip,
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parquet => "parquet",
            Self::Json => "json",
            Self::Csv => "csv",
        })
    }
}

impl Output {
    /// An output of this format with default settings.
    pub fn new(format: OutputFormat) -> Self {
        Self {
            format,
            compression: None,
            prefix: None,
            max_file_size: None,
            min_file_size: None,
            row_group_size: None,
            bloom_filter_columns: Vec::new(),
            header: None,
        }
    }

    /// The compression, as configured or by default.
    pub fn compression(&self) -> Compression {
        self.compression.unwrap_or(match self.format {
            OutputFormat::Parquet => Compression::Zstd,
            OutputFormat::Json | OutputFormat::Csv => Compression::Gzip,
        })
    }

    /// The extension of the files' names, without a leading dot, by the conventions of Spark and Hive.
    pub fn extension(&self) -> &'static str {
        match (self.format, self.compression()) {
            (OutputFormat::Parquet, Compression::None) => "parquet",
            (OutputFormat::Parquet, Compression::Snappy) => "snappy.parquet",
            (OutputFormat::Parquet, Compression::Zstd) => "zstd.parquet",
            (OutputFormat::Parquet, Compression::Gzip) => "gz.parquet",
            // Snappy is refused for text.
            (OutputFormat::Json, Compression::None | Compression::Snappy) => "json",
            (OutputFormat::Json, Compression::Zstd) => "json.zst",
            (OutputFormat::Json, Compression::Gzip) => "json.gz",
            (OutputFormat::Csv, Compression::None | Compression::Snappy) => "csv",
            (OutputFormat::Csv, Compression::Zstd) => "csv.zst",
            (OutputFormat::Csv, Compression::Gzip) => "csv.gz",
        }
    }

    /// The media type of the files. A compressed text has the media type of its compression: with a `Content-Encoding`
    /// instead, some clients would decompress it, some even twice.
    pub fn content_type(&self) -> &'static str {
        match (self.format, self.compression()) {
            (OutputFormat::Parquet, _) => "application/vnd.apache.parquet",
            (_, Compression::Gzip) => "application/gzip",
            (_, Compression::Zstd) => "application/zstd",
            (OutputFormat::Json, _) => "application/jsonl",
            (OutputFormat::Csv, _) => "text/csv",
        }
    }

    /// Reports what is wrong with it. `key`: its path in the job.
    fn check(&self, key: &str, problems: &mut Problems) {
        let format = self.format;
        let parquet = format == OutputFormat::Parquet;
        let mut say = |name: &str, message: String| {
            problems.say(&format!("{key}.{name}"), format!("output: {message}"));
        };
        if !parquet && self.compression == Some(Compression::Snappy) {
            say(
                "compression",
                format!("{format} with compression = \"snappy\": choose none, gzip or zstd"),
            );
        }
        for (key, given, meant) in [
            ("row_group_size", self.row_group_size.is_some(), parquet),
            (
                "bloom_filter_columns",
                !self.bloom_filter_columns.is_empty(),
                parquet,
            ),
            ("header", self.header.is_some(), format == OutputFormat::Csv),
        ] {
            if given && !meant {
                say(
                    key,
                    format!("{key} has no meaning for {format}: leave it out"),
                );
            }
        }
        for (key, size) in [
            ("max_file_size", self.max_file_size),
            ("min_file_size", self.min_file_size),
            ("row_group_size", self.row_group_size),
        ] {
            if size == Some(Size(0)) {
                say(
                    key,
                    format!("{key} is 0: give a size above 0, or leave it out"),
                );
            }
        }
        match (self.min_file_size, self.max_file_size) {
            (Some(_), None) => say(
                "min_file_size",
                "min_file_size has no meaning without max_file_size: give both".to_owned(),
            ),
            (Some(min), Some(max)) if min > max => say(
                "min_file_size",
                format!("min_file_size ({min}) is above max_file_size ({max})"),
            ),
            _ => {}
        }
        if let Some(message) = self.prefix.as_deref().and_then(prefix_problem) {
            say("prefix", message);
        }
    }
}

fn prefix_problem(prefix: &str) -> Option<String> {
    if prefix.is_empty() {
        return None;
    }
    let Some(path) = prefix.strip_suffix('/') else {
        return Some(format!("prefix = \"{prefix}\" must end with `/`"));
    };
    let meant =
        |part: &str| !part.is_empty() && !part.starts_with(['_', '.']) && !part.contains('=');
    (!path.split('/').all(meant)).then(|| format!(
        "prefix = \"{prefix}\": its parts may not be empty, begin with `_` or `.` (such directories are hidden from readers), or contain `=` (they are not partitions)"
    ))
}

/// The prefix of one of several outputs, below the target.
fn prefix(output: &Output, outputs: usize) -> String {
    match &output.prefix {
        Some(prefix) => prefix.clone(),
        None if outputs > 1 => format!("{}/", output.format),
        None => String::new(),
    }
}

/// The directory of one of `outputs` below `target`.
pub(super) fn directory(target: &Location, output: &Output, outputs: usize) -> Location {
    target.join(&prefix(output, outputs))
}

/// Reports what is wrong with the outputs.
pub(super) fn check(outputs: &[Output], problems: &mut Problems) {
    if outputs.is_empty() {
        problems.say("output", "output is empty: name at least one");
    }
    for (index, first) in outputs.iter().enumerate() {
        let key = format!("output[{index}]");
        first.check(&key, problems);
        for second in outputs.iter().skip(index + 1) {
            let (a, b) = (prefix(first, outputs.len()), prefix(second, outputs.len()));
            if a.starts_with(&b) || b.starts_with(&a) {
                problems.say(&key, format!(
                    "outputs {} and {} go to \"{a}\" and \"{b}\" below the target, and a table would read both: give each a prefix of its own",
                    first.format, second.format
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::stated;

    fn check(outputs: &[Output]) -> Result<(), String> {
        let mut problems = Problems::of("rekey", 0, "a");
        super::check(outputs, &mut problems);
        let mut found = problems.found.into_iter();
        found.next().map_or(Ok(()), |found| Err(found.message))
    }

    fn outputs(text: &str) -> Vec<Output> {
        #[derive(Deserialize)]
        struct File {
            output: Vec<Output>,
        }
        toml::from_str::<File>(text).unwrap().output
    }

    #[test]
    fn names_and_types() {
        for (text, extension, content_type) in [
            (
                r#"{ format = "parquet" }"#,
                "zstd.parquet",
                "application/vnd.apache.parquet",
            ),
            (
                r#"{ format = "parquet", compression = "none" }"#,
                "parquet",
                "application/vnd.apache.parquet",
            ),
            (
                r#"{ format = "parquet", compression = "snappy" }"#,
                "snappy.parquet",
                "application/vnd.apache.parquet",
            ),
            (
                r#"{ format = "parquet", compression = "gzip" }"#,
                "gz.parquet",
                "application/vnd.apache.parquet",
            ),
            (r#"{ format = "json" }"#, "json.gz", "application/gzip"),
            (
                r#"{ format = "json", compression = "none" }"#,
                "json",
                "application/jsonl",
            ),
            (
                r#"{ format = "json", compression = "zstd" }"#,
                "json.zst",
                "application/zstd",
            ),
            (r#"{ format = "csv" }"#, "csv.gz", "application/gzip"),
            (
                r#"{ format = "csv", compression = "none" }"#,
                "csv",
                "text/csv",
            ),
            (
                r#"{ format = "csv", compression = "zstd" }"#,
                "csv.zst",
                "application/zstd",
            ),
        ] {
            let outputs = outputs(&format!("output = [{text}]"));
            assert_eq!(check(&outputs), Ok(()));
            assert_eq!(outputs[0].extension(), extension, "{text}");
            assert_eq!(outputs[0].content_type(), content_type, "{text}");
        }
    }

    #[test]
    fn each_output_has_a_directory_of_its_own() {
        stated("Several outputs go to directories of their own, and none lies inside another.");
        let target = Location::new("lake", "anpr/");
        let directories = |text: &str| {
            let outputs = outputs(text);
            check(&outputs).map(|()| {
                let each = outputs
                    .iter()
                    .map(|o| directory(&target, o, outputs.len()).key);
                each.collect::<Vec<_>>()
            })
        };
        for (text, expected) in [
            (r#"output = [{ format = "csv" }]"#, vec!["anpr/"]),
            (
                r#"output = [{ format = "csv", prefix = "a/b/" }]"#,
                vec!["anpr/a/b/"],
            ),
            (
                r#"output = [{ format = "parquet" }, { format = "json" }, { format = "csv" }]"#,
                vec!["anpr/parquet/", "anpr/json/", "anpr/csv/"],
            ),
            (
                r#"output = [{ format = "json" }, { format = "json", compression = "none", prefix = "plain/" }]"#,
                vec!["anpr/json/", "anpr/plain/"],
            ),
        ] {
            assert_eq!(directories(text).unwrap(), expected);
        }
        for text in [
            r#"output = [{ format = "json" }, { format = "json" }]"#,
            r#"output = [{ format = "json", prefix = "" }, { format = "csv" }]"#,
            r#"output = [{ format = "json" }, { format = "csv", prefix = "json/csv/" }]"#,
        ] {
            let error = directories(text).unwrap_err();
            assert!(error.contains("a prefix of its own"), "{error}");
        }
    }

    #[test]
    fn refusals_name_the_key() {
        for (text, says) in [
            (
                r#"format = "json", compression = "snappy""#,
                "choose none, gzip or zstd",
            ),
            (
                r#"format = "csv", compression = "snappy""#,
                "choose none, gzip or zstd",
            ),
            (
                r#"format = "json", row_group_size = "1MiB""#,
                "row_group_size has no meaning for json",
            ),
            (
                r#"format = "csv", bloom_filter_columns = ["a"]"#,
                "bloom_filter_columns",
            ),
            (
                r#"format = "json", header = true"#,
                "header has no meaning for json",
            ),
            (
                r#"format = "json", max_file_size = "0B""#,
                "max_file_size is 0",
            ),
            (
                r#"format = "json", min_file_size = "1MiB""#,
                "without max_file_size",
            ),
            (
                r#"format = "json", min_file_size = "2MiB", max_file_size = "1MiB""#,
                "min_file_size (2.0 MiB) is above max_file_size (1.0 MiB)",
            ),
            (r#"format = "json", prefix = "a""#, "must end with `/`"),
            (r#"format = "json", prefix = "/""#, "may not be empty"),
            (r#"format = "json", prefix = "a//b/""#, "may not be empty"),
            (r#"format = "json", prefix = "_a/""#, "hidden"),
            (r#"format = "json", prefix = "a/.b/""#, "hidden"),
            (
                r#"format = "json", prefix = "year=2026/""#,
                "not partitions",
            ),
        ] {
            let error = check(&outputs(&format!("output = [{{ {text} }}]"))).unwrap_err();
            assert!(error.contains(says), "{error} should say {says}");
        }
    }
}
