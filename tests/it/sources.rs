//! Reads the project's sources and documents as text, for the tests that check them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::root;

/// Files with this extension below a folder of the project: paths relative to the root, sorted.
pub(crate) fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    visit(&root().join(folder), extension, &mut found);
    let mut found: Vec<_> =
        found.iter().map(|path| path.strip_prefix(root()).unwrap().to_owned()).collect();
    found.sort();
    assert!(!found.is_empty(), "no .{extension} below {folder}");
    found
}

/// Every source file of the project: those of the agent, and those of the crate `events`.
pub(crate) fn sources() -> Vec<PathBuf> {
    ["events/src", "src"].iter().flat_map(|folder| files(folder, "rs")).collect()
}

/// Whether a path is one of [`sources`].
pub(crate) fn is_source(path: &Path) -> bool {
    path.starts_with("src") || path.starts_with("events/src")
}

fn visit(dir: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, extension, found);
        } else if path.extension().is_some_and(|other| other == extension) {
            found.push(path);
        }
    }
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A source file without its inline tests, which come last in the file.
pub(crate) fn without_tests(text: &str) -> &str {
    let mark = "#[cfg(test)]\n";
    // The module may have any visibility, since other tests may use its helpers.
    let inline = |at: &usize| {
        text[at + mark.len()..].lines().next().is_some_and(|line| line.ends_with("mod tests {"))
    };
    text.match_indices(mark).map(|(at, _)| at).find(inline).map_or(text, |at| &text[..at])
}

/// Whether a file holds only tests.
pub(crate) fn is_tests(path: &Path) -> bool {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let below = path.parent().unwrap().components().any(|part| part.as_os_str() == "tests");
    stem == "tests" || stem.ends_with("_tests") || below
}

/// The sources outside of test files, without their inline tests.
pub(crate) fn code() -> impl Iterator<Item = (String, String)> {
    let files = sources().into_iter().filter(|path| !is_tests(path));
    files.map(|path| {
        let text = without_tests(&read(&path)).to_owned();
        (path.to_str().unwrap().to_owned(), text)
    })
}

/// The documents at the root, the pages in `docs`, and the documents below `etc`.
pub(crate) fn documents() -> Vec<PathBuf> {
    let mut all = files("etc", "md");
    all.extend(files("docs", "md"));
    let names = ["ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "README", "SECURITY"];
    all.extend(names.map(|name| PathBuf::from(format!("{name}.md"))));
    all
}

/// The code blocks of a document in one of these languages.
pub(crate) fn blocks(text: &str, languages: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((languages.contains(&language), String::new())),
            (Some(_), Some(_)) => {
                let (wanted, block) = open.take().unwrap();
                found.extend(wanted.then_some(block));
            }
            (None, Some((_, block))) => block.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

/// The text of each span in backquotes of a document, outside of its code blocks.
pub(crate) fn spans(text: &str) -> Vec<String> {
    let mut prose = String::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if !inside {
            prose.extend([line, "\n"]);
        }
    }
    prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")).collect()
}
