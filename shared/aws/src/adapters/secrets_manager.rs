//! The Secrets port on AWS Secrets Manager.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use lakewright_core::{config::SecretName, operations::Secret};
use lakewright_ports::{Secrets, SecretsError, ServiceErrorKind};

use super::failure::Failure;

const OPERATION: &str = "GetSecretValue";

/// The secrets of one account and region. Versions that were read are kept, because they do not change.
#[derive(Debug, Clone)]
pub struct SecretsManager {
    client: Client,
    known: Arc<Mutex<BTreeMap<(SecretName, String), Secret>>>,
}

impl SecretsManager {
    /// Wraps a client whose retries are off.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            known: Arc::default(),
        }
    }

    fn known(&self, name: &SecretName, version: &str) -> Option<Secret> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(name.clone(), version.to_owned())).cloned()
    }
}

#[async_trait]
impl Secrets for SecretsManager {
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
        let error = |kind, message| SecretsError {
            operation: OPERATION,
            name: name.clone(),
            kind,
            message,
        };
        let request = self
            .client
            .get_secret_value()
            .secret_id(name.name())
            .set_version_id(version.map(str::to_owned));
        let output = request.send().await.map_err(|failed| {
            let failure = Failure::of(&failed);
            let action = format!("secretsmanager:{OPERATION}");
            error(failure.kind(), failure.message_with(&action))
        })?;
        let secret = match (output.secret_string(), output.secret_binary()) {
            (Some(text), _) => Secret::new(text.as_bytes()),
            (None, Some(bytes)) => Secret::new(bytes.as_ref()),
            (None, None) => None,
        };
        match (output.version_id, secret) {
            (Some(version), Some(secret)) => {
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert((name.clone(), version.clone()), secret.clone());
                Ok((version, secret))
            }
            (None, _) => {
                let message = "the answer names no version".to_owned();
                Err(error(ServiceErrorKind::Other, message))
            }
            (_, None) => {
                let message = "the secret is empty".to_owned();
                Err(error(ServiceErrorKind::Other, message))
            }
        }
    }
}
