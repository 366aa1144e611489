//! Files that record what an output was made from, so that it is only made again after a change.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// A file that records what an output was made from.
pub(crate) struct Stamp {
    path: PathBuf,
    content: String,
}

impl Stamp {
    /// The stamp for an output made from `content`.
    pub(crate) fn new(path: PathBuf, content: String) -> Self {
        Self { path, content }
    }

    /// The stamp for an output made from the text of one file.
    pub(crate) fn of_file(path: PathBuf, source: &Path) -> Result<Self> {
        let content = fs::read_to_string(source)
            .with_context(|| format!("cannot read {}", source.display()))?;
        Ok(Self::new(path, content))
    }

    /// Whether the output was made from exactly this.
    pub(crate) fn is_current(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|stamp| stamp == self.content)
    }

    /// Call this before the output is made: an incomplete output has no stamp.
    pub(crate) fn remove(&self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Call this once the output is made.
    pub(crate) fn write(&self) -> Result<()> {
        fs::write(&self.path, &self.content)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// A hash of inputs, computed piece by piece.
pub(crate) struct Ingredients(Sha256);

impl Ingredients {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    /// A text.
    pub(crate) fn text(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_be_bytes());
        self.0.update(text);
    }

    /// The names and contents of a file, or of all files below a folder.
    pub(crate) fn contents(&mut self, path: &Path) -> Result<()> {
        self.add(path, &|path| fs::read(path))
    }

    /// The names, sizes and times of the files below a folder: they are large, and each build sets their times.
    pub(crate) fn times(&mut self, path: &Path) -> Result<()> {
        self.add(path, &|path| {
            let metadata = fs::metadata(path)?;
            let time = metadata.modified()?.duration_since(UNIX_EPOCH);
            let nanoseconds = time.map_err(io::Error::other)?.as_nanos();
            Ok(format!("{} {nanoseconds}", metadata.len()).into_bytes())
        })
    }

    fn add(&mut self, path: &Path, of: &dyn Fn(&Path) -> io::Result<Vec<u8>>) -> Result<()> {
        let unreadable = || format!("cannot read {}", path.display());
        self.text(&path.to_string_lossy());
        if !path.is_dir() {
            let content = of(path).with_context(unreadable)?;
            self.0.update((content.len() as u64).to_be_bytes());
            self.0.update(content);
            return Ok(());
        }
        let entries = fs::read_dir(path).with_context(unreadable)?;
        let mut paths = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()
            .with_context(unreadable)?;
        paths.sort();
        paths.iter().try_for_each(|path| self.add(path, of))
    }

    /// Their hash.
    pub(crate) fn hash(self) -> String {
        use std::fmt::Write as _;

        let mut text = String::new();
        for byte in self.0.finalize() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_changes_makes_another_hash() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (a, b) = (folder.path().join("a"), folder.path().join("below/b"));
        fs::create_dir(folder.path().join("below"))?;
        fs::write(&a, "one")?;
        fs::write(&b, "two")?;
        let hash = || -> Result<String> {
            let mut ingredients = Ingredients::new();
            ingredients.text("context");
            ingredients.contents(folder.path())?;
            Ok(ingredients.hash())
        };
        let first = hash()?;
        assert_eq!(hash()?, first);
        fs::write(&b, "twO")?;
        let changed = hash()?;
        assert_ne!(changed, first);
        fs::rename(&b, folder.path().join("below/c"))?;
        assert_ne!(hash()?, changed);
        Ok(())
    }

    #[test]
    fn what_is_half_made_is_made_again() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let stamp = Stamp::new(folder.path().join("stamp"), "this".to_owned());
        assert!(!stamp.is_current());
        stamp.write()?;
        assert!(stamp.is_current());
        let other = Stamp::new(folder.path().join("stamp"), "that".to_owned());
        assert!(!other.is_current());
        stamp.remove()?;
        assert!(!stamp.is_current());
        stamp.remove()
    }
}
