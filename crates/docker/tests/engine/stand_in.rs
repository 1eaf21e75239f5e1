//! Stands in for portgate in an image: `gate run` echoes on the ports of its state, `gate control` answers lines,
//! `gate health` is well, `wait` waits.

use std::io::{self, BufRead, Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::ExitCode;
use std::{env, fs, thread};

use portgate_core::port::Protocol;
use portgate_core::state::GateState;

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["gate", "run", "--name", name] => run(name)?,
        ["gate", "control"] => return control(),
        ["wait"] => wait(),
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn wait() {
    loop {
        thread::park();
    }
}

/// Says that it can read its state and write beside it, then echoes.
fn run(name: &str) -> io::Result<()> {
    let directory = "/var/lib/portgate";
    let state = fs::read(format!("{directory}/{name}.json")).unwrap_or_default();
    fs::write(format!("{directory}/{name}.tmp"), "")?;
    let mappings = serde_json::from_slice(&state).map_or_else(|_| Vec::new(), |state: GateState| state.mappings);
    for local in mappings.into_iter().map(|mapping| mapping.local) {
        let address = (Ipv4Addr::UNSPECIFIED, local.port.number());
        match local.protocol {
            Protocol::Tcp => {
                let listener = TcpListener::bind(address)?;
                thread::spawn(move || echo_connections(&listener));
            }
            Protocol::Udp => {
                let socket = UdpSocket::bind(address)?;
                thread::spawn(move || echo_datagrams(&socket));
            }
        }
    }
    writeln!(io::stdout(), "state of {} bytes", state.len())?;
    writeln!(io::stderr(), "ready")?;
    wait();
    Ok(())
}

fn echo_connections(listener: &TcpListener) -> io::Result<()> {
    for connection in listener.incoming() {
        let mut connection = connection?;
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes)?;
        connection.write_all(&bytes)?;
    }
    Ok(())
}

fn echo_datagrams(socket: &UdpSocket) -> io::Result<()> {
    let mut buffer = [0; 2048];
    loop {
        let (length, client) = socket.recv_from(&mut buffer)?;
        socket.send_to(&buffer[..length], client)?;
    }
}

/// Repeats each line, until one asks for a failure.
fn control() -> io::Result<ExitCode> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line == "fail" {
            writeln!(io::stderr(), "asked to fail")?;
            return Ok(ExitCode::from(3));
        }
        writeln!(io::stdout(), "{line}")?;
        writeln!(io::stderr(), "noise")?;
    }
    Ok(ExitCode::SUCCESS)
}
