//! The kernel path over the relay, or the reason why there is none.

use std::collections::BTreeMap;

use portgate_core::causes;
use portgate_core::cluster::ClusterId;
use portgate_core::control::Detail;
use portgate_core::mapping::Local;
use portgate_core::status::{Counters, Datapath, RelayReason};
use portgate_core::table::Table;
use portgate_kernel::{self as kernel, Identity, Watch};

use crate::admission::Admission;
use crate::settings::Place;

/// The kernel path of a gate.
pub(crate) enum Overlay {
    /// It carries what it can.
    On(Box<Rules>),
    /// The relay carries all. If the kernel was tried, then for this place.
    Off { reason: RelayReason, tried: Option<kernel::Place> },
}

/// The rules, and the watch over them.
pub(crate) struct Rules {
    place: kernel::Place,
    datapath: kernel::Datapath,
    admission: Admission,
    watch: Option<Watch>,
}

/// What happens to the rules by itself.
pub(crate) enum Change {
    /// Another backend may be led to.
    Admitted,
    /// Somebody has changed the kernel's rules.
    Touched,
}

impl Overlay {
    /// No rules yet.
    pub(crate) fn off(place: &Place) -> Self {
        let reason = match place {
            Place::Process(_) => RelayReason::Process,
            Place::Published(Datapath::Relay) => RelayReason::NotAsked,
            Place::Host(host) if host.datapath == Datapath::Relay => RelayReason::Asked,
            Place::Published(Datapath::Kernel) | Place::Host(_) => RelayReason::NoBridge,
        };
        Self::Off { reason, tried: None }
    }

    /// Programmes the kernel for this interface, unless that is done already, was refused, or is not wanted. Returns
    /// whether there are new rules, which lead nowhere yet.
    pub(crate) fn follow(&mut self, place: &Place, cluster: &ClusterId, bridge: Option<&str>) -> bool {
        let Some(wanted) = wanted(place, bridge) else {
            self.end_with(RelayReason::NoBridge);
            return false;
        };
        match self {
            Self::On(rules) if rules.place == wanted => return false,
            Self::Off { tried: Some(tried), .. } if *tried == wanted => return false,
            _ => self.end_with(RelayReason::NoBridge),
        }
        let (now, started) = match Rules::start(Identity::of(cluster), wanted.clone()) {
            Ok(rules) => (Self::On(Box::new(rules)), true),
            Err(reason) => {
                tracing::warn!(%reason, "no kernel path: the relay carries all");
                (Self::Off { reason, tried: Some(wanted) }, false)
            }
        };
        *self = now;
        started
    }

    /// Whether addresses within the cluster can be reached through a node.
    pub(crate) fn has_routes(&self) -> bool {
        matches!(self, Self::On(_))
    }

    /// Leads the mappings to where this table says, and to the relay where the kernel refuses.
    pub(crate) fn apply(&mut self, table: &Table) {
        let Self::On(rules) = self else { return };
        if let Err(error) = rules.datapath.apply(&rules.admission.admit(table)) {
            let message = causes::line(&error);
            tracing::warn!(error = message, "the kernel refused new rules: the relay carries all");
            self.end_with(RelayReason::Refused { message });
        }
    }

    /// Why the relay carries this mapping; `None` if the kernel does.
    pub(crate) fn relay_reason(&self, local: &Local) -> Option<RelayReason> {
        match self {
            Self::On(rules) => rules.datapath.relay_reason(local),
            Self::Off { reason, .. } => Some(reason.clone()),
        }
    }

    /// What the kernel carried.
    pub(crate) fn counters(&mut self, detail: Detail) -> BTreeMap<Local, Counters> {
        let Self::On(rules) = self else { return BTreeMap::new() };
        rules.datapath.counters(detail).unwrap_or_else(|error| {
            tracing::warn!(error = causes::line(&error), "cannot read the kernel's counters");
            BTreeMap::new()
        })
    }

    /// What happens next; never anything, where there are no rules. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Change {
        let Self::On(rules) = self else { return std::future::pending().await };
        tokio::select! {
            () = rules.admission.next() => Change::Admitted,
            () = touched(&mut rules.watch) => Change::Touched,
        }
    }

    /// Whether a connection is open by the kernel path.
    pub(crate) fn is_busy(&mut self) -> bool {
        self.counters(Detail::Whole).values().any(|counters| counters.connections_open > 0)
    }

    /// Puts back what others have removed.
    pub(crate) fn mend(&mut self) {
        let Self::On(rules) = self else { return };
        match rules.datapath.mend() {
            Ok(true) => tracing::warn!("the kernel's rules were gone, and are back"),
            Ok(false) => {}
            Err(error) => {
                let message = causes::line(&error);
                tracing::warn!(error = message, "the kernel's rules are gone: the relay carries all");
                self.end_with(RelayReason::Refused { message });
            }
        }
    }

    /// Takes the rules out of the kernel.
    pub(crate) fn end(&mut self) {
        self.end_with(RelayReason::Stopped);
    }

    fn end_with(&mut self, reason: RelayReason) {
        if let Self::On(_) = self
            && let Self::On(rules) = std::mem::replace(self, Self::Off { reason, tried: None })
            && let Err(error) = rules.datapath.end()
        {
            tracing::warn!(error = causes::line(&error), "cannot remove the kernel's rules");
        }
    }
}

/// Ends when somebody has changed the kernel's rules. A watch that fails is given up.
async fn touched(watch: &mut Option<Watch>) {
    if let Some(watch) = watch {
        match watch.changed().await {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, "cannot watch the kernel's rules any more"),
        }
    }
    *watch = None;
    std::future::pending::<()>().await;
}

/// Where the rules are to apply, if there are to be any.
fn wanted(place: &Place, bridge: Option<&str>) -> Option<kernel::Place> {
    match place {
        Place::Published(Datapath::Kernel) => Some(kernel::Place::Container),
        Place::Host(host) if host.datapath == Datapath::Kernel => {
            Some(kernel::Place::Host { bridge: bridge?.to_owned() })
        }
        Place::Process(_) | Place::Published(_) | Place::Host(_) => None,
    }
}

impl Rules {
    fn start(identity: Identity, place: kernel::Place) -> Result<Self, RelayReason> {
        let refused = |error: &dyn std::error::Error| RelayReason::Refused { message: causes::line(error) };
        let watch = Watch::new().map_err(|error| refused(&error))?;
        let datapath = kernel::Datapath::start(identity, place.clone()).map_err(|error| refused(&error))?;
        Ok(Self { place, datapath, admission: Admission::default(), watch: Some(watch) })
    }
}
