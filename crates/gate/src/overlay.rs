//! The kernel path over the relay, or the reason why there is none.

mod pace;

use std::collections::BTreeMap;
use std::time::Duration;

use portgate_core::causes;
use portgate_core::cluster::ClusterId;
use portgate_core::control::Detail;
use portgate_core::mapping::Local;
use portgate_core::status::{Counters, Datapath, RelayReason};
use portgate_core::table::Table;
use portgate_kernel::{self as kernel, Identity, Watch};
use tokio::time::{Instant, sleep_until};

use self::pace::Pace;
use crate::admission::Admission;
use crate::settings::Place;

/// How often the interface's settings are read while a mapping is carried: the kernel tells nobody of their change, and
/// without them 127.0.0.1 is dead. Reading them takes microseconds.
const GLANCE: Duration = Duration::from_millis(500);

/// The kernel path of a gate.
pub(crate) struct Overlay {
    path: Path,
    pace: Pace,
}

enum Path {
    /// It carries what it can.
    On(Box<Rules>),
    /// The relay carries all. If the kernel was tried and refused, then for this place.
    Off { reason: RelayReason, tried: Option<kernel::Place> },
}

/// The rules, and the watch over them.
struct Rules {
    place: kernel::Place,
    datapath: kernel::Datapath,
    admission: Admission,
    watch: Watch,
    /// When the settings are read next.
    glance: Instant,
}

/// What happens to the rules by itself.
pub(crate) enum Change {
    /// Another backend may be led to.
    Admitted,
    /// The kernel's rules need a look: others have changed some, or something has failed that may succeed now.
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
        Self { path: Path::Off { reason, tried: None }, pace: Pace::default() }
    }

    /// Programmes the kernel for this interface, unless that is done already, was refused, or is not wanted. Returns
    /// whether there are new rules, which lead nowhere yet.
    pub(crate) fn follow(&mut self, place: &Place, cluster: &ClusterId, bridge: Option<&str>) -> bool {
        let Some(wanted) = wanted(place, bridge) else {
            self.end_with(RelayReason::NoBridge);
            return false;
        };
        match &self.path {
            Path::On(rules) if rules.place == wanted => return false,
            Path::Off { tried: Some(tried), .. } if *tried == wanted => return false,
            Path::Off { reason: RelayReason::Stopped, .. } => return false,
            _ => self.end_with(RelayReason::NoBridge),
        }
        match Rules::start(Identity::of(cluster), wanted.clone()) {
            Ok(rules) => {
                self.path = Path::On(Box::new(rules));
                self.pace.looked(Instant::now());
                true
            }
            Err(error) => {
                let message = causes::line(&error);
                let passes = error.is_transient();
                if !passes || self.pace.failed(Instant::now()) {
                    tracing::warn!(error = message, "no kernel path: the relay carries all");
                }
                // The interface may come, and that is an event.
                let is_final = !passes && !matches!(error, kernel::Error::NoBridge { .. });
                let tried = is_final.then_some(wanted);
                self.path = Path::Off { reason: RelayReason::Refused { message }, tried };
                false
            }
        }
    }

    /// Whether addresses within the cluster can be reached through a node.
    pub(crate) fn has_routes(&self) -> bool {
        matches!(self.path, Path::On(_))
    }

    /// Leads the mappings to where this table says, and to the relay where the kernel refuses.
    pub(crate) fn apply(&mut self, table: &Table) {
        let Path::On(rules) = &mut self.path else { return };
        let table = rules.admission.admit(table);
        let applied = rules.datapath.apply(&table).or_else(|error| {
            if error.is_transient() {
                return Err(error);
            }
            // What it was to change may be gone.
            rules.datapath.mend()?;
            rules.datapath.apply(&table)
        });
        match applied {
            Ok(()) => self.pace.succeeded(),
            Err(error) => self.fail(&error, "the kernel refused new rules"),
        }
    }

    /// Why the relay carries this mapping; `None` if the kernel does.
    pub(crate) fn relay_reason(&self, local: &Local) -> Option<RelayReason> {
        match &self.path {
            Path::On(rules) => rules.datapath.relay_reason(local),
            Path::Off { reason, .. } => Some(reason.clone()),
        }
    }

    /// What the kernel carried.
    pub(crate) fn counters(&mut self, detail: Detail) -> BTreeMap<Local, Counters> {
        let Path::On(rules) = &mut self.path else { return BTreeMap::new() };
        rules.datapath.counters(detail).unwrap_or_else(|error| {
            tracing::warn!(error = causes::line(&error), "cannot read the kernel's counters");
            BTreeMap::new()
        })
    }

    /// What happens next; never anything, where there are no rules. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Change {
        loop {
            let due = self.pace.due();
            let pace = &mut self.pace;
            let Path::On(rules) = &mut self.path else {
                at(due).await;
                return Change::Touched;
            };
            tokio::select! {
                () = rules.admission.next() => return Change::Admitted,
                () = at(due) => return Change::Touched,
                () = touched(&mut rules.watch), if due.is_none() => pace.ask(Instant::now()),
                () = sleep_until(rules.glance), if due.is_none() && rules.datapath.carries_any() => {
                    rules.glance = Instant::now() + GLANCE;
                    if !rules.datapath.is_set() {
                        pace.ask(Instant::now());
                    }
                }
            }
        }
    }

    /// Whether a connection is open by the kernel path.
    pub(crate) fn is_busy(&mut self) -> bool {
        self.counters(Detail::Whole).values().any(|counters| counters.connections_open > 0)
    }

    /// Puts back what others have removed. [`Overlay::follow`] and [`Overlay::apply`] are to come after it: what failed may
    /// have been one of these.
    pub(crate) fn mend(&mut self) {
        self.pace.looked(Instant::now());
        let Path::On(rules) = &mut self.path else { return };
        match rules.datapath.mend() {
            Ok(true) => tracing::warn!("the kernel's rules were gone, and are back"),
            Ok(false) => {}
            Err(error) => self.fail(&error, "cannot put the kernel's rules back"),
        }
    }

    /// Takes the rules out of the kernel, for good.
    pub(crate) fn end(&mut self) {
        self.end_with(RelayReason::Stopped);
    }

    /// What passes is tried again, and what is in the kernel carries on; with any other failure the relay carries all.
    fn fail(&mut self, error: &kernel::Error, what: &str) {
        let message = causes::line(error);
        if error.is_transient() {
            if self.pace.failed(Instant::now()) {
                tracing::warn!(error = message, "{what}: trying again");
            }
        } else {
            tracing::warn!(error = message, "{what}: the relay carries all");
            self.end_with(RelayReason::Refused { message });
        }
    }

    fn end_with(&mut self, reason: RelayReason) {
        if let Path::On(_) = self.path
            && let Path::On(rules) = std::mem::replace(&mut self.path, Path::Off { reason, tried: None })
            && let Err(error) = rules.datapath.end()
        {
            tracing::warn!(error = causes::line(&error), "cannot remove the kernel's rules");
        }
    }
}

/// Ends when somebody has changed the kernel's rules. A watch that fails sees too little, which is as good a reason to look.
async fn touched(watch: &mut Watch) {
    if let Err(error) = watch.changed().await {
        tracing::debug!(%error, "cannot watch the kernel's rules");
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
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
    fn start(identity: Identity, place: kernel::Place) -> Result<Self, kernel::Error> {
        let watch = Watch::new()?;
        let datapath = kernel::Datapath::start(identity, place.clone())?;
        Ok(Self { place, datapath, admission: Admission::default(), watch, glance: Instant::now() + GLANCE })
    }
}
