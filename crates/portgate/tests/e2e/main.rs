//! portgate from end to end: the real program, a real Docker engine, real sockets.

mod open;
mod support;
