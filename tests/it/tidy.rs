//! Lint tests: they check the sources against the house rules in `CONTRIBUTING.md` and the table of rooms (modules and
//! their imports) in `ARCHITECTURE.md`.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::{files, is_source, is_tests, read, sources, without_tests};

/// The only files that may touch the file system, and what each reads or writes.
const TOUCH_FILES: &[(&str, &str)] = &[
    ("src/agent/exposed.rs", "who else may read or write the configuration and secrets"),
    ("src/agent/own_files.rs", "whose file an output would write"),
    ("src/agent/transforms.rs", "policies and keys"),
    ("src/checkpoint/attempt.rs", "can the state directory be made"),
    ("src/checkpoint/copied.rs", "when the checkpoint was made"),
    ("src/checkpoint/permissions.rs", "who may use the state directory"),
    ("src/checkpoint/state_dir.rs", "lock, key, checkpoint"),
    ("src/cli/holds.rs", "which agents run"),
    ("src/cli/init.rs", "does a configuration set anything"),
    ("src/cli/manual.rs", "manual pages"),
    ("src/cli/recorded.rs", "a recorded log"),
    ("src/config/mod.rs", "the configuration"),
    ("src/config/secret.rs", "secrets in files"),
    ("src/confine/paths.rs", "is a path still what it was"),
    ("src/confine/system_calls.rs", "is there a filter"),
    ("src/dead_letters/segments.rs", "dead letters"),
    ("src/discovery/files.rs", "where the API server logs"),
    ("src/disk/directories.rs", "directories and the names in them"),
    ("src/disk/faults.rs", "the tape of a test build"),
    ("src/disk/mod.rs", "every change"),
    ("src/disk/private.rs", "files of the agent's own"),
    ("src/disk/read.rs", "every reading of what others write"),
    ("src/disk/steps.rs", "the notes of a test build"),
    ("src/input/file/place.rs", "its files, backups and links"),
    ("src/input/finite/mod.rs", "recorded files"),
    ("src/input/hold/pins/name.rs", "can a link be made"),
    ("src/input/scan/catalogue.rs", "the log and its links"),
    ("src/input/scan/findings.rs", "what stands under the log's path"),
    ("src/input/scan/follower.rs", "has the directory changed"),
    ("src/input/scan/mounts.rs", "is the log mounted alone"),
    ("src/output/file_opening.rs", "whose it is"),
    ("src/output/file_tail.rs", "what is in it"),
    ("src/own_log/appender.rs", "a file for a long body"),
    ("src/own_log/compress.rs", "spools that wait"),
    ("src/own_log/incoming.rs", "long bodies on their way"),
    ("src/own_log/recovery.rs", "what a process left of its spool"),
    ("src/replay/stdin.rs", "standard input, on its way"),
    ("src/telemetry/process.rs", "/proc/self"),
    ("src/telemetry/systemd_fdstore.rs", "files that systemd keeps"),
    ("src/tls/pem.rs", "certificates and keys"),
    ("src/tls/watched.rs", "has such a file changed"),
];

const LONGEST: usize = 400;

/// Type names that parallel rooms share: an output and its configuration, the pager of each store, the arguments of each
/// command, and the search results of Elasticsearch beside the hits of redaction.
#[rustfmt::skip]
const SHARED_NAMES: &[&str] = &[
    "Action", "Arguments", "Elasticsearch", "Falco", "Hit", "Hits", "Loki", "Output", "Pager",
];

/// Type names that still mean two different things. This list may only become shorter.
#[rustfmt::skip]
const AMBIGUOUS_NAMES: &[&str] = &[
    "Batch", "Check", "Counts", "Cut", "End", "Ended", "Event",
    "File", "Finding", "Findings", "Form", "Format", "FormatError", "Found", "Generation",
    "Gzip", "Head", "Inner", "Item", "Job", "Key", "Labels", "List",
    "Listed", "Marks", "Member", "Name", "Naming", "Node", 
    "Open", "Origin", "Pair", "Parts", "Pattern", "Plain", "Probe",
    "Progress", "Question", "Reader", "Reading", "Rule", "Scope", "Scratch",
    "Secrets", "Selector", "Settings", "Shared", "Span", "Stamp", 
    "Store", "Time", "Trouble", "Value", "View", "Waits", 
];

/// Each room and the rooms that it imports, from the table in `ARCHITECTURE.md`.
fn may_import() -> BTreeMap<String, BTreeSet<String>> {
    let text = read("ARCHITECTURE.md");
    let table = text.split("| room | imports |").nth(1).expect("ARCHITECTURE.md has the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let words = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').collect();
        (words(cells[1]).remove(0), words(cells[2]).into_iter().collect())
    })
    .collect()
}

/// The name of a type that a line of a source file defines.
fn defines(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub").map_or(line, |rest| match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(") ").map_or(rest, |(_, rest)| rest),
        None => rest.trim_start(),
    });
    let kinds = ["struct ", "enum ", "trait ", "type "];
    let rest = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
    rest.split(|c: char| !c.is_ascii_alphanumeric()).next()
}

