//! `cargo xtask fuzz`: the fuzz targets under libFuzzer.

mod report;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::invocation::Invocation;
use report::{Hunt, Log};

/// How long each target runs, where nothing else is asked for.
pub(crate) const SECONDS: u32 = 30;

/// What the compiler adds to the code, so that libFuzzer sees which of it an input reaches and what it compares. Stable
/// compilers know these flags. They stand in the place of those of `.cargo/config.toml`: libFuzzer is not linked
/// statically.
const INSTRUMENTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// The programs of the targets, a source file each.
const PROGRAMS: &str = "fuzz/targets";

/// What all runs leave behind: build, logs, what was found, and the inputs that reach further than the seeds.
const OUTPUT: &str = "target/fuzz";

/// The longest input, in bytes: twice the largest seed.
const LONGEST: usize = 20_000;

/// How long one input may take, in seconds. Most take less than a millisecond.
const SLOWEST: u32 = 10;

/// The most memory that a target may take, in MiB. libFuzzer itself takes some hundred.
const MEMORY: u32 = 1024;

/// How long what was found is made smaller, in seconds.
const MINIMISING: u32 = 20;

/// Runs one target, or all, for this long each. Fails if one of them found something, after all have run.
pub(crate) fn run(target: Option<&str>, each: Duration, dry_run: bool) -> anyhow::Result<()> {
    let chosen = choose(targets()?, target)?;
    require_compiler()?;
    let build = cargo("build", &chosen);
    if dry_run {
        eprintln!("$ {build}");
        for target in &chosen {
            eprintln!("$ {}", hunting(target, each));
        }
        return Ok(());
    }
    build.run()?;
    let hunts = chosen.iter().map(|target| hunt(target, each)).collect::<anyhow::Result<Vec<Hunt>>>()?;
    println!("{}", report::table(&hunts));
    let found: Vec<String> =
        hunts.iter().filter_map(|hunt| hunt.found.as_ref()).map(|file| file.display().to_string()).collect();
    if !found.is_empty() {
        bail!(
            "the fuzz targets found {}\nhint: mend it and add the file; `cargo test --package portgate-fuzz --profile checked` replays it",
            found.join(", ")
        );
    }
    Ok(())
}

/// The names of all targets, in order.
fn targets() -> anyhow::Result<Vec<String>> {
    let entries = fs::read_dir(PROGRAMS).with_context(|| format!("cannot list {PROGRAMS}"))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>()?;
    let name = |path: &PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    let mut names: Vec<String> = paths.iter().filter_map(name).collect();
    names.sort();
    Ok(names)
}

/// The target that was named, or all.
fn choose(known: Vec<String>, named: Option<&str>) -> anyhow::Result<Vec<String>> {
    match named {
        None => Ok(known),
        Some(named) if known.iter().any(|name| name == named) => Ok(vec![named.to_owned()]),
        Some(named) => bail!("there is no fuzz target {named}\nhint: the targets are {}", known.join(", ")),
    }
}

/// Fails if there is no C++ compiler, as libFuzzer's build would, with a hundred lines.
fn require_compiler() -> anyhow::Result<()> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    if !Invocation::new(&compiler).arg("--version").succeeds() {
        bail!(
            "cannot build the fuzz targets: libFuzzer needs a C++ compiler, and `{compiler}` is not there\n\
             hint: `apt-get install g++` on Debian and Ubuntu, or name another one in CXX"
        );
    }
    Ok(())
}

/// Cargo's command for the programs of these targets.
fn cargo(command: &str, targets: &[String]) -> Invocation {
    let cargo = format!("cargo {command} --quiet --package portgate-fuzz --features libfuzzer --profile checked");
    let cargo = Invocation::new(&cargo).arg("--target-dir").arg(OUTPUT).env("RUSTFLAGS", INSTRUMENTED);
    targets.iter().fold(cargo, |cargo, target| cargo.arg("--bin").arg(target))
}

/// The program of a target, up to its arguments.
fn program(target: &str) -> Invocation {
    cargo("run", &[target.to_owned()]).arg("--")
}

