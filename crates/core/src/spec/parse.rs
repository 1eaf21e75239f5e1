//! The parser: one pass from left to right, each step leaves the cursor behind what it read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::{Bind, ObjectName, PortSpec, Selector, SpecError, SpecErrorKind, TargetSpec, listener};
use crate::kubernetes::{Kind, PortName};
use crate::port::{Port, PortRange, Protocols};

/// The longest name of a Kubernetes object or namespace that is a DNS label (RFC 1123).
const MAX_LABEL: usize = 63;

pub(super) fn port_spec(input: &str) -> Result<PortSpec, SpecError> {
    let mut cursor = Cursor::new(input)?;
    let bind = cursor.bind()?.map(|bind| cursor.listener(bind)).transpose()?;
    let (host, target, start) = if cursor.at_digit() {
        let start = cursor.at;
        let range = cursor.ports()?;
        if cursor.eat(':') {
            let target_start = cursor.at;
            (Some(range), cursor.target()?, target_start)
        } else {
            (None, TargetSpec::NodePorts(range), start)
        }
    } else {
        let start = cursor.at;
        (None, cursor.target()?, start)
    };
    let lengths = host.map_or((target.count(), target.count()), |host| (host.count(), target.count()));
    if lengths.0 != lengths.1 {
        let kind = SpecErrorKind::Lengths { host: lengths.0, target: lengths.1 };
        return Err(cursor.error(start..cursor.at, kind));
    }
    let protocols = cursor.protocols()?;
    cursor.end()?;
    Ok(PortSpec { bind, host, target, protocols })
}

pub(super) fn selector(input: &str) -> Result<Selector, SpecError> {
    let mut cursor = Cursor::new(input)?;
    let bind = cursor.bind()?;
    let ports = cursor.ports()?;
    let protocols = cursor.protocols()?;
    cursor.end()?;
    Ok(Selector { bind, ports, protocols })
}

