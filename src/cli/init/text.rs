//! The configuration that `init` writes.

use std::path::{Path, PathBuf};

use super::webhook::WebhookSetup;

/// Where the events come from.
pub(super) enum InitSource {
    Log(PathBuf),
    Webhook(WebhookSetup),
}

/// Where the events go.
pub(super) enum Destination {
    Loki(String),
    Elasticsearch(String),
    OpenSearch(String),
    Falco(String),
    File(PathBuf),
}

/// The text of a configuration file.
pub(super) fn configuration(cluster: &str, source: &InitSource, to: &Destination) -> String {
    let (what, input) = match source {
        InitSource::Log(log) => {
            ("Follows the audit log of this node's API server", followed(log, to))
        }
        InitSource::Webhook(setup) => ("Takes the API server's audit webhook", received(setup)),
    };
    format!(
        "\
# {what} and delivers every event once. Written by `auditrail init`.
# `auditrail check` reports mistakes in this file, wrong permissions and problems with the back end. In a string, ${{NAME}}
# is an environment variable, and $$ is one dollar sign.

# Name of the cluster, in labels and documents.
cluster = {}

# Name of this node, in labels and documents. Default: the host name.
# node = \"cp-1\"

# Every five minutes the back end gets a record that says that this node works, and what its trail is like. If it stays
# away, something is wrong with this node. \"off\" for none.
heartbeat = \"5m\"

{input}
{}
# What leaves the node. By default secrets are redacted and metadata.managedFields is removed. `auditrail preview` shows
# the events as they leave.
# [transform]
# redact = \"default\"

# Address of /metrics, /livez, /readyz, /status and the status page at /; \"off\" for none.
# [server]
# listen = \"127.0.0.1:9885\"
",
        quoted(cluster),
        output(to)
    )
}

fn followed(log: &Path, to: &Destination) -> String {
    // Falco raises an alert for each old event.
    let start_at = match to {
        Destination::Falco(_) => "start_at = \"1h\"",
        _ => "# start_at = \"beginning\"",
    };
    format!(
        "\
[inputs.apiserver]\ntype = \"file\"
# --audit-log-path of the API server, as the host sees it. The agent finds the backups beside it, compressed or not.
path = {}
# Where to begin on the first start: \"beginning\" (the oldest backup), \"current_file\", \"end\", or an age like \"24h\".
{start_at}
",
        quoted(&log.to_string_lossy())
    )
}

fn received(setup: &WebhookSetup) -> String {
    let file = |name| quoted(&setup.file(name).to_string_lossy());
    format!(
        "\
[inputs.apiserver]\ntype = \"webhook\"
listen = {}
# Only the API server with the certificate in {} is let in. These files are read again when they change.
tls = {{ cert_file = {}, key_file = {}, client_ca_file = {} }}
# The events that no output has acknowledged yet, before redaction.
# spool = {{ max_bytes = \"1GiB\", min_free = \"20%\" }}
",
        quoted(&setup.listen()),
        file("kubeconfig"),
        file("tls.crt"),
        file("tls.key"),
        file("clients.crt")
    )
}

fn output(to: &Destination) -> String {
    const CREDENTIALS: &str = "\
# Credentials and certificates, if the back end needs them. The password file holds nothing but the password.
# basic_auth = { username = \"auditrail\", password_file = \"/etc/auditrail/password\" }
# tls = { ca_file = \"/etc/auditrail/ca.crt\" }
";
    match to {
        Destination::Loki(url) => format!(
            "[outputs.loki]\ntype = \"loki\"\nendpoint = {}\n{CREDENTIALS}# tenant = \"audit\"\n",
            quoted(url)
        ),
        Destination::Elasticsearch(url) => format!(
            "[outputs.elasticsearch]\ntype = \"elasticsearch\"\nendpoints = [{}]\n{CREDENTIALS}",
            quoted(url)
        ),
        // The defaults are those of Elastic's integration, which OpenSearch does not have.
        Destination::OpenSearch(url) => format!(
            "[outputs.opensearch]\ntype = \"elasticsearch\"\nendpoints = [{}]\n\
             index = \"kubernetes-audit-%Y.%m.%d\"\nlayout = \"flat\"\nsetup_template = \"never\"\n{CREDENTIALS}",
            quoted(url)
        ),
        Destination::Falco(url) => format!(
            "[outputs.falco]\ntype = \"falco\"\nendpoint = {}\n\
             # \"1m\" sends the last minute again after Falco was away: alerts repeat instead of missing.\n\
             # resend_window = \"off\"\n",
            quoted(url)
        ),
        Destination::File(path) => format!(
            "[outputs.events]\ntype = \"file\"\npath = {}\n",
            quoted(&path.to_string_lossy())
        ),
    }
}

/// A string of TOML: JSON's escapes are TOML's too. A dollar sign would begin a variable.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text.replace('$', "$$")).to_string()
}
