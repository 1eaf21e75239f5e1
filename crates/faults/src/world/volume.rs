//! A state volume that can be full and read-only: a small file system of its own, which Docker mounts by its path.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use portgate_docker::labels;

use super::docker::{docker, run};
use crate::fault::Damage;

/// How large it is: a state file has some KiB, twice while it is written.
const SIZE: &str = "size=256k,mode=0777";

/// What fills it.
const BALLAST: &str = "ballast";

/// The volume of one cluster's gates, and the file system beneath it, which is there as long as this.
pub(crate) struct Volume {
    /// The volume's name.
    name: String,
    cluster: String,
    directory: PathBuf,
}

impl Volume {
    /// Makes the file system.
    pub(crate) async fn mount(name: String, cluster: String, directory: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let path = directory.to_string_lossy().into_owned();
        run("mount", &["-t", "tmpfs", "-o", SIZE, "tmpfs", &path]).await?;
        Ok(Self { name, cluster, directory })
    }

    /// Makes the volume, empty, before portgate would make another of the same name.
    pub(crate) async fn make(&self) -> anyhow::Result<()> {
        for entry in fs::read_dir(&self.directory).context("cannot read the state volume")?.flatten() {
            fs::remove_file(entry.path()).context("cannot empty the state volume")?;
        }
        let device = format!("device={}", self.directory.display());
        let labels = [format!("{}={}", labels::CLUSTER, self.cluster), format!("{}=k3d", labels::PROVIDER)];
        let options = ["--opt", "type=none", "--opt", "o=bind", "--opt", &device];
        let labels = ["--label", &labels[0], "--label", &labels[1]];
        docker(&[&["volume", "create"], &options[..], &labels[..], &[&self.name]].concat()).await.map(drop)
    }

    /// From now on nothing can be written.
    pub(crate) async fn damage(&self, damage: Damage) -> anyhow::Result<()> {
        match damage {
            Damage::Full => fill(&self.directory.join(BALLAST)).context("cannot fill the state volume"),
            Damage::ReadOnly => self.remount("remount,ro").await,
        }
    }

    /// From now on all can be written.
    pub(crate) async fn mend(&self, damage: Damage) -> anyhow::Result<()> {
        match damage {
            Damage::Full => fs::remove_file(self.directory.join(BALLAST)).context("cannot empty the state volume"),
            Damage::ReadOnly => self.remount("remount,rw").await,
        }
    }

    /// Removes the file system.
    pub(crate) async fn unmount(&self) -> anyhow::Result<()> {
        run("umount", &[&self.directory.to_string_lossy()]).await.map(drop)
    }

    async fn remount(&self, options: &str) -> anyhow::Result<()> {
        run("mount", &["-o", options, &self.directory.to_string_lossy()]).await.map(drop)
    }
}

fn fill(path: &Path) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    loop {
        match file.write_all(&[0; 4096]) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
            outcome => outcome?,
        }
    }
}
