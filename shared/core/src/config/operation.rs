//! What happens to columns on their way from the records into the files.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretName, mistake::Problems};
use crate::{hive_type, nearest::meant};

/// The keys of an operation, as messages list them.
const KEYS: &str = "from, drop, cast, constant, key, event, mask or hash";

/// What happens to one column on its way from the records into the files: one of `drop`, `cast`, `constant`, `key`, `event`,
/// `mask` and `hash`, or only `from`, which renames it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The column's name in the files or in the path. With `drop`, the name of the records' field.
    pub name: String,
    /// The records' field that the column is read from. By default, the one of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whether the records' field is left out. It is known, so `on_unknown` does not apply to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop: bool,
    /// The type that the records' field is read as, in Hive's syntax, such as `decimal(10,2)`, before it goes into the
    /// column of the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cast: Option<String>,
    /// The value of the column in every row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant: Option<Constant>,
    /// A part of the source object's key, after `source`: the name of a part such as `tenant=acme`, whose value it is, or the
    /// place of a part between slashes, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyPart>,
    /// What is known of the record itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventValue>,
    /// How many characters of the field's text stay; the others become `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Mask>,
    /// The secret that the field's text is hashed with: the column has its HMAC-SHA-256 in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
}

/// A value in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Constant {
    /// `true` or `false`.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A text, which is taken into the column's type as a JSON string would be.
    Text(String),
}

/// A part of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum KeyPart {
    /// The part at this place between slashes, from 1.
    Place(u32),
    /// The value of the first part that is called so, as in `name=value`.
    Name(String),
}

/// What is known of a record besides its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventValue {
    /// The object that it was in, `s3://bucket/key`.
    Source,
    /// When that object landed.
    LandedAt,
    /// Where it begins in the decompressed object, in bytes; of a Parquet file, its row.
    Offset,
}

/// What stays of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mask {
    /// The number of characters at its start.
    #[serde(skip_serializing_if = "is_zero")]
    pub first: u32,
    /// The number of characters at its end.
    #[serde(skip_serializing_if = "is_zero")]
    pub last: u32,
}

