//! The configuration in force for the status page and `auditrail status --json`: where events go, and what is done to
//! them. It holds no credential.

use std::path::Path;

use crate::config::{Config, FollowedLog, MinFree, Output, OutputKind, Redact, RedactMode};
use crate::output::shown_url;
use crate::telemetry::{InForce, InputInForce, OutputInForce};

/// The part of a configuration that the status shows. The agent read it from `file`.
pub(super) fn of(config: &Config, file: &Path) -> InForce {
    InForce {
        file: file.display().to_string(),
        state_dir: config.state_dir.display().to_string(),
        disk_max_bytes: config.disk.max_bytes,
        disk_min_free: min_free(config.disk.min_free),
        inputs: config.logs().map(input).collect(),
        outputs: config.outputs.iter().map(output).collect(),
    }
}

/// After a reload, which changes only the transforms: those of `read` are in force, and all else of `running`.
pub(super) fn after_reload(running: &Config, read: &Config, file: &Path) -> InForce {
    let mut config = running.clone();
    for output in &mut config.outputs {
        if let Some(new) = read.outputs.iter().find(|other| other.name == output.name) {
            output.transform = new.transform.clone();
        }
    }
    of(&config, file)
}

fn input(log: &FollowedLog) -> InputInForce {
    InputInForce {
        name: log.name.to_string(),
        path: log.path.display().to_string(),
        hold_max_bytes: log.hold.max_bytes,
        hold_min_free: min_free(log.hold.min_free),
    }
}

fn output(output: &Output) -> OutputInForce {
    let endpoints = match &output.kind {
        OutputKind::File(file) => vec![file.path.display().to_string()],
        kind => kind.endpoints().iter().map(|url| shown_url(url)).collect(),
    };
    let kind = match &output.kind {
        OutputKind::Loki(_) => "loki",
        OutputKind::Elasticsearch(_) => "elasticsearch",
        OutputKind::Falco(_) => "falco",
        OutputKind::File(_) => "file",
    };
    let transform = &output.transform;
    OutputInForce {
        name: output.name.to_string(),
        kind: kind.into(),
        endpoints,
        policy_file: transform.policy_file.as_ref().map(|path| path.display().to_string()),
        is_filtered: transform.filter.is_some(),
        redaction: transform.redact.as_ref().map_or_else(|| "off".into(), redaction),
        max_event_bytes: transform.max_event_bytes,
    }
}

fn redaction(redact: &Redact) -> String {
    let mode = match redact.mode {
        RedactMode::Mask => "secrets are masked",
        RedactMode::Hash { .. } => "secrets are hashed",
    };
    let mut said = vec![mode.to_owned()];
    if redact.pseudonymise_users {
        said.push("user names are pseudonyms".into());
    }
    match redact.rules.len() {
        0 => {}
        1 => said.push("1 own rule".into()),
        rules => said.push(format!("{rules} own rules")),
    }
    said.join(", ")
}

fn min_free(min_free: MinFree) -> String {
    match min_free {
        MinFree::Percent(percent) => format!("{percent}%"),
        MinFree::Bytes(bytes) => crate::telemetry::human::size(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &str) -> Config {
        let text = format!(
            "[inputs.api]\ntype = \"file\"\npath = \"/l/audit.log\"\n\
             [outputs.es]\ntype = \"elasticsearch\"\nendpoints = [\"https://a:9200/x\", \"https://a:9200/T0k3nT0k3nT0k3n\"]\n\
             [outputs.f]\ntype = \"file\"\npath = \"/f\"\n\
             [outputs.loki]\ntype = \"loki\"\nendpoint = \"https://loki/loki/api/v1/push?token=s3cret\"\n\
             basic_auth = {{ username = \"u5er\", password = \"s3cret\" }}\n{more}"
        );
        Config::parse(&text, Path::new("test"), &|_| None).unwrap()
    }

    #[test]
    fn where_events_go_is_shown_without_user_password_query_and_tokens_in_the_path() {
        let shown = of(&config(""), Path::new("/etc/a.toml"));
        let endpoints: Vec<_> = shown.outputs.iter().map(|one| one.endpoints.join(" ")).collect();
        assert_eq!(
            endpoints,
            ["https://a:9200/x https://a:9200/***", "/f", "https://loki/loki/api/v1/push"]
        );
        let all = format!("{shown:?}");
        assert!(!all.contains("s3cret") && !all.contains("u5er"), "{all}");
        assert_eq!(shown_url("http://u:p@h:1/p?q=1#f"), "http://h:1/p");
        assert!(!shown_url("no url s3cret").contains("s3cret"));
    }

    #[test]
    fn a_reload_changes_the_transforms_that_are_shown_and_nothing_else() {
        let running = config("");
        let read = config("[transform]\nredact = \"off\"\n[disk]\nmax_bytes = \"2GiB\"\n");
        let shown = after_reload(&running, &read, Path::new("/c"));
        assert!(shown.outputs.iter().all(|output| output.redaction == "off"));
        assert_eq!(shown.disk_max_bytes, 1 << 30);
        let before = of(&running, Path::new("/c"));
        assert_eq!(before.outputs[0].redaction, "secrets are masked");
    }
}
