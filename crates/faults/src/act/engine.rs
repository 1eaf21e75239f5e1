//! An engine that is away for the gates of a run, and for nobody else.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Outcome;
use crate::fault::{Absence, Node};
use crate::world::World;
use crate::world::docker::docker;

pub(super) async fn away(world: &World, absence: Absence, lasts: Duration, restart: Option<Node>) -> Outcome {
    let begin = Instant::now();
    world.proxy.leave(absence);
    let restarted = match restart {
        Some(node) => docker(&["restart", &world.host.node(node)]).await.map(drop),
        None => Ok(()),
    };
    sleep(lasts.saturating_sub(begin.elapsed())).await;
    world.proxy.come_back();
    restarted?;
    Ok(Instant::now())
}
