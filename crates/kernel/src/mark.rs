//! Firewall marks: which ones a cluster may have, and which ones others have already.

/// The bits of every mark that are the same, so that a mark of portgate can be recognised.
const FAMILY: u32 = 0x7000_0000;

/// How many marks a cluster may choose from.
const CHOICES: u32 = 8;

/// A routing rule that applies to packets by their mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MarkRule {
    pub(crate) mark: u32,
    pub(crate) mask: u32,
}

impl MarkRule {
    /// Whether it applies to packets with this mark, and not to those without any.
    fn concerns(self, mark: u32) -> bool {
        let wanted = self.mark & self.mask;
        wanted != 0 && mark & self.mask == wanted
    }
}

/// The marks that a cluster may have, the first choice first: the same for the same name.
pub(crate) fn choices(name: &str) -> impl Iterator<Item = u32> {
    (0..CHOICES).map(move |choice| match choice {
        0 => spread(fnv1a(name.as_bytes())),
        choice => spread(fnv1a(format!("{name}#{choice}").as_bytes())),
    })
}

/// The first choice that no rule of others concerns.
pub(crate) fn unused(name: &str, others: &[MarkRule]) -> Option<u32> {
    choices(name).find(|mark| !others.iter().any(|rule| rule.concerns(*mark)))
}

/// The mark that gates had when every bit below the family was free: it may still be in rules that a killed one has left.
pub(crate) fn former(name: &str) -> u32 {
    FAMILY | fnv1a(name.as_bytes()) & 0x00ff_ffff
}

/// Puts 17 bits of a hash where others have none that they look at alone: not where Cilium (bits 8 to 11), kubelet and
/// kube-proxy (14 and 15), and Calico, Weave and Tailscale (from 16 up) have theirs. Docker and VPNs compare whole marks, and
/// none of these begins with 7.
fn spread(hash: u32) -> u32 {
    let folded = hash ^ hash >> 17;
    FAMILY | folded & 0xff | (folded >> 8 & 0x3) << 12 | (folded >> 10 & 0x7f) << 21
}

/// FNV-1a, 32 bits: <http://www.isthe.com/chongo/tech/comp/fnv/>. Stable, unlike the hashes of the standard library.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn first(name: &str) -> u32 {
        choices(name).next().unwrap()
    }

    #[test]
    fn a_mark_has_none_of_the_bits_that_others_look_at() {
        for number in 0..1000 {
            for mark in choices(&format!("portgate-k3d-{number}")) {
                assert_eq!(mark & 0x001f_cf00, 0, "{mark:#x}");
                assert_eq!(mark >> 28, 7, "{mark:#x}");
            }
        }
    }

    #[test]
    fn clusters_have_different_marks() {
        let marks: BTreeSet<u32> = (0..100).map(|number| first(&format!("portgate-kind-{number}"))).collect();
        assert_eq!(marks.len(), 100);
        assert_eq!(choices("portgate-kind-a").collect::<BTreeSet<_>>().len(), 8);
    }

    #[test]
    fn a_mark_that_a_rule_of_others_concerns_is_left_to_them() {
        let name = "portgate-k3d-dev";
        let all: Vec<u32> = choices(name).collect();
        assert_eq!(unused(name, &[]), Some(all[0]));
        assert_eq!(unused(name, &[MarkRule { mark: all[0], mask: u32::MAX }]), Some(all[1]));
        // A rule for a few bits, and one for packets that lack them.
        assert_eq!(unused(name, &[MarkRule { mark: 0x7000_0000, mask: 0xf000_0000 }]), None);
        assert_eq!(unused(name, &[MarkRule { mark: 0, mask: 0xc000 }]), Some(all[0]));
        assert_eq!(unused(name, &[MarkRule { mark: 0x8_0000, mask: 0xff_0000 }]), Some(all[0]));
    }

    #[test]
    fn the_hash_is_fnv1a() {
        // The test vectors of the reference implementation.
        assert_eq!(fnv1a(b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }
}
