//! portgate: open ports on a Kubernetes cluster that is already running.

#![allow(clippy::large_futures, reason = "one command runs, once")]

mod apply;
mod args;
mod autostart;
mod choice;
mod command;
mod demo_node;
mod failure;
mod forwarding;
mod gates;
mod host_port;
mod interrupt;
mod kubernetes;
mod leftovers;
mod migration;
mod opening;
mod packed;
mod process_gate;
mod process_log;
mod removal;
mod site;
mod trial;
mod view;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command, GateCommand};
use crate::failure::Failure;
use crate::interrupt::Interrupt;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        // It starts its threads itself, after it has given up its rights.
        Command::Gate { command: GateCommand::Worker } => command::worker(),
        command => start(command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_reader_gone() => ExitCode::SUCCESS,
        Err(failure) => {
            view::error(&failure);
            if let Some(hint) = failure.hint() {
                view::hint(hint);
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

/// A command waits for the engine and for gates most of its time; what carries traffic has threads of its own.
#[tokio::main(worker_threads = 1)]
async fn start(command: Command) -> Result<(), Failure> {
    run(command).await
}

async fn run(command: Command) -> Result<(), Failure> {
    // A gate's own processes handle signals themselves.
    if let Command::Gate { command } = command {
        return command::gate(command).await;
    }
    let interrupt = Interrupt::listen().map_err(Failure::system("listen for signals"))?;
    match command {
        Command::Open(arguments) => command::open(arguments, &interrupt).await,
        Command::Forward(arguments) => command::forward(arguments, &interrupt).await,
        Command::Close(arguments) => command::close(arguments, &interrupt).await,
        Command::Migrate(arguments) => command::migrate(arguments, &interrupt).await,
        Command::Restart(arguments) => command::restart(arguments, &interrupt).await,
        Command::Down(arguments) => command::down(arguments, &interrupt).await,
        Command::Demo(arguments) => command::demo(arguments, &interrupt).await,
        harmless => interrupt.abandon(run_harmless(harmless)).await,
    }
}

/// The commands that leave nothing half-made, wherever they end.
async fn run_harmless(command: Command) -> Result<(), Failure> {
    match command {
        Command::Ls(arguments) => command::ls(arguments).await,
        Command::Services(arguments) => command::services(arguments).await,
        Command::Autostart(arguments) => command::autostart(&arguments).await,
        Command::Clusters(arguments) => command::clusters(arguments).await,
        Command::Test(arguments) => command::test(arguments).await,
        Command::Logs(arguments) => command::logs(arguments).await,
        Command::Stop(arguments) => command::stop(&arguments).await,
        Command::Start(arguments) => command::start(&arguments).await,
        Command::Version(arguments) => command::version(arguments).await,
        Command::Completion { shell } => command::completion(shell),
        _ => Ok(()),
    }
}
