//! docs/security.md claims nothing without a test that exists.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

/// The section whose items are no claims.
const NOT_DEFENDED: &str = "What portgate does not defend against";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page() -> String {
    fs::read_to_string(workspace().join("docs/security.md")).unwrap()
}

/// The tests that a text names, as `file::test` in backticks. Files are named from `crates` on.
fn named(text: &str) -> Vec<(&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter_map(|quoted| quoted.split_once("::"))
        .filter(|(file, _)| Path::new(file).extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The items of the page's lists that are claims.
fn claims(page: &str) -> Vec<&str> {
    let sections = page.split("\n## ").filter(|section| !section.starts_with(NOT_DEFENDED));
    let items = sections.flat_map(|section| section.split("\n- ").skip(1));
    items.map(|item| item.split("\n\n").next().unwrap_or_default()).collect()
}

/// Whether a source has a test of this name.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let is_declared = |line: &str| {
        let declaration = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        declaration.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('('))
    };
    let is_marked = |index: usize| {
        let above = lines[..index].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        above.into_iter().any(|line| *line == "#[test]" || line.starts_with("#[tokio::test"))
    };
    lines.iter().enumerate().any(|(index, line)| is_declared(line) && is_marked(index))
}

#[test]
fn every_test_that_the_page_names_exists() {
    let page = page();
    let exists = |(file, name): &(&str, &str)| {
        fs::read_to_string(workspace().join("crates").join(file)).is_ok_and(|source| has_test(&source, name))
    };
    let missing: Vec<_> = named(&page).into_iter().filter(|test| !exists(test)).collect();
    assert!(missing.is_empty(), "docs/security.md names tests that do not exist: {missing:#?}");
}

#[test]
fn every_claim_of_the_page_names_a_test() {
    let page = page();
    let claims = claims(&page);
    assert!(claims.len() > 20, "the page has {} claims", claims.len());
    let bare: Vec<_> = claims.iter().filter(|claim| named(claim).is_empty()).collect();
    assert!(bare.is_empty(), "claims of docs/security.md without a test: {bare:#?}");
}

#[test]
fn a_test_is_told_from_a_helper_and_a_claim_from_what_is_not_defended() {
    let source = "#[tokio::test]\nasync fn it_holds() {}\n\nfn helper() {}\n";
    assert!(has_test(source, "it_holds"));
    assert!(!has_test(source, "it_hold") && !has_test(source, "helper"));
    let page =
        format!("# Page\n\n- One\n  `core/src/a.rs::b`.\n- Two `x::y`.\n\nText.\n\n## {NOT_DEFENDED}\n\n- Three.\n");
    let claims = claims(&page);
    assert_eq!(claims.len(), 2);
    assert_eq!((named(claims[0]), named(claims[1])), (vec![("core/src/a.rs", "b")], Vec::new()));
}
