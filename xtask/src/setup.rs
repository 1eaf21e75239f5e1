//! Setting up a Docker engine where none answers: what to do, and doing it.

use std::fmt;

use crate::daemon;
use crate::engine::{Endpoint, Engine};
use crate::invocation::Invocation;
use crate::machine::{Init, Machine, Privilege, System};

/// One act of a set-up.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    /// Run this to its end.
    Run(Invocation),
    /// Start `dockerd` in a session of its own, unless an engine answers by now.
    StartDaemon(Privilege),
}

impl Action {
    fn perform(&self, endpoint: &Endpoint) -> anyhow::Result<()> {
        match self {
            Self::Run(invocation) => invocation.run(),
            Self::StartDaemon(_) if endpoint.probe() == Engine::Answers => Ok(()),
            Self::StartDaemon(privilege) => daemon::start(*privilege),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(invocation) => invocation.fmt(f),
            Self::StartDaemon(privilege) => daemon::invocation(*privilege).fmt(f),
        }
    }
}

/// Why there is no engine to use, and none can be set up. The second line of its text is a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Obstacle {
    Forbidden(Endpoint),
    Elsewhere(Endpoint),
    NotInstalled(System),
    NotStarted,
    NoPrivilege,
    StillSilent(Endpoint),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden(endpoint) => write!(
                f,
                "the Docker engine at {endpoint} is not for this user\n\
                 hint: `sudo usermod --append --groups docker \"$USER\"`, then log in again"
            ),
            Self::Elsewhere(endpoint) => write!(
                f,
                "no Docker engine answers at {endpoint}, which DOCKER_HOST names\n\
                 hint: start that engine, or unset DOCKER_HOST"
            ),
            Self::NotInstalled(system) => {
                let hint = match system {
                    System::Fedora => "`sudo dnf install moby-engine && sudo systemctl start docker`",
                    System::MacOs => "install Docker Desktop, or `brew install colima docker && colima start`",
                    System::Debian | System::Linux | System::Other => {
                        "install a Docker engine with your system's packages, and start it"
                    }
                };
                write!(f, "no Docker engine is installed, and only Debian and Ubuntu get one from here\nhint: {hint}")
            }
            Self::NotStarted => f.write_str(
                "the Docker engine is installed, but does not run\nhint: start Docker Desktop, or `colima start`",
            ),
            Self::NoPrivilege => f.write_str(
                "only root can install and start a Docker engine, and there is no sudo\n\
                 hint: as root, `apt-get install sudo`, or run this as root",
            ),
            Self::StillSilent(endpoint) => write!(
                f,
                "the Docker engine was started, but does not answer at {endpoint}\n\
                 hint: `journalctl --unit docker` may say why"
            ),
        }
    }
}

impl std::error::Error for Obstacle {}

/// Makes sure that a Docker engine answers: one that does is left alone. On a dry run, only says what it would do.
pub(crate) fn ensure_engine(dry_run: bool) -> anyhow::Result<()> {
    let machine = Machine::observe();
    let actions = plan(&machine)?;
    if actions.is_empty() {
        eprintln!("one runs, and is used as it is");
        return Ok(());
    }
    eprintln!("none answers at {}; this sets one up:", machine.endpoint);
    for action in &actions {
        eprintln!("  {action}");
    }
    if dry_run {
        return Ok(());
    }
    for action in &actions {
        action.perform(&machine.endpoint)?;
    }
    match machine.endpoint.probe() {
        Engine::Answers | Engine::Trusted => Ok(()),
        Engine::Forbidden => Err(Obstacle::Forbidden(machine.endpoint).into()),
        Engine::Silent => Err(Obstacle::StillSilent(machine.endpoint).into()),
    }
}

