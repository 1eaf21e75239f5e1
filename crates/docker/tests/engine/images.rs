//! Loading, reusing and clearing images.

use std::path::Path;

use portgate_docker::engine::Architecture;
use portgate_docker::image::{GateImage, Loaded, StoreError};

use crate::lab::{Lab, lab};
use bollard::query_parameters::TagImageOptionsBuilder;

#[tokio::test]
async fn an_image_is_loaded_once() {
    let Some(lab) = lab().await else { return };
    assert!(matches!(lab.engine.require_image(lab.image.reference()).await, Err(StoreError::Unknown { .. })));
    assert_eq!(lab.engine.ensure_image(&lab.image).await.unwrap(), Loaded::Built);
    assert_eq!(lab.engine.ensure_image(&lab.image).await.unwrap(), Loaded::Reused);
    lab.engine.require_image(lab.image.reference()).await.unwrap();
}

#[tokio::test]
async fn old_images_go_unless_they_are_used() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    lab.play("user", "noRole").await;
    let used = lab.image.reference();
    let version = |version: &str| {
        let executable = Path::new(env!("CARGO_BIN_EXE_portgate-stand-in"));
        let architecture = Architecture::new(std::env::consts::ARCH);
        GateImage::in_repository(&lab.name, executable, version, &architecture).unwrap()
    };
    let (old, new) = (version("0.1.0"), version("0.2.0"));
    lab.engine.ensure_image(&old).await.unwrap();
    lab.engine.ensure_image(&new).await.unwrap();

    let removed = lab.engine.remove_old_images(new.reference()).await.unwrap();
    assert_eq!(removed, [old.reference()]);
    lab.engine.require_image(used).await.unwrap();
    lab.engine.require_image(new.reference()).await.unwrap();
}

#[tokio::test]
async fn another_image_under_the_same_name_is_not_used() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    let architecture = Architecture::new(std::env::consts::ARCH);
    let executable = Path::new(env!("CARGO_BIN_EXE_portgate-stand-in"));
    let other = GateImage::in_repository(&lab.name, executable, "0.9.9", &architecture).unwrap();
    lab.engine.ensure_image(&other).await.unwrap();
    let (repository, tag) = lab.image.reference().rsplit_once(':').unwrap();
    let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
    Lab::docker().tag_image(other.reference(), Some(options)).await.unwrap();
    assert_eq!(lab.engine.ensure_image(&lab.image).await.unwrap(), Loaded::Built);
    assert_eq!(lab.engine.ensure_image(&lab.image).await.unwrap(), Loaded::Reused);
}
