use serde_json::{Value, json};

use super::*;

const IMAGE: &str = "sha256:01";

fn container(id: &str, labels: &Value) -> ContainerSummary {
    serde_json::from_value(json!({
        "Id": id, "Names": [format!("/{id}")], "ImageID": IMAGE, "State": "running", "Labels": labels,
        "HostConfig": { "NetworkMode": "bridge" },
        "NetworkSettings": { "Networks": { "bridge": { "IPAddress": "172.17.0.2" } } },
    }))
    .unwrap()
}

fn k3d_node() -> Value {
    json!({ "app": "k3d", "k3d.cluster": "my", "k3d.role": "server" })
}

fn kind_node() -> Value {
    json!({ "io.x-k8s.kind.cluster": "my", "io.x-k8s.kind.role": "worker" })
}

fn minikube_node() -> Value {
    json!({ "created_by.minikube.sigs.k8s.io": "true", "name.minikube.sigs.k8s.io": "my" })
}

fn gate() -> Value {
    json!({ "dev.portgate.cluster": "my", "dev.portgate.provider": "k3d", "k3d.cluster": "my", "k3d.role": "noRole" })
}

/// Evidence of an image with these labels.
fn image(labels: &Value) -> Evidence {
    let known = images::LABELS.iter().filter_map(|&label| Some((label, labels[label].as_str()?.to_owned())));
    let labels = ImageLabels::new(known.collect());
    Evidence { images: [(IMAGE.to_owned(), labels)].into(), ..Evidence::default() }
}

fn rejections(believed: &Believed) -> Vec<String> {
    believed.rejections.iter().map(ToString::to_string).collect()
}

#[test]
fn a_node_is_known_by_labels_of_its_own() {
    for labels in [k3d_node(), kind_node(), minikube_node()] {
        let node = container("node", &labels);
        let plain = json!({ "org.opencontainers.image.title": "k3s", "k3d.cluster": "another" });
        let believed = judge(vec![node.clone()], &image(&plain));
        assert_eq!((believed.containers, believed.rejections), (vec![node], Vec::new()));
    }
}

#[test]
fn labels_of_an_image_make_nothing_of_a_container() {
    let cases = [
        (k3d_node(), "a node of cluster k3d/my: its label k3d.cluster comes from its image"),
        (kind_node(), "a node of cluster kind/my: its label io.x-k8s.kind.cluster comes from its image"),
        (
            minikube_node(),
            "a node of cluster minikube/bridge: its label created_by.minikube.sigs.k8s.io comes from its image",
        ),
        (json!({ "dev.portgate.demo": "d" }), "a part of a demo: its label dev.portgate.demo comes from its image"),
    ];
    for (labels, expected) in cases {
        let believed = judge(vec![container("fake", &labels)], &image(&labels));
        assert_eq!(rejections(&believed), [format!("container fake is not believed to be {expected}")]);
        assert_eq!(claim(&believed.containers[0]), None);
    }
}

#[test]
fn a_label_of_an_image_that_changes_nothing_is_not_worth_a_word() {
    let node = container("node", &k3d_node());
    let believed = judge(vec![node], &image(&json!({ "app": "k3d", "k3d.cluster.network": "x" })));
    assert_eq!(rejections(&believed), [""; 0]);
}

#[test]
fn a_container_whose_image_is_gone_is_not_believed() {
    let believed = judge(vec![container("node", &k3d_node())], &Evidence::default());
    let expected = "container node is not believed to be a node of cluster k3d/my: \
                    its image is gone, and its labels may come from there";
    assert_eq!(rejections(&believed), [expected]);
    assert_eq!(claim(&believed.containers[0]), None);
}

#[test]
fn what_is_no_gate_is_hidden_from_nobody() {
    let evidence = |verdict| Evidence { gates: [("it".to_owned(), verdict)].into(), ..image(&json!({})) };
    let gate = container("it", &gate());
    let believed = judge(vec![gate.clone()], &evidence(None));
    assert_eq!((&believed.containers, believed.rejections.len()), (&vec![gate.clone()], 0));
    assert!(crate::clusters::is_gate(&believed.containers[0]));

    let believed = judge(vec![gate.clone()], &evidence(Some(Reason::Command)));
    assert!(!crate::clusters::is_gate(&believed.containers[0]));
    let expected = "container it is not believed to be a gate of cluster k3d/my: its command is not that of a gate";
    assert_eq!(rejections(&believed), [expected]);
    // It has gone since it was listed.
    assert_eq!(judge(vec![gate], &image(&json!({}))).containers, []);
}

#[test]
fn a_container_with_all_labels_of_its_image_has_one_line() {
    let mut labels = k3d_node();
    labels.as_object_mut().unwrap().extend(gate().as_object().unwrap().clone());
    labels["k3d.role"] = "server".into();
    labels["dev.portgate.demo"] = "d".into();
    let reason = Reason::ImageLabel { label: labels::CLUSTER };
    let evidence = Evidence { gates: [("fake".to_owned(), Some(reason))].into(), ..image(&labels) };
    let believed = judge(vec![container("fake", &labels)], &evidence);
    assert_eq!((believed.rejections.len(), claim(&believed.containers[0])), (1, None));
}

#[test]
fn a_rejection_is_a_flat_object() {
    let cluster = ClusterId { provider: Provider::K3d, name: "my".to_owned() };
    let (claim, reason) = (Claim::Gate, Reason::ImageLabel { label: labels::CLUSTER });
    let rejection = Rejection { container: "fake".to_owned(), claim, cluster: Some(cluster), reason };
    let expected = json!({
        "container": "fake", "claim": "gate", "cluster": { "provider": "k3d", "name": "my" },
        "reason": "its label dev.portgate.cluster comes from its image",
    });
    assert_eq!(serde_json::to_value(rejection).unwrap(), expected);
}
