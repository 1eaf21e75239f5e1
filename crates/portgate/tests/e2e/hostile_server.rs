//! What an API server that is hostile can do to portgate: nothing but fail.

use std::process::{Output, Stdio};
use std::time::Duration;

use portgate_double::{Fault, Hostility, Requests, Resource, Stage, Verb};
use tokio::time::{sleep, timeout};

use crate::reach::User;
use crate::support::{LONG, free_port, local};

/// What no command and no gate may have in memory because of a server, in KiB.
const MOST_MEMORY: u64 = 128 * 1024;

impl User {
    async fn meets(&self, requests: Requests, how: Hostility) {
        self.api.fault(Fault::Hostile { requests, how }).await.unwrap();
    }
}

/// How much of a process was in memory at most, in KiB; none once it has ended.
fn most_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    most.trim().trim_end_matches(" kB").parse().ok()
}

/// Runs a command to its end, and tells how much of it was in memory at most, in KiB.
async fn measure(user: &User, arguments: &str) -> (Output, u64) {
    let mut command = user.command(arguments);
    let process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = process.id().unwrap();
    let (mut most, ended) = (0, process.wait_with_output());
    tokio::pin!(ended);
    loop {
        most = most_memory(id).unwrap_or_default().max(most);
        if let Ok(output) = timeout(Duration::from_millis(2), &mut ended).await {
            return (output.unwrap(), most);
        }
    }
}

#[tokio::test]
async fn a_command_that_is_sent_too_much_says_so_and_takes_little_memory() {
    for (how, words) in [
        (Hostility::EndlessPage, "exceeds the limit of 8 MiB for a page of a list"),
        (Hostility::EndlessLine, "exceeds the limit of 8 MiB for a page of a list"),
        (Hostility::EndlessPages, "exceeds the limit of 200 pages of a list"),
        (Hostility::EndlessHead, "exceeds the limit of 64 KiB for a response head"),
        (Hostility::EndlessRefusal, "answers 500 because of that of that"),
        (Hostility::Stall(Stage::Middle), "no answer within 10 s"),
    ] {
        let user = User::new().await;
        user.meets(Requests::all(), how.clone()).await;
        let (output, most) = measure(&user, "services").await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{how:?}: {said}");
        assert!(said.contains(words), "{how:?}: {said}");
        println!("{how:?}: {most} KiB");
        assert!(most > 0 && most < MOST_MEMORY, "{how:?}: {most} KiB");
    }
}

#[tokio::test]
async fn a_forward_that_is_sent_too_much_takes_little_memory_and_goes_on() {
    for how in [
        Hostility::EndlessLine,
        Hostility::EndlessObjects { name: 2_000_000 },
        Hostility::EndlessObjects { name: 100 },
        Hostility::EndlessPage,
    ] {
        let user = User::new().await;
        let port = free_port();
        let forward = user.forward(&format!("svc/echo {port}:9999 -n backend")).await;
        let verb = if how == Hostility::EndlessPage { Verb::List } else { Verb::Watch };
        user.meets(Requests::to(verb, Resource::EndpointSlices), how.clone()).await;
        user.meets(Requests::to(verb, Resource::Services), how.clone()).await;
        user.api.fault(Fault::KillConnections).await.unwrap();
        sleep(Duration::from_secs(3)).await;
        timeout(LONG, crate::client::tcp_echoes(local(port))).await.unwrap();
        let most = most_memory(forward.process.id().unwrap()).unwrap();
        println!("{how:?}: {most} KiB");
        assert!(most < MOST_MEMORY, "{how:?}: {most} KiB");
    }
}
