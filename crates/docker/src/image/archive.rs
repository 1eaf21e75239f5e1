//! The image as a tar archive in the form of `docker save`, the same bytes for the same executable.
//!
//! The form is the one of the Image Specification v1.2 (`manifest.json`, a configuration and layers), which Docker with
//! either image store and Podman load.

use std::collections::HashMap;
use std::io;

use bollard::models::ImageInspect;
use serde_json::json;
use tar::{Builder, EntryType, Header};

use super::{EXECUTABLE, GateImage, NOBODY, STATE_DIRECTORY, digest};
use crate::labels;

const ROOT: u32 = 0;

/// The mode of the state directory.
const STATE_MODE: u32 = 0o1770;

impl GateImage {
    /// The archive that `POST /images/load` takes.
    pub(super) fn archive(&self) -> io::Result<Vec<u8>> {
        let layer = layer(&self.executable)?;
        let config = self.config(&layer).to_string();
        let name = format!("{}.json", digest(config.as_bytes()));
        let manifest = json!([{ "Config": name, "RepoTags": [self.reference], "Layers": ["layer.tar"] }]);

        let mut archive = Builder::new(Vec::with_capacity(layer.len() + 16 * 1024));
        file(&mut archive, &name, 0o644, config.as_bytes())?;
        file(&mut archive, "layer.tar", 0o644, &layer)?;
        file(&mut archive, "manifest.json", 0o644, manifest.to_string().as_bytes())?;
        archive.into_inner()
    }

    /// Whether an image in the engine is this one, and not another that came under its name: `docker load` gives an
    /// image whatever name is in the archive. The executable and what the image says to a container have to be the same.
    pub(super) fn is(&self, found: &ImageInspect) -> io::Result<bool> {
        let layers = [format!("sha256:{}", digest(&layer(&self.executable)?))];
        let is_layer =
            found.root_fs.as_ref().and_then(|root| root.layers.as_ref()).is_some_and(|found| *found == layers);
        let Some(config) = &found.config else { return Ok(false) };
        let is_empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
        let says_nothing_else = is_empty(&config.env)
            && is_empty(&config.cmd)
            && is_empty(&config.volumes)
            && is_empty(&config.on_build)
            && config.stop_signal.as_ref().is_none_or(String::is_empty);
        let is_entry_point = config.entrypoint.as_ref().is_some_and(|found| *found == [EXECUTABLE]);
        let is_labelled = config.labels.as_ref() == Some(&self.labels());
        Ok(is_layer && is_entry_point && is_labelled && says_nothing_else)
    }

    fn labels(&self) -> HashMap<String, String> {
        let labels = [(labels::IMAGE, "true"), (labels::VERSION, &self.version)];
        labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    fn config(&self, layer: &[u8]) -> serde_json::Value {
        json!({
            "architecture": self.architecture.as_str(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "Entrypoint": [EXECUTABLE],
                "User": format!("{NOBODY}:{NOBODY}"),
                "WorkingDir": "/",
                "Labels": self.labels(),
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", digest(layer))] },
            "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "portgate" }],
        })
    }
}

/// The file system: the executable, mount points, and the state directory, whose owner and mode a new volume takes over.
/// A gate may be root without any right over others' files, or nobody, who is in the directory's group: either can use
/// it. It is sticky, so that nobody cannot replace root's files.
fn layer(executable: &[u8]) -> io::Result<Vec<u8>> {
    let mut layer = Builder::new(Vec::with_capacity(executable.len() + 16 * 1024));
    file(&mut layer, relative(EXECUTABLE), 0o755, executable)?;
    directory(&mut layer, "run/", 0o755, ROOT)?;
    directory(&mut layer, "var/", 0o755, ROOT)?;
    directory(&mut layer, "var/lib/", 0o755, ROOT)?;
    directory(&mut layer, &format!("{}/", relative(STATE_DIRECTORY)), STATE_MODE, NOBODY)?;
    layer.into_inner()
}

fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

fn file(archive: &mut Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
    append(archive, EntryType::Regular, path, mode, ROOT, content)
}

fn directory(archive: &mut Builder<Vec<u8>>, path: &str, mode: u32, group: u32) -> io::Result<()> {
    append(archive, EntryType::Directory, path, mode, group, &[])
}

fn append(
    archive: &mut Builder<Vec<u8>>,
    kind: EntryType,
    path: &str,
    mode: u32,
    group: u32,
    content: &[u8],
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(u64::from(ROOT));
    header.set_gid(u64::from(group));
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, path, content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Architecture;

    fn image() -> GateImage {
        GateImage {
            reference: "portgate:0.1.0-0123456789ab".to_owned(),
            version: "0.1.0".to_owned(),
            architecture: Architecture::new("amd64"),
            executable: b"an executable".to_vec(),
        }
    }

    /// One line for each entry: mode, owner, group, path.
    fn listing(archive: &[u8]) -> Vec<String> {
        let mut archive = tar::Archive::new(archive);
        let line = |header: &Header| {
            let (mode, owner, group) = (header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap());
            format!("{mode:o} {owner}:{group} {}", header.path().unwrap().display())
        };
        archive.entries().unwrap().map(|entry| line(entry.unwrap().header())).collect()
    }

    #[test]
    fn the_layer_holds_one_file_and_the_mount_points() {
        let listing = listing(&layer(b"an executable").unwrap());
        let expected =
            ["755 0:0 portgate", "755 0:0 run/", "755 0:0 var/", "755 0:0 var/lib/", "1770 0:65534 var/lib/portgate/"];
        assert_eq!(listing, expected);
    }

    #[test]
    fn the_archive_is_the_same_each_time_and_little_larger_than_the_executable() {
        let archive = image().archive().unwrap();
        assert_eq!(archive, image().archive().unwrap());
        assert!(archive.len() < 16 * 1024);
    }

    #[test]
    fn another_image_under_the_same_name_is_not_this_one() {
        let layer = format!("sha256:{}", digest(&layer(b"an executable").unwrap()));
        let found = json!({
            "RootFS": { "Type": "layers", "Layers": [layer] },
            "Config": image().config(b"layer")["config"],
        });
        let is = |found: &serde_json::Value| image().is(&serde_json::from_value(found.clone()).unwrap()).unwrap();
        assert!(is(&found));
        let changes = [
            ("/RootFS/Layers/0", json!("sha256:0123")),
            ("/Config/Entrypoint", json!(["/bin/sh"])),
            ("/Config/Labels", json!({ "dev.portgate.image": "true" })),
        ];
        for (path, value) in changes {
            let mut other = found.clone();
            *other.pointer_mut(path).unwrap() = value;
            assert!(!is(&other), "{path}");
        }
        let mut other = found.clone();
        other["Config"]["Env"] = json!(["PORTGATE_SOCKET=/elsewhere"]);
        assert!(!is(&other));
    }

    #[test]
    fn the_configuration_says_what_to_run_and_as_whom() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&image().config(b"layer")).unwrap(), @r#"
        {
          "architecture": "amd64",
          "config": {
            "Entrypoint": [
              "/portgate"
            ],
            "Labels": {
              "dev.portgate.image": "true",
              "dev.portgate.version": "0.1.0"
            },
            "User": "65534:65534",
            "WorkingDir": "/"
          },
          "created": "1970-01-01T00:00:00Z",
          "history": [
            {
              "created": "1970-01-01T00:00:00Z",
              "created_by": "portgate"
            }
          ],
          "os": "linux",
          "rootfs": {
            "diff_ids": [
              "sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85"
            ],
            "type": "layers"
          }
        }
        "#);
    }
}
