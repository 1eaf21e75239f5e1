//! Ports are free once their mapping is closed. Alone in its process: while another test starts a worker, that has, for
//! a moment, copies of all descriptors.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "worker/stage.rs"]
mod stage;

use portgate_relay::bind;
use stage::{Stage, echo, echoed, echoed_udp, soon, udp_echo};

#[tokio::test]
async fn a_closed_port_can_be_bound_again_at_once() {
    const TIMES: usize = 50;
    let mut stage = Stage::new().await;
    let (backend, udp_backend) = (echo().await, udp_echo().await);
    for _ in 0..TIMES {
        let (door, udp_door) = (stage.tcp(&[backend]), stage.udp(&[udp_backend]));
        let _open = stage.meanwhile(echoed(door.address)).await;
        stage.meanwhile(echoed_udp(udp_door.address)).await;
        bind(door.address, door.local.protocol).unwrap_err();
        soon(stage.worker.close(&[door.local.clone(), udp_door.local.clone()])).await;
        for door in [door, udp_door] {
            bind(door.address, door.local.protocol).unwrap();
        }
    }

    // Nor does a worker that is dead keep it.
    let door = stage.tcp(&[backend]);
    let _open = stage.meanwhile(echoed(door.address)).await;
    stage.kill();
    soon(stage.worker.close(std::slice::from_ref(&door.local))).await;
    bind(door.address, door.local.protocol).unwrap();
}
