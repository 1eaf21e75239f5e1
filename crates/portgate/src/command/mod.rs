//! The commands, one file each. None calls another.

mod close;
mod clusters;
mod completion;
mod demo;
mod down;
mod gate;
mod logs;
mod ls;
mod migrate;
mod open;
mod restart;
mod start;
mod stop;
mod test;
mod version;

pub(crate) use close::close;
pub(crate) use clusters::clusters;
pub(crate) use completion::completion;
pub(crate) use demo::demo;
pub(crate) use down::down;
pub(crate) use gate::gate;
pub(crate) use logs::logs;
pub(crate) use ls::ls;
pub(crate) use migrate::migrate;
pub(crate) use open::open;
pub(crate) use restart::restart;
pub(crate) use start::start;
pub(crate) use stop::stop;
pub(crate) use test::test;
pub(crate) use version::version;