/// libFuzzer's command for a target. What is new goes to its first directory.
fn hunting(target: &str, time: Duration) -> Invocation {
    program(target)
        .arg(format!("{OUTPUT}/corpus/{target}"))
        .arg(format!("fuzz/corpus/{target}"))
        .arg(format!("fuzz/regressions/{target}"))
        .arg(format!("-max_total_time={}", time.as_secs()))
        .arg(format!("-max_len={LONGEST}"))
        .arg(format!("-timeout={SLOWEST}"))
        .arg(format!("-rss_limit_mb={MEMORY}"))
        .arg(format!("-artifact_prefix={OUTPUT}/found/{target}-"))
        .arg("-print_final_stats=1")
}

/// Runs a target, and makes what it finds a regression.
fn hunt(target: &str, time: Duration) -> anyhow::Result<Hunt> {
    let regressions = format!("fuzz/regressions/{target}");
    for directory in [&format!("{OUTPUT}/corpus/{target}"), &format!("{OUTPUT}/found"), &regressions] {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {directory}"))?;
    }
    let (log, is_success) = logged(&hunting(target, time), &format!("{OUTPUT}/{target}.log"))?;
    // Git keeps no empty directories, so neither is one kept here.
    let _ = fs::remove_dir(&regressions);
    let found = match log.found() {
        Some(file) => Some(minimised(target, file)?),
        None if is_success => None,
        None => bail!("the fuzz target {target} failed, and found nothing\nhint: see {OUTPUT}/{target}.log"),
    };
    let hunt = log.hunt(target, found);
    eprintln!("{hunt}");
    Ok(hunt)
}

/// Runs a command to its end. Returns what it printed to stderr, which is kept in a file, and whether it succeeded.
fn logged(invocation: &Invocation, path: &str) -> anyhow::Result<(Log, bool)> {
    let file = File::create(path).with_context(|| format!("cannot write {path}"))?;
    let status = invocation.command().stderr(file).status().with_context(|| format!("cannot run `{invocation}`"))?;
    let text = fs::read(path).with_context(|| format!("cannot read {path}"))?;
    Ok((Log(String::from_utf8_lossy(&text).into_owned()), status.success()))
}

/// Makes an input that fails as small as it can be. Returns the regression that it becomes.
fn minimised(target: &str, found: &Path) -> anyhow::Result<PathBuf> {
    let name = found.file_name().with_context(|| format!("{} is no file", found.display()))?;
    let regression = Path::new("fuzz/regressions").join(target).join(name);
    fs::create_dir_all(format!("fuzz/regressions/{target}")).context("cannot make the directory of regressions")?;
    fs::copy(found, &regression).with_context(|| format!("cannot copy {}", found.display()))?;
    let minimising = program(target)
        .arg("-minimize_crash=1")
        .arg(format!("-max_total_time={MINIMISING}"))
        .arg(format!("-timeout={SLOWEST}"))
        .arg(format!("-rss_limit_mb={MEMORY}"))
        .arg(format!("-exact_artifact_path={}", regression.display()))
        .arg(found.display().to_string());
    // If it fails, the input stays as it was found.
    logged(&minimising, &format!("{OUTPUT}/{target}-minimised.log"))?;
    Ok(regression)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<String> {
        ["escape", "spec"].map(str::to_owned).into()
    }

    #[test]
    fn a_target_is_chosen_by_its_name() {
        assert_eq!(choose(known(), None).expect("all"), known());
        assert_eq!(choose(known(), Some("spec")).expect("one"), ["spec"]);
        let error = choose(known(), Some("sepc")).expect_err("none").to_string();
        assert!(error.ends_with("hint: the targets are escape, spec"), "{error}");
    }

    #[test]
    fn what_is_new_does_not_get_among_the_seeds() {
        let command = hunting("spec", Duration::from_secs(30)).to_string();
        assert!(command.contains("--bin spec -- target/fuzz/corpus/spec fuzz/corpus/spec"), "{command}");
    }
}
