//! What a forward's pods and API server do.

use std::time::{Duration, Instant};

use portgate_double::Fault as ApiFault;
use tokio::time::sleep;

use super::Outcome;
use crate::world::forward::{Forward, NAMESPACE, pod_address, pod_name};
use crate::world::process;

/// Kills the forward's process, which its user starts again.
pub(super) async fn kill(forward: &Forward) -> Outcome {
    let text = forward.home().display().to_string();
    process::kill(process::the_one_with(&text)?).await?;
    forward.cli.succeed("start").await?;
    Ok(Instant::now())
}

/// Replaces the first pod as a rolling update does: it is no endpoint any more, goes, and another is ready later.
pub(super) async fn replace_pod(forward: &mut Forward, lasts: Duration) -> Outcome {
    forward.lead_to(&[1]).await?;
    forward.api.fault(ApiFault::KillPod { namespace: NAMESPACE.to_owned(), pod: pod_name(0) }).await?;
    sleep(lasts).await;
    forward.add_pod(&pod_name(0), &pod_address(0)).await?;
    forward.lead_to(&[0, 1]).await?;
    Ok(Instant::now())
}

pub(super) async fn restart_api(forward: &Forward, lasts: Duration) -> Outcome {
    forward.api.fault(ApiFault::Restart { after: lasts }).await?;
    sleep(lasts).await;
    Ok(Instant::now())
}

pub(super) async fn break_connections(forward: &Forward) -> Outcome {
    forward.api.fault(ApiFault::KillConnections).await?;
    Ok(Instant::now())
}
