//! `init`: finds the API server's audit log, writes a configuration that follows it, and checks that. With `--webhook` it
//! sets up a receiver of the API server's webhook instead.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

mod text;
mod webhook;
mod written;

use super::check::{self, ReportForm};
use super::configured::DEFAULT_CONFIG;
use super::logging::Detail;
use super::outcome::{ExitCode, note, print, say};
use crate::config::WEBHOOK_LISTEN;
use crate::discovery::{self, AuditLog, advice, webhook_steps};
use crate::disk::{Links, ReadFile};
use text::{Destination, InitSource};
use webhook::WebhookSetup;
use written::write;

/// A policy to start from.
const POLICY: &str = include_str!("../../etc/kubernetes/audit-policy.yaml");

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The configuration file to write
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    #[command(flatten)]
    to: To,
    /// The audit log on this host [default: the one that is found]
    #[arg(long, value_name = "PATH")]
    log: Option<PathBuf>,
    /// Take the API server's webhook instead of a log; with the address by which it reaches this machine [default:
    /// 127.0.0.1:9886]
    #[arg(
        long,
        value_name = "HOST:PORT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = WEBHOOK_LISTEN,
        conflicts_with = "log"
    )]
    webhook: Option<String>,
    /// The name of the cluster, in labels and documents
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Replace a configuration that is there
    #[arg(long)]
    force: bool,
    /// Print an audit policy to start from, and do nothing else
    #[arg(long)]
    print_policy: bool,
    /// The directory that holds the node's files, where it is not `/`
    #[arg(long, value_name = "DIRECTORY", default_value = "/", hide_default_value = true)]
    root: PathBuf,
}

/// Where the events go.
#[derive(clap::Args, Debug)]
#[group(multiple = false)]
struct To {
    /// Deliver to Loki, such as `http://loki:3100`
    #[arg(long, value_name = "URL")]
    loki: Option<String>,
    /// Deliver to Elasticsearch, such as `https://elasticsearch:9200`
    #[arg(long, value_name = "URL")]
    elasticsearch: Option<String>,
    /// Deliver to OpenSearch, such as `https://opensearch:9200`
    #[arg(long, value_name = "URL")]
    opensearch: Option<String>,
    /// Deliver to Falco's plugin k8saudit, such as `http://falco:9765/k8s-audit`
    #[arg(long, value_name = "URL")]
    falco: Option<String>,
    /// Deliver to a file
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
}

/// Runs `init`.
pub(super) fn init(arguments: &Arguments, detail: Detail) -> anyhow::Result<ExitCode> {
    if arguments.print_policy {
        print(POLICY);
        return Ok(ExitCode::Done);
    }
    let path = &arguments.config;
    let there = is_configured(path).with_context(|| format!("cannot read {}", path.display()))?;
    if there && !arguments.force {
        bail!("{} is there already: edit it, or add --force to replace it", path.display());
    }
    let setup = arguments.webhook.as_ref().map(|address| WebhookSetup::new(address, path));
    let source = match setup.transpose()? {
        Some(setup) => InitSource::Webhook(setup),
        None => match log(arguments, detail)? {
            Some(log) => InitSource::Log(log),
            None => return Ok(ExitCode::Failed),
        },
    };
    let to = match arguments.to.destination() {
        Some(to) => to,
        None => ask_destination()?,
    };
    let cluster = match &arguments.cluster {
        Some(cluster) => cluster.clone(),
        None if io::stdin().is_terminal() => ask("Name of the cluster", "kubernetes")?,
        None => "kubernetes".to_owned(),
    };
    if let InitSource::Webhook(setup) = &source {
        setup.write()?;
    }
    write(path, &text::configuration(&cluster, &source, &to))?;
    note(detail, &format!("wrote {}", path.display()));
    let checked = check::check(path, false, ReportForm::Text(detail));
    if let InitSource::Webhook(setup) = &source {
        let kubeconfig = setup.file("kubeconfig");
        let node = discovery::look(&arguments.root);
        let steps =
            webhook_steps(node.map(|node| node.distribution), &kubeconfig.display().to_string());
        say(&format!(
            "\nNow let the API server send its events here, once the agent runs. {steps}"
        ));
    }
    Ok(checked)
}

