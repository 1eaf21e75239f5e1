//! Against a real engine. Without one the tests are skipped, and say so; where `CI=true` they fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod clusters;
mod gates;
mod images;
mod lab;
