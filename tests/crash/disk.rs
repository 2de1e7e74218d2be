//! Simulates a disk in memory: repeats the noted steps of an agent (write, fsync, rename) and tells which files a power
//! cut after them would leave.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// How much a power cut loses of content and names without an fsync.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Loss {
    /// Nothing is lost, as after SIGKILL.
    None,
    /// Content and names without an fsync are lost.
    All,
    /// Names are kept; content without an fsync is lost.
    Content,
    /// Names are kept; content appended since the last fsync reads as zeros.
    Zeros,
    /// Names are kept, and the first half of the content appended since the last fsync.
    Half,
    /// Names without an fsync of their directory are lost; content is kept.
    Names,
}

/// The simulated disk. It holds the state that a process sees (`now`) and the durable state (`synced`).
#[derive(Default)]
pub(crate) struct Disk {
    files: Vec<Content>,
    directories: BTreeMap<PathBuf, Names>,
    /// Index in `files` of each open file, by the number that its process gave it.
    open: BTreeMap<u64, usize>,
}

#[derive(Clone, Default)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Clone, Default)]
struct Names {
    now: BTreeMap<String, Entry>,
    synced: BTreeMap<String, Entry>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Entry {
    File(usize),
    Directory,
    /// A socket: after a restart only an empty file of that name is left.
    Socket,
}

const HOLD: &str = "/.auditrail-hold";

/// Content of each file by path; `None` for a directory.
pub(crate) type Image = BTreeMap<PathBuf, Option<Vec<u8>>>;

impl Disk {
    /// An empty disk with one directory, whose name is durable.
    pub(crate) fn new(root: &Path) -> Self {
        let directories = [(root.to_owned(), Names::default())].into();
        Self { directories, ..Self::default() }
    }

    /// Repeats one noted step.
    pub(crate) fn step(&mut self, note: &Value) {
        // Hard links in the hold directory name files of the API server, which this disk does not simulate.
        let is_hold = |value: &Value| value.as_str().is_some_and(|path| path.contains(HOLD));
        if note.as_array().unwrap().iter().skip(2).any(is_hold) {
            return;
        }
        let path = |at: usize| PathBuf::from(note[at].as_str().unwrap());
        let number = |at: usize| note[at].as_u64().unwrap();
        match note[1].as_str().unwrap() {
            "open" => self.open(&path(2), note[3] == true, number(4)),
            "write" => {
                let bytes = STANDARD.decode(note[3].as_str().unwrap()).unwrap();
                self.opened(number(2)).now.extend(bytes);
            }
            "cut" => {
                let length = usize::try_from(number(3)).unwrap();
                self.opened(number(2)).now.resize(length, 0);
            }
            "sync" => {
                let file = self.opened(number(2));
                file.synced.clone_from(&file.now);
            }
            "names" => {
                // The agent also syncs directories that it did not create; they are not on this disk.
                if let Some(names) = self.directories.get_mut(&path(2)) {
                    names.synced.clone_from(&names.now);
                }
            }
            "directory" => {
                self.put(&path(2), Entry::Directory);
                self.directories.entry(path(2)).or_default();
            }
            "socket" => self.put(&path(2), Entry::Socket),
            "rename" => {
                let entry = self.take(&path(2));
                self.put(&path(3), entry);
            }
            "link" => {
                let entry = self.at(&path(2));
                self.put(&path(3), entry.expect("links are to what is ours"));
            }
            "unlink" => drop(self.take(&path(2))),
            "private" | "send" | "answer" => {}
            other => panic!("a step that is not known: {other}"),
        }
    }

    fn open(&mut self, path: &Path, empty: bool, number: u64) {
        let file = if let Some(Entry::File(file)) = self.at(path) {
            file
        } else {
            self.files.push(Content::default());
            self.put(path, Entry::File(self.files.len() - 1));
            self.files.len() - 1
        };
        if empty {
            self.files[file].now.clear();
        }
        self.open.insert(number, file);
    }

    fn opened(&mut self, number: u64) -> &mut Content {
        &mut self.files[self.open[&number]]
    }

    fn names(&mut self, path: &Path) -> (&mut BTreeMap<String, Entry>, String) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let names = self.directories.get_mut(path.parent().unwrap());
        (&mut names.unwrap_or_else(|| panic!("no directory for {}", path.display())).now, name)
    }

    fn at(&mut self, path: &Path) -> Option<Entry> {
        let (names, name) = self.names(path);
        names.get(&name).copied()
    }

