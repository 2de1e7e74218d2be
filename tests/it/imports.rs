//! Follows the imports between the source files (`use`, and paths that begin with `crate::` or `super::`), to find
//! circles. A name that a module only re-exports counts as imported from where it is defined.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::code;

/// A module, by its names from the crate down.
type Module = Vec<String>;

/// A path in a `use` declaration or elsewhere, by its names.
type Names = Vec<String>;

/// What one source file imports.
#[derive(Default)]
struct Imports {
    uses: Vec<Names>,
    /// What it exports under a name, from where.
    exports: BTreeMap<String, Names>,
}

/// The crate of the pure rooms, which counts as a module of the agent.
const EVENTS: &str = "auditrail_events";

fn module_of(path: &str) -> Module {
    let path = path.strip_suffix(".rs").unwrap();
    let (root, path) = match path.strip_prefix("events/src/") {
        Some(path) => (Some(EVENTS), path),
        None => (None, path.strip_prefix("src/").unwrap()),
    };
    let mut names: Module = root.into_iter().chain(path.split('/')).map(str::to_owned).collect();
    if names.last().is_some_and(|name| name == "mod" || name == "lib") {
        names.pop();
    }
    names
}

/// Adds each path of a `use` tree.
fn expand(before: &str, tree: &str, paths: &mut Vec<String>) {
    let Some((head, rest)) = tree.split_once('{') else {
        paths.push(format!("{before}{tree}"));
        return;
    };
    let inside = &rest[..rest.rfind('}').unwrap()];
    let (mut depth, mut start) = (0, 0);
    let ends = inside.char_indices().chain([(inside.len(), ',')]);
    for (at, c) in ends {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = &inside[start..at];
                if !part.is_empty() {
                    expand(&format!("{before}{head}"), part, paths);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// A line without the place from which an item is visible: `pub(in crate::pipeline)` imports nothing.
fn without_visibility(line: &str) -> &str {
    let rest = line.trim_start().strip_prefix("pub(in ").and_then(|rest| rest.split_once(')'));
    rest.map_or(line, |(_, rest)| rest)
}

fn imports(text: &str) -> Imports {
    let mut imports = Imports::default();
    let code: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let mut lines = code.iter();
    while let Some(line) = lines.next() {
        let Some(at) = line.find("use ").filter(|at| {
            let before = line[..*at].trim();
            before.is_empty()
                || before == "pub"
                || (before.starts_with("pub(") && before.ends_with(')'))
        }) else {
            let in_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let paths = without_visibility(line).split(|c| !in_name(c));
            for path in paths.filter(|path| path.contains("::")) {
                imports.uses.push(path.split("::").map(str::to_owned).collect());
            }
            continue;
        };
        let mut tree = line[at + 4..].to_owned();
        while !tree.ends_with(';') {
            tree.push_str(lines.next().unwrap().trim());
        }
        let tree: String = tree.trim_end_matches(';').replace(" as ", "@");
        let mut paths = Vec::new();
        expand("", &tree.replace(' ', ""), &mut paths);
        for path in paths {
            let (path, name) =
                path.split_once('@').map_or((&*path, None), |(path, name)| (path, Some(name)));
            let path = path.strip_suffix("::self").unwrap_or(path);
            let names: Names = path.split("::").map(str::to_owned).collect();
            if line[..at].trim().is_empty() {
                imports.uses.push(names);
            } else {
                let name = name.unwrap_or(names.last().unwrap()).to_owned();
                imports.exports.insert(name, names);
            }
        }
    }
    imports
}

/// The module that defines what a path names, if it is one of this crate.
fn resolve(all: &BTreeMap<Module, Imports>, from: &Module, path: &[String]) -> Option<Module> {
    let (mut module, mut rest) = (from.clone(), path);
    match rest.first()?.as_str() {
        "crate" => {
            let of_events = module.first().is_some_and(|name| name == EVENTS);
            module.truncate(usize::from(of_events));
            rest = &rest[1..];
        }
        "self" => rest = &rest[1..],
        "super" => {
            while rest.first().is_some_and(|name| name == "super") {
                module.pop();
                rest = &rest[1..];
            }
        }
        // A path that begins with a module of this one; any other is of a library.
        name => {
            all.get(&[from.as_slice(), &[name.to_owned()]].concat())?;
        }
    }
    while let Some(name) = rest.first() {
        let below = [module.as_slice(), std::slice::from_ref(name)].concat();
        if !all.contains_key(&below) {
            break;
        }
        (module, rest) = (below, &rest[1..]);
    }
    let exported = rest.first().and_then(|name| all.get(&module)?.exports.get(name));
    exported.and_then(|path| resolve(all, &module, path)).or(Some(module))
}

/// The files that import each other in a circle.
pub(crate) fn circular() -> BTreeSet<String> {
    let paths: BTreeMap<Module, String> =
        code().map(|(path, _)| (module_of(&path), path)).collect();
    let all: BTreeMap<Module, Imports> =
        code().map(|(path, text)| (module_of(&path), imports(&text))).collect();
    let mut edges: BTreeMap<&Module, BTreeSet<Module>> = BTreeMap::new();
    for (module, imports) in &all {
        let targets = imports.uses.iter().filter_map(|path| resolve(&all, module, path));
        edges.insert(module, targets.filter(|target| target != module).collect());
    }
    let reached = |from: &Module| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(module) = open.pop() {
            for next in edges.get(module).into_iter().flatten() {
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        seen
    };
    let circular = all.keys().filter(|module| reached(module).contains(module));
    circular.filter_map(|module| paths.get(module).cloned()).collect()
}

#[test]
fn a_path_needs_no_use_to_be_an_import_and_a_visibility_is_none() {
    let found =
        imports("pub(in crate::input) fn list() {\n    check::run::<super::Report>(u8)\n}\n");
    let found: Vec<_> = found.uses.iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["check::run::", "super::Report"]);
}
