//! A laboratory for one test: everything in it has a name of its own, and goes with it, whether the test passed or not.

use std::collections::HashMap;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use bollard::Docker;
use portgate_core::cluster::{ClusterId, Provider};
use portgate_core::mapping::{HostAddresses, Local};
use portgate_core::port::{Port, Protocol};
use portgate_docker::demo::DemoContainer;
use portgate_docker::engine::Engine;
use portgate_docker::gate::{GateForm, GateSpec};
use portgate_docker::image::GateImage;
use portgate_docker::settings::Settings;

/// Tells the laboratories of one process apart.
static NEXT: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Lab {
    pub(crate) engine: Engine,
    /// The name of the cluster, the network, the demonstration, the volume and the first gate.
    pub(crate) name: String,
    pub(crate) image: GateImage,
}

/// A laboratory; none, visibly, where there is no engine to have it in.
pub(crate) async fn lab() -> Option<Lab> {
    let engine = match connect().await {
        Ok(engine) => engine,
        Err(error) if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("no Docker engine: {error:?}"),
        Err(error) => {
            // Past the test harness, which shows the output of failed tests only.
            let _ = std::io::stderr().write_all(format!("SKIPPED: no Docker engine ({error})\n").as_bytes());
            return None;
        }
    };
    let name = format!("portgate-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let architecture = engine.info().await.unwrap().architecture;
    let executable = Path::new(env!("CARGO_BIN_EXE_portgate-stand-in"));
    let image = GateImage::in_repository(&name, executable, &name, &architecture).unwrap();
    Some(Lab { engine, name, image })
}

async fn connect() -> Result<Engine, portgate_docker::engine::Error> {
    Engine::connect(&Settings::from_variables(|name| std::env::var(name).ok())).await
}

impl Lab {
    pub(crate) fn cluster(&self) -> ClusterId {
        ClusterId { provider: Provider::K3d, name: self.name.clone() }
    }

    /// With the image loaded, and a network and a volume made.
    pub(crate) async fn furnished(self) -> Self {
        self.engine.ensure_image(&self.image).await.unwrap();
        self.engine.create_demo_network(&self.name, &self.name).await.unwrap();
        assert!(self.engine.ensure_volume(&self.name, HashMap::new()).await.unwrap());
        self
    }

    pub(crate) fn gate(&self, published: Vec<Local>) -> GateSpec {
        GateSpec {
            name: self.name.clone(),
            cluster: self.cluster(),
            network: self.name.clone(),
            version: "0.0.0".to_owned(),
            image: self.image.reference().to_owned(),
            volume: self.name.clone(),
            form: GateForm::published(published),
        }
    }

    /// A container that plays a part in the cluster.
    pub(crate) async fn play(&self, part: &str, role: &str) {
        let labels =
            [("app", "k3d"), ("k3d.cluster", &self.name), ("k3d.role", role), ("k3d.cluster.network", &self.name)];
        let container = DemoContainer {
            name: format!("{}-{part}", self.name),
            image: self.image.reference().to_owned(),
            command: ["wait"].map(str::to_owned).to_vec(),
            network: self.name.clone(),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        };
        self.engine.start_demo_container(&self.name, &container).await.unwrap();
    }

    /// A container that runs, on the engine's own network.
    pub(crate) async fn guest(&self) -> String {
        let container = DemoContainer {
            name: format!("{}-guest", self.name),
            image: self.image.reference().to_owned(),
            command: ["wait"].map(str::to_owned).to_vec(),
            network: "bridge".to_owned(),
            labels: HashMap::new(),
        };
        self.engine.start_demo_container(&self.name, &container).await.unwrap();
        container.name
    }

    /// The engine's own interface, for what portgate never does.
    pub(crate) fn docker() -> Docker {
        Docker::connect_with_defaults().unwrap()
    }

    async fn clear(engine: Engine, name: String) {
        let cluster = ClusterId { provider: Provider::K3d, name: name.clone() };
        for gate in engine.gates(Some(&cluster)).await.unwrap_or_default() {
            let _ = engine.remove(&gate.name, true).await;
        }
        let _ = engine.remove_demo(&name).await;
        let _ = engine.remove_volume(&name).await;
        let _ = engine.remove_old_images(&format!("{name}:none")).await;
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let name = self.name.clone();
        // The test's own runtime may be on its way out.
        let clearing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                if let Ok(engine) = connect().await {
                    Self::clear(engine, name).await;
                }
            });
            std::io::Result::Ok(())
        });
        let _ = clearing.join();
    }
}

/// A port of localhost.
pub(crate) fn published(port: Port, protocol: Protocol) -> Local {
    Local { addresses: HostAddresses::loopback(), port, protocol }
}

/// A port that nobody listened on a moment ago.
pub(crate) fn free_port() -> Port {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    Port::new(listener.local_addr().unwrap().port()).unwrap()
}
