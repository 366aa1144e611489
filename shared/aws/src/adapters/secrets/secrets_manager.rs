//! Secrets of AWS Secrets Manager.

use aws_sdk_secretsmanager::Client;
use lakewright_core::{config::SecretName, operations::Secret};
use lakewright_ports::{SecretsError, ServiceErrorKind};

use super::failed;

/// A version of a secret, or its current one, with the version's id.
pub(super) async fn read(
    client: &Client,
    name: &SecretName,
    version: Option<&str>,
) -> Result<(String, Secret), SecretsError> {
    let request = client
        .get_secret_value()
        .secret_id(name.name())
        .set_version_id(version.map(str::to_owned));
    let output = request.send().await;
    let output = output.map_err(|error| failed(name, &error, "secretsmanager:GetSecretValue"))?;
    let other = |message| SecretsError::new(name, ServiceErrorKind::Other, message);
    let secret = match (output.secret_string(), output.secret_binary()) {
        (Some(text), _) => Secret::new(text.as_bytes()),
        (None, Some(bytes)) => Secret::new(bytes.as_ref()),
        (None, None) => None,
    };
    let secret = secret.ok_or_else(|| other("the secret is empty"))?;
    let version = output.version_id;
    let version = version.ok_or_else(|| other("the answer names no version"))?;
    Ok((version, secret))
}