/// How a text is hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hash {
    /// The secret: `secretsmanager:NAME` of AWS Secrets Manager, or `ssm:NAME`, a `SecureString` parameter of AWS Systems Manager.
    pub secret: SecretName,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// An operation by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind<'a> {
    /// The field has another name than the column.
    Rename,
    /// The field is left out.
    Drop,
    /// The field is read as this type.
    Cast(&'a str),
    /// The column is this in every row.
    Constant(&'a Constant),
    /// The column is a part of the object's key.
    Key(&'a KeyPart),
    /// The column is what is known of the record.
    Event(EventValue),
    /// The column has a part of the field's text.
    Mask(Mask),
    /// The column has a hash of the field's text with this secret.
    Hash(&'a SecretName),
}

impl OperationKind<'_> {
    /// Whether the column is made of a field of the records.
    pub fn is_of_field(self) -> bool {
        !matches!(self, Self::Constant(_) | Self::Key(_) | Self::Event(_))
    }
}

impl Operation {
    /// Its kind; the first if there are several, which [`check`] refuses.
    pub fn kind(&self) -> OperationKind<'_> {
        let mut kinds = self.kinds();
        if kinds.is_empty() {
            OperationKind::Rename
        } else {
            kinds.remove(0).1
        }
    }

    fn kinds(&self) -> Vec<(&'static str, OperationKind<'_>)> {
        let cast = self.cast.as_deref();
        [
            self.drop.then_some(("drop", OperationKind::Drop)),
            cast.map(|cast| ("cast", OperationKind::Cast(cast))),
            self.constant
                .as_ref()
                .map(|value| ("constant", OperationKind::Constant(value))),
            self.key
                .as_ref()
                .map(|part| ("key", OperationKind::Key(part))),
            self.event
                .map(|value| ("event", OperationKind::Event(value))),
            self.mask.map(|mask| ("mask", OperationKind::Mask(mask))),
            self.hash
                .as_ref()
                .map(|hash| ("hash", OperationKind::Hash(&hash.secret))),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The field of the records that it uses: no other column is read from that field.
    pub fn field(&self) -> &str {
        self.from.as_ref().unwrap_or(&self.name)
    }

    fn check(&self, key: &str, problems: &mut Problems) {
        let name = &self.name;
        if name.is_empty() || self.field().is_empty() {
            problems.say(key, "column has an empty name");
        }
        let kinds = self.kinds();
        match (&kinds[..], &self.from) {
            ([], None) => problems.say(
                key,
                format!("column: `{name}` has no operation: write one of {KEYS}"),
            ),
            ([], Some(from)) if from.to_lowercase() == name.to_lowercase() => problems.say(
                &format!("{key}.from"),
                format!("column: `{name}` is read from the field of its name anyway: leave it out"),
            ),
            ([(one, _), (other, _), ..], _) => problems.say(
                key,
                format!("column: `{name}` has both {one} and {other}: a column has one operation"),
            ),
            ([(kind, OperationKind::Drop)], Some(_)) => problems.say(
                &format!("{key}.from"),
                format!("column: from has no meaning with {kind}: `name` is the records' field"),
            ),
            ([(kind, of)], Some(_)) if !of.is_of_field() => problems.say(
                &format!("{key}.from"),
                format!("column: from has no meaning with {kind}: no field of the records goes into `{name}`"),
            ),
            _ => {}
        }
        if let Some(cast) = &self.cast
            && let Err(error) = hive_type::parse_field(name, cast)
        {
            problems.say(
                &format!("{key}.cast"),
                format!("column: `{name}`: cast = \"{cast}\": {error}"),
            );
        }
        match &self.key {
            Some(KeyPart::Place(0)) => problems.say(
                &format!("{key}.key"),
                "column: key = 0: the parts of a key are counted from 1",
            ),
            Some(KeyPart::Name(part)) if part.is_empty() || part.contains(['/', '=']) => {
                problems.say(
                    &format!("{key}.key"),
                    format!("column: key = \"{part}\": write the name alone, \"tenant\" for a part such as `tenant=acme`"),
                );
            }
            _ => {}
        }
    }
}

/// Reports what is wrong with the operations of a job with this `partition_by`. `is_time_part`: whether a name is a part of
/// the record's time.
pub(super) fn check(
    operations: &[Operation],
    partition_by: &[String],
    is_time_part: fn(&str) -> bool,
    problems: &mut Problems,
) {
    let mut fields = BTreeMap::new();
    let mut names = BTreeMap::new();
    for (index, operation) in operations.iter().enumerate() {
        let key = format!("column[{index}]");
        operation.check(&key, problems);
        let (name, field) = (&operation.name, operation.field());
        if let Some(first) = fields.insert(field.to_lowercase(), index) {
            problems.say(
                &key,
                format!(
                    "column: the field `{field}` has an operation already, that of column[{first}]"
                ),
            );
        }
        if operation.kind() == OperationKind::Drop {
            continue;
        }
        if let Some(first) = names.insert(name.to_lowercase(), index) {
            problems.say(
                &key,
                format!("column: `{name}` is made twice, by column[{first}] too"),
            );
        }
        let is_part = |part: &String| part.to_lowercase() == name.to_lowercase();
        if is_time_part(name) && partition_by.iter().any(is_part) {
            problems.say(
                &key,
                format!(
                    "column: `{name}` is a part of the record's time in partition_by, and not a column"
                ),
            );
        }
    }
    for part in partition_by {
        let gone = fields.get(&part.to_lowercase());
        if let Some(operation) = gone.and_then(|index| operations.get(*index))
            && !is_time_part(part)
            && !names.contains_key(&part.to_lowercase())
        {
            problems.say(
                "partition_by",
                match operation.kind() {
                    OperationKind::Drop => {
                        format!("partition_by names `{part}`, which column drops")
                    }
                    _ => format!(
                        "partition_by names `{part}`, which column calls `{}`{}",
                        operation.name,
                        meant(part, names.keys().map(String::as_str))
                    ),
                },
            );
        }
    }
}
