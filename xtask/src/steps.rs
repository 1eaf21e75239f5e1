//! The checks of a contribution: which, in which order, and with which commands.

use crate::invocation::Invocation;

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Its heading.
    pub(crate) title: &'static str,
    /// What it comes to.
    pub(crate) work: Work,
}

/// What a check comes to on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Run this; the check holds if it succeeds.
    Run(Invocation),
    /// Leave it out, for this reason, until the hint is followed.
    Skip {
        /// What is missing.
        why: &'static str,
        /// What to do about it.
        hint: &'static str,
    },
}

/// Which tools are installed beside Cargo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tools {
    /// rustfmt and clippy.
    components: bool,
    /// cargo-deny.
    deny: bool,
}

impl Tools {
    /// Looks for each tool by asking for its version.
    pub(crate) fn observe() -> Self {
        let answers = |tool: &str| Invocation::new(tool).arg("--version").succeeds();
        Self { components: answers("cargo fmt") && answers("cargo clippy"), deny: answers("cargo deny") }
    }
}

/// The checks that come before the tests, and before them what installs the tools for them.
///
/// Lints and documentation are made in the tests' profile: each finds there what the one before it learnt of the
/// dependencies.
pub(crate) fn checks(tools: Tools) -> Vec<Step> {
    let mut steps = Vec::new();
    if !tools.components {
        steps.push(Step::run("Rust components", Invocation::new("rustup component add rustfmt clippy")));
    }
    let lints = "cargo clippy --workspace --all-targets --profile checked -- -D warnings";
    let documentation = "cargo doc --workspace --no-deps --profile checked";
    steps.extend([
        Step::run("Format", Invocation::new("cargo fmt --all --check")),
        Step::run("Lints", Invocation::new(lints)),
        Step::run("Documentation", Invocation::new(documentation).env("RUSTDOCFLAGS", "-D warnings")),
    ]);
    let work = if tools.deny {
        Work::Run(Invocation::new("cargo deny check bans licenses sources"))
    } else {
        Work::Skip { why: "cargo-deny is not installed", hint: "`cargo install --locked cargo-deny`" }
    };
    steps.push(Step { title: "Licences and sources of dependencies", work });
    steps
}

/// The tests: all of them, or those whose names contain `filter`.
pub(crate) fn tests(filter: Option<&str>) -> Invocation {
    let tests = Invocation::new("cargo test --workspace --profile checked --no-fail-fast");
    filter.into_iter().fold(tests, Invocation::arg)
}

impl Step {
    fn run(title: &'static str, invocation: Invocation) -> Self {
        Self { title, work: Work::Run(invocation) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(tools: Tools) -> Vec<&'static str> {
        checks(tools).iter().map(|step| step.title).collect()
    }

    #[test]
    fn cheap_checks_come_first() {
        let order = ["Format", "Lints", "Documentation", "Licences and sources of dependencies"];
        assert_eq!(titles(Tools { components: true, deny: true }), order);
    }

    #[test]
    fn missing_components_are_installed_before_all_else() {
        assert_eq!(titles(Tools { components: false, deny: true })[..2], ["Rust components", "Format"]);
    }

    #[test]
    fn without_cargo_deny_its_check_is_skipped_visibly() {
        let last = checks(Tools { components: true, deny: false }).pop();
        assert!(matches!(last, Some(Step { work: Work::Skip { .. }, .. })), "{last:?}");
    }

    #[test]
    fn a_filter_reaches_cargo_as_one_word() {
        assert!(tests(None).to_string().ends_with("--no-fail-fast"));
        assert!(tests(Some("a b")).to_string().ends_with("--no-fail-fast 'a b'"));
    }
}
