//! The readers of netlink replies, for the fuzz targets: they are private, because nobody else needs them.

use crate::entry::Entry;
use crate::socket::parts;
use crate::{conntrack, route, table};

/// Reads what was received at once, each message as the answer to every request that this crate makes. Returns how many
/// readings made something of a message.
pub fn replies(received: &[u8]) -> usize {
    let mut understood = 0;
    for part in parts(received) {
        let entry = conntrack::decoded(part.body);
        let fronts = entry.iter().flat_map(Entry::fronts).count();
        let counts = table::counted(part.body).is_some_and(|counts| !counts.is_empty());
        let table = table::handle_and_uses(part.body) != (0, 0);
        let readings = [fronts > 0, counts, table, route::decoded(part.body).is_some(), part.outcome().is_err()];
        understood += readings.into_iter().filter(|understood| *understood).count();
    }
    understood
}
