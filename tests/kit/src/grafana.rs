//! Reads the dashboards in `etc/grafana`, for tests that run their queries.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// One query of a panel.
pub struct Query {
    /// The panel's title.
    pub panel: String,
    /// The panel's type, such as `timeseries`.
    pub kind: String,
    pub target: Value,
}

/// A dashboard of `etc/grafana`, by its file name.
pub fn dashboard(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../etc/grafana").join(file);
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All queries of a dashboard, in the order of its panels.
pub fn queries(dashboard: &Value) -> Vec<Query> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push(Query {
                panel: text(&panel["title"]),
                kind: text(&panel["type"]),
                target: target.clone(),
            });
        }
    }
    queries
}

/// A query with the values of its variables, as Grafana sends it. Fails if a variable has no value.
pub fn filled(query: &str, variables: &[(&str, &str)]) -> String {
    let mut query = query.to_owned();
    for (name, value) in variables {
        query = query.replace(&format!("${name}"), value);
    }
    let left = query.split('$').skip(1).find(|rest| rest.starts_with(|c: char| c.is_alphabetic()));
    assert!(left.is_none() && !query.contains("$_") && !query.contains("${"), "{query}");
    query
}
