//! Loads `lakewright.toml` at cold start.

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use lakewright_core::config::{Config, ConfigError};
use lakewright_ports::{GetOptions, Store, StoreError};
use nix::sys::statvfs::statvfs;
use thiserror::Error;

use crate::settings::ConfigSource;

/// Why the configuration cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("configuration {}: {source}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The object cannot be read.
    #[error("configuration: {0}")]
    Object(#[from] StoreError),
    /// The folder for temporary files cannot be used.
    #[error("temporary files in {}: {source}", path.display())]
    Scratch {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The configuration is invalid.
    #[error("configuration {place}: {source}")]
    Refused {
        /// The path or URI.
        place: String,
        /// The cause.
        source: ConfigError,
    },
}

impl LoadError {
    /// Its name in what Lambda reports of a function that does not start.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "ConfigurationRefused",
            Self::File { .. } | Self::Object(_) => "ConfigurationUnreadable",
            Self::Scratch { .. } => "ScratchUnusable",
        }
    }
}

/// The bytes that are free for temporary files in a folder.
///
/// # Errors
/// The folder does not exist or cannot be inspected.
pub fn free_bytes(folder: &Path) -> Result<u64, LoadError> {
    let status = statvfs(folder).map_err(|error| LoadError::Scratch {
        path: folder.to_owned(),
        source: error.into(),
    })?;
    // The field types differ between operating systems.
    #[expect(clippy::useless_conversion, reason = "wider on some systems")]
    Ok(u64::from(status.blocks_available()).saturating_mul(u64::from(status.fragment_size())))
}

/// Reads and checks the configuration.
///
/// # Errors
/// The configuration cannot be read or is invalid.
pub async fn load(from: &ConfigSource, store: &dyn Store) -> Result<Config, LoadError> {
    let (place, bytes) = match from {
        ConfigSource::File(path) => {
            let file = |source| LoadError::File {
                path: path.clone(),
                source,
            };
            (
                path.display().to_string(),
                Bytes::from(std::fs::read(path).map_err(file)?),
            )
        }
        ConfigSource::Object(location) => {
            let body = store.get(location, GetOptions::default()).await?;
            (location.to_string(), body.bytes)
        }
    };
    Config::read(&bytes).map_err(|source| LoadError::Refused { place, source })
}
