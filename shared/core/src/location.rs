//! The location of an object or a prefix in S3.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A bucket and a key, or a bucket and a prefix of keys (empty for the whole bucket).
///
/// Its text form is `s3://bucket/key`, with the key not percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// The bucket's name.
    pub bucket: String,
    /// The key or prefix, without a leading slash of its own.
    pub key: String,
}

impl Location {
    /// The object `key` in `bucket`.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            key: key.into(),
        }
    }

    /// This location with `rest` appended to its key, without a separator.
    #[must_use]
    pub fn join(&self, rest: &str) -> Self {
        Self {
            bucket: self.bucket.clone(),
            key: format!("{}{rest}", self.key),
        }
    }

    /// Parses a directory, and adds the trailing slash that crawlers leave out.
    ///
    /// # Errors
    /// The text is not an S3 location.
    pub fn directory(text: &str) -> Result<Self, LocationError> {
        let mut location: Self = text.parse()?;
        if !location.key.is_empty() && !location.key.ends_with('/') {
            location.key.push('/');
        }
        Ok(location)
    }

    /// Whether `other` is this location or is below it as a prefix.
    pub fn contains(&self, other: &Self) -> bool {
        self.bucket == other.bucket && other.key.starts_with(&self.key)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// A text that is not an S3 location.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not an S3 location: {reason}")]
pub struct LocationError {
    text: String,
    reason: &'static str,
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let error = |reason| LocationError {
            text: text.to_owned(),
            reason,
        };
        // Glue tables made by Hive or EMR may use s3a or s3n for the same location.
        let rest = ["s3://", "s3a://", "s3n://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .ok_or_else(|| error("it does not begin with s3://"))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(error("the bucket is missing"));
        }
        Ok(Self::new(bucket, key))
    }
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        for (text, bucket, key) in [
            ("s3://b/k", "b", "k"),
            ("s3://b/p/q/", "b", "p/q/"),
            ("s3://b", "b", ""),
            ("s3a://b/a b+c%20", "b", "a b+c%20"),
            ("s3://b//k", "b", "/k"),
        ] {
            assert_eq!(text.parse(), Ok(Location::new(bucket, key)), "{text}");
        }
        assert_eq!(Location::new("b", "k/x").to_string(), "s3://b/k/x");
        for bad in ["", "b/k", "http://b/k", "s3://", "s3:///k"] {
            assert!(bad.parse::<Location>().is_err(), "{bad}");
        }
    }

    #[test]
    fn directories_end_with_a_slash() {
        for (text, key) in [("s3://b/p", "p/"), ("s3a://b/p/", "p/"), ("s3://b", "")] {
            assert_eq!(Location::directory(text), Ok(Location::new("b", key)));
        }
    }

    #[test]
    fn contains_is_by_prefix_and_bucket() {
        let prefix = Location::new("b", "p/");
        assert!(prefix.contains(&Location::new("b", "p/x")));
        assert!(prefix.contains(&prefix));
        assert!(!prefix.contains(&Location::new("b", "p")));
        assert!(!prefix.contains(&Location::new("c", "p/x")));
    }
}
