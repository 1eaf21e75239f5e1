//! Commands that can be shown before they are run.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::machine::Privilege;

/// A program, its arguments, what it finds in its environment beside ours, and whose rights it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    program: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    sudo: bool,
}

impl Invocation {
    /// The command of this line, whose words are parted by spaces.
    pub(crate) fn new(line: &str) -> Self {
        let mut words = line.split_whitespace().map(str::to_owned);
        Self { program: words.next().unwrap_or_default(), args: words.collect(), env: Vec::new(), sudo: false }
    }

    /// This program, whose path may contain spaces.
    pub(crate) fn of(program: &Path) -> Self {
        Self { program: program.to_string_lossy().into_owned(), ..Self::new("") }
    }

    /// With one more argument, which may contain spaces.
    pub(crate) fn arg(mut self, argument: impl Into<String>) -> Self {
        self.args.push(argument.into());
        self
    }

    /// With a variable in its environment.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// With root's rights.
    pub(crate) fn privileged(mut self, privilege: Privilege) -> Self {
        self.sudo = matches!(privilege, Privilege::Sudo { .. });
        self
    }

    /// Ready to be spawned.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(if self.sudo { "sudo" } else { &self.program });
        if self.sudo {
            // `sudo` clears the environment, so `env` carries the variables past it.
            command.arg("env").args(self.env.iter().map(|(name, value)| format!("{name}={value}"))).arg(&self.program);
        } else {
            command.envs(self.env.iter().map(|(name, value)| (name, value)));
        }
        command.args(&self.args);
        command
    }

    /// Prints the command, then runs it to its end. It fails unless it exits with status 0.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        eprintln!("$ {self}");
        let status = self.command().status().with_context(|| format!("cannot run `{self}`"))?;
        if !status.success() {
            bail!("`{self}` failed ({status})");
        }
        Ok(())
    }

    /// Whether the command is there and exits with status 0. What it prints is dropped.
    pub(crate) fn succeeds(&self) -> bool {
        let status = self.command().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }
}

/// As it would be typed in a shell.
impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sudo {
            f.write_str("sudo env ")?;
        }
        for (name, value) in &self.env {
            write!(f, "{name}={} ", quoted(value))?;
        }
        f.write_str(&quoted(&self.program))?;
        for argument in &self.args {
            write!(f, " {}", quoted(argument))?;
        }
        Ok(())
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_shown_as_it_would_be_typed() {
        let doc = Invocation::new("cargo doc  --no-deps").env("RUSTDOCFLAGS", "-D warnings").arg("it's");
        assert_eq!(doc.to_string(), r"RUSTDOCFLAGS='-D warnings' cargo doc --no-deps 'it'\''s'");
    }

    #[test]
    fn sudo_is_shown_with_the_environment_that_it_carries() {
        let update = Invocation::new("apt-get update").env("DEBIAN_FRONTEND", "noninteractive");
        let shown = |privilege| update.clone().privileged(privilege).to_string();
        assert_eq!(shown(Privilege::Root), "DEBIAN_FRONTEND=noninteractive apt-get update");
        assert_eq!(shown(Privilege::Sudo { group: 1000 }), "sudo env DEBIAN_FRONTEND=noninteractive apt-get update");
    }

    #[test]
    fn a_program_that_is_not_there_does_not_succeed() {
        assert!(Invocation::new("true").succeeds());
        assert!(!Invocation::new("false").succeeds());
        assert!(!Invocation::new("portgate-has-no-such-program").succeeds());
    }
}
