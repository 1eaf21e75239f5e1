//! `cargo xtask bench`: portgate beside the direct way to a node, and beside other proxies.
//!
//! The same executable is the node: it is packed into an image and serves there, so that both ends of every path are
//! known. What is measured is what arrives, by the clock of the end at which it arrives.

#![allow(clippy::cast_precision_loss, reason = "no count here comes near 2^52")]

mod args;
mod bed;
mod commands;
mod cpu;
mod docker;
mod footprint;
mod forward;
mod gate;
mod ground;
mod load;
mod machine;
mod measurement;
mod noise;
mod path;
mod peer;
mod plan;
mod plot;
mod ports;
mod process;
mod report;
mod results;
mod run;
mod server;
mod service;
mod statistics;
mod table;
mod target;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Arguments, Command};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Some(Command::Serve) => server::serve().await,
        Some(Command::Forward(forward)) => forward::run(&forward).await,
        None => run::run(arguments.bench).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
