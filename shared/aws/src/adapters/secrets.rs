//! The Secrets port on AWS Secrets Manager and on the Parameter Store of AWS Systems Manager.

mod parameter_store;
mod secrets_manager;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use aws_smithy_runtime_api::{client::result::SdkError, http::Response};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use lakewright_core::{
    config::{SecretName, SecretService},
    operations::Secret,
};
use lakewright_ports::{Secrets, SecretsError};

use super::failure::Failure;

/// The secrets of one account and region. Versions that were read are kept, because they do not change.
#[derive(Debug, Clone)]
pub struct AwsSecrets {
    secrets_manager: aws_sdk_secretsmanager::Client,
    parameter_store: aws_sdk_ssm::Client,
    known: Arc<Mutex<BTreeMap<(SecretName, String), Secret>>>,
}

impl AwsSecrets {
    /// Wraps clients whose retries are off.
    pub fn new(
        secrets_manager: aws_sdk_secretsmanager::Client,
        parameter_store: aws_sdk_ssm::Client,
    ) -> Self {
        Self {
            secrets_manager,
            parameter_store,
            known: Arc::default(),
        }
    }

    fn known(&self, name: &SecretName, version: &str) -> Option<Secret> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(name.clone(), version.to_owned())).cloned()
    }
}

#[async_trait]
impl Secrets for AwsSecrets {
    async fn secret(
        &self,
        name: &SecretName,
        version: Option<&str>,
    ) -> Result<(String, Secret), SecretsError> {
        if let Some(version) = version
            && let Some(secret) = self.known(name, version)
        {
            return Ok((version.to_owned(), secret));
        }
        let (version, secret) = match name.service() {
            SecretService::SecretsManager => {
                secrets_manager::read(&self.secrets_manager, name, version).await?
            }
            SecretService::ParameterStore => {
                parameter_store::read(&self.parameter_store, name, version).await?
            }
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert((name.clone(), version.clone()), secret.clone());
        Ok((version, secret))
    }
}

/// The error of a call that needs this action.
fn failed<E>(name: &SecretName, error: &SdkError<E, Response>, action: &str) -> SecretsError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let failure = Failure::of(error);
    SecretsError::new(name, failure.kind(), failure.message_with(action))
}
