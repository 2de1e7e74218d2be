//! Lint tests about walls: how large a struct and a function may be, which lints may be silenced, and which files
//! import each other in a circle. Each list of exceptions may only become shorter.

use std::collections::BTreeSet;

use crate::imports::circular;
use crate::sources::{code, read, sources};

/// A struct has at most this many fields, unless a line of its doc comment begins with `Many fields:` and says why.
const MOST_FIELDS: usize = 12;

/// A function has at most this many lines.
const MOST_LINES: usize = 70;

/// Structs with more fields and without a reason.
const LARGE_STRUCTS: &[&str] = &[];

/// Functions with more lines.
const LONG_FUNCTIONS: &[&str] = &[];

/// Lints that are about how a line reads. Nothing silences them.
const ABOUT_READING: &[&str] = &[
    "needless_pass_by_value",
    "option_option",
    "self_named_constructors",
    "struct_excessive_bools",
    "struct_field_names",
    "too_many_arguments",
    "too_many_lines",
    "type_complexity",
    "unnecessary_wraps",
    "unused_self",
];

/// Files that silence one of them.
const SILENCED: &[&str] = &["src/input/file/generation.rs struct_excessive_bools"];

/// Files that import each other in a circle.
const CIRCLES: &[&str] = &[];

/// Compares what a test found with its list of exceptions.
fn compare(found: &BTreeSet<String>, known: &[&str], what: &str) {
    let known: BTreeSet<String> = known.iter().map(|&name| name.to_owned()).collect();
    let new: Vec<_> = found.difference(&known).collect();
    assert!(new.is_empty(), "{what}: {new:#?}");
    let gone: Vec<_> = known.difference(found).collect();
    assert!(gone.is_empty(), "no longer on the list of exceptions, take them off it: {gone:#?}");
}

/// The name behind a keyword at the beginning of a line, after its indentation, visibility and qualifiers.
fn declared<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    let mut line = line.trim_start();
    if let Some(rest) = line.strip_prefix("pub") {
        line = match rest.strip_prefix('(') {
            Some(rest) => rest.split_once(") ")?.1,
            None => rest.trim_start(),
        };
    }
    for qualifier in ["const ", "async "] {
        line = line.strip_prefix(qualifier).unwrap_or(line);
    }
    let rest = line.strip_prefix(keyword)?.strip_prefix(' ')?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().filter(|name| !name.is_empty())
}

/// The lines of an item, from its first one to the closing brace with the same indentation.
fn item<'a>(lines: &'a [&'a str], start: usize) -> &'a [&'a str] {
    let indent = lines[start].len() - lines[start].trim_start().len();
    let end = |line: &&str| {
        let code = line.trim_start();
        line.len() - code.len() == indent && (code.starts_with('}') || code.ends_with(';'))
    };
    let one_line = end(&lines[start]) || lines[start].ends_with('}');
    let end =
        if one_line { Some(0) } else { lines[start + 1..].iter().position(end).map(|at| at + 1) };
    &lines[start..=start + end.unwrap_or(lines.len() - start - 1)]
}

#[test]
fn a_struct_with_many_fields_says_why() {
    let mut found = BTreeSet::new();
    for (path, text) in code() {
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) = declared(line, "struct").filter(|_| line.ends_with('{')) else {
                continue;
            };
            let field = |line: &&&str| {
                line.strip_prefix("    ").is_some_and(|line| {
                    let restricted = line.split_once(") ").filter(|_| line.starts_with("pub("));
                    let line = restricted.map_or(line, |(_, rest)| rest);
                    let line = line.strip_prefix("pub ").unwrap_or(line);
                    let name = line.split(": ").next().unwrap_or_default();
                    line.contains(": ") && name.chars().all(|c| c.is_alphanumeric() || c == '_')
                })
            };
            let fields = item(&lines, at).iter().filter(field).count();
            let mut above = lines[..at].iter().rev().take_while(|line| {
                let line = line.trim_start();
                line.starts_with("///") || line.starts_with("#[")
            });
            if fields > MOST_FIELDS && !above.any(|line| line.starts_with("/// Many fields:")) {
                found.insert(format!("{path} {name}"));
            }
        }
    }
    compare(&found, LARGE_STRUCTS, "split these, or say why under `Many fields:`");
}

#[test]
fn a_function_fits_on_a_screen() {
    let mut found = BTreeSet::new();
    for (path, text) in code() {
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if let Some(name) = declared(line, "fn").filter(|_| item(&lines, at).len() > MOST_LINES)
            {
                found.insert(format!("{path} {name}"));
            }
        }
    }
    compare(&found, LONG_FUNCTIONS, "split these functions");
}

#[test]
fn no_lint_is_silenced_for_how_a_line_reads() {
    let mut found = BTreeSet::new();
    for path in sources() {
        let text = read(&path);
        for attribute in text.split("#[").skip(1) {
            let attribute = attribute.split(']').next().unwrap();
            if ["allow(", "expect("].iter().any(|kind| attribute.contains(kind)) {
                for lint in ABOUT_READING.iter().filter(|lint| attribute.contains(*lint)) {
                    found.insert(format!("{} {lint}", path.display()));
                }
            }
        }
    }
    compare(&found, SILENCED, "write these otherwise");
}

#[test]
fn files_import_each_other_in_one_direction() {
    let found = circular();
    compare(&found, CIRCLES, "these import each other in a circle, move what they share elsewhere");
}
