//! What can be wrong with a port specification, where, and what to do about it.

use std::fmt;
use std::ops::Range;

use super::ListenerError;
use crate::escape;

/// A specification that cannot be read.
///
/// [`fmt::Display`] shows the text with a mark under the place; [`SpecError::hint`] says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    /// The whole text.
    pub input: String,
    /// The place of the fault, in bytes of `input`. Empty at the end means that something is missing there.
    pub at: Range<usize>,
    /// What is wrong.
    pub kind: SpecErrorKind,
}

/// What is wrong with a specification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecErrorKind {
    /// Nothing was typed.
    #[error("a port is missing")]
    Empty,
    /// `8080:`
    #[error("the target is missing")]
    Target,
    /// `30999,30998`
    #[error("one port at a time")]
    Comma,
    /// 0, above 65535, or no number at all.
    #[error("not a port: ports are 1 to 65535")]
    Port,
    /// `200-100`
    #[error("the range is reversed: the first port is above the last")]
    Reversed,
    /// `8000-8001:30000-30009`
    #[error("the ranges differ in length: {host} on the host, {target} at the target")]
    Lengths {
        /// How many host ports.
        host: usize,
        /// How many target ports.
        target: usize,
    },
    /// `/sctp`
    #[error("not a protocol")]
    Protocol,
    /// `999.0.0.1:80` or `[::g]:80`
    #[error("not an IP address")]
    Address,
    /// `224.0.0.1:80:30080`
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// `::1:80`
    #[error("an IPv6 address needs brackets")]
    Brackets,
    /// `ingress/web`
    #[error("not a kind of target")]
    TargetKind,
    /// `svc/` or `svc/Web`
    #[error("not a name: lower-case letters, digits and dashes, with a letter or digit at both ends")]
    Name,
    /// `node/`
    #[error("not a container's name: letters, digits, `_`, `.` and `-`, with a letter or digit first")]
    Container,
    /// `pod/web`
    #[error("the target's port is missing")]
    TargetPort,
    /// `30999 oops`
    #[error("unexpected text")]
    Rest,
}

impl SpecError {
    /// What to type instead of a [`Selector`](super::Selector).
    pub fn selector_hint(&self) -> &'static str {
        match self.kind {
            SpecErrorKind::Empty | SpecErrorKind::Target | SpecErrorKind::Port | SpecErrorKind::Rest => {
                "an open port is named [ADDRESS:]PORT[-LAST][/PROTOCOL], as 30999, 30998/udp or 30000-30020"
            }
            _ => self.hint(),
        }
    }

    /// What to type instead of a [`PortSpec`](super::PortSpec).
    pub fn hint(&self) -> &'static str {
        match self.kind {
            SpecErrorKind::Comma => "separate ports by blanks, as 30999 30998/udp",
            SpecErrorKind::Empty | SpecErrorKind::Target | SpecErrorKind::Port | SpecErrorKind::Rest => {
                "a port is written [ADDRESS:][HOSTPORT:]TARGET[/PROTOCOL], as 30999, 8080:30080 or 127.0.0.1:8080:30080/tcp"
            }
            SpecErrorKind::Reversed => "write the lower port first, as 30000-30020",
            SpecErrorKind::Lengths { .. } => {
                "give both ranges the same length, as 8000-8020:30000-30020, or name one only"
            }
            SpecErrorKind::Protocol => "the protocols are tcp, udp and tcp+udp, as 30998/udp",
            SpecErrorKind::Address => "an address is written 127.0.0.1, [::1] or localhost",
            SpecErrorKind::Listener(error) => error.hint(),
            SpecErrorKind::Brackets => "write it as [::1]:8080:30080",
            SpecErrorKind::TargetKind => {
                "the targets are PORT, FIRST-LAST, svc/NAME[.NAMESPACE][:PORT], pod/NAME[.NAMESPACE]:PORT (also deploy/, sts/, ds/) and node/CONTAINER:PORT"
            }
            SpecErrorKind::Name => "Kubernetes' names are like web or web.shop, `kubectl get services -A` lists them",
            SpecErrorKind::Container => "`docker ps` lists the containers' names",
            SpecErrorKind::TargetPort => "add the port, as pod/web.shop:8080 or node/k3d-mycluster-server-0:6443",
        }
    }
}

/// The text may have come from anywhere: what is not safe to print is escaped, and the mark stands under what is shown.
impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, rest) = self.input.split_at_checked(self.at.start).unwrap_or_default();
        let place = escape::line(rest.get(..self.at.len()).unwrap_or_default());
        if place.is_empty() {
            writeln!(f, "{}", self.kind)?;
        } else {
            writeln!(f, "`{place}`: {}", self.kind)?;
        }
        let column = escape::line(before).chars().count();
        let width = place.chars().count().max(1);
        writeln!(f, "  {}", escape::message(&self.input))?;
        write!(f, "  {:column$}{}", "", "^".repeat(width))
    }
}

impl std::error::Error for SpecError {}
