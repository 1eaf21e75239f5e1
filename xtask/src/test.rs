//! `cargo xtask test`: every check, then every test, then a minute of faults.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::faults;
use crate::fuzz;
use crate::invocation::Invocation;
use crate::setup;
use crate::steps::{self, Step, Tools, Work};
use crate::tally::Tally;

/// Tells the end-to-end tests that there is no engine for them, so that each says that it was skipped.
const NO_DOCKER: &str = "PORTGATE_TEST_NO_DOCKER";

/// What the caller wants of the tests that need a Docker engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Docker {
    /// Run them; set an engine up if none answers.
    Wanted,
    /// Leave them out.
    LeftOut,
}

/// How much is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What every change needs.
    Usual,
    /// What takes minutes, too.
    All,
}

/// Runs the checks and the tests, and stops at the first that fails. With a `filter`, runs only the tests that it names.
pub(crate) fn run(docker: Docker, extent: Extent, filter: Option<&str>, dry_run: bool) -> anyhow::Result<()> {
    let docker = settle(docker, dry_run)?;
    let checks = if filter.is_none() { steps::checks(Tools::observe()) } else { Vec::new() };
    for step in &checks {
        check(step, dry_run)?;
    }
    let tests = match docker {
        Docker::Wanted => steps::tests(filter),
        Docker::LeftOut => steps::tests(filter).env(NO_DOCKER, "1"),
    };
    eprintln!("\n== Tests ==\n$ {tests}");
    if dry_run {
        harm(docker, filter, dry_run)?;
        return search(extent, dry_run);
    }
    let result = test(&tests);
    let searched = search(extent, dry_run);
    if docker == Docker::LeftOut {
        eprintln!("SKIPPED: the tests that need a Docker engine");
    }
    let (tally, status) = result?;
    let harm = if status.success() { harm(docker, filter, dry_run) } else { Ok(()) };
    // Last, because this line is what people and machines look for.
    println!("{tally}");
    if !status.success() {
        bail!("`{tests}` failed ({status})\nhint: `cargo xtask test NAME` runs one of the tests again");
    }
    harm.and(searched)
}

/// Does harm to gates that carry traffic, unless only some tests were asked for.
fn harm(docker: Docker, filter: Option<&str>, dry_run: bool) -> anyhow::Result<()> {
    if filter.is_some() {
        return Ok(());
    }
    eprintln!("\n== Faults ==");
    let faults = faults::after_tests()?;
    match docker {
        Docker::LeftOut => eprintln!("SKIPPED: faults need a Docker engine"),
        Docker::Wanted if dry_run => eprintln!("$ {faults}"),
        Docker::Wanted => faults.run()?,
    }
    Ok(())
}

/// Looks for inputs that fail, if all is to be run.
fn search(extent: Extent, dry_run: bool) -> anyhow::Result<()> {
    if extent == Extent::Usual {
        return Ok(());
    }
    eprintln!("\n== Fuzz targets ==");
    fuzz::run(None, Duration::from_secs(fuzz::SECONDS.into()), dry_run)
}

/// Sees to the engine. Where none can be had, the tests that need it are left out, except in CI.
fn settle(docker: Docker, dry_run: bool) -> anyhow::Result<Docker> {
    if docker == Docker::LeftOut {
        return Ok(docker);
    }
    eprintln!("\n== Docker engine ==");
    match setup::ensure_engine(dry_run) {
        Ok(()) => Ok(Docker::Wanted),
        Err(error) if env::var_os("CI").is_some_and(|value| !value.is_empty()) => {
            Err(error.context("in CI no test is left out"))
        }
        Err(error) => {
            eprintln!("SKIPPED: the tests that need a Docker engine: {error:#}");
            Ok(Docker::LeftOut)
        }
    }
}

fn check(step: &Step, dry_run: bool) -> anyhow::Result<()> {
    let Step { title, work } = step;
    eprintln!("\n== {title} ==");
    match work {
        Work::Run(invocation) if dry_run => eprintln!("$ {invocation}"),
        Work::Run(invocation) => invocation.run().with_context(|| format!("the check \"{title}\" does not hold"))?,
        Work::Skip { why, hint } => eprintln!("SKIPPED: {why}\nhint: {hint}"),
    }
    Ok(())
}

/// Runs the tests, passes on what they print, and counts them.
fn test(tests: &Invocation) -> anyhow::Result<(Tally, ExitStatus)> {
    let mut child = tests.command().stdout(Stdio::piped()).spawn().with_context(|| format!("cannot run `{tests}`"))?;
    let output = child.stdout.take().context("the tests have no output")?;
    let mut tally = Tally::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read what the tests print")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.add(&line);
    }
    Ok((tally, child.wait().context("cannot wait for the tests")?))
}