    fn put(&mut self, path: &Path, entry: Entry) {
        let (names, name) = self.names(path);
        names.insert(name, entry);
    }

    fn take(&mut self, path: &Path) -> Entry {
        let (names, name) = self.names(path);
        names.remove(&name).unwrap_or_else(|| panic!("nothing at {}", path.display()))
    }

    /// The files left below a directory, by path relative to it. `loss` tells what each path loses.
    pub(crate) fn after_cut(&self, root: &Path, loss: &dyn Fn(&Path) -> Loss) -> Image {
        let mut image = Image::new();
        self.visit(root, root, loss, &mut image);
        image
    }

    fn visit(&self, at: &Path, root: &Path, loss: &dyn Fn(&Path) -> Loss, image: &mut Image) {
        let names = &self.directories[at];
        for name in names.now.keys().chain(names.synced.keys()) {
            let path = at.join(name);
            let below = path.strip_prefix(root).unwrap();
            let loss_here = loss(below);
            let durable = matches!(loss_here, Loss::All | Loss::Names);
            let entry = if durable { names.synced.get(name) } else { names.now.get(name) };
            match entry {
                None => {}
                Some(Entry::Socket) => drop(image.insert(below.to_owned(), Some(Vec::new()))),
                Some(Entry::Directory) => {
                    image.insert(below.to_owned(), None);
                    self.visit(&path, root, loss, image);
                }
                Some(Entry::File(file)) => {
                    let content = self.files[*file].after_cut(loss_here);
                    image.insert(below.to_owned(), Some(content));
                }
            }
        }
    }
}

impl Content {
    fn after_cut(&self, loss: Loss) -> Vec<u8> {
        let unsynced = self.now.get(self.synced.len()..).unwrap_or_default().len();
        let mut left = self.synced.clone();
        match loss {
            Loss::None | Loss::Names => left.clone_from(&self.now),
            Loss::All | Loss::Content => {}
            Loss::Zeros => left.resize(left.len() + unsynced, 0),
            Loss::Half => left.extend(&self.now[self.now.len() - unsynced..][..unsynced / 2]),
        }
        left
    }
}

/// Writes an image into a directory.
pub(crate) fn restore(image: &Image, root: &Path) {
    for (path, content) in image {
        match content {
            None => fs::create_dir(root.join(path)).unwrap(),
            Some(content) => {
                let secret = image.get(&path.with_file_name("node.key")).cloned().flatten();
                let content = in_place(content, &secret.unwrap_or_default());
                fs::write(root.join(path), content).unwrap();
            }
        }
    }
}

/// Removes the birth time from a checkpoint and signs it again. The agent compares that time with the file's own to
/// recognise a copied checkpoint. A restored image is a copy, but stands for the original disk.
fn in_place(content: &[u8], secret: &[u8]) -> Vec<u8> {
    let whole = || {
        let text = std::str::from_utf8(content).ok()?;
        let (head, body) = text.strip_suffix('\n')?.split_once('\n')?;
        let mut head: serde_json::Value = serde_json::from_str(head).ok()?;
        let length = usize::try_from(head["length"].as_u64()?).ok()?;
        let (before, rest) = body.split_once(",\"born\":").filter(|_| length == body.len())?;
        let body =
            format!("{before}{}", rest.trim_start_matches(|byte: char| byte.is_ascii_digit()));
        let version = u32::try_from(head["version"].as_u64()?).ok()?.to_le_bytes();
        let mut crc32 = crc32fast::Hasher::new();
        crc32.update(&version);
        crc32.update(body.as_bytes());
        head["length"] = body.len().into();
        head["crc32"] = format!("{:08x}", crc32.finalize()).into();
        head["hmac"] =
            signed(secret, &[&version, &(body.len() as u64).to_le_bytes(), body.as_bytes()])?
                .into();
        Some(format!("{head}\n{body}\n").into_bytes())
    };
    whole().unwrap_or_else(|| content.to_vec())
}

/// The HMAC of a body, with its CRC-32, as `src/checkpoint/seal.rs` writes it. `secret` is the content of `node.key`.
fn signed(secret: &[u8], parts: &[&[u8]]) -> Option<String> {
    let hash = |key: &[u8], parts: &[&[u8]]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes()
    };
    let key = hash(secret.get(..32)?, &[b"auditrail: the key that authenticates checkpoints"]);
    let tag = hash(&key, parts);
    let hex: Vec<_> = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    let hex = hex.concat();
    Some(format!("{hex}-{:08x}", crc32fast::hash(&tag)))
}
