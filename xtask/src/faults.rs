//! `cargo xtask faults`: harm to real gates under load, on an engine that is there when it starts.

use std::env;

use anyhow::Context as _;

use crate::invocation::Invocation;
use crate::setup;

/// What is done after the tests: a minute of one seed, so that each contribution meets the same faults.
const AFTER_TESTS: &str = "--seconds 60 --seed 1";

/// Builds portgate and the faults, and runs them.
pub(crate) fn run(arguments: &[String], dry_run: bool) -> anyhow::Result<()> {
    eprintln!("\n== Docker engine ==");
    setup::ensure_engine(dry_run)?;
    eprintln!("\n== Faults ==");
    let build = Invocation::new("cargo build --workspace --profile checked --bin portgate --bin portgate-faults");
    let faults = arguments.iter().fold(built()?, Invocation::arg);
    if dry_run {
        eprintln!("$ {build}\n$ {faults}");
        return Ok(());
    }
    build.run()?;
    faults.run()
}

/// The run after the tests, which have built it, and portgate.
pub(crate) fn after_tests() -> anyhow::Result<Invocation> {
    Ok(AFTER_TESTS.split(' ').fold(built()?, Invocation::arg))
}

/// What a build of the tests' profile leaves beside this executable's own profile.
fn built() -> anyhow::Result<Invocation> {
    let own = env::current_exe().context("cannot find this executable")?;
    let target = own.ancestors().nth(2).context("this executable is in no target directory")?;
    Ok(Invocation::of(&target.join("checked/portgate-faults")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_after_the_tests_has_a_seed() {
        assert!(after_tests().unwrap().to_string().ends_with("/checked/portgate-faults --seconds 60 --seed 1"));
    }
}
