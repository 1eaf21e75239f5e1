//! Docker's own CLI, as a user of a sidecar types it.

use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Runs `docker` with these arguments and this input, and returns what it prints.
pub(crate) async fn docker(arguments: &[&str], input: &[u8]) -> anyhow::Result<String> {
    let what = || format!("`docker {}`", arguments.first().unwrap_or(&""));
    let mut child = Command::new("docker")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(what)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read it says why on standard error.
        let _ = stdin.write_all(input).await;
    }
    let output = child.wait_with_output().await.with_context(what)?;
    if !output.status.success() {
        bail!("{} failed: {}", what(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
