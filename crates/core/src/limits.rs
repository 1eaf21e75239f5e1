//! The limits of everything that comes from outside: what a container, an image, an API server, a worker or a client of
//! the control socket may make portgate read, keep or wait for.
//!
//! Each limit is far above what is seen in practice, and far below what hurts. Exceeding one is [`Exceeded`], which names
//! the limit and the place.

use std::fmt;
use std::time::Duration;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things in a list or in a queue.
    Items,
}

/// The most of something that is taken from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is limited, such as `kubeconfig`.
    pub name: &'static str,
    /// The largest value that is accepted.
    pub most: usize,
    /// What `most` counts.
    pub unit: Unit,
}

/// Something from outside is larger than its limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} exceeds the limit of {limit}")]
pub struct Exceeded {
    /// Where it came from, such as `/output/kubeconfig.yaml of k3d-dev-server-0`.
    pub place: String,
    /// Which limit.
    pub limit: Limit,
}

impl Limit {
    const fn bytes(name: &'static str, most: usize) -> Self {
        Self { name, most, unit: Unit::Bytes }
    }

    const fn items(name: &'static str, most: usize) -> Self {
        Self { name, most, unit: Unit::Items }
    }

    /// Fails if `value` is above the limit. `place` says where it came from.
    pub fn check(self, value: usize, place: impl FnOnce() -> String) -> Result<(), Exceeded> {
        if value > self.most { Err(Exceeded { place: place(), limit: self }) } else { Ok(()) }
    }

    /// The beginning of a text that is longer than the limit; a shorter one as it is.
    #[must_use]
    pub fn cut(self, mut text: String) -> String {
        text.truncate(text.floor_char_boundary(self.most));
        text
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, most, unit } = self;
        match unit {
            Unit::Bytes if most % (1 << 20) == 0 => write!(f, "{} MiB for a {name}", most >> 20),
            Unit::Bytes if most % (1 << 10) == 0 => write!(f, "{} KiB for a {name}", most >> 10),
            Unit::Bytes => write!(f, "{most} bytes for a {name}"),
            Unit::Items => write!(f, "{most} {name}"),
        }
    }
}

/// A kubeconfig, read out of a container or from the user's files. An admin kubeconfig has 3 to 6 KiB; a user's with a
/// hundred contexts, 600 KiB.
pub const KUBECONFIG: Limit = Limit::bytes("kubeconfig", 4 << 20);

/// The state file of a gate. One of 65,535 mappings has about 12 MB.
pub const STATE: Limit = Limit::bytes("state file", 32 << 20);

/// A line of a log. A gate writes none that is longer than 16 KiB, and prints 4,096 characters of it.
pub const LOG_LINE: Limit = Limit::bytes("line of a log", 64 << 10);

/// What is kept of the standard error of a program in a container, to be told as the reason of its failure.
pub const COMPLAINT: Limit = Limit::bytes("error message", 16 << 10);

/// The images whose labels are remembered.
pub const IMAGES: Limit = Limit::items("images", 256);

/// For a file out of a container. The engine reads it from the disk, and takes some milliseconds.
pub const FILE_TIME: Duration = Duration::from_secs(10);

/// For a gate to tell a listing what it carries, which takes it some milliseconds.
pub const STATUS_TIME: Duration = Duration::from_secs(1);

/// For a gate to do as it is asked. To open a thousand ports takes it less than a second.
pub const ANSWER_TIME: Duration = Duration::from_secs(30);

/// For the engine to start the program in a gate's container that a conversation goes through: 0.15 s on a machine at
/// rest, some seconds on a busy one.
pub const EXEC_TIME: Duration = Duration::from_secs(3);

// What a Kubernetes API server sends. Together these keep what one server can make portgate hold well below 64 MiB.

/// The status line and the headers of an answer. Kubernetes sends some 500 bytes.
pub const API_HEAD: Limit = Limit::bytes("response head", 64 << 10);

/// The body of an answer that refuses a request. A `Status` has some 300 bytes, a proxy's page some KiB. The rest of a
/// longer one is not read.
pub const API_REFUSAL: Limit = Limit::bytes("refusal", 64 << 10);

/// One object. etcd takes 1.5 MiB.
pub const API_OBJECT: Limit = Limit::bytes("object", 4 << 20);

/// One page of a list: 100 objects are asked for, and a pod has some 10 KiB.
pub const API_PAGE: Limit = Limit::bytes("page of a list", 8 << 20);

/// The pages of one list.
pub const API_PAGES: Limit = Limit::items("pages of a list", 200);

/// The objects of one list. Kubernetes is tested with 10,000 Services.
pub const API_OBJECTS: Limit = Limit::items("objects of a list", 10_000);

/// All pages of one list.
pub const API_LIST: Limit = Limit::bytes("list", 256 << 20);

