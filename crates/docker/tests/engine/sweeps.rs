//! Sweeping after a gate that is gone.

use std::time::Duration;

use crate::lab::{Lab, lab};
use portgate_docker::gate::{SweepError, SweepSpec};
use tokio::time::timeout;

fn sweep(lab: &Lab, bridge: Option<&str>) -> SweepSpec {
    SweepSpec {
        gate: lab.name.clone(),
        cluster: lab.cluster(),
        bridge: bridge.map(str::to_owned),
        image: lab.image.reference().to_owned(),
        burial: None,
    }
}

#[tokio::test]
async fn a_sweeper_comes_and_goes() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    lab.engine.sweep(&sweep(&lab, None)).await.unwrap();
    let failure = lab.engine.sweep(&sweep(&lab, Some("fail"))).await.unwrap_err();
    let expected = format!("{}-sweep failed (exit status 4): no such bridge", lab.name);
    assert_eq!(failure.to_string(), expected);
    assert!(matches!(failure, SweepError::Failed { status: 4, .. }));
    assert_eq!(lab.engine.gates(Some(&lab.cluster())).await.unwrap(), []);
    // Were it still there, its image could not go.
    assert_eq!(lab.engine.remove_old_images(&format!("{}:none", lab.name)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn sweepers_take_turns() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    let spec = sweep(&lab, None);
    let (first, second, third) =
        tokio::join!(lab.engine.sweep(&spec), lab.engine.sweep(&spec), lab.engine.sweep(&spec));
    for result in [first, second, third] {
        result.unwrap();
    }
    assert_eq!(lab.engine.remove_old_images(&format!("{}:none", lab.name)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_sweeper_that_nobody_waits_for_goes() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    let spec = sweep(&lab, Some("wait"));
    let abandoned = timeout(Duration::from_secs(2), lab.engine.sweep(&spec)).await;
    assert!(abandoned.is_err());
    // Its image can go once it is gone.
    let gone = async { while lab.engine.remove_old_images(&format!("{}:none", lab.name)).await.unwrap().is_empty() {} };
    timeout(Duration::from_secs(30), gone).await.unwrap();
}

#[tokio::test]
async fn a_stale_sweeper_is_no_hindrance() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    let mut stale = lab.gate(Vec::new());
    stale.name.push_str("-sweep");
    lab.engine.create_gate(&stale).await.unwrap();
    lab.engine.start(&stale.name).await.unwrap();
    lab.engine.stop(&stale.name, Duration::ZERO).await.unwrap();
    lab.engine.sweep(&sweep(&lab, None)).await.unwrap();
    assert_eq!(lab.engine.gates(Some(&lab.cluster())).await.unwrap(), []);
}
