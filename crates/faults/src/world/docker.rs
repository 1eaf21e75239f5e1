//! Docker's own CLI, at the engine itself and not at its proxy.

use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::process::Command;

/// Runs `docker` with these words, and returns what it prints.
pub(crate) async fn docker(words: &[&str]) -> anyhow::Result<String> {
    run("docker", words).await
}

/// Runs a program of this machine.
pub(crate) async fn run(program: &str, words: &[&str]) -> anyhow::Result<String> {
    let what = || format!("`{program} {}`", words.join(" "));
    let output = Command::new(program).args(words).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = output.await.with_context(what)?;
    if !output.status.success() {
        bail!("{} failed: {}", what(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The lines of what `docker` lists of a kind, such as `volume`, that belong to `name`.
pub(crate) async fn named(list: &[&str], name: &str) -> anyhow::Result<Vec<String>> {
    let listed = docker(list).await?;
    Ok(listed.lines().filter(|line| line.contains(name)).map(str::to_owned).collect())
}
