//! The terminal recording in `etc/recordings`: a replay and two runs of `verify`, recorded by this test and not by
//! hand.
//!
//! `AUDITRAIL_BLESS=1 cargo test --test backends recording` records it again: `verify.cast` for `asciinema play`, with
//! the progress bar, and `verify.txt`, the final text on the terminal.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::json;
use tempfile::TempDir;

use crate::elastic::Elastic;
use kit::store::elastic::Settings;
use kit::tables;

const STREAM: &str = "logs-kubernetes.audit_logs-recording";
const COLUMNS: usize = 118;

/// The output on the terminal, with times in seconds.
#[derive(Default)]
struct Recording {
    frames: Vec<(f64, String)>,
    now: f64,
}

impl Recording {
    fn show(&mut self, after: f64, text: &str) {
        self.now += after;
        self.frames.push((self.now, text.to_owned()));
    }

    /// Types a command and runs it on a terminal of its own; returns its exit code.
    fn run(&mut self, dir: &Path, line: &str) -> Option<i32> {
        self.show(0.8, "$ ");
        for word in line.split_inclusive(' ') {
            self.show(0.15, word);
        }
        self.show(0.4, "\r\n");
        let program = kit::process::built_binary().display().to_string();
        // No line of the log, but the progress bar, which is shown at the level of its log lines.
        let level = "error,auditrail::replay::progress=info";
        let real = line.replacen("auditrail", &format!("{program} --log-level {level}"), 1);
        let mut child = Command::new("script")
            .args(["-qefc", &format!("stty cols {COLUMNS} rows 40; {real}"), "/dev/null"])
            .current_dir(dir)
            .env("NO_COLOR", "1")
            .env("TERM", "xterm")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (began, before) = (Instant::now(), self.now);
        let mut out = child.stdout.take().unwrap();
        let mut buffer = vec![0; 65536];
        loop {
            let got = out.read(&mut buffer).unwrap();
            self.now = before + began.elapsed().as_secs_f64();
            if got == 0 {
                break;
            }
            self.show(0.0, &String::from_utf8_lossy(&buffer[..got]));
        }
        child.wait().unwrap().code()
    }

    /// The recording in asciinema's format (version 2).
    fn cast(&self) -> String {
        let head = json!({"version": 2, "width": COLUMNS, "height": 40, "title": "auditrail replay and verify"});
        let mut text = format!("{head}\n");
        for (at, shown) in &self.frames {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", json!([(at * 1000.0).round() / 1000.0, "o", shown]));
        }
        text
    }

    /// The final text on the terminal: of each line that was overwritten, the last version.
    fn text(&self) -> String {
        let all: String = self.frames.iter().map(|(_, text)| text.as_str()).collect();
        let all = all.replace("\r\n", "\n");
        let mut text = String::new();
        for line in all.lines() {
            let last = line.rsplit('\r').find(|part| !plain(part).trim().is_empty());
            let _ = writeln!(text, "{}", plain(last.unwrap_or_default()).trim_end());
        }
        text
    }
}

/// The text without escape sequences.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split('\u{1b}');
    plain.extend(parts.next());
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
        plain.push_str(&part[end..]);
    }
    plain
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/recordings").join(name)
}

/// All lines but those of the progress bar, whose speed differs each time.
fn lasting(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.contains("% ")).collect()
}

#[test]
fn the_recording_in_the_documents_is_what_the_program_shows() {
    let elastic = Elastic::stand_in(Settings::default());
    let dir = TempDir::new().unwrap();
    let audit = dir.path().join("audit");
    fs::create_dir(&audit).unwrap();
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/recorded/audit");
    for entry in fs::read_dir(recorded).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, audit.join(path.file_name().unwrap())).unwrap();
    }
    let config = format!(
        "node = \"cp-1\"\nstate_dir = \"{}\"\ndisk = {{ min_free = \"1MiB\" }}\n[server]\nlisten = \"off\"\n{}{}",
        dir.path().join("state").display(),
        tables::input("apiserver", Path::new("/var/log/kubernetes/audit/audit.log")),
        tables::elasticsearch(&elastic.url(), STREAM, "batch = { max_events = 100 }")
    );
    fs::write(dir.path().join("auditrail.toml"), config).unwrap();
    let mut recording = Recording::default();
    let mut run = |line: &str| recording.run(dir.path(), line);
    assert_eq!(
        run("auditrail replay -c auditrail.toml --max-bytes-per-second 1500kB audit"),
        Some(0)
    );
    elastic.delete_where(STREAM, "kubernetes.audit.objectRef.name", "svc-2-193");
    assert_eq!(run("auditrail verify -c auditrail.toml --repair audit"), Some(0));
    assert_eq!(run("auditrail verify -c auditrail.toml audit"), Some(0));
    let text = recording.text();
    if std::env::var_os("AUDITRAIL_BLESS").is_some() {
        fs::create_dir_all(file("")).unwrap();
        fs::write(file("verify.cast"), recording.cast()).unwrap();
        fs::write(file("verify.txt"), &text).unwrap();
    }
    let known = fs::read_to_string(file("verify.txt")).unwrap();
    assert_eq!(lasting(&text), lasting(&known), "AUDITRAIL_BLESS=1 accepts it\n{text}");
    let drawn = recording.cast();
    assert!(drawn.contains("MiB/s") && drawn.contains("left"), "a bar is drawn on a terminal");
}
