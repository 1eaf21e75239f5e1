//! Stands in for portgate in an image: `gate run` echoes on the ports of its state, `gate control` answers lines,
//! `gate health` is well, `gate sweep` looks around, `wait` waits.

use std::fs::OpenOptions;
use std::io::{self, BufRead, Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::{env, fs, thread};

use portgate_core::port::Protocol;
use portgate_core::state::GateState;

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["gate", "run", "--name", name, ..] => run(name)?,
        ["gate", "control"] => return control(),
        ["gate", "sweep", ..] => return sweep(&arguments),
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

/// Repeats each line, until one asks for a failure. One that asks for a trial gets its result.
fn control() -> io::Result<ExitCode> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["fail"] => {
                writeln!(io::stderr(), "asked to fail")?;
                return Ok(ExitCode::from(3));
            }
            ["try", trial @ ..] => writeln!(io::stdout(), "{}", outcome(try_to(trial)))?,
            _ => writeln!(io::stdout(), "{line}")?,
        }
        writeln!(io::stderr(), "noise")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn outcome(result: io::Result<()>) -> String {
    result.map_or_else(|error| error.kind().to_string(), |()| "done".to_owned())
}

/// Tries what only some gates may do. Nothing is written to a file that is there.
fn try_to(words: &[&str]) -> io::Result<()> {
    match words {
        ["write", path] => OpenOptions::new().write(true).open(path).map(drop),
        ["create", path] => OpenOptions::new().write(true).create_new(true).open(path).map(drop),
        ["remove", path] => fs::remove_file(path),
        ["read", path] => fs::read(path).map(drop),
        ["connect", path] => UnixStream::connect(path).map(drop),
        ["give", path, group] => chown(path, None, group.parse().ok()),
        ["listen", port] => TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse().map_err(io::Error::other)?)).map(drop),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Looks at the host's `/run`. Of a bridge named `fail` it complains, and for one named `wait` it waits.
fn sweep(arguments: &[&str]) -> io::Result<ExitCode> {
    let run = arguments.iter().skip_while(|argument| **argument != "--run").nth(1);
    fs::read_dir(run.ok_or(io::ErrorKind::InvalidInput)?)?;
    if arguments.contains(&"wait") {
        wait();
    }
    if arguments.contains(&"fail") {
        writeln!(io::stderr(), "no such bridge")?;
        return Ok(ExitCode::from(4));
    }
    Ok(ExitCode::SUCCESS)
}
