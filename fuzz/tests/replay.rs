//! Replays the seeds, and what was found before.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use portgate_fuzz::TARGETS;

/// The files of a directory, in order; none if it does not exist.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One test, because the memory that is counted is that of the whole process. A failure's output ends with its file.
#[test]
fn every_seed_is_understood_and_every_regression_stays_mended() {
    for target in TARGETS {
        let seeds = files(&here().join("corpus").join(target.name));
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        for seed in seeds {
            println!("{}", seed.display());
            assert!(target.run(&fs::read(&seed).unwrap()), "{} is not understood any more", seed.display());
        }
        for regression in files(&here().join("regressions").join(target.name)) {
            println!("{}", regression.display());
            target.run(&fs::read(&regression).unwrap());
        }
    }
}

#[test]
fn every_target_has_a_program_and_nothing_is_left_of_others() {
    let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let programs: BTreeSet<String> = files(&here().join("targets")).into_iter().map(stem).collect();
    assert_eq!(programs, names);
    for directory in ["corpus", "regressions"] {
        let others = files(&here().join(directory)).into_iter().map(stem).filter(|name| !names.contains(name));
        assert_eq!(others.collect::<Vec<_>>(), [""; 0], "in {directory}");
    }
}
