//! What CLI and gate say to each other.

use bytes::BytesMut;
use portgate_core::cluster::{ClusterId, Provider};
use portgate_core::control::{Request, Response};
use portgate_core::limits::CONTROL_LINE;
use portgate_core::state::GateState;
use tokio_util::codec::{Decoder as _, LinesCodec};

use crate::json::assert_comes_back;
use crate::{Target, state};

/// `core::control`, a line at a time
pub const TARGET: Target = Target { name: "control", check, growth: 400 };

fn check(data: &[u8]) -> bool {
    let mut lines = LinesCodec::new_with_max_length(CONTROL_LINE.most);
    let mut input = BytesMut::from(data);
    let mut is_understood = false;
    while let Ok(Some(line)) = lines.decode_eof(&mut input) {
        is_understood |= is_request(&line) | is_response(&line);
    }
    is_understood
}

fn is_request(line: &str) -> bool {
    let Ok(request) = serde_json::from_str::<Request>(line) else { return false };
    assert_comes_back(&request);
    if let Request::Change(change) = &request {
        let cluster = ClusterId { provider: Provider::K3d, name: "dev".to_owned() };
        state::check_state(&GateState::new(cluster, Vec::new(), Vec::new()).changed(change));
    }
    true
}

fn is_response(line: &str) -> bool {
    let Ok(response) = serde_json::from_str::<Response>(line) else { return false };
    assert_comes_back(&response);
    if let Response::Refused(refusal) = &response {
        assert!(!refusal.to_string().is_empty());
    }
    true
}
