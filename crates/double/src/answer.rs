//! The server's responses.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::Value;

use crate::status::Status;

/// What is sent back.
pub(crate) type Answer = Response<Body>;

/// The body of a response: whole, or a watch's events as they come.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// An object, or a list of them.
pub(crate) fn object(value: &Value) -> Answer {
    json(StatusCode::OK, whole(line(value)))
}

/// A failure.
pub(crate) fn failure(status: &Status) -> Answer {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = json(code, whole(line(&status.object())));
    if let Some(seconds) = status.retry_after() {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer
}

/// What Go's `http.Error` sends.
pub(crate) fn text(code: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(whole(format!("{text}\n")));
    *answer.status_mut() = code;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

pub(crate) fn json(code: StatusCode, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = code;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    answer
}

/// JSON as the API server writes it, with a line's end.
pub(crate) fn line(value: &Value) -> Bytes {
    format!("{value}\n").into()
}