/// The log to follow; `None` if the API server writes none, which this prints.
fn log(arguments: &Arguments, detail: Detail) -> anyhow::Result<Option<PathBuf>> {
    if let Some(log) = &arguments.log {
        let log = std::path::absolute(log)
            .with_context(|| format!("cannot make {} absolute", log.display()))?;
        return Ok(Some(log));
    }
    let Some(node) = discovery::look(&arguments.root) else {
        bail!(
            "this node shows no API server: run `auditrail init` on a control-plane node, or add --log with the path of \
             its audit log"
        );
    };
    note(detail, &format!("found {} ({})", node.distribution, node.source));
    let advice = advice(&node);
    if let Some(advice) = &advice {
        say(&format!("\n{advice}\n"));
    }
    match node.log {
        AuditLog::File(path) => {
            note(detail, &format!("its audit log is {}", path.display()));
            Ok(Some(path))
        }
        AuditLog::Stdout | AuditLog::Off => {
            say("Then run `auditrail init` again.");
            Ok(None)
        }
    }
}

impl To {
    fn destination(&self) -> Option<Destination> {
        let Self { loki, elasticsearch, opensearch, falco, file } = self;
        let loki = loki.clone().map(Destination::Loki);
        let elasticsearch = elasticsearch.clone().map(Destination::Elasticsearch);
        let opensearch = opensearch.clone().map(Destination::OpenSearch);
        let falco = falco.clone().map(Destination::Falco);
        let file = file.clone().map(Destination::File);
        loki.or(elasticsearch).or(opensearch).or(falco).or(file)
    }
}

fn ask_destination() -> anyhow::Result<Destination> {
    if !io::stdin().is_terminal() {
        bail!(
            "where do the events go? Add --loki, --elasticsearch, --opensearch or --falco with a URL, or --file with a path"
        );
    }
    loop {
        let kind = ask("Deliver to loki, elasticsearch, opensearch, falco or file", "loki")?;
        return Ok(match kind.as_str() {
            "loki" => Destination::Loki(ask("URL of Loki", "http://127.0.0.1:3100")?),
            "elasticsearch" => {
                Destination::Elasticsearch(ask("URL of Elasticsearch", "http://127.0.0.1:9200")?)
            }
            "opensearch" => {
                Destination::OpenSearch(ask("URL of OpenSearch", "http://127.0.0.1:9200")?)
            }
            "falco" => Destination::Falco(ask("URL of Falco", "http://127.0.0.1:9765/k8s-audit")?),
            "file" => Destination::File(
                ask("Path of the file", "/var/lib/auditrail/events.ndjson")?.into(),
            ),
            other => {
                say(&format!("{other:?} is none of them"));
                continue;
            }
        });
    }
}

/// Asks on the terminal; an empty answer means the default.
fn ask(what: &str, default: &str) -> anyhow::Result<String> {
    let mut out = io::stderr();
    let _ = write!(out, "{what} [{default}]: ").and_then(|()| out.flush());
    let mut answer = String::new();
    if io::stdin().lock().read_line(&mut answer).context("cannot read the answer")? == 0 {
        bail!("there was no answer");
    }
    let answer = answer.trim();
    Ok(if answer.is_empty() { default } else { answer }.to_owned())
}

/// Whether the file exists and sets anything. A package installs one that has comments only.
fn is_configured(path: &Path) -> io::Result<bool> {
    let file = match ReadFile::open(path, Links::Followed) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut text = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(0)];
    file.read_exact_at(&mut text, 0)?;
    Ok(!String::from_utf8_lossy(&text).lines().all(is_comment))
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}
