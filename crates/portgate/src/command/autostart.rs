use futures_util::future::join_all;

use crate::args::{AutostartArguments, AutostartCommand};
use crate::autostart::Unit;
use crate::failure::Failure;
use crate::gates::{self, Gate};
use crate::process_gate;
use crate::view;

/// Puts forwards back after a reboot, or does so no longer.
pub(crate) async fn autostart(arguments: &AutostartArguments) -> Result<(), Failure> {
    match arguments.command {
        AutostartCommand::Enable => {
            let unit = Unit::new()?;
            unit.enable().await?;
            view::note(format!("Forwards are started again at each login, by {}", unit.file().display()));
            if cfg!(target_os = "linux") {
                view::note("`loginctl enable-linger` has them started at boot already");
            }
            Ok(())
        }
        AutostartCommand::Disable => {
            let was_enabled = Unit::new()?.disable().await?;
            let now = if was_enabled { "no longer" } else { "not" };
            view::note(format!("Forwards are {now} started at login"));
            Ok(())
        }
        AutostartCommand::Run => run().await,
    }
}

/// Starts each forward whose state was kept. The failure of one does not keep the others.
async fn run() -> Result<(), Failure> {
    let starts = gates::processes().into_iter().filter_map(|gate| match gate {
        Gate::Process { name, paths, .. } if paths.keep != paths.directory => Some((name, paths)),
        _ => None,
    });
    let outcomes = join_all(starts.map(|(name, paths)| async move {
        process_gate::ensure(&paths).await.map(|()| view::note(format!("{name} is started")))
    }));
    outcomes.await.into_iter().collect()
}
