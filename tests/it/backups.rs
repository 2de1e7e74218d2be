//! Backups with the names and compressions (gzip, xz, bzip2, zstd) that rotation tools give them: each event arrives
//! exactly once, and the agent names files that it does not follow.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use lzma_rust2::{XzOptions, XzWriter};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::command::Place;
use kit::agent::Agent;
use kit::{tables, wait_for};

/// Two events for a file; its number is in their audit ids.
fn events(file: usize) -> String {
    let line = |n: usize| {
        format!(
            "{{\"kind\":\"Event\",\"auditID\":\"{file:02}-{n}\",\"stage\":\"ResponseComplete\",\"requestReceivedTimestamp\":\"2026-11-21T06:{file:02}:0{n}.533537Z\",\"stageTimestamp\":\"2026-11-21T06:{file:02}:0{n}.612771Z\"}}\n"
        )
    };
    line(0) + &line(1)
}

fn gz(text: &str) -> Vec<u8> {
    kit::log_writer::gzip(text.as_bytes())
}

fn zst(text: &str) -> Vec<u8> {
    compress_to_vec(text.as_bytes(), CompressionLevel::Fastest)
}

fn xz(text: &str) -> Vec<u8> {
    let mut xz = XzWriter::new(Vec::new(), XzOptions::with_preset(1)).unwrap();
    xz.write_all(text.as_bytes()).unwrap();
    xz.finish().unwrap()
}

fn bz2(text: &str) -> Vec<u8> {
    let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bz.write_all(text.as_bytes()).unwrap();
    bz.finish().unwrap()
}

fn plain(text: &str) -> Vec<u8> {
    text.into()
}

/// The name of a backup, and how its events are encoded.
type Row = (&'static str, fn(&str) -> Vec<u8>);

const BACKUPS: &[Row] = &[
    ("audit-2026-11-21T06-01-00.000.log.1.gz", gz),
    ("audit-2026-11-21T06-02-00.000.log.1", plain),
    ("audit-2026-11-21T06-03-00.000.log-20261121.gz", gz),
    ("audit.log-20261121070400", plain),
    ("audit.log-2026-11-20.xz", xz),
    ("audit.log.2026-11-19", plain),
    ("audit.log-20261118-0101.zst", zst),
    ("audit-2026-11-17.log.bz2", bz2),
    ("audit.log-2026-11-16T01:02:03", plain),
    ("audit.log-1795000000", plain),
    ("audit.log.6", gz),
    ("audit.log.7.gz", plain),
    ("audit.log.8.gz", zst),
    ("old/log.november.xz", xz),
    ("old/log.october", plain),
    ("audit.log", plain),
];

fn ids(file: usize) -> [String; 2] {
    [format!("{file:02}-0"), format!("{file:02}-1")]
}

fn delivered(archive: &Path) -> Result<Vec<String>, String> {
    let text = fs::read_to_string(archive).map_err(|error| error.to_string())?;
    let id = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).map_err(|_| "half a line")?;
        Ok(event["auditID"].as_str().unwrap_or(line).to_owned())
    };
    text.lines().map(id).collect()
}

#[test]
fn backups_of_any_name_and_compression_arrive_once_and_in_the_order_of_their_events() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    fs::create_dir_all(log.join("old")).unwrap();
    for (file, (name, made)) in BACKUPS.iter().enumerate() {
        fs::write(log.join(name), made(&events(file))).unwrap();
    }
    fs::write(log.join("audit.log.9.zip"), b"PK\x03\x04\x14").unwrap();
    fs::write(log.join("audit.log-monday"), events(90)).unwrap();
    let archive = dir.path().join("out.ndjson");
    let input = tables::input("one", &log.join("audit.log"));
    let config = format!("{input}backups = \"old/log.*\"\n{}", tables::archive(&archive));
    let mut agent = Agent::start(dir.path(), &config);
    let expected: Vec<_> = (0..BACKUPS.len()).flat_map(ids).collect();
    wait_for("all backups to arrive", Duration::from_mins(1), || {
        let found = delivered(&archive)?;
        if found.len() >= expected.len() { Ok(()) } else { Err(format!("{found:?}")) }
    });
    assert_eq!(delivered(&archive).unwrap(), expected);

    let status = agent.page("/status").unwrap().json().unwrap();
    let finding = &status["inputs"][0]["findings"][0];
    assert_eq!(finding["kind"], "unfollowed_files", "{status}");
    let what = finding["what"].as_str().unwrap();
    assert!(what.contains("audit.log-monday") && what.contains("unzip"), "{what}");
    let (_, check, _) = agent.command(&["check"]);
    assert!(check.contains("audit.log-monday"), "{check}");

    // Another tool rotates the API server's backups once more while the agent runs.
    fs::rename(log.join(BACKUPS[1].0), log.join("audit-2026-11-21T06-02-00.000.log.2")).unwrap();
    fs::write(log.join("audit.log.4.bz2"), bz2(&events(40))).unwrap();
    let more: BTreeSet<_> = expected.into_iter().chain(ids(40)).collect();
    wait_for("a new backup to arrive", Duration::from_mins(1), || {
        let found = delivered(&archive)?;
        if found.len() >= more.len() { Ok(()) } else { Err(format!("{found:?}")) }
    });
    let found = delivered(&archive).unwrap();
    assert_eq!((found.len(), found.into_iter().collect::<BTreeSet<_>>()), (more.len(), more));
    assert_eq!(agent.count("auditrail_gaps_total", &[]), 0);
    agent.stop_done();
}

#[test]
fn an_archive_that_is_not_read_is_refused_with_the_command_that_unpacks_it() {
    let place = Place::following(Path::new("/nonexistent/audit.log"));
    let mut tar = vec![0; 1024];
    tar[..9].copy_from_slice(b"audit.log");
    tar[257..262].copy_from_slice(b"ustar");
    let tar = String::from_utf8(tar).unwrap();
    for (name, bytes, command) in [
        ("audit.zip", b"PK\x03\x04\x14".to_vec(), "`unzip`"),
        ("must-gather.tar.gz", gz(&tar), "`tar -xf`"),
        ("must-gather.tar", tar.clone().into_bytes(), "`tar -xf`"),
    ] {
        let path = place.path(name);
        fs::write(&path, bytes).unwrap();
        let ran = place.ask(&["replay", "--node", "cp-1", path.to_str().unwrap()]);
        assert_ne!(ran.code, Some(0), "{name}");
        assert!(
            ran.stderr.contains(name) && ran.stderr.contains(command),
            "{name}: {}",
            ran.stderr
        );
    }
}