struct Cursor<'a> {
    input: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(input: &'a str) -> Result<Self, SpecError> {
        let cursor = Self { input, at: 0 };
        if input.is_empty() { Err(cursor.error(0..0, SpecErrorKind::Empty)) } else { Ok(cursor) }
    }

    fn error(&self, at: Range<usize>, kind: SpecErrorKind) -> SpecError {
        SpecError { input: self.input.to_owned(), at, kind }
    }

    fn rest(&self) -> &'a str {
        self.input.get(self.at..).unwrap_or_default()
    }

    fn at_digit(&self) -> bool {
        self.rest().starts_with(|c: char| c.is_ascii_digit())
    }

    fn eat(&mut self, expected: char) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.at += expected.len_utf8();
        }
        found
    }

    /// Reads up to, and not including, the first of `stops`; and where that was.
    fn take_until(&mut self, stops: &[char]) -> (&'a str, Range<usize>) {
        let rest = self.rest();
        let length = rest.find(stops).unwrap_or(rest.len());
        let start = self.at;
        self.at += length;
        (rest.get(..length).unwrap_or_default(), start..self.at)
    }

    /// `127.0.0.1:`, `[::1]:`, `localhost:` or nothing.
    fn bind(&mut self) -> Result<Option<Bind>, SpecError> {
        let start = self.at;
        if self.eat('[') {
            let (text, at) = self.take_until(&[']']);
            let address: Ipv6Addr = text.parse().map_err(|_| self.error(at, SpecErrorKind::Address))?;
            if !(self.eat(']') && self.eat(':')) {
                return Err(self.error(self.at..self.at, SpecErrorKind::Port));
            }
            return Ok(Some(Bind::Address(IpAddr::V6(address).to_canonical())));
        }
        let (text, at) = self.take_until(&[':', '/']);
        if self.rest().starts_with(':') {
            if self.bare_ipv6() {
                return Err(self.error(0..self.input.len(), SpecErrorKind::Brackets));
            }
            if text.is_empty() {
                return Err(self.error(at, SpecErrorKind::Empty));
            }
            if text == "localhost" {
                self.eat(':');
                return Ok(Some(Bind::Localhost));
            }
            if text.contains('.') {
                let address: Ipv4Addr = text.parse().map_err(|_| self.error(at, SpecErrorKind::Address))?;
                self.eat(':');
                return Ok(Some(Bind::Address(IpAddr::V4(address))));
            }
        }
        self.at = start;
        Ok(None)
    }

    /// The address that was just read, if a port can listen on it.
    fn listener(&self, bind: Bind) -> Result<Bind, SpecError> {
        let Bind::Address(address) = bind else { return Ok(bind) };
        let at = 0..self.at.saturating_sub(":".len());
        listener(address).map(Bind::Address).map_err(|error| self.error(at, error.into()))
    }

    /// Whether the text looks like an IPv6 address that lacks its brackets: `::1:80`, `fe80::1`, but not `1:2:3`.
    fn bare_ipv6(&self) -> bool {
        let address = self.input.split('/').next().unwrap_or_default();
        let hexadecimal = address.chars().all(|c| c.is_ascii_hexdigit() || c == ':');
        hexadecimal && (address.contains("::") || address.contains(|c: char| c.is_ascii_alphabetic()))
    }

    fn port(&mut self) -> Result<Port, SpecError> {
        let (text, at) = self.take_until(&[':', '/', '-']);
        let wrong = if text.contains(',') { SpecErrorKind::Comma } else { SpecErrorKind::Port };
        port_number(text).ok_or_else(|| self.error(at, wrong))
    }

    fn ports(&mut self) -> Result<PortRange, SpecError> {
        let start = self.at;
        let first = self.port()?;
        if !self.eat('-') {
            return Ok(PortRange::single(first));
        }
        let last = self.port()?;
        PortRange::new(first, last).ok_or_else(|| self.error(start..self.at, SpecErrorKind::Reversed))
    }

    fn target(&mut self) -> Result<TargetSpec, SpecError> {
        let start = self.at;
        if self.at_digit() {
            return self.ports().map(TargetSpec::NodePorts);
        }
        if self.rest().is_empty() {
            return Err(self.error(start..start, SpecErrorKind::Target));
        }
        let (word, at) = self.take_until(&['/', ':']);
        let kind = Kind::from_word(word);
        if kind.is_none() && word != "node" || !self.eat('/') {
            let is_word = word.starts_with(char::is_alphabetic);
            let wrong = if is_word { SpecErrorKind::TargetKind } else { SpecErrorKind::Port };
            return Err(self.error(start..at.end, wrong));
        }
        match kind {
            None => Ok(TargetSpec::Node { container: self.container()?, port: self.target_port()? }),
            Some(kind) => {
                let name = self.object_name()?;
                let port = self.port_name()?;
                if port.is_none() && kind != Kind::Service {
                    return Err(self.error(self.at..self.at, SpecErrorKind::TargetPort));
                }
                Ok(TargetSpec::Object { kind, name, port })
            }
        }
    }

    fn object_name(&mut self) -> Result<ObjectName, SpecError> {
        let name = self.label()?;
        let namespace = if self.eat('.') { Some(self.label()?) } else { None };
        Ok(ObjectName { name, namespace })
    }

    fn label(&mut self) -> Result<String, SpecError> {
        let (text, at) = self.take_until(&['.', ':', '/']);
        if is_label(text) { Ok(text.to_owned()) } else { Err(self.error(at, SpecErrorKind::Name)) }
    }

    fn container(&mut self) -> Result<String, SpecError> {
        let (text, at) = self.take_until(&[':', '/']);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(plain) {
            Ok(text.to_owned())
        } else {
            Err(self.error(at, SpecErrorKind::Container))
        }
    }

    fn target_port(&mut self) -> Result<Port, SpecError> {
        if !self.eat(':') {
            return Err(self.error(self.at..self.at, SpecErrorKind::TargetPort));
        }
        let (text, at) = self.take_until(&[':', '/']);
        port_number(text).ok_or_else(|| self.error(at, SpecErrorKind::Port))
    }

    fn port_name(&mut self) -> Result<Option<PortName>, SpecError> {
        if !self.eat(':') {
            return Ok(None);
        }
        let (text, at) = self.take_until(&[':', '/']);
        match text.parse() {
            Ok(PortName::Name(name)) if !is_label(&name) => Err(self.error(at, SpecErrorKind::Name)),
            Ok(port) => Ok(Some(port)),
            Err(_) => Err(self.error(at, SpecErrorKind::Port)),
        }
    }

    fn protocols(&mut self) -> Result<Option<Protocols>, SpecError> {
        if !self.eat('/') {
            return Ok(None);
        }
        let (text, at) = self.take_until(&[]);
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Some(Protocols::Tcp)),
            "udp" => Ok(Some(Protocols::Udp)),
            "tcp+udp" | "udp+tcp" => Ok(Some(Protocols::Both)),
            _ => Err(self.error(at, SpecErrorKind::Protocol)),
        }
    }

    fn end(&self) -> Result<(), SpecError> {
        if self.rest().is_empty() { Ok(()) } else { Err(self.error(self.at..self.input.len(), SpecErrorKind::Rest)) }
    }
}

fn port_number(text: &str) -> Option<Port> {
    if text.chars().all(|c| c.is_ascii_digit()) { text.parse().ok().and_then(Port::new) } else { None }
}

/// A DNS label as Kubernetes defines it (RFC 1123): lower case, a letter or digit at both ends.
fn is_label(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(edge)
        && text.ends_with(edge)
        && text.len() <= MAX_LABEL
        && text.chars().all(|c| edge(c) || c == '-')
}
