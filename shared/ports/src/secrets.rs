use async_trait::async_trait;
use lakewright_core::{
    config::{SecretName, SecretService},
    operations::Secret,
};
use thiserror::Error;

use super::ServiceErrorKind;

/// Secrets, each in versions that do not change.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// A version of a secret, or its current one, with the version's id.
    ///
    /// # Errors
    /// The call failed, there is no such secret or version, or it is empty.
    async fn secret(
        &self,
        name: &SecretName,
        version: Option<&str>,
    ) -> Result<(String, Secret), SecretsError>;
}

/// A secret that cannot be read.
#[derive(Debug, Clone, Error)]
#[error("{operation} of {name}: {message}")]
pub struct SecretsError {
    /// The service's operation, `GetSecretValue` or `GetParameter`.
    pub operation: &'static str,
    /// The secret.
    pub name: SecretName,
    /// The kind of failure.
    pub kind: ServiceErrorKind,
    /// The message of the service or the network.
    pub message: String,
}

impl SecretsError {
    /// The secret of this name could not be read.
    pub fn new(name: &SecretName, kind: ServiceErrorKind, message: impl Into<String>) -> Self {
        Self {
            operation: secret_operation(name.service()),
            name: name.clone(),
            kind,
            message: message.into(),
        }
    }
}

/// The operation that reads a secret of this service.
pub fn secret_operation(service: SecretService) -> &'static str {
    match service {
        SecretService::SecretsManager => "GetSecretValue",
        SecretService::ParameterStore => "GetParameter",
    }
}
