//! Envelopes: JSON objects that contain their records in a list, and common properties of the records in other fields.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    MAX_DEPTH,
    lex::{self, Kind, Member, Stop},
};

/// The path to the records in an envelope, and the fields of the envelope that are copied into each record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The steps from the outside to the inside. The last one is [`Step::Each`], whose elements are the records.
    path: Vec<Step>,
    kept: Vec<Kept>,
    /// Whether it is the envelope of a subscription to CloudWatch Logs, whose first kept field is the type of its events.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    logs: bool,
}

/// The value of `records` for the envelope of a subscription to CloudWatch Logs.
const LOGS: &str = "cloudwatch-logs";

/// One container on the path to the records, and which of its values leads to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Step {
    /// An object: the value of this key.
    Key(String),
    /// A list: each of its elements.
    Each,
}

/// A field that is copied into the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The container of the path that it is in.
    pub(super) level: usize,
    /// The keys from there to it.
    pub(super) keys: Vec<String>,
}

/// Why `records` and `keep` do not fit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{key}: {fault}")]
pub struct PathError {
    /// The option.
    pub key: &'static str,
    /// What is wrong with it.
    pub fault: PathFault,
}

/// Why a text in `records` or `keep` is not a valid path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PathFault {
    /// A key between two dots is empty.
    #[error(
        "`{0}` has a key without a name: write the keys from the outside to the inside, with dots between"
    )]
    EmptyKey(String),
    /// It begins with `*`.
    #[error("`{0}` begins with `*`: envelopes in a top-level array are found without it")]
    FirstStar(String),
    /// It ends with `*`.
    #[error(
        "`{0}` ends with `*`: the path leads to the list, and each of its elements is a record"
    )]
    LastStar(String),
    /// Two `*` follow each other.
    #[error("`{0}` has `*` twice: lists inside lists are not supported")]
    ListInList(String),
    /// It is too long.
    #[error("`{0}` has more than {MAX_DEPTH} parts")]
    TooLong(String),
    /// A kept field contains the records.
    #[error("`{0}` holds the records: name a field beside them")]
    HoldsRecords(String),
    /// A kept field is in a list that is not on the way to the records.
    #[error(
        "`{0}` is in a list that the path of `records` does not go through: it has no single value"
    )]
    OtherList(String),
    /// All fields are kept anyway.
    #[error(
        "it has no meaning where records = \"{LOGS}\", which keeps every field of the envelope"
    )]
    KeepsAll,
    /// Two kept fields have the same name.
    #[error("two fields would be called `{0}` in the records, ignoring case")]
    SameName(String),
}

/// What an envelope lacks, or has twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Lack {
    /// An object on the path has no such key.
    #[error("is missing")]
    Missing(usize),
    /// The value of a key on the path is not a list.
    #[error("is not a list")]
    NotAList(usize),
    /// The value of a key on the path is not an object.
    #[error("is not an object")]
    NotAnObject(usize),
    /// A key of the path occurs twice in one object. The records of the first are read.
    #[error("comes a second time")]
    Twice(usize),
    /// A kept field is missing, or comes after the records.
    #[error("does not come before the records")]
    NotBefore(usize),
    /// The type of an envelope's events is unknown.
    #[error("is neither DATA_MESSAGE nor CONTROL_MESSAGE")]
    UnknownType,
    /// A field of a log event's message has the name that another field was renamed to.
    #[error("has a field `message_…` that another one would be called too")]
    Renamed,
    /// The input ends inside the envelope, or something unexpected follows there.
    #[error("is not closed")]
    Unclosed,
}

fn steps(text: &str) -> Result<Vec<Step>, PathFault> {
    let steps: Vec<_> = text
        .split('.')
        .map(|part| match part {
            "*" => Step::Each,
            key => Step::Key(key.to_owned()),
        })
        .collect();
    let text = || text.to_owned();
    if steps.contains(&Step::Key(String::new())) {
        return Err(PathFault::EmptyKey(text()));
    }
    if steps.first() == Some(&Step::Each) {
        return Err(PathFault::FirstStar(text()));
    }
    if steps.last() == Some(&Step::Each) {
        return Err(PathFault::LastStar(text()));
    }
    if steps
        .windows(2)
        .any(|pair| pair == [Step::Each, Step::Each])
    {
        return Err(PathFault::ListInList(text()));
    }
    if steps.len() >= MAX_DEPTH {
        return Err(PathFault::TooLong(text()));
    }
    Ok(steps)
}

