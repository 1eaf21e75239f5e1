//! What somebody would try who has a worker run other code.

use std::error::Error;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::Command;

use portgate_gate::worker::sandbox::{enter_domain, filter_calls};
use rustix::process::{Pid, Signal, kill_process};

/// Restricts this process, and tries something. Fails with the kernel's error, unless the kernel kills the process.
pub(crate) fn attempt(restriction: &str, what: &str, argument: &str) -> Result<(), Box<dyn Error>> {
    if ["domain", "both"].contains(&restriction) {
        println!("domain: {}", enter_domain()?);
    }
    if ["filter", "both"].contains(&restriction) {
        println!("filter: {}", filter_calls()?);
    }
    match what {
        "abstract" => UnixStream::connect_addr(&SocketAddr::from_abstract_name(argument)?).map(drop)?,
        "socket" => UnixStream::connect(argument).map(drop)?,
        "read" => std::fs::read(argument).map(drop)?,
        "write" => std::fs::write(argument, "")?,
        "execute" => return Err(Command::new(argument).exec().into()),
        "listen" => std::net::TcpListener::bind(argument).map(drop)?,
        "connect" => std::net::TcpStream::connect(argument).map(drop)?,
        "kill" => kill_process(Pid::from_raw(argument.parse()?).ok_or("no process")?, Signal::KILL)?,
        "call" => call(&argument.split(',').map(str::parse).collect::<Result<Vec<_>, _>>()?)?,
        "panic" => return Err(std::thread::spawn(|| {}).join().map_or("panicked", |()| "a thread ran").into()),
        "abort" => std::process::abort(),
        _ => return Err("an unknown attempt".into()),
    }
    Ok(())
}

/// Makes a system call: its number, and its arguments.
#[expect(unsafe_code, reason = "there is no other way to make just any system call")]
fn call(call: &[libc::c_long]) -> io::Result<()> {
    let argument = |index: usize| call.get(index).copied().unwrap_or_default();
    // SAFETY: no argument that the tests give is an address of this process.
    let outcome = unsafe {
        libc::syscall(argument(0), argument(1), argument(2), argument(3), argument(4), argument(5), argument(6))
    };
    if outcome == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
