//! The tables of a configuration that tests write over and over.

use std::path::Path;

/// An input that follows one log, and looks for new files often: tests have no time to lose.
pub(crate) fn input(name: &str, log: &Path) -> String {
    format!(
        "[inputs.{name}]\ntype = \"file\"\npath = \"{}\"\nrescan = \"500ms\"\nhold = {{ min_free = \"1MiB\" }}\n",
        log.display()
    )
}

/// The output `loki`, its streams told apart by the label `job`. `more` are further keys.
pub(crate) fn loki(url: &str, job: &str, more: &str) -> String {
    format!(
        "[outputs.loki]\ntype = \"loki\"\nendpoint = \"{url}\"\nlabels = {{ job = \"{job}\" }}\n\
         retry = {{ min = \"50ms\", max = \"1s\" }}\n{more}\n"
    )
}

/// The output `elasticsearch` into one data stream. `more` are further keys.
pub(crate) fn elasticsearch(url: &str, data_stream: &str, more: &str) -> String {
    format!(
        "[outputs.elasticsearch]\ntype = \"elasticsearch\"\nendpoints = [\"{url}\"]\n\
         data_stream = \"{data_stream}\"\nretry = {{ min = \"50ms\", max = \"1s\" }}\n{more}\n"
    )
}

/// The output `archive`, a file.
pub(crate) fn archive(path: &Path) -> String {
    format!("[outputs.archive]\ntype = \"file\"\npath = \"{}\"\n", path.display())
}
