//! Secrets by their names.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The services that keep secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretService {
    /// AWS Secrets Manager.
    SecretsManager,
    /// The Parameter Store of AWS Systems Manager.
    ParameterStore,
}

impl SecretService {
    const ALL: [Self; 2] = [Self::SecretsManager, Self::ParameterStore];

    /// What the name of a secret begins with.
    fn prefix(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager:",
            Self::ParameterStore => "ssm:",
        }
    }

    /// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>
    /// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>
    fn takes(self, name: &str) -> bool {
        let (longest, others) = match self {
            Self::SecretsManager => (512, &b"/_+=.@-"[..]),
            Self::ParameterStore => (1011, &b"/_.-"[..]),
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
        // The name of a parameter in a hierarchy begins with a slash.
        let is_whole = self == Self::SecretsManager
            || !name.contains('/')
            || (name.starts_with('/') && !name.ends_with('/') && !name.contains("//"));
        (1..=longest).contains(&name.len()) && name.bytes().all(allowed) && is_whole
    }
}

/// The name of a secret: `secretsmanager:NAME` for one of AWS Secrets Manager, or `ssm:NAME` for a `SecureString` parameter of
/// AWS Systems Manager.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName {
    service: SecretService,
    name: String,
}

impl SecretName {
    /// The service that keeps it.
    pub fn service(&self) -> SecretService {
        self.service
    }

    /// Its name in the service.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.service.prefix(), self.name)
    }
}

impl FromStr for SecretName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let of = |service: SecretService| {
            let name = text.strip_prefix(service.prefix())?;
            service.takes(name).then(|| Self {
                service,
                name: name.to_owned(),
            })
        };
        SecretService::ALL.into_iter().find_map(of).ok_or_else(|| {
            format!("\"{text}\" names no secret: write \"secretsmanager:NAME\" for one of AWS Secrets Manager, or \"ssm:/PATH/NAME\" for a SecureString parameter of AWS Systems Manager in the same account and region")
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

/// A secret: `secretsmanager:pseudonyms` of AWS Secrets Manager, or `ssm:/lake/pseudonyms`, a `SecureString` parameter of AWS
/// Systems Manager.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it is there for its schema")]
struct SecretText(
    #[schemars(regex(
        pattern = r"^(secretsmanager:[A-Za-z0-9/_+=.@-]{1,512}|ssm:([A-Za-z0-9_.-]{1,1011}|(/[A-Za-z0-9_.-]+)+))$"
    ))]
    String,
);

impl JsonSchema for SecretName {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("SecretName")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        SecretText::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::stated;

    #[test]
    fn names_of_both_services() {
        use SecretService::{ParameterStore, SecretsManager};
        stated(
            "The secret of a `hash` is `secretsmanager:NAME`, a secret of AWS Secrets Manager, or `ssm:NAME`, a `SecureString` parameter of AWS Systems Manager, both in the account and region of the functions; an ARN, or a parameter in a path without its first slash, is refused by name.",
        );
        let schema = regex::Regex::new(
            serde_json::to_value(schemars::schema_for!(SecretName)).unwrap()["pattern"]
                .as_str()
                .unwrap(),
        )
        .unwrap();
        let longest = format!("ssm:{}", "a".repeat(1011));
        for (text, expected) in [
            (
                "secretsmanager:lake/a+b=c.d@e-f_",
                Some((SecretsManager, "lake/a+b=c.d@e-f_")),
            ),
            ("ssm:a", Some((ParameterStore, "a"))),
            (
                "ssm:/lake/pseudo.nyms-1_",
                Some((ParameterStore, "/lake/pseudo.nyms-1_")),
            ),
            (&longest, Some((ParameterStore, &longest[4..]))),
            (&format!("{longest}a"), None),
            ("ssm:lake/pseudonyms", None),
            ("ssm:/lake/", None),
            ("ssm:/lake//a", None),
            ("ssm:", None),
            ("ssm:/a:3", None),
            (
                "ssm:arn:aws:ssm:eu-central-1:111122223333:parameter/a",
                None,
            ),
            (
                "secretsmanager:arn:aws:secretsmanager:eu-central-1:111122223333:secret:a-AbCdEf",
                None,
            ),
            ("secretsmanager:", None),
            ("secretsmanager:a b", None),
            ("/lake/pseudonyms", None),
        ] {
            let parsed = text.parse::<SecretName>();
            let found = parsed
                .as_ref()
                .ok()
                .map(|name| (name.service(), name.name()));
            assert_eq!(found, expected, "{text}");
            assert_eq!(schema.is_match(text), expected.is_some(), "{text}");
            if let Ok(name) = parsed {
                assert_eq!(name.to_string(), text);
            }
        }
    }
}
