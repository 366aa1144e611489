//! The secrets that columns are hashed with.

use std::collections::BTreeMap;

use lakewright_core::{
    config::{OperationKind, Rekey, SecretName},
    operations::Secret,
};
use lakewright_ports::Secrets;

use super::Settings;
use crate::kit::JobError;

/// The ids of the current versions of a job's secrets.
pub(super) async fn current(
    secrets: &dyn Secrets,
    job: &Rekey,
) -> Result<BTreeMap<SecretName, String>, JobError> {
    let mut versions = BTreeMap::new();
    for operation in &job.column {
        if let OperationKind::Hash(name) = operation.kind()
            && !versions.contains_key(name)
        {
            let (version, _) = secrets.secret(name, None).await?;
            versions.insert(name.clone(), version);
        }
    }
    Ok(versions)
}

/// The secrets of a batch, in the versions that it was begun with.
pub(super) async fn of(
    secrets: &dyn Secrets,
    settings: &Settings,
) -> Result<BTreeMap<SecretName, Secret>, JobError> {
    let mut read = BTreeMap::new();
    for (name, version) in &settings.secrets {
        let (_, secret) = secrets.secret(name, Some(version)).await?;
        read.insert(name.clone(), secret);
    }
    Ok(read)
}