/// Decides what it takes to have an engine: nothing where one answers.
fn plan(machine: &Machine) -> Result<Vec<Action>, Obstacle> {
    match (machine.engine, &machine.endpoint) {
        (Engine::Answers | Engine::Trusted, _) => return Ok(Vec::new()),
        (Engine::Forbidden, endpoint) => return Err(Obstacle::Forbidden(endpoint.clone())),
        (Engine::Silent, Endpoint::Default) => {}
        (Engine::Silent, endpoint) => return Err(Obstacle::Elsewhere(endpoint.clone())),
    }
    match (machine.system, machine.installed) {
        (System::Debian, _) | (System::Fedora | System::Linux, true) => {}
        (System::MacOs | System::Other, true) => return Err(Obstacle::NotStarted),
        (system, false) => return Err(Obstacle::NotInstalled(system)),
    }
    let privilege = machine.privilege.ok_or(Obstacle::NoPrivilege)?;
    let run = |invocation: Invocation| Action::Run(invocation.privileged(privilege));
    let mut actions = Vec::new();
    if !machine.installed {
        actions.extend(installation().map(run));
    }
    actions.push(match machine.init {
        Init::Systemd => run(Invocation::new("systemctl start docker")),
        Init::Unknown => Action::StartDaemon(privilege),
    });
    Ok(actions)
}

/// The engine and what it cannot do without, from the distribution's own packages. What they recommend comes along:
/// docker's CLI, which is a package of its own in newer releases.
fn installation() -> impl Iterator<Item = Invocation> {
    ["apt-get update", "apt-get install --yes docker.io iptables ca-certificates"]
        .into_iter()
        .map(|line| Invocation::new(line).env("DEBIAN_FRONTEND", "noninteractive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new Debian machine with systemd, on which we are root.
    fn debian() -> Machine {
        Machine {
            endpoint: Endpoint::Default,
            engine: Engine::Silent,
            installed: false,
            system: System::Debian,
            init: Init::Systemd,
            privilege: Some(Privilege::Root),
        }
    }

    fn planned(machine: &Machine) -> Vec<String> {
        plan(machine).expect("a plan").iter().map(Action::to_string).collect()
    }

    #[test]
    fn an_engine_that_answers_is_left_alone() {
        assert!(planned(&Machine { engine: Engine::Answers, ..debian() }).is_empty());
        assert!(planned(&Machine { engine: Engine::Trusted, ..debian() }).is_empty());
    }

    #[test]
    fn a_new_machine_gets_an_engine_installed_and_started() {
        assert_eq!(
            planned(&debian()),
            [
                "DEBIAN_FRONTEND=noninteractive apt-get update",
                "DEBIAN_FRONTEND=noninteractive apt-get install --yes docker.io iptables ca-certificates",
                "systemctl start docker",
            ]
        );
    }

    #[test]
    fn an_engine_that_is_stopped_is_only_started() {
        let stopped = Machine { installed: true, ..debian() };
        assert_eq!(planned(&stopped), ["systemctl start docker"]);
        assert_eq!(planned(&Machine { system: System::Fedora, ..stopped }), ["systemctl start docker"]);
    }

    #[test]
    fn without_systemd_the_daemon_is_started_by_us() {
        let container = Machine { installed: true, init: Init::Unknown, ..debian() };
        assert_eq!(plan(&container), Ok(vec![Action::StartDaemon(Privilege::Root)]));
    }

    #[test]
    fn who_is_not_root_uses_sudo() {
        let user = Machine { privilege: Some(Privilege::Sudo { group: 1000 }), ..debian() };
        assert!(planned(&user).iter().all(|action| action.starts_with("sudo ")));
        assert_eq!(plan(&Machine { privilege: None, ..debian() }), Err(Obstacle::NoPrivilege));
    }

    #[test]
    fn elsewhere_nothing_is_installed() {
        for system in [System::Fedora, System::Linux, System::MacOs, System::Other] {
            assert_eq!(plan(&Machine { system, ..debian() }), Err(Obstacle::NotInstalled(system)));
        }
        let mac = Machine { system: System::MacOs, installed: true, ..debian() };
        assert_eq!(plan(&mac), Err(Obstacle::NotStarted));
    }

    #[test]
    fn an_engine_of_the_users_own_is_his_to_start() {
        let endpoint = Endpoint::new(Some("unix:///run/user/1000/docker.sock"));
        let rootless = Machine { endpoint: endpoint.clone(), ..debian() };
        assert_eq!(plan(&rootless), Err(Obstacle::Elsewhere(endpoint)));
    }

    #[test]
    fn a_socket_for_others_is_named_with_the_mend() {
        let obstacle = plan(&Machine { engine: Engine::Forbidden, ..debian() }).expect_err("an obstacle");
        assert!(obstacle.to_string().contains("\nhint: `sudo usermod"), "{obstacle}");
    }
}
