//! Secrets by their names.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What the name of a secret begins with.
const SECRETS_MANAGER: &str = "secretsmanager:";

/// The name of a secret of AWS Secrets Manager. It is written as `secretsmanager:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName(String);

impl SecretName {
    /// Its name in Secrets Manager.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SECRETS_MANAGER}{}", self.0)
    }
}

impl FromStr for SecretName {
    type Err = String;

    /// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>
    fn from_str(text: &str) -> Result<Self, String> {
        const LONGEST: usize = 512;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte);
        text.strip_prefix(SECRETS_MANAGER)
            .filter(|name| !name.is_empty() && name.len() <= LONGEST)
            .filter(|name| name.bytes().all(allowed))
            .map(|name| Self(name.to_owned()))
            .ok_or_else(|| {
                format!("\"{text}\" names no secret: write one of AWS Secrets Manager as \"{SECRETS_MANAGER}NAME\"")
            })
    }
}

impl Serialize for SecretName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A secret of AWS Secrets Manager, such as `secretsmanager:pseudonyms`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it is there for its schema")]
struct SecretText(
    #[schemars(regex(pattern = r"^secretsmanager:[A-Za-z0-9/_+=.@-]{1,512}$"))] String,
);

impl JsonSchema for SecretName {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("SecretName")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        SecretText::json_schema(generator)
    }
}
