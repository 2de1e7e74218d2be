//! What the operator wrote, checked: the rooms receive the types of this file and nothing else of the configuration.
//!
//! [`Config::load`] is the only constructor. `raw.rs` is the TOML as typed, `secret.rs` keeps what must not be printed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

mod secret;

pub(crate) use secret::SecretSource;

/// The whole configuration, every value checked and every default filled in.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Name of this node, as it appears in labels; `None`: the host name, kept in the checkpoint from the first start.
    pub(crate) node: Option<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) state_dir: PathBuf,
    pub(crate) disk: Disk,
    /// Shortest time between two writes of the checkpoint.
    pub(crate) checkpoint_interval: Duration,
    /// Longest wait for acknowledgements after SIGTERM. Default 10 s.
    pub(crate) drain_timeout: Duration,
    /// How long an output may be unreachable before `/readyz` turns red. Default 60 s.
    pub(crate) unready_after: Duration,
    /// In the order of their names.
    pub(crate) inputs: Vec<FileInput>,
    /// In the order of their names.
    pub(crate) outputs: Vec<Output>,
    pub(crate) server: Server,
}

/// `disk`: bounds on all that the agent writes below `state_dir`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disk {
    pub(crate) max_bytes: u64,
    pub(crate) min_free: MinFree,
}

/// Space that must stay free on the file system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum MinFree {
    Bytes(u64),
    /// 0 to 100.
    Percent(u8),
}

/// `[inputs.NAME]` with `type = "file"`: one audit log to follow.
#[derive(Clone, Debug)]
pub(crate) struct FileInput {
    pub(crate) name: Arc<str>,
    /// The live log; its backups lie beside it.
    pub(crate) path: PathBuf,
    pub(crate) start_at: StartAt,
    /// Longest line shipped whole, in bytes. Default 100 MiB, the server's own longest.
    pub(crate) max_line_bytes: u64,
    /// Longest time between two listings of the directory while the kernel reports nothing. Default 5 s.
    pub(crate) rescan: Duration,
}

/// `start_at`: where an input begins when the checkpoint knows nothing of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum StartAt {
    Beginning,
    CurrentFile,
    End,
    /// Events not older than this.
    Age(Duration),
}

/// `[outputs.NAME]`: where events go.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) name: Arc<str>,
    /// Names of the inputs it takes; every one exists.
    pub(crate) inputs: Vec<Arc<str>>,
    pub(crate) batch: Batch,
    /// Requests under way at once, at least 1.
    pub(crate) in_flight: usize,
    pub(crate) retry: Retry,
    /// Uncompressed log bytes a second; `None`: no limit.
    pub(crate) max_bytes_per_second: Option<u64>,
    pub(crate) kind: OutputKind,
}

/// When a batch is full: whichever comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    /// Log bytes; a longer line goes alone.
    pub(crate) max_bytes: usize,
    pub(crate) max_events: usize,
    pub(crate) max_age: Duration,
}

/// Bounds of the pause between two tries; tries never end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

/// What kind of back end an output is.
#[derive(Clone, Debug)]
pub(crate) enum OutputKind {
    Loki(Loki),
    Elasticsearch(Elasticsearch),
    File(FileOutput),
}

/// `type = "loki"`.
#[derive(Clone, Debug)]
pub(crate) struct Loki {
    pub(crate) http: Http,
    /// As written: a base URL, perhaps with a path prefix, or a full push URL.
    pub(crate) endpoint: String,
    /// `X-Scope-OrgID`; empty: none is sent.
    pub(crate) tenant: String,
    /// As configured; `cluster`, `node` and `input` are added by the output.
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) metadata: Vec<MetadataField>,
    pub(crate) stream_per_hour: bool,
}

/// A field of the event that Loki keeps as structured metadata, under this name in snake case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MetadataField {
    AuditLevel,
    Stage,
    Verb,
    User,
    Resource,
    Subresource,
    Namespace,
    Name,
    Code,
}

/// `type = "elasticsearch"`: Elasticsearch, OpenSearch, VictoriaLogs.
#[derive(Clone, Debug)]
pub(crate) struct Elasticsearch {
    pub(crate) http: Http,
    /// At least one.
    pub(crate) endpoints: Vec<String>,
    pub(crate) target: Target,
    pub(crate) layout: Layout,
    pub(crate) compression: Compression,
    /// Added to every URL.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) setup_template: SetupTemplate,
}

/// Where documents go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    /// A data stream, by name.
    DataStream(String),
    /// An index name with `%Y`, `%m`, `%d`, `%H` by event time.
    Index(String),
}

/// The shape of a document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Layout {
    /// Field for field what Elastic's Kubernetes integration makes.
    Elastic,
    /// The event's own fields at the top, beside `@timestamp`.
    Flat,
}

/// Content encoding of a request body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Compression {
    Gzip,
    None,
}

/// Whether the index template is installed at start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SetupTemplate {
    /// Only where no template above the built-in `logs-*-*` matches.
    Auto,
    Never,
}

/// `type = "file"`.
#[derive(Clone, Debug)]
pub(crate) struct FileOutput {
    /// May hold `{input}`, and does where the output takes several inputs; `-` is standard output.
    pub(crate) path: PathBuf,
    pub(crate) rotate: Option<Rotate>,
}

/// `rotate`: when the file output begins a new file, and how many old ones it keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rotate {
    pub(crate) max_bytes: u64,
    pub(crate) max_files: usize,
}

/// What every HTTP output takes.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    pub(crate) tls: Tls,
    pub(crate) auth: Auth,
    /// Of one request, from connecting to the last byte of the answer. Default 10 s.
    pub(crate) timeout: Duration,
    /// URL of an HTTP proxy.
    pub(crate) proxy: Option<String>,
    pub(crate) headers: Vec<(String, SecretSource)>,
}

/// `tls`: the files are read again when they change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    pub(crate) ca_file: Option<PathBuf>,
    /// Both or neither.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}

/// Credentials sent with every request.
#[derive(Clone, Debug, Default)]
pub(crate) enum Auth {
    #[default]
    None,
    Basic {
        username: String,
        password: SecretSource,
    },
    Bearer(SecretSource),
    /// Elasticsearch's `Authorization: ApiKey`.
    ApiKey(SecretSource),
}

/// `[server]`.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// `host:port`; `None`: no server.
    pub(crate) listen: Option<String>,
}
