//! `[[split]]`: writes a query's result as one object per row.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Encryption, OnCollision, ResultColumn, RowFormat, Types,
    mistake::Problems,
    size::{S3Uri, Size},
    stored,
};
use crate::{
    location::Location,
    split::{KeyTemplate, Template},
};

/// The largest `chunk_size`: a whole chunk is kept in memory.
const MAX_CHUNK_SIZE: Size = Size::mib(32);

/// The most hexadecimal digits of a hashed prefix.
const MAX_HASHED_PREFIX: u32 = 8;

/// A job that writes each row of an Athena query's result as a separate object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The job's name in requests, reports, metrics and alarms.
    pub name: String,
    /// The prefix to write the objects under, ending with `/`.
    #[schemars(with = "S3Uri")]
    pub target: Location,
    /// The name of a row's object below the target. `{column}` is the value of a column, `{row}` the row's number (the
    /// first is 0), `{job}` the job's id; `{{` and `}}` are braces.
    #[serde(default = "default_key")]
    pub key: String,
    /// Puts a hash of the name, with this many hexadecimal digits, and a `/` before each name, so that S3 can
    /// distribute the requests over more partitions.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hashed_prefix: u32,
    /// The format of an object.
    #[serde(default)]
    pub format: RowFormat,
    /// With `format = "csv"`: whether the first line of each object names the columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// With `format = "template"`: the object's text, with `{column}`, `{row}` and `{job}` as in `key`, unescaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// How the values of columns are written in JSON.
    #[serde(default)]
    pub types: Types,
    /// The settings of the UNLOAD, if the result is that of an UNLOAD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unload: Option<Unload>,
    /// Columns that the result itself does not describe: types by column name, for a result that is given by its URI;
    /// names and types of the fields in order, for UNLOAD's text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ResultColumn>,
    /// What to do if different rows have the same key.
    #[serde(default)]
    pub on_collision: OnCollision,
    /// The media type of the objects. By default, that of the format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The storage class, such as `INTELLIGENT_TIERING`. `STANDARD` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Tags of each object that the job writes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The server-side encryption of each object that the job writes. By default, that of the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// The approximate number of the result's bytes that one task handles.
    #[serde(default = "default_chunk_size")]
    pub chunk_size: Size,
    /// The most rows that one task handles.
    #[serde(default = "default_chunk_rows")]
    pub chunk_rows: u32,
    /// The most requests that one task has in flight.
    #[serde(default = "default_in_flight")]
    pub in_flight: u32,
    /// A job that would make more PUT requests than this requires `confirm: true` before it writes anything.
    #[serde(default = "default_max_puts")]
    pub max_puts: u32,
    /// The price of a million PUT requests in US dollars: 5 for S3 Standard in us-east-1.
    #[serde(default = "default_usd_per_million_puts")]
    pub usd_per_million_puts: u32,
    /// The prefixes from which results are read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<S3Uri>")]
    pub sources: Vec<Location>,
    /// Instead of `sources`: whether results may be read from anywhere. The job's functions may then read every bucket
    /// of the account.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_any_source: bool,
}

/// The settings of an UNLOAD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unload {
    /// The `format` of the UNLOAD. Parquet and JSON are detected by default; text is not.
    pub format: UnloadFormat,
    /// With `format = "text"`: the `field_delimiter` of the UNLOAD, an ASCII character. U+0001 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
}

/// A format of UNLOAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnloadFormat {
    /// `PARQUET`.
    Parquet,
    /// `JSON`: one document per line.
    Json,
    /// `TEXTFILE`: one row per line.
    Text,
}

fn default_key() -> String {
    "{job}/{row}".to_owned()
}

fn default_chunk_size() -> Size {
    Size::mib(8)
}

fn default_chunk_rows() -> u32 {
    10_000
}

fn default_in_flight() -> u32 {
    64
}

fn default_max_puts() -> u32 {
    5_000_000
}

