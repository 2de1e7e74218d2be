//! The configuration of the agent in a play: everything is small and quick.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::play::Play;
use super::step::{Kind, Script};
use crate::config::{Config, InputKind, OutputKind, Waits};

/// Time-out of a request: well above the delay of late answers, since a busy machine delays everything.
const TIMEOUT: Duration = Duration::from_millis(250);
/// Like the agent's own waits, scaled down for a quicker environment.
const WAITS: Waits = Waits {
    closed: Duration::from_millis(30),
    settled: Duration::from_millis(600),
    lost: Duration::from_millis(300),
    two_copies: Duration::from_millis(60),
    again: Duration::from_millis(20),
};
impl Play<'_> {
    pub(super) fn archive(&self) -> PathBuf {
        self.node.dir.path().join("archive.ndjson")
    }

    pub(super) fn config(&self) -> Config {
        let mut text = format!(
            "disk = {{ min_free = \"0%\" }}\nnode = \"n\"\nstate_dir = {:?}\ndrain_timeout = \"5s\"\n[server]\n\
             listen = \"off\"\n[inputs.api]\ntype = \"file\"\npath = {:?}\n\
             hold = {{ min_free = \"0%\" }}\n",
            self.node.state(),
            self.node.log()
        );
        for kind in &self.script.outputs {
            writeln!(text, "[outputs.{}]", name(*kind)).unwrap();
            match (kind, self.stores.get(kind).map(|store| store.url.clone()).unwrap_or_default()) {
                (Kind::Loki, url) => write!(text, "type = \"loki\"\nendpoint = \"{url}\""),
                (Kind::Elasticsearch, url) => write!(
                    text,
                    "type = \"elasticsearch\"\nendpoints = [\"{url}\"]\nsetup_template = \"never\"\n\
                     compression = \"none\"\nlayout = \"flat\""
                ),
                (Kind::Archive, _) => write!(text, "type = \"file\"\npath = {:?}", self.archive()),
            }
            .unwrap();
            let Script { batch, in_flight, .. } = self.script;
            writeln!(text, "\nbatch = {{ max_events = {batch}, max_age = \"1ms\" }}").unwrap();
            if *kind != Kind::Archive {
                writeln!(text, "in_flight = {in_flight}").unwrap();
            }
        }
        let mut config = Config::parse(&text, Path::new("test"), &|_| None)
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        config.checkpoint_interval = Duration::from_millis(3);
        for input in config.inputs.iter_mut().map(InputKind::log_mut) {
            (input.waits, input.rescan) = (WAITS, Duration::from_millis(15));
        }
        for output in &mut config.outputs {
            output.retry.min = Duration::from_millis(1);
            output.retry.max = Duration::from_millis(10);
            match &mut output.kind {
                OutputKind::Loki(loki) => loki.http.timeout = TIMEOUT,
                OutputKind::Elasticsearch(elasticsearch) => elasticsearch.http.timeout = TIMEOUT,
                OutputKind::Falco(falco) => falco.http.timeout = TIMEOUT,
                OutputKind::File(_) => {}
            }
        }
        config
    }
}

/// The output's name in the configuration.
pub(super) fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Loki => "loki",
        Kind::Elasticsearch => "es",
        Kind::Archive => "archive",
    }
}
