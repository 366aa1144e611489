//! The secrets that the columns of a job are hashed with.

use std::collections::BTreeMap;

use lakewright_core::{
    config::{OperationKind, Rekey, SecretName},
    operations::Secret,
};
use lakewright_ports::Secrets;

use super::Settings;
use crate::{kit::JobError, work::secrets as versions};

/// The ids of the current versions of the secrets of a job's destinations.
pub(super) async fn current(
    secrets: &dyn Secrets,
    destinations: &[Rekey],
) -> Result<BTreeMap<SecretName, String>, JobError> {
    let names = destinations.iter().flat_map(|job| &job.column);
    let names = names.filter_map(|operation| match operation.kind() {
        OperationKind::Hash(name) => Some(name),
        _ => None,
    });
    versions::current(secrets, names.collect()).await
}

/// The secrets of a batch, in the versions that it was begun with.
pub(super) async fn of(
    secrets: &dyn Secrets,
    settings: &Settings,
) -> Result<BTreeMap<SecretName, Secret>, JobError> {
    versions::of(secrets, &settings.secrets).await
}
