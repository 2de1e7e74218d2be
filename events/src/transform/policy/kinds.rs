//! Parses the entries of `resources` in a rule: a group, its resources, names of objects.

use super::findings::Findings;
use super::table::YamlTable;
use super::typed::TypedKinds;
use super::yaml::{Node, Value};

const KEYS: &[&str] = &["group", "resources", "resourceNames"];

pub(super) fn resources(table: &YamlTable<'_>, findings: &mut Findings) -> Vec<TypedKinds> {
    let Some(node) = table.get("resources") else { return Vec::new() };
    let place = table.at("resources");
    let no_bound = "so it sets no bound: name what is meant, or remove the key";
    match &node.value {
        Value::List(items) => {
            if items.is_empty() {
                findings.warn((node.line, &place), format!("is an empty list, {no_bound}"));
            }
            items
                .iter()
                .enumerate()
                .filter_map(|(index, item)| kinds(item, format!("{place}[{index}]"), findings))
                .collect()
        }
        Value::Null => {
            findings.trap((node.line, &place), format!("is empty, {no_bound}"));
            Vec::new()
        }
        other => {
            findings.error(
                (node.line, &place),
                format!("is {}, where a list is expected", other.kind()),
            );
            Vec::new()
        }
    }
}

fn kinds(node: &Node, place: String, findings: &mut Findings) -> Option<TypedKinds> {
    if let Value::Text(text) = &node.value {
        let what = format!(
            "is a text: write `- {{group: \"\", resources: [\"{0}\"]}}`, with the group of `{0}`",
            text.escape_debug()
        );
        findings.error((node.line, &place), what);
        return None;
    }
    let table = YamlTable::open(node, place, KEYS, findings)?;
    let group = group(&table, findings);
    let read = TypedKinds {
        line: table.line,
        group,
        kinds: table.bound("resources", findings),
        names: table.bound("resourceNames", findings),
        place: table.place,
    };
    if read.group != "*" && !is_subdomain(&read.group) {
        let way_out = match read.group.as_str() {
            text if text.contains('*') => {
                "`*` stands for every group, never for a part of a name: name the groups one by one"
            }
            text if text.trim().is_empty() => "write `\"\"` for the core group",
            text if text.contains('/') => {
                "leave the version out, as in `apps` or `rbac.authorization.k8s.io`"
            }
            _ => "a group is written in lower case, as in `apps` or `rbac.authorization.k8s.io`",
        };
        findings.error(
            (read.line, &format!("{}.group", read.place)),
            format!("`{}` is no group: {way_out}", read.group.escape_debug()),
        );
    }
    if !read.names.is_empty() && read.kinds.is_empty() {
        findings.error(
            &read.names,
            "needs `resources` beside it: name the resources whose names these are",
        );
    }
    for kind in read.kinds.iter() {
        if let Some(what) = shape(&kind.text) {
            findings.error(kind, format!("`{}` {what}", kind.text.escape_debug()));
        }
    }
    Some(read)
}

fn group(table: &YamlTable<'_>, findings: &mut Findings) -> String {
    match table.get("group").map(|node| (node.line, &node.value)) {
        None => String::new(),
        Some((_, Value::Text(text))) => text.clone(),
        Some((line, Value::Null)) => {
            findings.warn(
                (line, &table.at("group")),
                "is empty, which is the core group: write `\"\"`",
            );
            String::new()
        }
        Some((line, other)) => {
            findings.error(
                (line, &table.at("group")),
                format!("is {}, where a text is expected", other.kind()),
            );
            String::new()
        }
    }
}

/// Why an element of an entry's `resources` can never match.
fn shape(text: &str) -> Option<&'static str> {
    let (resource, subresource) = text.split_once('/').unwrap_or((text, "-"));
    if text == "*/*" {
        Some("matches nothing: write `*`")
    } else if text.is_empty() {
        Some("matches nothing: leave `resources` out for all of the group")
    } else if resource.is_empty() || subresource.is_empty() || subresource.contains('/') {
        Some(
            "matches nothing: write a resource, or a resource and its subresource as in `pods/log`",
        )
    } else if [resource, subresource].iter().any(|part| part.len() > 1 && part.contains('*')) {
        Some(
            "matches nothing: `*` stands for a whole resource or subresource, never for a part of its name",
        )
    } else {
        None
    }
}

/// Whether this is the core group, or a DNS subdomain as Kubernetes defines it.
fn is_subdomain(group: &str) -> bool {
    let alphanumeric = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let label = |label: &str| {
        let bytes = label.as_bytes();
        alphanumeric(bytes.first())
            && alphanumeric(bytes.last())
            && bytes.iter().all(|byte| *byte == b'-' || alphanumeric(Some(byte)))
    };
    group.is_empty() || group.len() <= 253 && group.split('.').all(label)
}
