//! The secrets that columns are hashed with, each in one version for a whole batch or run.

use std::collections::{BTreeMap, BTreeSet};

use lakewright_core::{config::SecretName, operations::Secret};
use lakewright_ports::Secrets;

use crate::kit::JobError;

/// The ids of the current versions of secrets.
pub(crate) async fn current(
    secrets: &dyn Secrets,
    names: BTreeSet<&SecretName>,
) -> Result<BTreeMap<SecretName, String>, JobError> {
    let mut versions = BTreeMap::new();
    for name in names {
        let (version, _) = secrets.secret(name, None).await?;
        versions.insert(name.clone(), version);
    }
    Ok(versions)
}

/// The secrets in these versions.
pub(crate) async fn of(
    secrets: &dyn Secrets,
    versions: &BTreeMap<SecretName, String>,
) -> Result<BTreeMap<SecretName, Secret>, JobError> {
    let mut read = BTreeMap::new();
    for (name, version) in versions {
        let (_, secret) = secrets.secret(name, Some(version)).await?;
        read.insert(name.clone(), secret);
    }
    Ok(read)
}
