//! The domain of portgate: what its users' words mean, and every decision that needs no I/O.
//!
//! Nothing here knows a socket, a file, a clock or a runtime. Three pure functions carry the program:
//! [`spec::PortSpec::parse`] (text to meaning), [`plan::plan`] (wanted and running to ordered changes) and
//! [`table::build`] (mappings and nodes to backends).

pub mod causes;
pub mod cluster;
pub mod control;
pub mod escape;
pub mod forward;
pub mod host_port;
pub mod kubernetes;
pub mod limits;
pub mod mapping;
pub mod plan;
pub mod port;
pub mod spec;
pub mod state;
pub mod status;
pub mod suggest;
pub mod table;
