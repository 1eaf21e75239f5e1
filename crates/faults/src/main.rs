//! `cargo xtask faults`: harm to real gates under load, and what they promise all the same.
//!
//! Which fault comes when is decided by a seed ([`schedule`]), what must work and by when by a model ([`model`]), and
//! whether it did by what the load has recorded ([`check`]); none of them does anything. The same executable is the nodes:
//! it is packed into an image and serves there, so that both ends of every byte are known.
#![cfg(target_os = "linux")]

mod act;
mod check;
mod conntrack;
mod fault;
mod load;
mod model;
mod node;
mod pattern;
mod random;
mod report;
mod run;
mod schedule;
mod world;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::node::Part;
use crate::run::{Findings, Options};
use crate::schedule::Schedule;

/// Does harm to real gates under load, and checks what they promise.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// How many minutes to go on
    #[arg(long, value_name = "N", default_value = "5", conflicts_with = "seconds")]
    minutes: u64,
    /// How many seconds to go on
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// What decides which fault comes when [default: another one for each run]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// End after this step of the seed
    #[arg(long, value_name = "NUMBER", default_value_t = u32::MAX, hide_default_value = true)]
    steps: u32,
    /// Leave out the steps whose names do not contain this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Print the first steps of the seed, and do nothing
    #[arg(long, value_name = "NUMBER")]
    list: Option<usize>,
    /// Go on after a broken promise, with other clusters
    #[arg(long)]
    keep_going: bool,
    /// portgate's executable [default: the one beside this]
    #[arg(long, value_name = "FILE")]
    portgate: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be a node of a cluster, in a container
    #[command(hide = true)]
    Node {
        /// What it does
        part: Part,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Some(Command::Node { part }) => node::run(part).await.map(|()| ExitCode::SUCCESS).map_err(Into::into),
        None => faults(arguments).await,
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn faults(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let seed = arguments.seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed}");
    if let Some(count) = arguments.list {
        for step in Schedule::new(seed).take(count) {
            println!("step {}: {}", step.number, step.fault);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !geteuid().is_root() {
        let why = "only root can kill a gate's processes, and change the kernel's settings";
        anyhow::ensure!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
        println!("SKIPPED: {why}");
        return Ok(ExitCode::SUCCESS);
    }
    // Each connection takes two descriptors of this process, for it is the forward's pods as well.
    let own = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: own.maximum, ..own });
    let options = Options {
        seed,
        lasts: arguments.seconds.map_or_else(|| Duration::from_mins(arguments.minutes), Duration::from_secs),
        steps: arguments.steps,
        only: arguments.only,
        keep_going: arguments.keep_going,
        portgate: arguments.portgate,
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let interrupt = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    };
    let findings = run::run(&options, interrupt).await?;
    Ok(told(&findings, seed))
}

/// Prints what a run has found.
fn told(findings: &Findings, seed: u64) -> ExitCode {
    println!("\n{}", findings.report);
    for failure in &findings.failures {
        println!("\n{failure}");
    }
    for left in &findings.left {
        println!("LEFT: {left}");
    }
    let (failures, left) = (findings.failures.len(), findings.left.len());
    let ending = if findings.interrupted { ", interrupted" } else { "" };
    println!("\nseed {seed}: {failures} broken promises, {left} things left behind{ending}");
    let _ = std::io::stdout().flush();
    if failures == 0 && left == 0 && !findings.interrupted { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
