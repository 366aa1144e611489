use std::collections::BTreeMap;

use lakewright_core::config::SecretName;

/// Secrets Manager and the Parameter Store: each secret has versions, the last of which is the current one.
#[derive(Debug, Default)]
pub struct ModelSecrets {
    versions: BTreeMap<SecretName, Vec<(String, Vec<u8>)>>,
    serial: u64,
}

impl ModelSecrets {
    /// Makes a secret, or rotates it. Returns the id of the version.
    pub fn rotate(&mut self, name: &SecretName, value: &[u8]) -> String {
        self.serial += 1;
        let id = format!("version-{}", self.serial);
        let versions = self.versions.entry(name.clone()).or_default();
        versions.push((id.clone(), value.to_vec()));
        id
    }

    /// Deletes a secret, with its versions.
    pub fn delete(&mut self, name: &SecretName) {
        self.versions.remove(name);
    }

    /// A version, or the current one.
    pub(super) fn get(&self, name: &SecretName, version: Option<&str>) -> Option<(String, &[u8])> {
        let versions = self.versions.get(name)?;
        let found = match version {
            None => versions.last(),
            Some(id) => versions.iter().find(|(known, _)| known == id),
        };
        found.map(|(id, value)| (id.clone(), value.as_slice()))
    }
}
