//! portgate's commands, as a user types them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

/// How long a command may take.
const LIMIT: Duration = Duration::from_mins(1);

/// portgate's executable, and what its user's environment says.
#[derive(Clone, Debug)]
pub(crate) struct Cli {
    pub(crate) executable: PathBuf,
    pub(crate) environment: Vec<(&'static str, OsString)>,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    words: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Cli {
    /// Runs `portgate` with these words, separated by blanks.
    pub(crate) async fn run(&self, words: &str) -> anyhow::Result<Ran> {
        let what = || format!("`portgate {words}`");
        let mut command = Command::new(&self.executable);
        for variable in ["PORTGATE_CLUSTER", "PORTGATE_PLACEMENT", "PORTGATE_DATAPATH", "KUBECONFIG"] {
            command.env_remove(variable);
        }
        command.args(words.split_whitespace()).envs(self.environment.iter().cloned());
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = timeout(LIMIT, output).await.with_context(|| format!("{} does not end", what()))?;
        let output = output.with_context(what)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Ok(Ran { words: words.to_owned(), code: output.status.code(), stdout, stderr })
    }

    /// Runs a command that must succeed.
    pub(crate) async fn succeed(&self, words: &str) -> anyhow::Result<Ran> {
        let ran = self.run(words).await?;
        if ran.code == Some(0) {
            return Ok(ran);
        }
        bail!("`portgate {words}` failed ({:?}): {}", ran.code, ran.stderr)
    }

    /// Runs a command that must be refused.
    pub(crate) async fn fail(&self, words: &str) -> anyhow::Result<Ran> {
        let ran = self.run(words).await?;
        if ran.code == Some(1) {
            return Ok(ran);
        }
        bail!("{} ends with {:?} and is not refused: {}", ran.words, ran.code, ran.stderr)
    }

    /// The mappings that `portgate ls` lists.
    pub(crate) async fn mappings(&self) -> anyhow::Result<Vec<Value>> {
        let listed = self.succeed("ls -o json").await?.stdout;
        let mut listed: Value =
            serde_json::from_str(&listed).context("the answer of `portgate ls` is not understood")?;
        match listed["items"].take() {
            Value::Array(items) => Ok(items),
            other => bail!("`portgate ls` lists {other}"),
        }
    }
}
