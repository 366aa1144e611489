//! Input formats.

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mistake::Problems;

/// What the objects under a source hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InputFormat {
    /// JSON objects: one per line, concatenated, or in arrays.
    #[default]
    Json,
    /// Comma-separated values.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// Avro object container files.
    Avro,
    /// Apache ORC.
    Orc,
    /// Lines of text that follow a pattern, `regex`.
    Regex,
}

/// A format whose files are read by ranges, because their footer is at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranged {
    /// Apache Parquet, by row groups.
    Parquet,
    /// Apache ORC, by stripes.
    Orc,
}

impl InputFormat {
    /// Of the formats that are read by ranges, which one it is.
    pub fn by_ranges(self) -> Option<Ranged> {
        match self {
            Self::Parquet => Some(Ranged::Parquet),
            Self::Orc => Some(Ranged::Orc),
            Self::Json | Self::Csv | Self::Avro | Self::Regex => None,
        }
    }
}

/// How lines of text are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// A regular expression that each line matches from its beginning to its end; its named groups, such as `(?<status>\d+)`,
    /// are the fields. The syntax is that of <https://docs.rs/regex/latest/regex/#syntax>.
    pub pattern: String,
    /// The text that means null, such as `-`, in addition to a group that has no part in the match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null: Option<String>,
    /// The number of lines at the start of each object that are not records.
    #[serde(default, skip_serializing_if = "no_lines")]
    pub skip_lines: u32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn no_lines(count: &u32) -> bool {
    *count == 0
}

impl Pattern {
    /// The expression that whole lines match.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn regex(&self) -> Result<Regex, String> {
        // Parse it alone first, so that it cannot swallow what is appended below.
        Regex::new(&self.pattern).map_err(|error| error.to_string())?;
        let whole = format!("^(?:{})$", self.pattern);
        Regex::new(&whole).map_err(|error| error.to_string())
    }

    /// Reports what is wrong with the `regex` of a job with this format.
    pub(super) fn check(
        regex: Option<&Self>,
        format: Option<InputFormat>,
        problems: &mut Problems,
    ) {
        let Some(regex) = regex else {
            if format == Some(InputFormat::Regex) {
                problems.say(
                    "format",
                    "regex is missing: write the pattern of the lines, such as regex = { pattern = '(?<time>\\S+) (?<rest>.*)' }",
                );
            }
            return;
        };
        if format != Some(InputFormat::Regex) {
            problems.say(
                "regex",
                "regex has no meaning where format is not \"regex\"",
            );
        }
        match regex.regex() {
            Err(error) => problems.say("regex.pattern", format!("regex.pattern: {error}")),
            Ok(compiled) if compiled.capture_names().flatten().next().is_none() => problems.say(
                "regex.pattern",
                "regex.pattern has no named group, such as `(?<status>\\d+)`: each is a field",
            ),
            Ok(_) => {}
        }
    }
}

/// How CSV is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Csv {
    /// Whether the first record of each object names the columns.
    pub header: bool,
    /// Without a header, the names of the columns in order. By default, the table's columns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// The ASCII character between the fields of a record.
    pub delimiter: char,
    /// The ASCII character around fields that contain delimiters, quotes or newlines. Inside, it is doubled.
    pub quote: char,
    /// The text that means null, such as `\N`, in addition to the empty field. Only without quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null: Option<String>,
}

impl Default for Csv {
    fn default() -> Self {
        Self {
            header: true,
            columns: Vec::new(),
            delimiter: ',',
            quote: '"',
            null: None,
        }
    }
}

impl Csv {
    /// Reports what is wrong with it. `table`: whether the job names a table.
    pub(super) fn check(&self, table: bool, problems: &mut Problems) {
        for (key, mark) in [("delimiter", self.delimiter), ("quote", self.quote)] {
            if !mark.is_ascii() || matches!(mark, '\r' | '\n' | '\0') {
                problems.say(
                    &format!("csv.{key}"),
                    format!("csv.{key} = {mark:?}: write one ASCII character, and no end of line"),
                );
            }
        }
        if self.delimiter == self.quote {
            problems.say("csv.delimiter", "csv.delimiter and csv.quote are the same");
        }
        match (self.header, self.columns.is_empty()) {
            (true, false) => problems.say(
                "csv.columns",
                "csv.columns has no meaning with a header: leave it out, or say header = false",
            ),
            (false, true) if !table => problems.say(
                "csv.header",
                "csv.header = false: name the columns in csv.columns, or a table",
            ),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_key() {
        for (text, table, expected) in [
            ("", false, Ok(())),
            (
                "delimiter = '\t'\nquote = \"'\"\nnull = '\\N'",
                false,
                Ok(()),
            ),
            ("header = false", true, Ok(())),
            ("header = false\ncolumns = ['a']", false, Ok(())),
            ("header = false", false, Err("csv.columns")),
            ("columns = ['a']", true, Err("csv.columns")),
            ("delimiter = 'é'", false, Err("csv.delimiter")),
            ("quote = \"\\n\"", false, Err("csv.quote")),
            ("delimiter = '\"'", false, Err("the same")),
        ] {
            let csv: Csv = toml::from_str(text).unwrap();
            let mut problems = Problems::of("rekey", 0, "a");
            csv.check(table, &mut problems);
            let found: Vec<_> = problems.found.iter().map(|found| &found.message).collect();
            match expected {
                Ok(()) => assert!(found.is_empty(), "{text}: {found:?}"),
                Err(says) => assert!(found.iter().any(|found| found.contains(says)), "{found:?}"),
            }
        }
    }
}
