//! The columns that a job writes.

use std::fmt;

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, value::MapAccessDeserializer},
};

use crate::config::{Constant, Hash, Mask, SecretName};

/// A column to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Choice {
    /// By its name, in any case.
    Name(String),
    /// By its name, with other settings.
    Column(NamedColumn),
}

/// A column to write, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedColumn {
    /// Its name in the source, in any case. With `constant`, its name in the output.
    pub name: String,
    /// Its name in the output.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub renamed: Option<String>,
    /// Its type in the output, in Hive's syntax, such as `decimal(10,2)`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub hive_type: Option<String>,
    /// Its value in every row, in place of a column of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant: Option<Constant>,
    /// How many characters of its text stay; the others become `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Mask>,
    /// The secret that its text is hashed with: the column has the HMAC-SHA-256 in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
}

/// So that what is wrong with a column's settings is said; serde's own for untagged enums says only that no variant fits.
impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Choice;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the name of a column, or a table with its name and settings")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Choice, E> {
                Ok(Choice::Name(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, settings: A) -> Result<Choice, A::Error> {
                let settings = MapAccessDeserializer::new(settings);
                NamedColumn::deserialize(settings).map(Choice::Column)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl Choice {
    /// Its name in the source.
    pub fn name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Column(column) => &column.name,
        }
    }

    /// Its name in the output.
    pub fn written(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Column(column) => column.renamed.as_ref().unwrap_or(&column.name),
        }
    }

    /// Whether it has another name in the output.
    pub fn is_renamed(&self) -> bool {
        matches!(self, Self::Column(column) if column.renamed.is_some())
    }

    /// Its value, if it is the same in every row.
    pub fn constant(&self) -> Option<&Constant> {
        match self {
            Self::Name(_) => None,
            Self::Column(column) => column.constant.as_ref(),
        }
    }

    /// What stays of its text, if it is masked.
    pub fn mask(&self) -> Option<Mask> {
        match self {
            Self::Name(_) => None,
            Self::Column(column) => column.mask,
        }
    }

    /// The secret that its text is hashed with, if it is hashed.
    pub fn secret(&self) -> Option<&SecretName> {
        match self {
            Self::Name(_) => None,
            Self::Column(column) => column.hash.as_ref().map(|hash| &hash.secret),
        }
    }

    /// Its type, if one is given.
    pub fn hive_type(&self) -> Option<&str> {
        match self {
            Self::Name(_) => None,
            Self::Column(column) => column.hive_type.as_deref(),
        }
    }
}
