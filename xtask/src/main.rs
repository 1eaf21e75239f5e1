//! What a contributor to portgate runs: `cargo xtask test`, `demo`, `bench`, `faults` and `fuzz`.
//!
//! Each starts from a machine that has only Rust. What is missing there is decided by two functions without I/O,
//! `setup::plan` for the Docker engine and `steps::checks` for the rest, announced, and only then done.

mod bench;
mod daemon;
mod demo;
mod engine;
mod faults;
mod fuzz;
mod invocation;
mod machine;
mod setup;
mod steps;
mod tally;
mod test;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;

/// The contributor's tools of portgate.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Run every check and test: format, lints, documentation, licences, unit, doc and end-to-end tests.
    ///
    /// Installs and starts a Docker engine if none answers (Debian and Ubuntu).
    Test {
        /// Leave out the tests that need a Docker engine, and set none up.
        #[arg(long)]
        no_docker: bool,
        /// Say what would be done, and do nothing.
        #[arg(long)]
        dry_run: bool,
        /// Run what takes minutes, too: every fuzz target for 30 seconds.
        #[arg(long, conflicts_with = "filter")]
        all: bool,
        /// Run only the tests whose names contain this, and no other check.
        filter: Option<String>,
    },
    /// Build portgate and watch it open ports on a small cluster of its own.
    ///
    /// Installs and starts a Docker engine if none answers (Debian and Ubuntu).
    Demo {
        /// Remove what the demo left behind.
        #[arg(long)]
        down: bool,
        /// Say what would be done, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Measure portgate beside the direct way to a node, and beside socat, haproxy and nginx.
    ///
    /// Installs and starts a Docker engine if none answers, and unpacks the other proxies where they are not installed
    /// (Debian and Ubuntu).
    Bench {
        /// Say what would be done, and do nothing.
        #[arg(long)]
        dry_run: bool,
        /// What the benchmark is told, such as `--quick`; `-- --help` lists it all.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Do harm to gates that carry checked traffic: kill them, their nodes and the engine's events, fill their volumes.
    ///
    /// Installs and starts a Docker engine if none answers (Debian and Ubuntu).
    Faults {
        /// Say what would be done, and do nothing.
        #[arg(long)]
        dry_run: bool,
        /// What the run is told, such as `--minutes 15 --seed 7`; `-- --help` lists it all.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Feed the readers of foreign bytes with inputs that libFuzzer makes, and print how many there were.
    ///
    /// What fails becomes a file below fuzz/regressions, as small as it can be, which the tests replay from then on.
    Fuzz {
        /// Say what would be done, and do nothing.
        #[arg(long)]
        dry_run: bool,
        /// How long each target runs.
        #[arg(long, value_name = "N", default_value_t = fuzz::SECONDS, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
        /// Run only this target, such as `spec`.
        target: Option<String>,
    },
}

fn main() -> ExitCode {
    match run(Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::env::set_current_dir(&workspace).with_context(|| format!("cannot enter {}", workspace.display()))?;
    match task {
        Task::Test { no_docker, dry_run, all, filter } => {
            let docker = if no_docker { test::Docker::LeftOut } else { test::Docker::Wanted };
            let extent = if all { test::Extent::All } else { test::Extent::Usual };
            test::run(docker, extent, filter.as_deref(), dry_run)
        }
        Task::Demo { down, dry_run } => demo::run(down, dry_run),
        Task::Bench { dry_run, arguments } => bench::run(&arguments, dry_run),
        Task::Faults { dry_run, arguments } => faults::run(&arguments, dry_run),
        Task::Fuzz { dry_run, seconds, target } => {
            fuzz::run(target.as_deref(), Duration::from_secs(seconds.into()), dry_run)
        }
    }
}