fn default_usd_per_million_puts() -> u32 {
    5
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(digits: &u32) -> bool {
    *digits == 0
}

impl Split {
    /// The prefix of the job's ledger, hidden from query engines.
    pub fn ledger(&self) -> Location {
        self.target.join(crate::split::LEDGER)
    }

    /// Whether a result may be read from this location.
    pub fn may_read(&self, object: &Location) -> bool {
        self.allow_any_source || self.sources.iter().any(|prefix| prefix.contains(object))
    }

    /// The media type of the objects.
    pub fn content_type(&self) -> &str {
        self.content_type.as_deref().unwrap_or(match self.format {
            RowFormat::Json => "application/json",
            RowFormat::Csv => "text/csv",
            RowFormat::Template => "text/plain; charset=utf-8",
        })
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        if self.name.is_empty() {
            problems.say("name", "name is empty");
        }
        problems.prefix("target", Some(&self.target));
        for source in &self.sources {
            problems.bucket("sources", Some(source));
        }
        if let Err(error) = KeyTemplate::parse(&self.key, self.hashed_prefix) {
            problems.say("key", format!("key = \"{}\": {error}", self.key));
        }
        if self.hashed_prefix > MAX_HASHED_PREFIX {
            problems.say(
                "hashed_prefix",
                format!("hashed_prefix is above {MAX_HASHED_PREFIX}"),
            );
        }
        match (self.format, &self.template) {
            (RowFormat::Template, None) => problems.say(
                "template",
                "template is missing: the text of an object, with {column} for its values",
            ),
            (RowFormat::Template, Some(template)) => {
                if let Err(error) = Template::parse(template) {
                    problems.say("template", format!("template: {error}"));
                }
            }
            (_, Some(_)) => problems.say(
                "template",
                "template has no meaning without format = \"template\"",
            ),
            (_, None) => {}
        }
        if self.header.is_some() && self.format != RowFormat::Csv {
            problems.say("header", "header has no meaning without format = \"csv\"");
        }
        if let Some(problem) = self.unload.as_ref().and_then(Unload::problem) {
            problems.say("unload.delimiter", problem);
        }
        let is_text = self.unload.as_ref().is_some_and(Unload::is_text);
        if is_text && self.columns.is_empty() {
            problems.say(
                "columns",
                "unload.format = \"text\" needs columns: text has no names",
            );
        }
        match (self.sources.is_empty(), self.allow_any_source) {
            (true, false) => problems.say(
                "sources",
                "sources is missing: name the prefixes that results are taken from, or write allow_any_source = true to read every bucket of the account",
            ),
            (false, true) => problems.say(
                "allow_any_source",
                "allow_any_source has no meaning beside sources: write one",
            ),
            _ => {}
        }
        if self.chunk_size.as_u64() == 0 || self.chunk_size > MAX_CHUNK_SIZE {
            problems.say(
                "chunk_size",
                format!("chunk_size must be above 0 and at most {MAX_CHUNK_SIZE}"),
            );
        }
        for (key, value) in [
            ("chunk_rows", self.chunk_rows),
            ("in_flight", self.in_flight),
        ] {
            if value == 0 {
                problems.say(key, format!("{key} must be above 0"));
            }
        }
        stored::check(&self.tags, self.encryption.as_ref(), problems);
    }
}

impl Unload {
    fn is_text(&self) -> bool {
        self.format == UnloadFormat::Text
    }

    fn problem(&self) -> Option<String> {
        match self.delimiter {
            Some(_) if !self.is_text() => {
                Some("unload.delimiter has no meaning without unload.format = \"text\"".to_owned())
            }
            Some(mark) if !mark.is_ascii() || matches!(mark, '\r' | '\n') => Some(format!(
                "unload.delimiter = {mark:?}: write one ASCII character, and no end of line"
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const USERS: &str = r#"
        [[split]]
        name = "user_info"
        target = "s3://objects/user_info/"
    "#;

    const ANYWHERE: &str = "allow_any_source = true";

    #[test]
    fn defaults() {
        let config = Config::parse(&format!("{USERS}\n{ANYWHERE}")).unwrap();
        let job = &config.split[0];
        assert_eq!(job.key, "{job}/{row}");
        assert_eq!(job.content_type(), "application/json");
        assert_eq!(job.on_collision, OnCollision::Fail);
        assert_eq!(
            job.ledger().to_string(),
            "s3://objects/user_info/_lakewright/split/"
        );
        assert!(job.may_read(&Location::new("anywhere", "k")));
    }

    #[test]
    fn everything_can_be_said() {
        let text = format!(
            r#"{USERS}
            key = "{{user_id}}.txt"
            hashed_prefix = 2
            format = "template"
            template = "{{name}}"
            types = "string"
            unload = {{ format = "text", delimiter = "," }}
            columns = [{{ name = "user_id", type = "bigint" }}]
            on_collision = "keep_last"
            content_type = "text/x-user"
            storage_class = "STANDARD_IA"
            tags = {{ team = "a b" }}
            encryption = {{ algorithm = "aws:kms", key = "alias/k" }}
            chunk_size = "1MiB"
            chunk_rows = 10
            in_flight = 8
            max_puts = 3
            usd_per_million_puts = 10
            sources = ["s3://results/"]
            "#
        );
        let config = Config::parse(&text).unwrap();
        let job = &config.split[0];
        assert_eq!(job.content_type(), "text/x-user");
        assert!(!job.may_read(&Location::new("anywhere", "k")));
        let again = serde_json::to_string(job).unwrap();
        assert_eq!(&serde_json::from_str::<Split>(&again).unwrap(), job);
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        for (more, says) in [
            ("speling = 1", "speling"),
            ("key = \"{a\"", "key"),
            ("key = \"a/\"", "key"),
            ("key = \"constant\"", "key"),
            ("hashed_prefix = 9", "hashed_prefix"),
            ("template = \"a\"", "template"),
            ("format = \"template\"", "template"),
            ("format = \"template\"\ntemplate = \"{\"", "template"),
            ("header = true", "header"),
            ("unload = { format = \"text\" }", "columns"),
            (
                "unload = { format = \"json\", delimiter = \",\" }",
                "unload.delimiter",
            ),
            (
                "unload = { format = \"text\", delimiter = \"é\" }\ncolumns = [{ name = \"a\", type = \"b\" }]",
                "unload.delimiter",
            ),
            ("chunk_size = \"1GiB\"", "chunk_size"),
            ("chunk_rows = 0", "chunk_rows"),
            ("in_flight = 0", "in_flight"),
            ("sources = [\"s3://results/\"]", "allow_any_source"),
        ] {
            let error = Config::parse(&format!("{USERS}\n{ANYWHERE}\n{more}")).unwrap_err();
            assert!(
                error.to_string().contains(says),
                "{error} should say {says}"
            );
        }
        let no_slash = USERS.replace("user_info/", "user_info");
        for (text, says) in [
            (no_slash, "must end with `/`"),
            (format!("{USERS}\n{ANYWHERE}{USERS}"), "two jobs"),
            (USERS.to_owned(), "sources is missing"),
        ] {
            let error = Config::parse(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{error} should say {says}");
        }
    }

    #[test]
    fn a_target_that_would_trigger_rekey_is_refused() {
        let text = format!(
            r#"{USERS}
            {ANYWHERE}
            [[rekey]]
            name = "r"
            source = "s3://objects/"
            timestamp = {{ column = "t" }}
            target = "s3://lake/"
            "#
        );
        let error = Config::parse(&text).unwrap_err().to_string();
        assert!(error.contains("source of rekey `r`"), "{error}");
    }
}
