//! What the parts of a task share.

use std::collections::BTreeMap;

use lakewright_core::{config::SecretName, operations::Secret};

use super::{Budget, Ports, ledger::Plan};

/// The source of the rows, and the limits.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) ports: &'a Ports,
    pub(super) budget: &'a Budget,
    /// The secrets that columns are hashed with.
    pub(super) secrets: &'a BTreeMap<SecretName, Secret>,
    pub(super) plan: &'a Plan,
}
