//! What Lakewright relies on of services that keep secrets: the model, and those of the local cloud.

use async_trait::async_trait;
use lakewright_core::{config::SecretName, operations::Secret};
use lakewright_ports::{Secrets, SecretsError, ServiceErrorKind};

use super::{Failure, Outcome, Verdict, ensure, same};

/// Makes secrets, and replaces them.
#[async_trait]
pub trait Keeper: Send + Sync {
    /// Gives a secret a value, which is a new version.
    ///
    /// # Errors
    /// The call failed.
    async fn put(&self, name: &SecretName, value: &str) -> Result<(), String>;
}

impl From<SecretsError> for Failure {
    fn from(error: SecretsError) -> Self {
        Self(format!("{error} ({:?})", error.kind))
    }
}

/// Runs the checks over secrets of both services, whose names end so. `connect`: an adapter that has read nothing yet.
pub async fn run_secrets(
    connect: &(dyn Fn() -> Box<dyn Secrets> + Sync),
    keeper: &dyn Keeper,
    suffix: &str,
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for (check, prefix) in [
        ("versions_in_secrets_manager", "secretsmanager:conformance/"),
        ("versions_in_the_parameter_store", "ssm:/conformance/"),
    ] {
        let result = match format!("{prefix}{suffix}").parse() {
            Ok(name) => versions(connect, keeper, &name).await,
            Err(error) => Err(Failure(error)),
        };
        outcomes.push(Outcome {
            name: check,
            result,
        });
    }
    outcomes
}

/// A version keeps its value and its id when another one becomes the current one.
async fn versions(
    connect: &(dyn Fn() -> Box<dyn Secrets> + Sync),
    keeper: &dyn Keeper,
    name: &SecretName,
) -> Verdict {
    let put = async |value| keeper.put(name, value).await.map_err(Failure);
    let missing = connect().secret(name, None).await;
    let missing = missing.err().map(|error| error.kind);
    same("a missing secret", &missing, &Some(ServiceErrorKind::Other))?;
    put("first").await?;
    let (first, secret) = connect().secret(name, None).await?;
    is_of("the current version", &secret, "first")?;
    put("second").await?;
    let (second, secret) = connect().secret(name, None).await?;
    is_of("the new version", &secret, "second")?;
    ensure(first != second, || format!("both versions are {first}"))?;
    for (version, value) in [(&first, "first"), (&second, "second")] {
        let (found, secret) = connect().secret(name, Some(version)).await?;
        same("the id of a version", &found, version)?;
        is_of(version, &secret, value)?;
    }
    let unknown = connect().secret(name, Some("9")).await;
    ensure(unknown.is_err(), || {
        "a version that is none was found".to_owned()
    })
}

/// Only the hashes that are made with a secret say which one it is.
fn is_of(what: &str, secret: &Secret, value: &str) -> Verdict {
    let hash = |secret: &Secret| {
        let mut digits = String::new();
        secret.hash(b"text", &mut digits);
        digits
    };
    let wanted = Secret::new(value.as_bytes());
    let wanted = wanted.map(|secret| hash(&secret)).unwrap_or_default();
    same(what, &hash(secret), &wanted)
}