impl Envelope {
    /// Parses the texts of `records` and `keep`.
    ///
    /// # Errors
    /// One of them is not a valid path.
    pub fn new(records: &str, keep: &[String]) -> Result<Self, PathError> {
        let of = |key| move |fault| PathError { key, fault };
        if records == LOGS {
            return if keep.is_empty() {
                Ok(Self::logs())
            } else {
                Err(of("keep")(PathFault::KeepsAll))
            };
        }
        let mut path = steps(records).map_err(of("records"))?;
        path.push(Step::Each);
        let mut envelope = Self {
            path,
            kept: Vec::new(),
            logs: false,
        };
        for text in keep {
            let kept = envelope.locate(text).map_err(of("keep"))?;
            envelope.kept.push(kept);
        }
        Ok(envelope)
    }

    fn logs() -> Self {
        let fields = [
            "messageType",
            "owner",
            "logGroup",
            "logStream",
            "subscriptionFilters",
        ];
        let kept = fields.map(|field| Kept {
            level: 0,
            keys: vec![field.to_owned()],
        });
        Self {
            path: vec![Step::Key("logEvents".to_owned()), Step::Each],
            kept: kept.to_vec(),
            logs: true,
        }
    }

    /// Whether it is that of a subscription to CloudWatch Logs.
    pub(super) fn is_logs(&self) -> bool {
        self.logs
    }

    fn locate(&self, text: &str) -> Result<Kept, PathFault> {
        let steps = steps(text)?;
        let shared = steps.iter().zip(&self.path).take_while(|(a, b)| a == b);
        let level = shared.count();
        let rest = steps.get(level..).unwrap_or_default();
        if rest.is_empty() {
            return Err(PathFault::HoldsRecords(text.to_owned()));
        }
        let keys = rest.iter().map(|step| match step {
            Step::Key(key) => Some(key.clone()),
            Step::Each => None,
        });
        match (self.path.get(level), keys.collect::<Option<Vec<_>>>()) {
            (Some(Step::Key(_)), Some(keys)) => {
                let kept = Kept { level, keys };
                let name = |kept: &Kept| kept.name().to_lowercase();
                if self.kept.iter().any(|other| name(other) == name(&kept)) {
                    return Err(PathFault::SameName(kept.name().to_owned()));
                }
                Ok(kept)
            }
            _ => Err(PathFault::OtherList(text.to_owned())),
        }
    }

    pub(super) fn path(&self) -> &[Step] {
        &self.path
    }

    pub(super) fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// The path of what is missing.
    pub(super) fn name(&self, lack: Lack) -> String {
        let path = |steps: &[Step]| {
            let parts = steps.iter().map(|step| match step {
                Step::Key(key) => key,
                Step::Each => "*",
            });
            parts.collect::<Vec<_>>().join(".")
        };
        let above = |level: usize| self.path.get(..level).unwrap_or_default();
        match lack {
            Lack::Missing(level)
            | Lack::NotAList(level)
            | Lack::NotAnObject(level)
            | Lack::Twice(level) => path(above(level + 1)),
            Lack::NotBefore(index) => self.kept.get(index).map_or_else(String::new, |kept| {
                let keys = kept.keys.iter().cloned().map(Step::Key);
                path(
                    &above(kept.level)
                        .iter()
                        .cloned()
                        .chain(keys)
                        .collect::<Vec<_>>(),
                )
            }),
            Lack::UnknownType => "messageType".to_owned(),
            Lack::Renamed => "logEvents.*.message".to_owned(),
            Lack::Unclosed => path(above(self.path.len() - 1)),
        }
    }
}

impl Kept {
    /// Its name in the records.
    pub(super) fn name(&self) -> &str {
        self.keys.last().map_or("", String::as_str)
    }
}

/// The range of the value at the end of `keys` inside the value at `at`, which is whole. Of equal keys the last counts.
pub(super) fn look_up(
    buf: &[u8],
    mut at: usize,
    keys: &[String],
) -> Result<Option<(usize, usize)>, Stop> {
    let Some((wanted, inner)) = keys.split_first() else {
        return Ok(Some((at, lex::skip_value(buf, at, MAX_DEPTH)?)));
    };
    if Kind::at(buf, at)? != Kind::Object {
        return Ok(None);
    }
    let mut found = None;
    let mut first = true;
    at += 1;
    while let Member::Key(key) = lex::next_member(buf, at, first)? {
        first = false;
        let string = lex::string(buf, key)?;
        let value = lex::value_of_key(buf, string.next())?;
        at = lex::skip_value(buf, value, MAX_DEPTH)?;
        if string.decode(buf) == Cow::Borrowed(wanted.as_str()) {
            found = look_up(buf, value, inner)?;
        }
    }
    Ok(found)
}
