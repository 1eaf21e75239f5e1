//! An engine that is away for the gates of a run, and for nobody else.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Outcome;
use crate::fault::{Absence, Node};
use crate::world::World;
use crate::world::docker::docker;

/// How soon the gate knows for sure that a node has stopped.
const TOLD: Duration = Duration::from_millis(500);

/// How much longer an engine is away while a node starts: an engine that is back tells events of the last seconds again,
/// and this is to be none of them.
const FORGOTTEN: Duration = Duration::from_millis(2500);

pub(super) async fn away(world: &World, absence: Absence, lasts: Duration, starts: Option<Node>) -> Outcome {
    let Some(node) = starts else {
        world.proxy.leave(absence);
        sleep(lasts).await;
        world.proxy.come_back();
        return Ok(Instant::now());
    };
    let node = world.host.node(node);
    docker(&["stop", &node]).await?;
    sleep(TOLD).await;
    world.proxy.leave(absence);
    let started = docker(&["start", &node]).await;
    sleep(lasts + FORGOTTEN).await;
    world.proxy.come_back();
    started?;
    Ok(Instant::now())
}
