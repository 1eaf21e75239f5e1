//! `cargo xtask demo`: portgate's own demo, on an engine that is there when it starts.

use crate::invocation::Invocation;
use crate::setup;

/// Builds portgate and runs its demo, or takes down what the demo left behind.
///
/// Without an engine the demo still runs: portgate then shows what it can do as a plain process.
pub(crate) fn run(down: bool, dry_run: bool) -> anyhow::Result<()> {
    if !down {
        eprintln!("\n== Docker engine ==");
        if let Err(error) = setup::ensure_engine(dry_run) {
            eprintln!("warning: {error:#}");
        }
    }
    eprintln!("\n== Demo ==");
    let demo = Invocation::new("cargo run --release --package portgate -- demo");
    let demo = if down { demo.arg("--down") } else { demo };
    if dry_run {
        eprintln!("$ {demo}");
        return Ok(());
    }
    demo.run()
}
