//! An image's files, as a tar archive that `docker import` takes.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tar::{Builder, Header};

use super::program::Program;

/// Users that programs look up, and directories that they write to.
const SYSTEM: [(&str, &str); 2] =
    [("/etc/passwd", "root:x:0:0:root:/:/bin/sh\n"), ("/etc/group", "root:x:0:\nnogroup:x:65534:\n")];

/// Directories that programs write to.
const DIRECTORIES: [&str; 2] = ["tmp", "run"];

/// What an image holds.
pub(super) struct Contents {
    archive: Builder<Vec<u8>>,
    held: BTreeSet<PathBuf>,
}

impl Contents {
    pub(super) fn new() -> Self {
        Self { archive: Builder::new(Vec::new()), held: BTreeSet::new() }
    }

    /// Adds a file of this content.
    pub(super) fn file(&mut self, path: &Path, content: &[u8]) -> anyhow::Result<()> {
        if !self.held.insert(path.to_owned()) {
            return Ok(());
        }
        let mut header = Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        let relative = path.strip_prefix("/").unwrap_or(path);
        self.archive.append_data(&mut header, relative, content).context("cannot pack a file")
    }

    /// Adds a file of this machine.
    pub(super) fn copy(&mut self, found: &Path, wanted: &Path) -> anyhow::Result<()> {
        let content = fs::read(found).with_context(|| format!("cannot read {}", found.display()))?;
        self.file(wanted, &content)
    }

    /// Adds a program and the libraries that it and its modules need.
    pub(super) fn program(&mut self, program: &Program, wanted: &Path, modules: &[PathBuf]) -> anyhow::Result<()> {
        self.copy(&program.path, wanted)?;
        for library in program.libraries(modules)? {
            self.copy(&library.found, &library.wanted)?;
        }
        Ok(())
    }

    /// The archive.
    pub(super) fn finish(mut self) -> anyhow::Result<Vec<u8>> {
        for (path, content) in SYSTEM {
            self.file(Path::new(path), content.as_bytes())?;
        }
        for directory in DIRECTORIES {
            let mut header = Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o1777);
            header.set_size(0);
            self.archive.append_data(&mut header, directory, io::empty()).context("cannot pack a directory")?;
        }
        self.archive.into_inner().context("cannot pack an image")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_packed_once() {
        let mut contents = Contents::new();
        contents.file(Path::new("/lib/a"), b"a").unwrap();
        contents.file(Path::new("/lib/a"), b"a").unwrap();
        let archive = contents.finish().unwrap();
        let mut archive = tar::Archive::new(archive.as_slice());
        let paths: Vec<_> =
            archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
        assert_eq!(paths, ["lib/a", "etc/passwd", "etc/group", "tmp", "run"].map(PathBuf::from));
    }
}
