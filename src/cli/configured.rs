//! The argument `--config`.

use std::path::PathBuf;

/// Where the configuration is unless `--config` names another place.
pub(super) const DEFAULT_CONFIG: &str = "/etc/auditrail/auditrail.toml";

#[derive(clap::Args, Debug)]
pub(super) struct Configured {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(super) config: PathBuf,
}
