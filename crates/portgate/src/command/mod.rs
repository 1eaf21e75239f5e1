//! The commands, one file each. None calls another.

mod autostart;
mod close;
mod clusters;
mod completion;
mod demo;
mod down;
mod forward;
mod gate;
mod logs;
mod ls;
mod migrate;
mod open;
mod restart;
mod services;
mod start;
mod stop;
mod test;
mod version;

pub(crate) use autostart::autostart;
pub(crate) use close::close;
pub(crate) use clusters::clusters;
pub(crate) use completion::completion;
pub(crate) use demo::demo;
pub(crate) use down::down;
pub(crate) use forward::forward;
pub(crate) use gate::{gate, worker};
pub(crate) use logs::logs;
pub(crate) use ls::ls;
pub(crate) use migrate::migrate;
pub(crate) use open::open;
pub(crate) use restart::restart;
pub(crate) use services::services;
pub(crate) use start::start;
pub(crate) use stop::stop;
pub(crate) use test::test;
pub(crate) use version::version;
