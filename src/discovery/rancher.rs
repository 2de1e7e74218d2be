//! The configuration of RKE2 and K3s: `config.yaml`, and the files in `config.yaml.d` behind it.

use std::path::Path;

use serde_json::Value;

use super::files::Tree;
use super::flags::ApiServerFlags;

/// The configuration of one of the two.
#[derive(Debug, Default)]
pub(super) struct RancherConfig {
    /// Some file was there.
    pub(super) exists: bool,
    pub(super) flags: ApiServerFlags,
    /// `data-dir`.
    pub(super) data_dir: Option<String>,
}

impl RancherConfig {
    /// Reads the files below `/etc/rancher/NAME`. A later file replaces a key of an earlier one, and a key that ends with
    /// `+` adds to it (K3s documentation, "Configuration options").
    pub(super) fn read(tree: &Tree, name: &str) -> Self {
        let directory = format!("/etc/rancher/{name}/config.yaml.d");
        let more = tree.names(&directory).into_iter();
        let is_yaml = |file: &String| {
            Path::new(file).extension().is_some_and(|end| end == "yaml" || end == "yml")
        };
        let more = more.filter(is_yaml);
        let files = std::iter::once(format!("/etc/rancher/{name}/config.yaml"))
            .chain(more.map(|file| format!("{directory}/{file}")));
        let (mut found, mut arguments) = (Self::default(), Vec::new());
        for config in files.filter_map(|file| tree.yaml(file)) {
            found.exists = true;
            let own = words(&config["kube-apiserver-arg"]);
            if !own.is_empty() {
                arguments = own;
            }
            arguments.extend(words(&config["kube-apiserver-arg+"]));
            if let Some(directory) = config["data-dir"].as_str() {
                found.data_dir = Some(directory.to_owned());
            }
        }
        arguments.extend(of_unit(tree, name));
        found.flags = ApiServerFlags::of(arguments.iter().map(String::as_str));
        found
    }
}

/// The arguments for the API server in the command line of the systemd unit that the installer writes.
fn of_unit(tree: &Tree, name: &str) -> Vec<String> {
    let text = tree.text(format!("/etc/systemd/system/{name}.service")).unwrap_or_default();
    arguments(text.split_whitespace().map(|word| word.trim_matches(['\'', '"', '\\'])))
}

/// The values of `--kube-apiserver-arg` in a command line.
pub(super) fn arguments<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let (mut found, mut next) = (Vec::new(), false);
    for word in words.into_iter().filter(|word| !word.is_empty()) {
        let value = word.strip_prefix("--kube-apiserver-arg");
        match value.and_then(|rest| rest.strip_prefix('=')) {
            Some(value) => found.push(value.to_owned()),
            None if next => found.push(word.to_owned()),
            None => {}
        }
        next = value == Some("");
    }
    found
}

/// A list of words, or one word.
fn words(value: &Value) -> Vec<String> {
    let one = value.as_str().into_iter();
    let all = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    one.chain(all).map(str::to_owned).collect()
}
