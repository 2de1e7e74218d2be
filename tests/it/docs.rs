//! Checks the documents against the program: configurations load, and paths, links, commands, flags, tests and metrics
//! exist.

use std::fs;
use std::path::Path;

use crate::command::{auditrail, finish, root, run};
use crate::sources::{blocks, documents, files, read, sources, spans};

/// Fails unless the configuration is accepted. Runs `status`, which reads it without sending any request: exit code 1
/// means that no agent runs, 2 that the configuration is wrong.
pub(crate) fn accepted(what: &str, text: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("auditrail.toml");
    fs::write(&path, text).unwrap();
    let ran = finish(
        auditrail()
            .args(["status", "--json", "-c"])
            .arg(path)
            .env("NODE_NAME", "cp-1")
            .env("LOKI_PASSWORD", "not-one")
            .env("STAGE", "prod"),
    );
    assert_eq!(ran.code, Some(1), "{what}: {}\n{text}", ran.stderr);
}

#[test]
fn every_configuration_in_the_documents_is_accepted() {
    let mut count = 0;
    for document in documents() {
        for block in blocks(&read(&document), &["toml"]) {
            accepted(&document.display().to_string(), &block);
            count += 1;
        }
    }
    assert!(count > 1);
}

#[test]
fn every_configuration_that_ships_is_accepted() {
    for path in files("etc", "toml") {
        accepted(&path.display().to_string(), &read(&path));
    }
    for manifest in ["etc/kubernetes/daemonset.yaml", "etc/kubernetes/replay-job.yaml"] {
        let text = read(manifest);
        let embedded = text.split("auditrail.toml: |\n").nth(1).unwrap();
        accepted(manifest, embedded.split("\n---").next().unwrap());
    }
}

/// If a line runs the program, directly or through Cargo, fails unless the subcommand and its flags exist. Returns
/// whether it checked one.
fn check_command(place: &str, line: &str) -> bool {
    let words: Vec<_> = line.split_whitespace().skip_while(|word| *word == "sudo").collect();
    let rest = match words.as_slice() {
        ["cargo", "run", rest @ ..] => match rest.iter().position(|word| *word == "--") {
            Some(at) => &rest[at + 1..],
            None => return false,
        },
        [program, rest @ ..] if *program == "auditrail" || program.ends_with("/bin/auditrail") => {
            rest
        }
        _ => return false,
    };
    let is_word = |word: &&&str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    };
    let Some(command) = rest.first().filter(is_word) else { return false };
    let action = rest
        .get(1)
        .filter(is_word)
        .filter(|_| ["config", "dead-letters", "holds"].contains(command));
    let words: Vec<&str> = [*command].into_iter().chain(action.copied()).collect();
    let help = run(&[&words[..], &["--help"]].concat());
    assert_eq!(help.code, Some(0), "{place}: there is no `{command}` in: {line}");
    for flag in rest.iter().take_while(|word| **word != "#").filter(|word| word.starts_with('-')) {
        let flag = flag.trim_end_matches([',', '.', ')', ';']);
        let flag = flag.split('=').next().unwrap();
        // `--flag[=<VALUE>]` may stand without a value.
        let name = |word: &str| word.split('[').next().unwrap().trim_end_matches(',').to_owned();
        let known = help.stdout.split_whitespace().any(|word| name(word) == flag);
        assert!(known, "{place}: `{command}` knows no {flag}: {line}");
    }
    true
}

#[test]
fn every_command_in_the_documents_exists_with_its_flags() {
    let mut count = 0;
    for document in documents() {
        let (place, text) = (document.display().to_string(), read(&document));
        let code = blocks(&text, &["sh", "text"]);
        let lines = code.iter().flat_map(|block| block.lines()).map(str::to_owned);
        for line in lines.chain(spans(&text)) {
            count += usize::from(check_command(&place, &line));
        }
    }
    assert!(count > 5);
    let unit = read("systemd/auditrail.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    assert!(check_command("the unit", start));
}

#[test]
fn every_path_in_the_documents_exists() {
    let tops = ["events/", "src/", "etc/", "tests/", "systemd/", "benches/", "docs/", ".ci/"];
    for document in documents() {
        let text = read(&document);
        let folder = document.parent().unwrap();
        let links = text.split("](").skip(1).map(|after| after.split(')').next().unwrap());
        for link in links.filter(|link| !link.starts_with("http")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let page = if path.is_empty() { document.clone() } else { folder.join(path) };
            assert!(root().join(&page).try_exists().unwrap(), "{}: {link}", document.display());
            let found = anchor.is_empty() || anchors(&read(&page)).any(|other| other == anchor);
            assert!(found, "{}: {link} names no heading", document.display());
        }
        for span in spans(&text) {
            if tops.iter().any(|top| span.starts_with(top)) {
                let path = root().join(span.split(' ').next().unwrap());
                assert!(path.try_exists().unwrap(), "{}: {span}", document.display());
            }
        }
    }
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let heading = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        heading.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
    })
}

