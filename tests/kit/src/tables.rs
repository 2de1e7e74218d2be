//! Configuration tables (TOML) that many tests need.

use std::path::Path;

/// An input that follows one log. It rescans its folder often, so that tests need not wait.
pub fn input(name: &str, log: &Path) -> String {
    format!(
        "[inputs.{name}]\ntype = \"file\"\npath = \"{}\"\nrescan = \"500ms\"\nhold = {{ min_free = \"1MiB\" }}\n",
        log.display()
    )
}

/// The output `loki`; the label `job` separates its streams from those of other tests. `more` are further keys.
pub fn loki(url: &str, job: &str, more: &str) -> String {
    format!(
        "[outputs.loki]\ntype = \"loki\"\nendpoint = \"{url}\"\nlabels = {{ job = \"{job}\" }}\n\
         retry = {{ min = \"50ms\", max = \"1s\" }}\n{more}\n"
    )
}

/// The output `elasticsearch`, which writes to one data stream. `more` are further keys.
pub fn elasticsearch(url: &str, data_stream: &str, more: &str) -> String {
    format!(
        "[outputs.elasticsearch]\ntype = \"elasticsearch\"\nendpoints = [\"{url}\"]\n\
         data_stream = \"{data_stream}\"\nretry = {{ min = \"50ms\", max = \"1s\" }}\n{more}\n"
    )
}

/// The output `search`: a fake Elasticsearch, with small times. `more` are further keys.
pub fn search(url: &str, more: &str) -> String {
    format!(
        "[outputs.search]\ntype = \"elasticsearch\"\nendpoints = [\"{url}\"]\nsetup_template = \"never\"\n\
         compression = \"none\"\nlayout = \"flat\"\ntimeout = \"300ms\"\nretry = {{ min = \"20ms\", max = \"200ms\" }}\n\
         batch = {{ max_age = \"5ms\" }}\n{more}\n"
    )
}

/// The output `archive`, a file.
pub fn archive(path: &Path) -> String {
    format!("[outputs.archive]\ntype = \"file\"\npath = \"{}\"\n", path.display())
}
