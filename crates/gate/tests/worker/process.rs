//! The processes that the tests start: a worker, as `portgate gate worker` is in a gate; one that tries what it must not
//! do; and one that breaks the protocol.

#[cfg(target_os = "linux")]
#[path = "process/attempt.rs"]
mod attempt;
#[cfg(target_os = "linux")]
#[path = "process/hostile.rs"]
mod hostile;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(portgate_gate::worker::work()?),
        ["attempt", restriction, what, argument] => attempt::attempt(restriction, what, argument),
        ["hostile", manner] => Ok(hostile::work(manner)?),
        _ => Err(format!("{arguments:?}").into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {}
