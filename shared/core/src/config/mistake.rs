//! The mistakes in a configuration, and their positions in the file.

use std::{fmt, ops::Range};

use serde::Serialize;
use thiserror::Error;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::location::Location;

/// One mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The path of the key, such as `rekey[0].timestamp.zone`; empty if the file is not TOML.
    pub key: String,
    /// What was found, what is allowed, and what to write instead.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            message,
            ..
        } = self;
        write!(f, "line {line}, column {column}: {message}")
    }
}

/// Why a configuration is refused: all its mistakes, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct ConfigError {
    mistakes: Vec<Mistake>,
}

impl ConfigError {
    pub(super) fn new(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort();
        mistakes.dedup();
        Self { mistakes }
    }

    /// The error for a file that is valid UTF-8 only up to this position.
    pub(super) fn not_utf8(bytes: &[u8], place: usize) -> Self {
        let before = String::from_utf8_lossy(bytes.get(..place).unwrap_or_default());
        let byte = bytes.get(place).copied().unwrap_or_default();
        Self::new(vec![Mistake {
            line: before.matches('\n').count() + 1,
            column: before.chars().rev().take_while(|&of| of != '\n').count() + 1,
            key: String::new(),
            message: format!(
                "byte 0x{byte:02X} is not UTF-8: save the file as UTF-8 (it may be Latin-1 or UTF-16)"
            ),
        }])
    }

    /// The mistakes; at least one.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

/// A step from a value to one inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The path from the root of the file to a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<Step>);

impl Path {
    /// The path of the job with this index among the jobs of its kind.
    pub(super) fn job(kind: &str, index: usize) -> Self {
        Self(vec![Step::Key(kind.to_owned()), Step::Index(index)])
    }

    pub(super) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The part inside the job, as messages show it.
    pub(super) fn within_job(&self) -> String {
        Self(self.0.iter().skip(2).cloned().collect()).to_string()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if depth == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A mistake in a job that is well-formed, with the key inside the job.
pub(super) struct Problem {
    pub(super) path: Path,
    pub(super) message: String,
}

/// Collects the problems of one job.
pub(super) struct Problems {
    /// The job as messages call it.
    title: String,
    job: Path,
    pub(super) found: Vec<Problem>,
}

impl Problems {
    pub(super) fn of(kind: &str, index: usize, name: &str) -> Self {
        Self {
            title: format!("{kind} `{name}`"),
            job: Path::job(kind, index),
            found: Vec::new(),
        }
    }

    /// Reports the problems of a table inside the job, which messages call `title`.
    pub(super) fn inside(&mut self, title: &str, keys: &[&str], check: impl FnOnce(&mut Self)) {
        let mut inside = Self {
            title: format!("{}, {title}", self.title),
            job: keys
                .iter()
                .fold(self.job.clone(), |path, key| path.key(key)),
            found: Vec::new(),
        };
        check(&mut inside);
        self.found.append(&mut inside.found);
    }

    /// Reports a bucket name that S3 does not allow.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
    pub(super) fn bucket(&mut self, key: &str, location: Option<&Location>) {
        const LONGEST: usize = 63;
        let Some(location) = location else { return };
        let bucket = &location.bucket;
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')
        };
        let outside = |mark: char| matches!(mark, '.' | '-');
        if bucket.len() > LONGEST
            || !bucket.bytes().all(allowed)
            || bucket.starts_with(outside)
            || bucket.ends_with(outside)
        {
            self.say(
                key,
                format!(
                    "{key} = \"{location}\": `{bucket}` is not a bucket's name: those have lower-case letters, digits, dots and hyphens, {LONGEST} at most, and begin and end with a letter or digit"
                ),
            );
        }
    }

    /// Reports a prefix that does not end with `/`: it would match its siblings too.
    pub(super) fn prefix(&mut self, key: &str, location: Option<&Location>) {
        self.bucket(key, location);
        if let Some(location) = location
            && !location.key.is_empty()
            && !location.key.ends_with('/')
        {
            self.say(key, format!("{key} = \"{location}\" must end with `/`"));
        }
    }

    /// Reports a mistake in a key of the job: `key`, `table.key` or `list[0].key`.
    pub(super) fn say(&mut self, key: &str, message: impl fmt::Display) {
        let mut path = self.job.clone();
        for part in key.split('.') {
            let (name, index) = part.split_once('[').unwrap_or((part, ""));
            path = path.key(name);
            if let Ok(index) = index.trim_end_matches(']').parse() {
                path = path.index(index);
            }
        }
        let message = format!("{}: {message}", self.title);
        self.found.push(Problem { path, message });
    }
}

/// The range in the file of the last existing key of a path, or of its value.
pub(super) fn span_of(tree: &Spanned<DeTable<'_>>, path: &Path) -> Range<usize> {
    enum At<'a, 'i> {
        Table(&'a DeTable<'i>),
        Value(&'a DeValue<'i>),
    }
    let mut at = At::Table(tree.get_ref());
    let mut span = tree.span();
    for step in &path.0 {
        let table = match &at {
            At::Table(table) => Some(*table),
            At::Value(value) => value.as_table(),
        };
        let next = match step {
            Step::Key(key) => table.and_then(|table| {
                let (name, value) = table.get_key_value(key.as_str())?;
                Some((name.span(), value.get_ref()))
            }),
            Step::Index(index) => match at {
                At::Value(value) => value
                    .as_array()
                    .and_then(|list| list.get(*index))
                    .map(|value| (value.span(), value.get_ref())),
                At::Table(_) => None,
            },
        };
        let Some((found, value)) = next else { break };
        span = found;
        at = At::Value(value);
    }
    span
}

/// The line and column, from 1, of a place in a text.
pub(super) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}
