//! The worker's process in the tests, as `portgate gate worker` is in a gate.

#[cfg(target_os = "linux")]
#[tokio::main]
async fn main() -> Result<(), portgate_gate::worker::WorkerError> {
    portgate_gate::worker::work().await
}

#[cfg(not(target_os = "linux"))]
fn main() {}
