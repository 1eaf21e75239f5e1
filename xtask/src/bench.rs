//! `cargo xtask bench`: portgate's benchmark, on an engine that is there when it starts, beside proxies that are.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::invocation::Invocation;
use crate::machine::{Machine, Privilege, System};
use crate::setup;

/// The other proxies: a file of each below the root, and Debian's package that has it.
const PEERS: [(&str, &str); 3] = [
    ("usr/bin/socat", "socat"),
    ("usr/sbin/haproxy", "haproxy"),
    ("usr/lib/nginx/modules/ngx_stream_module.so", "libnginx-mod-stream"),
];

/// Builds portgate and the benchmark, gets the proxies to compare with, and measures.
///
/// Proxies that cannot be had are left out: the benchmark says so itself.
pub(crate) fn run(arguments: &[String], dry_run: bool) -> anyhow::Result<()> {
    let peers = target_directory()?.join("bench-peers");
    // Forwards need neither an engine nor the proxies.
    if arguments.first().is_none_or(|first| first != "forward") {
        eprintln!("\n== Docker engine ==");
        setup::ensure_engine(dry_run)?;
        eprintln!("\n== Other proxies ==");
        if let Err(error) = ensure_peers(&peers, dry_run) {
            eprintln!("warning: {error:#}");
        }
    }
    eprintln!("\n== Benchmark ==");
    let build = Invocation::new("cargo build --release --package portgate");
    let bench = Invocation::new("cargo run --release --package portgate-bench -- --peers").arg(peers.to_string_lossy());
    let bench = arguments.iter().fold(bench, Invocation::arg);
    if dry_run {
        eprintln!("$ {build}\n$ {bench}");
        return Ok(());
    }
    build.run()?;
    bench.run()
}

fn target_directory() -> anyhow::Result<PathBuf> {
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    std::path::absolute(target).context("cannot find the target directory")
}

fn ensure_peers(directory: &Path, dry_run: bool) -> anyhow::Result<()> {
    let packages = missing(directory, Path::exists);
    if packages.is_empty() {
        eprintln!("socat, haproxy and nginx are there");
        return Ok(());
    }
    let machine = Machine::observe();
    if machine.system != System::Debian {
        eprintln!("SKIPPED: {}: only Debian and Ubuntu get them from here", packages.join(", "));
        return Ok(());
    }
    let steps = acquisition(&packages, directory, machine.privilege);
    eprintln!(
        "missing are {}; this unpacks them in {}, and installs nothing:",
        packages.join(", "),
        directory.display()
    );
    for step in &steps {
        eprintln!("  {step}");
    }
    if dry_run {
        return Ok(());
    }
    let archives = archives(directory).join("partial");
    fs::create_dir_all(&archives).with_context(|| format!("cannot make {}", archives.display()))?;
    steps.iter().try_for_each(Invocation::run)
}

/// The packages of the proxies that are neither installed nor unpacked.
fn missing(unpacked: &Path, exists: impl Fn(&Path) -> bool) -> Vec<&'static str> {
    let is_missing = |file: &str| !exists(&Path::new("/").join(file)) && !exists(&unpacked.join(file));
    PEERS.into_iter().filter(|(file, _)| is_missing(file)).map(|(_, package)| package).collect()
}

/// What gets packages and those that they depend on. An installed nginx would start, and take port 80.
fn acquisition(packages: &[&str], directory: &Path, privilege: Option<Privilege>) -> Vec<Invocation> {
    let archives = archives(directory);
    let update = privilege.map(|privilege| Invocation::new("apt-get update").privileged(privilege));
    let download = Invocation::new("apt-get install --download-only --yes --no-install-recommends")
        .arg("--option=Debug::NoLocking=1")
        .arg(format!("--option=Dir::Cache::archives={}", archives.display()));
    let download = packages.iter().fold(download, |download, &package| download.arg(package));
    let unpack = Invocation::new("find")
        .arg(archives.to_string_lossy())
        .arg("-name")
        .arg("*.deb")
        .arg("-exec")
        .arg("dpkg-deb")
        .arg("--extract")
        .arg("{}")
        .arg(directory.to_string_lossy())
        .arg(";");
    update.into_iter().chain([download, unpack]).collect()
}

fn archives(directory: &Path) -> PathBuf {
    directory.join("archives")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_got() {
        let unpacked = Path::new("/src/target/bench-peers");
        assert_eq!(missing(unpacked, |_| false), ["socat", "haproxy", "libnginx-mod-stream"]);
        assert_eq!(missing(unpacked, |path| path.starts_with(unpacked)), Vec::<&str>::new());
        assert_eq!(missing(unpacked, |path| path == Path::new("/usr/bin/socat")), ["haproxy", "libnginx-mod-stream"]);
    }

    #[test]
    fn packages_are_unpacked_and_not_installed() {
        let steps = acquisition(&["socat"], Path::new("/t"), Some(Privilege::Root));
        let steps: Vec<String> = steps.iter().map(Invocation::to_string).collect();
        assert_eq!(
            steps,
            [
                "apt-get update",
                "apt-get install --download-only --yes --no-install-recommends --option=Debug::NoLocking=1 \
                 --option=Dir::Cache::archives=/t/archives socat",
                "find /t/archives -name '*.deb' -exec dpkg-deb --extract '{}' /t ';'",
            ]
        );
        assert_eq!(acquisition(&["socat"], Path::new("/t"), None).len(), 2);
    }
}
