//! The environment variables that direct clients to the local cloud.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The region of everything on the local cloud.
pub(crate) const REGION: &str = "us-east-1";

/// Variables that direct a client to another endpoint.
pub(crate) const OTHER_CLOUDS: [&str; 12] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_GLUE",
    "AWS_ENDPOINT_URL_LAMBDA",
    "AWS_ENDPOINT_URL_ATHENA",
    "AWS_ENDPOINT_URL_SFN",
];

/// The environment with which clients connect to the local cloud, and to nothing else.
pub(crate) struct Variables {
    /// The local cloud's address.
    pub(crate) endpoint: String,
    /// The certificates that clients trust.
    pub(crate) trust: Option<String>,
}

impl Variables {
    /// The trust store for Java.
    pub(crate) fn java_trust(&self) -> Option<PathBuf> {
        let trust = self.trust.as_ref()?;
        Some(Path::new(trust).with_extension("p12"))
    }

    /// The variables to export.
    pub(crate) fn to_export(&self) -> Vec<(&'static str, &str)> {
        let mut variables = vec![
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            // MiniStack treats anyone with these keys as the account's root user.
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", REGION),
            // Version 1 of the CLI, and boto3, read this one only.
            ("AWS_DEFAULT_REGION", REGION),
        ];
        if let Some(trust) = &self.trust {
            // The SDK for Rust reads the first; the CLI and boto3 read the second.
            variables.push(("SSL_CERT_FILE", trust));
            variables.push(("AWS_CA_BUNDLE", trust));
        }
        variables
    }

    /// Gives a child process access to the local cloud, and removes all access to a real account.
    pub(crate) fn apply(&self, command: &mut Command) {
        for name in OTHER_CLOUDS {
            command.env_remove(name);
        }
        command
            .envs(self.to_export())
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true");
    }
}