#[test]
fn a_type_name_means_one_thing() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in sources().into_iter().filter(|path| !is_tests(path)) {
        for name in without_tests(&read(&path)).lines().filter_map(defines) {
            places.entry(name.to_owned()).or_default().push(path.display().to_string());
        }
    }
    places.retain(|_, files| files.len() > 1);
    let known: BTreeSet<&str> = SHARED_NAMES.iter().chain(AMBIGUOUS_NAMES).copied().collect();
    for (name, files) in &places {
        assert!(
            known.contains(name.as_str()),
            "{name} is defined in {files:?}: call one otherwise"
        );
    }
    for name in known {
        assert!(places.contains_key(name), "{name} is defined once: take it off the list");
    }
}

#[test]
fn rooms_import_exactly_what_the_table_in_architecture_md_says() {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in sources() {
        let parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
        let (&["src", room, _, ..] | &["events", "src", room, _, ..]) = parts.as_slice() else {
            continue;
        };
        let imports = found.entry(room.to_owned()).or_default();
        let text = read(&path);
        // `use crate::{…}` would hide the imported rooms from this test.
        assert!(!text.contains("crate::{"), "{}: name one room a line", path.display());
        for after in text.split("crate::").skip(1) {
            let name: String =
                after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if name != room {
                imports.insert(name);
            }
        }
    }
    assert_eq!(found, may_import());
}

#[test]
fn the_room_table_of_the_library_names_every_room() {
    let text = read("src/lib.rs") + &read("events/src/lib.rs");
    for room in may_import().keys() {
        assert!(text.contains(&format!("//! | `{room}` |")), "{room} is not in the table");
        assert!(text.contains(&format!("mod {room};")), "{room} is not in the library");
    }
}

#[test]
fn only_the_files_named_here_touch_the_file_system() {
    const MARKS: &[&str] = &[
        "File::open(",
        "File::create(",
        "OpenOptions::new(",
        "DirBuilder::new(",
        "fs::read",
        "fs::write(",
        "fs::rename(",
        "fs::remove_",
        "fs::create_dir",
        "fs::metadata(",
        "fs::copy(",
        "fs::hard_link(",
        "fs::symlink_metadata(",
        "fs::set_permissions(",
    ];
    let touching: Vec<_> = sources()
        .into_iter()
        .filter(|path| !is_tests(path))
        .filter(|path| {
            let text = read(path);
            // `OpenFile::open` has `place.rs` open the file.
            let text = without_tests(&text).replace("OpenFile::open(", "");
            MARKS.iter().any(|mark| text.contains(mark))
        })
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    let named: Vec<_> = TOUCH_FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(touching, named);
}

#[test]
fn only_one_file_sends_requests() {
    const CLIENT: [&str; 2] = ["src/output/http.rs", "src/output/connect.rs"];
    for path in sources() {
        let text = read(&path);
        if !CLIENT.iter().any(|client| path.to_str() == Some(client)) && !is_tests(&path) {
            let text = without_tests(&text);
            for mark in ["legacy::Client", "hyper::client", "TcpStream::connect"] {
                assert!(!text.contains(mark), "{}: {mark} is http.rs's", path.display());
            }
        }
    }
}

#[test]
fn a_file_has_one_idea() {
    let mut long = Vec::new();
    for path in
        ["events/src", "src", "tests", "benches"].iter().flat_map(|folder| files(folder, "rs"))
    {
        if read(&path).lines().count() > LONGEST {
            long.push(path.to_str().unwrap().to_owned());
        }
    }
    assert_eq!(long, <[String; 0]>::default(), "files over {LONGEST} lines");
}

#[test]
fn nothing_is_left_for_later_and_nothing_unwraps_outside_of_tests() {
    // Joined from two halves, so that this test does not find itself.
    let later = ["TO", "FIX", "XX"].iter().zip(["DO", "ME", "X"]).map(|(a, b)| format!("{a}{b}"));
    let later: Vec<_> =
        later.chain(["todo", "unimplemented"].map(|name| format!("{name}!("))).collect();
    for path in
        ["events/src", "src", "tests", "benches"].iter().flat_map(|folder| files(folder, "rs"))
    {
        let text = read(&path);
        for mark in &later {
            assert!(!text.contains(mark.as_str()), "{}: {mark}", path.display());
        }
        if is_source(&path) && !is_tests(&path) {
            let text = without_tests(&text);
            for mark in [".unwrap()", ".expect(\"", "panic!(", "unreachable!("] {
                assert!(!text.contains(mark), "{}: {mark}", path.display());
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for path in
        ["events/src", "src", "tests", "benches"].iter().flat_map(|folder| files(folder, "rs"))
    {
        // Tests beside a source file need no header, since that file has one.
        let beside = is_source(&path) && is_tests(&path);
        assert!(
            beside || read(&path).starts_with("//! "),
            "{}: open with a header",
            path.display()
        );
    }
}

#[test]
fn names_of_tests_are_sentences() {
    for path in ["events/src", "src", "tests"].iter().flat_map(|folder| files(folder, "rs")) {
        for after in read(&path).split("#[test]\n").skip(1) {
            let name = after.trim_start().trim_start_matches("fn ").split('(').next().unwrap();
            assert!(name.matches('_').count() >= 2, "{}: {name}", path.display());
        }
    }
}
