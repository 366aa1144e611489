//! A lock that allows one command with a local cloud at a time: two in one workspace would overwrite each other's
//! assembly and outputs.

use std::{
    fs::{File, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// The lock, held while a local cloud of this workspace runs. The operating system releases it when the process ends.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it.
    ///
    /// # Errors
    /// Another command has it; the message names it.
    pub(crate) fn take(workspace: &Workspace, command: &str) -> Result<Self> {
        Self::at(&workspace.state().join("lock"), command)
    }

    fn at(path: &Path, command: &str) -> Result<Self> {
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                bail!(
                    "a local cloud of this workspace is running already, by {}: stop that one with Ctrl-C first, or work in another clone",
                    holder.trim()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| {
            let id = std::process::id();
            write!(file, "`cargo xtask {command}` (process {id})")
        });
        written.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_refused_by_the_name_of_the_first() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("lock");
        let first = Lock::at(&path, "up")?;
        let Err(error) = Lock::at(&path, "demo") else {
            bail!("a second lock was taken");
        };
        let message = error.to_string();
        assert!(message.contains("`cargo xtask up` (process"), "{message}");
        drop(first);
        Lock::at(&path, "demo")?;
        Ok(())
    }
}
