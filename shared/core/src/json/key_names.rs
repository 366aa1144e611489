//! Which column a key of an object means.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which column a key of an object means, if not simply the column of its name in any case: the settings `mapping.*`,
/// `dots.in.keys` and `case.insensitive` of the OpenX `SerDe`.
/// <https://docs.aws.amazon.com/athena/latest/ug/openx-json-serde.html>
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyNames {
    /// Maps a column, in lower case, to its key. It applies to the record itself, not to objects inside it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mapping: BTreeMap<String, String>,
    /// Whether a dot in a key corresponds to an underscore in a column's name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dots: bool,
    /// Whether a key must be spelled as the column is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub case_sensitive: bool,
}

impl KeyNames {
    /// The lower-case name of the column that a key means; `None` if it can mean none. `root`: whether it is a key of the
    /// record itself.
    pub(super) fn column(&self, key: &str, root: bool) -> Option<String> {
        if root && !self.mapping.is_empty() {
            let is_key = |mapped: &str| {
                if self.case_sensitive {
                    mapped == key
                } else {
                    mapped.to_lowercase() == key.to_lowercase()
                }
            };
            let mut mapping = self.mapping.iter();
            if let Some((column, _)) = mapping.find(|(_, mapped)| is_key(mapped)) {
                return Some(column.clone());
            }
        }
        let mut name = key.to_lowercase();
        if self.case_sensitive && name != key {
            return None;
        }
        if self.dots {
            name = name.replace('.', "_");
        }
        // A column with a mapped key takes no other key.
        (!root || !self.mapping.contains_key(&name)).then_some(name)
    }

    /// Two of these columns that one key means, and the key.
    pub fn shared<'a>(&'a self, columns: &'a [String]) -> Option<(&'a str, &'a str, &'a str)> {
        for (column, key) in &self.mapping {
            let meant = self.column(key, true);
            if meant.as_deref() != Some(column) {
                let (other, _) = self.mapping.get_key_value(meant.as_deref()?)?;
                return Some((other, column, key));
            }
            let mut plain = self.clone();
            plain.mapping.clear();
            let unmapped = plain.column(key, true);
            let other = columns.iter().find(|other| {
                Some(other.to_lowercase()) == unmapped
                    && !self.mapping.contains_key(&other.to_lowercase())
            });
            if let Some(other) = other {
                return Some((other, column, key));
            }
        }
        None
    }
}
