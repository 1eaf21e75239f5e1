//! A peer's program: installed, or unpacked from its package beside the system.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// Where packages have programs.
const DIRECTORIES: [&str; 4] = ["usr/sbin", "usr/bin", "sbin", "bin"];

/// Where packages have libraries; below each of them, Debian has a directory for the architecture.
const LIBRARIES: [&str; 2] = ["usr/lib", "lib"];

/// A program, and where its libraries are beside the system's.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// The program.
    pub(super) path: PathBuf,
    libraries: Vec<PathBuf>,
}

/// A library, or the loader of all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Library {
    /// Where it is.
    pub(super) found: PathBuf,
    /// Where it is looked for in an image.
    pub(super) wanted: PathBuf,
}

impl Program {
    /// The program of this name: from the unpacked packages if it is there, else from the system.
    pub(super) fn find(name: &str, unpacked: Option<&Path>) -> Option<Self> {
        let below = |root: &Path| DIRECTORIES.iter().map(|at| root.join(at).join(name)).find(|path| path.is_file());
        if let Some(root) = unpacked
            && let Some(path) = below(root)
        {
            return Some(Self { path, libraries: library_directories(root) });
        }
        below(Path::new("/")).map(|path| Self { path, libraries: Vec::new() })
    }

    /// A command that runs it.
    pub(super) fn command(&self) -> Command {
        self.with_libraries(&self.path)
    }

    /// The libraries that it and its modules need.
    pub(super) fn libraries(&self, modules: &[PathBuf]) -> anyhow::Result<Vec<Library>> {
        let mut ldd = self.with_libraries(Path::new("ldd"));
        let output = ldd.arg(&self.path).args(modules).output().context("cannot run ldd")?;
        if !output.status.success() {
            bail!("ldd does not understand {}", self.path.display());
        }
        Ok(parse(&String::from_utf8_lossy(&output.stdout)))
    }

    fn with_libraries(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Ok(path) = env::join_paths(&self.libraries)
            && !self.libraries.is_empty()
        {
            command.env("LD_LIBRARY_PATH", path);
        }
        command
    }
}

fn library_directories(root: &Path) -> Vec<PathBuf> {
    let within = |at: &str| fs::read_dir(root.join(at)).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_of_architecture = |path: &PathBuf| path.to_string_lossy().ends_with("-linux-gnu");
    LIBRARIES.iter().flat_map(|at| within(at)).filter(is_of_architecture).collect()
}

/// `libz.so.1 => /usr/lib/libz.so.1 (0x…)` is a library, which every loader finds in `/lib`; `/lib64/ld-linux.so.2 (0x…)`
/// is the loader, which stays where it is.
fn parse(listing: &str) -> Vec<Library> {
    let mut libraries: Vec<Library> = Vec::new();
    for line in listing.lines().filter_map(|line| line.trim().rsplit_once(" (")) {
        let library = match line.0.split_once(" => ") {
            Some((name, found)) => Library { found: found.into(), wanted: Path::new("/lib").join(name) },
            None if line.0.starts_with('/') => Library { found: line.0.into(), wanted: line.0.into() },
            None => continue,
        };
        if !libraries.contains(&library) {
            libraries.push(library);
        }
    }
    libraries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_library_is_listed_once_and_the_loader_stays_where_it_is() {
        let listing = "/bin/a:\n\tlinux-vdso.so.1 (0x1)\n\tlibz.so.1 => /opt/libz.so.1 (0x2)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x3)\n/bin/b.so:\n\tlibz.so.1 => /opt/libz.so.1 (0x4)\n";
        let library = |found: &str, wanted: &str| Library { found: found.into(), wanted: wanted.into() };
        assert_eq!(
            parse(listing),
            [
                library("/opt/libz.so.1", "/lib/libz.so.1"),
                library("/lib64/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2"),
            ]
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_not_found() {
        assert!(Program::find("portgate-has-no-such-program", None).is_none());
        assert!(Program::find("sh", Some(Path::new("/nowhere"))).is_some());
    }
}
