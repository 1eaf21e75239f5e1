//! What the program says of itself.

use tokio::process::Command;

use crate::support::{Ran, finish};

async fn run(arguments: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portgate"));
    command.args(arguments.split_whitespace()).env("DOCKER_HOST", "unix:///nonexistent.sock");
    finish(command).await
}

/// The commands that the program's own help lists.
async fn commands() -> Vec<String> {
    let help = run("--help").await.ok().stdout;
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(|name| name != "help").collect()
}

#[tokio::test]
async fn the_help_of_each_command_has_an_example() {
    let commands = commands().await;
    assert!(commands.len() >= 12 && commands.contains(&"open".to_owned()), "{commands:?}");
    let mut without = Vec::new();
    for command in &commands {
        let help = run(&format!("{command} --help")).await.ok().stdout;
        if !help.contains(&format!("Examples:\n  portgate {command}")) {
            without.push(command);
        }
    }
    assert!(without.is_empty(), "no example has {without:?}");
    let help = run("--help").await.ok().stdout;
    assert!(help.contains("Examples:\n  portgate open "), "{help}");
}

#[tokio::test]
async fn completion_scripts_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&format!("completion {shell}")).await.ok().stdout;
        for word in ["open", "close", "restart", "dry-run"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    run("completion cobol").await.fails(2);
}

#[tokio::test]
async fn the_version_is_told_even_without_an_engine() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(run("--version").await.ok().stdout, format!("portgate {version}\n"));
    let told = run("version").await.ok();
    assert!(told.stdout.contains(version), "{}", told.stdout);
    assert!(told.stderr.contains("there is no Docker engine at unix:///nonexistent.sock"), "{}", told.stderr);
}

#[tokio::test]
async fn no_arguments_are_answered_with_the_help() {
    let ran = run("").await.fails(2);
    assert!(ran.stderr.contains("Usage: portgate <COMMAND>"), "{}", ran.stderr);
}