#[test]
fn the_summary_links_every_page_once_and_the_readme_is_short() {
    let summary = read("docs/SUMMARY.md");
    let mut linked: Vec<_> = summary
        .lines()
        .filter_map(|line| line.strip_prefix("- [")?.split_once("](")?.1.strip_suffix(')'))
        .map(|page| Path::new("docs").join(page))
        .collect();
    linked.sort();
    let mut pages = files("docs", "md");
    pages.retain(|page| !page.ends_with("SUMMARY.md"));
    assert_eq!(linked, pages);
    let lines = read("README.md").lines().count();
    assert!(lines <= 150, "README.md has {lines} lines, at most 150 are allowed");
}

#[test]
fn every_file_that_a_room_s_description_names_is_in_that_room() {
    let text = read("ARCHITECTURE.md");
    for part in text.split("\n**`").skip(1) {
        let (room, rest) = part.split_once('`').unwrap();
        if !room.contains("src/") {
            continue;
        }
        let description = rest.split("\n\n").next().unwrap();
        let names = description.split('`').skip(1).step_by(2);
        let is_source_file =
            |name: &&str| name.strip_suffix(".rs").is_some_and(|stem| !stem.contains('/'));
        for name in names.filter(is_source_file) {
            let mut inside = sources()
                .into_iter()
                .filter(|path| path.starts_with(room) && path.file_name().unwrap() == name);
            assert!(inside.next().is_some(), "{room} has no {name}");
        }
    }
}

#[test]
fn every_test_that_the_documents_name_exists() {
    let sources: String = ["events/src", "src", "tests"]
        .iter()
        .flat_map(|folder| files(folder, "rs"))
        .map(read)
        .collect();
    let mut count = 0;
    for name in documents().iter().flat_map(|document| spans(&read(document))) {
        let sentence =
            name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit());
        let metric = name.starts_with("auditrail_") || name.starts_with("query_");
        if sentence && !metric && name.matches('_').count() >= 5 {
            assert!(sources.contains(&format!("fn {name}(")), "there is no test {name}");
            count += 1;
        }
    }
    assert!(count > 5);
}

#[test]
fn every_metric_in_the_documents_is_exposed_under_that_name() {
    let count: usize =
        documents().iter().map(|document| check_metrics(document, &read(document))).sum();
    assert!(count > 5);
}

/// Fails unless the agent exposes each of its metrics that a text names. Returns how many names it checked.
pub(crate) fn check_metrics(place: &Path, text: &str) -> usize {
    let exposed = read("src/telemetry/metrics.txt");
    let mut count = 0;
    // The names of Debian packages begin like metrics; a version follows.
    let begin = |after: &&str| !after.starts_with(|c: char| c.is_ascii_digit());
    for after in text.split("auditrail_").skip(1).filter(begin) {
        let name: String =
            after.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        let series = format!("\nauditrail_{name}{{");
        let plain = format!("\nauditrail_{name} ");
        // A document may name a histogram without the suffix of its series.
        let histogram = format!("\n# TYPE auditrail_{name} histogram\n");
        let known = [series, plain, histogram].iter().any(|mark| exposed.contains(mark));
        assert!(known, "{}: auditrail_{name}", place.display());
        count += 1;
    }
    count
}

#[test]
fn the_documents_name_no_machine_and_no_person() {
    for document in documents() {
        let text = read(&document);
        for mark in ["/work/", "/root/", "/home/", "localhost:"] {
            assert!(!text.contains(mark), "{}: {mark}", document.display());
        }
    }
}
