//! Attributes of the objects that a job writes: tags and encryption.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mistake::Problems;
use crate::nearest::meant;

/// The most tags that an object takes, and the most UTF-16 code units of a tag's key and value.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>
const MAX_TAGS: usize = 10;
const MAX_TAG_KEY: usize = 128;
const MAX_TAG_VALUE: usize = 256;

/// Server-side encryption.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// `AES256`, `aws:kms` or `aws:kms:dsse`.
    pub algorithm: String,
    /// With KMS: the key's id, ARN or alias. By default, the account's AWS managed key for S3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Reports what is wrong with the tags or the encryption of a job.
pub(super) fn check(
    tags: &BTreeMap<String, String>,
    encryption: Option<&Encryption>,
    problems: &mut Problems,
) {
    if tags.len() > MAX_TAGS {
        problems.say("tags", format!("tags: an object takes at most {MAX_TAGS}"));
    }
    let units = |text: &str| text.encode_utf16().count();
    for (key, value) in tags {
        if key.is_empty() || units(key) > MAX_TAG_KEY || units(value) > MAX_TAG_VALUE {
            problems.say("tags", format!(
                "tags: `{key}`: S3 takes keys of 1 to {MAX_TAG_KEY} characters and values of up to {MAX_TAG_VALUE}"
            ));
        }
        if key.starts_with("aws:") {
            problems.say(
                "tags",
                format!("tags: `{key}`: keys that begin with `aws:` are AWS's own"),
            );
        }
    }
    if let Some(encryption) = encryption {
        encryption.check(problems);
    }
}

impl Encryption {
    fn check(&self, problems: &mut Problems) {
        const ALGORITHMS: [&str; 3] = ["AES256", "aws:kms", "aws:kms:dsse"];
        match (self.algorithm.as_str(), &self.key) {
            ("aws:kms" | "aws:kms:dsse", _) | ("AES256", None) => {}
            ("AES256", Some(_)) => problems.say(
                "encryption.key",
                "encryption.key has no meaning with algorithm = \"AES256\"",
            ),
            (other, _) => problems.say(
                "encryption.algorithm",
                format!(
                    "encryption.algorithm = \"{other}\": write AES256, aws:kms or aws:kms:dsse{}",
                    meant(other, ALGORITHMS)
                ),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const JOBS: [&str; 4] = [
        r#"
        [[rekey]]
        name = "a"
        source = "s3://landing/a/"
        timestamp = { column = "t" }
        target = "s3://lake/a/"
        "#,
        r#"
        [[split]]
        name = "a"
        target = "s3://lake/a/"
        sources = ["s3://results/"]
        "#,
        r#"
        [[compact]]
        table = "lake.a"
        "#,
        r#"
        [[repartition]]
        name = "a"
        source = "lake.a"
        target = "s3://lake/b/"
        partition_by = ["c"]
        "#,
    ];

    #[test]
    fn every_kind_of_job_takes_tags_and_encryption() {
        for job in JOBS {
            let settings = r#"
                tags = { team = "a b" }
                encryption = { algorithm = "aws:kms", key = "alias/k" }
            "#;
            let config = Config::parse(&format!("{job}{settings}")).unwrap();
            let text = serde_json::to_string(&config).unwrap();
            assert!(text.contains(r#""tags":{"team":"a b"}"#), "{text}");
            assert!(text.contains(r#""key":"alias/k""#), "{text}");
            assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
            // Ledger documents that were written without these fields can still be read.
            let plain = serde_json::to_string(&Config::parse(job).unwrap()).unwrap();
            assert!(
                !plain.contains("tags") && !plain.contains("encryption"),
                "{plain}"
            );
        }
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let many = (0..11).map(|n| format!("t{n} = \"\"")).collect::<Vec<_>>();
        let long = "x".repeat(257);
        for job in JOBS {
            for (more, says) in [
                ("encryption = { algorithm = \"rot13\" }".to_owned(), "rot13"),
                (
                    "encryption = { algorithm = \"AES256\", key = \"k\" }".to_owned(),
                    "encryption.key",
                ),
                (format!("tags = {{ {} }}", many.join(", ")), "at most 10"),
                (format!("tags = {{ a = \"{long}\" }}"), "up to 256"),
                ("tags = { \"\" = \"a\" }".to_owned(), "1 to 128"),
                ("tags = { \"aws:a\" = \"a\" }".to_owned(), "AWS's own"),
            ] {
                let error = Config::parse(&format!("{job}{more}")).unwrap_err();
                assert!(
                    error.to_string().contains(says),
                    "{error} should say {says}"
                );
            }
        }
    }
}
