//! Reading files of a container.

use bollard::body_full;
use bollard::query_parameters::UploadToContainerOptionsBuilder;
use portgate_core::limits;
use portgate_docker::file::Error;
use tar::{Builder, EntryType, Header};

use crate::lab::{Lab, lab};

fn add(archive: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, link: Option<&str>, content: &[u8]) {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    if let Some(link) = link {
        header.set_link_name(link).unwrap();
    }
    archive.append_data(&mut header, name, content).unwrap();
}

#[tokio::test]
async fn only_a_regular_file_of_a_certain_size_is_read() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    lab.play("server-0", "server").await;
    let node = format!("{}-server-0", lab.name);
    let mut archive = Builder::new(Vec::new());
    add(&mut archive, EntryType::Regular, "plain", None, b"users: []");
    add(&mut archive, EntryType::Regular, "large", None, &vec![0; limits::KUBECONFIG.most + 1]);
    add(&mut archive, EntryType::Regular, "endless", None, &vec![0; 4 * limits::KUBECONFIG.most]);
    add(&mut archive, EntryType::Symlink, "link", Some("/plain"), b"");
    add(&mut archive, EntryType::Directory, "directory", None, b"");
    let archive = archive.into_inner().unwrap();
    let options = UploadToContainerOptionsBuilder::new().path("/").build();
    Lab::docker().upload_to_container(&node, Some(options), body_full(archive.into())).await.unwrap();

    let read = async |path: &str| lab.engine.read_file(&node, path).await;
    assert_eq!(read("/plain").await.unwrap().unwrap(), b"users: []");
    assert_eq!(read("/missing").await.unwrap(), None);
    for path in ["/large", "/endless"] {
        let refused = read(path).await.unwrap_err();
        assert_eq!(refused.to_string(), format!("{path} of {node} exceeds the limit of 4 MiB for a kubeconfig"));
    }
    for path in ["/link", "/directory"] {
        assert!(matches!(read(path).await, Err(Error::Irregular { .. })), "{path}");
    }
}
