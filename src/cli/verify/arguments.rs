//! The flags of `verify`.

use std::path::PathBuf;

use crate::cli::times::TimeArg;

#[derive(clap::Args, Debug)]
pub(in crate::cli) struct Arguments {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = crate::cli::configured::DEFAULT_CONFIG)]
    pub(in crate::cli) config: PathBuf,
    /// The node that wrote the log [default: `node` of the configuration, or that of the state directory]
    #[arg(long, value_name = "NAME")]
    pub(super) node: Option<String>,
    /// Verify this input only; required with PATH if the configuration has several
    #[arg(long, value_name = "NAME")]
    pub(super) input: Option<String>,
    /// Only this output
    #[arg(long, value_name = "NAME")]
    pub(super) output: Option<String>,
    /// Skip events before this time: `2026-11-21T06:00:00Z`, `2026-11-21`, or an age such as `24h`
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<TimeArg>,
    /// Skip events at or after this time
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<TimeArg>,
    /// Print one JSON object that lists every missing event
    #[arg(long, conflicts_with_all = ["all", "repair"])]
    pub(super) json: bool,
    /// List every missing event, not only the first 20
    #[arg(long)]
    pub(super) all: bool,
    /// Ship the missing events
    #[arg(long)]
    pub(super) repair: bool,
    /// Audit logs, compressed or not, or directories of them [default: the log and its backups]
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
}