/// One line of a watch, which has one object.
pub const API_LINE: Limit = Limit::bytes("line of a watch", 4 << 20);

/// What is kept of all objects of one cluster: some 30,000 endpoints.
pub const API_KEPT: Limit = Limit::bytes("cluster's Services and pods", 8 << 20);

/// A version, a page's token or a label selector, which become part of the next request's URL.
pub const API_PARAMETER: Limit = Limit::bytes("parameter of a request", 4 << 10);

/// The endpoints of one `EndpointSlice`, as the API limits them.
pub const SLICE_ENDPOINTS: Limit = Limit::items("endpoints of an EndpointSlice", 1000);

/// The ports of one `EndpointSlice`, as the API limits them.
pub const SLICE_PORTS: Limit = Limit::items("ports of an EndpointSlice", 100);

/// One message of a WebSocket that carries a port-forward. API servers send up to 32 KiB.
pub const WEBSOCKET_MESSAGE: Limit = Limit::bytes("WebSocket message", 128 << 10);

/// Why the pod's side refuses a connection. containerd says it in some 300 bytes. The rest of a longer text is dropped.
pub const VERDICT: Limit = Limit::bytes("connection's error text", 16 << 10);

/// A file with a bearer token, or with a namespace. A service account's token has some 1 KiB.
pub const CREDENTIAL_FILE: Limit = Limit::bytes("token file", 64 << 10);

/// The YAML nodes of a kubeconfig out of a container. An admin kubeconfig has some 40.
pub const KUBECONFIG_NODES: Limit = Limit::items("YAML nodes of a container's kubeconfig", 10_000);

/// How long a connection to an API server may take to be made, TLS included.
pub const API_CONNECT: Duration = Duration::from_secs(5);

/// How long an answer of an API server may take, or the part of one without which nothing can be done: a page, the rest
/// of a line, the reply to a stream.
pub const API_ANSWER: Duration = Duration::from_secs(10);

/// How long all pages of one list may take.
pub const API_LISTING: Duration = Duration::from_mins(1);

/// One line that the CLI and a gate say to each other. One of 65,535 mappings has about 12 MB.
pub const CONTROL_LINE: Limit = Limit::bytes("control line", 32 << 20);

/// Connections to a gate's control socket at a time. A command has one open, for as long as it runs.
pub const CONTROL_CONNECTIONS: Limit = Limit::items("connections to a control socket", 32);

/// The requests that a gate has not answered yet, over all connections: two of the longest ones
/// ([`CONTROL_LINE`]).
pub const CONTROL_REQUESTS: Limit = Limit::bytes("control socket's requests", 64 << 20);

/// How long a client of the control socket may take to send one request, or to read one answer. The CLI does not wait
/// longer either.
pub const CONTROL_TRANSFER: Duration = Duration::from_secs(30);

/// How long a client of the control socket may be silent between two requests. A command asks within seconds; one that
/// waits for its user, or builds an image, takes minutes.
pub const CONTROL_SILENCE: Duration = Duration::from_mins(10);

/// One order to a worker. The addresses of 65,535 mappings to be closed are 6 MB.
pub const WORKER_ORDER: Limit = Limit::bytes("worker's order", 64 << 20);

/// One report of a worker. The longest has the counters of [`WORKER_COUNTERS`] mappings: 12 KiB of addresses each, if
/// they listen on as many as they may, and an error.
pub const WORKER_REPORT: Limit = Limit::bytes("worker's report", 2 << 20);

/// The mappings whose counters are in one report of a worker.
pub const WORKER_COUNTERS: Limit = Limit::items("mappings in a worker's report", 64);

/// A text in a worker's report. An error names a node, an address and the reason.
pub const WORKER_TEXT: Limit = Limit::bytes("text of a worker", 1 << 10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exceeded_limit_names_the_limit_and_the_place() {
        let place = || "/output/kubeconfig.yaml of k3d-dev-server-0".to_owned();
        assert_eq!(KUBECONFIG.check(KUBECONFIG.most, place), Ok(()));
        let error = KUBECONFIG.check(KUBECONFIG.most + 1, place).unwrap_err();
        let expected = "/output/kubeconfig.yaml of k3d-dev-server-0 exceeds the limit of 4 MiB for a kubeconfig";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_text_is_cut_at_the_end_of_a_character() {
        let limit = Limit::bytes("text", 4);
        assert_eq!(limit.cut("äöü".to_owned()), "äö");
        assert_eq!(limit.cut("aäö".to_owned()), "aä");
        assert_eq!(limit.cut("äö".to_owned()), "äö");
    }

    #[test]
    fn a_limit_of_items_reads_as_a_number_of_them() {
        assert_eq!(IMAGES.to_string(), "256 images");
    }
}
