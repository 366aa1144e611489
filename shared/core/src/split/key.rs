//! Builds object names from rows.

use std::fmt::Write as _;

use thiserror::Error;
use twox_hash::XxHash3_128;

use super::{
    row::Row,
    template::{Piece, Template, TemplateError},
};

/// The longest key, in bytes of UTF-8.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
const LONGEST_KEY: usize = 1_024;

/// The placeholder for null and for the empty string.
const NULL: &str = "__NULL__";
const EMPTY: &str = "__EMPTY__";

/// The first part of the ledger's name. No object's name may begin with it.
const HIDDEN: &str = "_lakewright/";

/// Why a row has no name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyProblem {
    /// The name would exceed S3's limit.
    #[error("its key would have {0} bytes, more than {LONGEST_KEY}")]
    TooLong(usize),
}

/// The template of objects' names. No value of a row can escape the prefix or reach the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTemplate {
    template: Template,
    hashed_prefix: usize,
}

impl KeyTemplate {
    /// Parses a template. Each name gets a prefix: its hash with this many hexadecimal digits.
    ///
    /// # Errors
    /// Braces do not match, every row would have the same name, or the names would be those of folders.
    pub fn parse(text: &str, hashed_prefix: u32) -> Result<Self, TemplateError> {
        let template = Template::parse(text)?;
        let distinct = |piece: &Piece| matches!(piece, Piece::Row | Piece::Column(_));
        if !template.pieces.iter().any(distinct) {
            return Err(TemplateError::Key(
                "every row would have this key: name a {column}, or {row}",
            ));
        }
        if text.starts_with('/') || text.ends_with('/') || text.contains("//") {
            return Err(TemplateError::Key(
                "it may not begin or end with `/`, or hold `//`",
            ));
        }
        if text.starts_with(HIDDEN) {
            return Err(TemplateError::Key("`_lakewright/` is the ledger's"));
        }
        if text.contains(char::is_control) {
            return Err(TemplateError::Key("it holds a control character"));
        }
        Ok(Self {
            template,
            hashed_prefix: usize::try_from(hashed_prefix).unwrap_or(usize::MAX),
        })
    }

    /// The columns in the template.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.template.columns()
    }

    /// Whether two rows may have the same name: a name without columns contains the row's number.
    pub fn may_collide(&self) -> bool {
        self.columns().next().is_some()
    }

    /// Writes the key of row `number` below the prefix `prefix` into `key`.
    ///
    /// # Errors
    /// It would be too long.
    pub fn write(
        &self,
        row: &Row<'_>,
        number: u64,
        job: &str,
        prefix: &str,
        key: &mut String,
    ) -> Result<(), KeyProblem> {
        key.clear();
        for piece in &self.template.pieces {
            match piece {
                Piece::Literal(text) => key.push_str(text),
                Piece::Job => key.push_str(job),
                Piece::Row => {
                    // Writing to a string cannot fail.
                    let _ = write!(key, "{number}");
                }
                Piece::Column(name) => match row.text(name) {
                    None => key.push_str(NULL),
                    Some(text) => push_escaped(&text, key),
                },
            }
        }
        if key.split('/').any(is_relative) {
            *key = key
                .split('/')
                .map(|part| match part {
                    "." => "%2E",
                    ".." => "%2E%2E",
                    part => part,
                })
                .collect::<Vec<_>>()
                .join("/");
        }
        if key.starts_with(HIDDEN) {
            key.replace_range(..1, "%5F");
        }
        if self.hashed_prefix > 0 {
            let hash = format!("{:032x}/", XxHash3_128::oneshot(key.as_bytes()));
            let digits = self.hashed_prefix.min(32);
            key.insert_str(0, hash.get(32 - digits..).unwrap_or_default());
        }
        key.insert_str(0, prefix);
        if key.len() > LONGEST_KEY {
            return Err(KeyProblem::TooLong(key.len()));
        }
        Ok(())
    }
}

fn is_relative(part: &str) -> bool {
    matches!(part, "." | "..")
}

/// Appends a value, with `%`, `/`, control characters and characters that XML does not have as `%XX`, and the
/// placeholder for null if it is empty.
fn push_escaped(text: &str, key: &mut String) {
    match text {
        "" => return key.push_str(EMPTY),
        NULL | EMPTY => {
            key.push_str("%5F");
            return key.push_str(text.get(1..).unwrap_or_default());
        }
        _ => {}
    }
    let special =
        |letter: char| matches!(letter, '/' | '%' | '\u{fffe}' | '\u{ffff}') || letter.is_control();
    if !text.contains(special) {
        return key.push_str(text);
    }
    for letter in text.chars() {
        if special(letter) {
            let mut bytes = [0; 4];
            for byte in letter.encode_utf8(&mut bytes).bytes() {
                let _ = write!(key, "%{byte:02X}");
            }
        } else {
            key.push(letter);
        }
    }
}
