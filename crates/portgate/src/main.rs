//! portgate: open ports on a Kubernetes cluster that is already running.

#![allow(clippy::large_futures, reason = "one command runs, once")]
#![warn(clippy::print_stderr, clippy::print_stdout, reason = "the view escapes what it prints")]

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
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Carries out a command. It waits for the engine and for gates most of its time; what carries traffic has threads of its
/// own.
#[tokio::main(worker_threads = 1)]
async fn start(command: Command) -> Result<(), Failure> {
    run(command).await
}

/// What leaves something half-made where it ends is told of an interruption, and undoes it; the others end at once.
async fn run(command: Command) -> Result<(), Failure> {
    let listen = || Interrupt::listen().map_err(Failure::system("listen for signals"));
    match command {
        Command::Open(arguments) => command::open(arguments, &listen()?).await,
        Command::Forward(arguments) => command::forward(arguments, &listen()?).await,
        Command::Close(arguments) => command::close(arguments, &listen()?).await,
        Command::Migrate(arguments) => command::migrate(arguments, &listen()?).await,
        Command::Restart(arguments) => command::restart(arguments, &listen()?).await,
        Command::Down(arguments) => command::down(arguments, &listen()?).await,
        Command::Demo(arguments) => command::demo(arguments, &listen()?).await,
        Command::Ls(arguments) => listen()?.abandon(command::ls(arguments)).await,
        Command::Services(arguments) => listen()?.abandon(command::services(arguments)).await,
        Command::Autostart(arguments) => listen()?.abandon(command::autostart(&arguments)).await,
        Command::Clusters(arguments) => listen()?.abandon(command::clusters(arguments)).await,
        Command::Test(arguments) => listen()?.abandon(command::test(arguments)).await,
        Command::Logs(arguments) => listen()?.abandon(command::logs(arguments)).await,
        Command::Stop(arguments) => listen()?.abandon(command::stop(&arguments)).await,
        Command::Start(arguments) => listen()?.abandon(command::start(&arguments)).await,
        Command::Version(arguments) => listen()?.abandon(command::version(arguments)).await,
        Command::Completion { shell } => command::completion(shell),
        // A gate's own processes handle signals themselves.
        Command::Gate { command } => command::gate(command).await,
    }
}
