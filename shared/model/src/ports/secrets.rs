use async_trait::async_trait;
use lakewright_core::{config::SecretName, operations::Secret};
use lakewright_ports::{Secrets, SecretsError, ServiceErrorKind, secret_operation};

use crate::{
    client::{About, Client, Failure, Request},
    fault::Fault,
};

impl Failure for (ServiceErrorKind, String) {
    fn of(fault: Fault, _: &'static str, _: &About) -> Self {
        (ServiceErrorKind::Retryable, fault.to_string())
    }

    fn describe(&self) -> String {
        self.1.clone()
    }
}

#[async_trait]
impl Secrets for Client {
    async fn secret(
        &self,
        name: &SecretName,
        version: Option<&str>,
    ) -> Result<(String, Secret), SecretsError> {
        let (at, version) = (name.clone(), version.map(str::to_owned));
        let request = Request {
            operation: secret_operation(name.service()),
            about: About::Secret(name.to_string()),
            conditional: None,
            voids: None,
            has_body: false,
        };
        let answer = self.exchange(request, move |state, _| {
            let found = state.secrets.get(&at, version.as_deref());
            found
                .and_then(|(id, value)| Some((id, Secret::new(value)?)))
                .ok_or_else(|| {
                    let message = "ResourceNotFoundException".to_owned();
                    (ServiceErrorKind::Other, message)
                })
        });
        answer
            .await
            .map_err(|(kind, message)| SecretsError::new(name, kind, message))
    }
}

/// No secret exists.
#[derive(Debug, Clone, Copy)]
pub struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    async fn secret(
        &self,
        name: &SecretName,
        _: Option<&str>,
    ) -> Result<(String, Secret), SecretsError> {
        Err(SecretsError::new(
            name,
            ServiceErrorKind::Other,
            "ResourceNotFoundException",
        ))
    }
}
