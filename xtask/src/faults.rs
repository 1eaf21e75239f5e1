//! `cargo xtask faults`: harm to real gates under load, on an engine that is there when it starts.

use crate::invocation::Invocation;
use crate::setup;

/// What is done after the tests: a minute of one seed, so that each contribution meets the same faults.
const AFTER_TESTS: &str = "--seconds 60 --seed 1";

/// Builds portgate and the faults, and runs them.
pub(crate) fn run(arguments: &[String], dry_run: bool) -> anyhow::Result<()> {
    eprintln!("\n== Docker engine ==");
    setup::ensure_engine(dry_run)?;
    eprintln!("\n== Faults ==");
    let build = Invocation::new("cargo build --profile checked --package portgate");
    let faults = arguments.iter().fold(invocation(), Invocation::arg);
    if dry_run {
        eprintln!("$ {build}\n$ {faults}");
        return Ok(());
    }
    build.run()?;
    faults.run()
}

/// The run after the tests, which have built portgate.
pub(crate) fn after_tests() -> Invocation {
    AFTER_TESTS.split(' ').fold(invocation(), Invocation::arg)
}

fn invocation() -> Invocation {
    Invocation::new("cargo run --profile checked --package portgate-faults --")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_after_the_tests_has_a_seed() {
        assert!(after_tests().to_string().ends_with("--package portgate-faults -- --seconds 60 --seed 1"));
    }
}
