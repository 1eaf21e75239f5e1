//! Sweeping after a gate that is gone.

use std::time::Duration;

use crate::lab::{Lab, lab};
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptionsBuilder, InspectContainerOptions};
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

/// A container with the name of the gate's sweeper that has ended.
async fn ended(lab: &Lab, labels: &[(&str, &str)]) -> String {
    let body = ContainerCreateBody {
        image: Some(lab.image.reference().to_owned()),
        cmd: Some(["gate", "sweep", "--run", "/"].map(str::to_owned).to_vec()),
        labels: Some(labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()),
        host_config: Some(HostConfig {
            network_mode: Some("host".to_owned()),
            readonly_rootfs: Some(true),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::new().name(&format!("{}-sweep", lab.name)).build();
    let id = Lab::docker().create_container(Some(options), body).await.unwrap().id;
    lab.engine.start(&id).await.unwrap();
    lab.engine.stop(&id, Duration::ZERO).await.unwrap();
    id
}

#[tokio::test]
async fn a_stale_sweeper_is_no_hindrance() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    ended(&lab, &[("dev.portgate.sweep", &lab.name)]).await;
    lab.engine.sweep(&sweep(&lab, None)).await.unwrap();
    assert_eq!(lab.engine.gates(Some(&lab.cluster())).await.unwrap(), []);
}

#[tokio::test]
async fn a_stranger_with_a_sweepers_name_is_left_alone() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    let stranger = ended(&lab, &[("dev.portgate.demo", &lab.name)]).await;
    let refused = lab.engine.sweep(&sweep(&lab, None)).await.unwrap_err();
    assert!(matches!(refused, SweepError::Engine(error) if error.status() == Some(409)));
    let name = format!("{}-sweep", lab.name);
    let found = Lab::docker().inspect_container(&name, None::<InspectContainerOptions>).await.unwrap();
    assert_eq!(found.id, Some(stranger));
}
