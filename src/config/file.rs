//! `type = "file"` of an output: the path of the NDJSON file, and its rotation.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ConfigError;
use super::item::Item;
use super::paths::Paths;
use super::table::Table;

/// The settings of a file output.
#[derive(Clone, Debug)]
pub(crate) struct FileOutput {
    /// Absolute. May contain `{input}`, and must if the output ships several inputs. `-` is standard output.
    pub(crate) path: PathBuf,
    pub(crate) rotate: Option<Rotate>,
}

/// `rotate`: when the file output starts a new file, and how many old ones it keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rotate {
    pub(crate) max_bytes: u64,
    pub(crate) max_files: usize,
}

impl FileOutput {
    /// The file to which the events of an input are written.
    pub(crate) fn path_for(&self, input: &str) -> PathBuf {
        PathBuf::from(self.path.to_string_lossy().replace("{input}", input))
    }

    /// `inputs` are the inputs that the output ships.
    pub(super) fn read(
        table: &mut Table<'_>,
        inputs: &[Arc<str>],
        paths: &mut Paths,
    ) -> Result<Self, ConfigError> {
        let item = table.need("path", "path = \"/var/lib/auditrail/archive.ndjson\"")?;
        let rotate = table.get("rotate");
        let path = if item.text()? == "-" {
            if let Some(rotate) = rotate {
                return Err(rotate.wrong("standard output cannot be rotated: remove it"));
            }
            PathBuf::from("-")
        } else {
            written(&item, inputs)?
        };
        let rotate = rotate.map(|item| Rotate::read(&item)).transpose()?;
        paths.write(&path, inputs, &item)?;
        Ok(Self { path, rotate })
    }
}

impl Rotate {
    fn read(item: &Item<'_>) -> Result<Self, ConfigError> {
        let mut table = item.table()?;
        let rotate = Self {
            max_bytes: table.or("max_bytes", 100 << 20, |item| item.size(64 << 10..=1 << 40))?,
            max_files: table.or("max_files", 10, |item| item.count(1..=10_000))?,
        };
        table.finish()?;
        Ok(rotate)
    }
}

/// The path of a real file, perhaps with `{input}`.
fn written(item: &Item<'_>, inputs: &[Arc<str>]) -> Result<PathBuf, ConfigError> {
    let text = item.filled()?;
    if text.ends_with('/') || Path::new(&text).file_name().is_none() {
        return Err(item.wrong("must name a file, not a directory"));
    }
    if text.replace("{input}", "").contains(['{', '}']) {
        return Err(item.wrong("`{input}` is the only thing in braces that is filled in"));
    }
    if inputs.len() > 1 && !text.contains("{input}") {
        let way_out = "put `{input}` into the path, or name one input in `inputs`";
        return Err(item.wrong(format!("{} inputs cannot share a file: {way_out}", inputs.len())));
    }
    item.path()
}
