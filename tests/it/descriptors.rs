//! Limit of open files (`ulimit -n`): with few file descriptors and many backups every event arrives, and the pages
//! answer.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use kit::agent::Agent;
use kit::wait_for;

/// How many backups each log has.
const BACKUPS: usize = 150;

fn line(id: &str, second: usize) -> String {
    format!(
        "{{\"kind\":\"Event\",\"auditID\":\"{id}\",\"stage\":\"ResponseComplete\",\"requestReceivedTimestamp\":\"2026-11-21T06:{:02}:{:02}.533537Z\",\"stageTimestamp\":\"2026-11-21T06:{:02}:{:02}.612771Z\"}}\n",
        second / 60,
        second % 60,
        second / 60,
        second % 60,
    )
}

/// Writes a log and its backups, two events per file. Returns the audit ids of all events.
fn logs(directory: &Path, name: &str) -> BTreeSet<String> {
    fs::create_dir(directory).unwrap();
    let mut ids = BTreeSet::new();
    for file in 0..=BACKUPS {
        let pair = [format!("{name}-{file}-a"), format!("{name}-{file}-b")];
        let text: String = pair.iter().map(|id| line(id, file * 10)).collect();
        let path = if file == BACKUPS {
            directory.join("audit.log")
        } else {
            directory.join(format!(
                "audit-2026-11-21T06-{:02}-{:02}.{file:03}.log",
                file / 6,
                file % 6 * 10 + 9
            ))
        };
        fs::write(path, text).unwrap();
        ids.extend(pair);
    }
    ids
}

/// The audit ids in an output file. Panics on a duplicate; fails on a torn line.
fn delivered(archive: &Path) -> Result<BTreeSet<String>, String> {
    let text = fs::read_to_string(archive).map_err(|error| error.to_string())?;
    let mut ids = BTreeSet::new();
    for line in text.lines() {
        let event: serde_json::Value = serde_json::from_str(line).map_err(|_| "half a line")?;
        let id = event["auditID"].as_str().unwrap_or_default().to_owned();
        assert!(ids.insert(id), "delivered twice: {line}");
    }
    Ok(ids)
}

#[test]
fn with_sixty_four_descriptors_every_backup_arrives_and_the_pages_answer() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["one", "two"];
    let mut tables = format!(
        "[outputs.archive]\ntype = \"file\"\npath = \"{}/out-{{input}}.ndjson\"\n",
        dir.path().display()
    );
    let mut expected = Vec::new();
    for name in names {
        let log = dir.path().join(name);
        expected.push(logs(&log, name));
        let path = log.join("audit.log");
        let path = path.display();
        writeln!(tables, "[inputs.{name}]\ntype = \"file\"\npath = \"{path}\"").unwrap();
    }
    let mut agent = Agent::start_limited((64, 64), dir.path(), &tables);
    for (name, expected) in names.iter().zip(expected) {
        let archive = dir.path().join(format!("out-{name}.ndjson"));
        wait_for("all backups to arrive", Duration::from_mins(2), || {
            let found = delivered(&archive)?;
            if found == expected { Ok(()) } else { Err(format!("{} events", found.len())) }
        });
    }
    agent.wait_readyz(200, Duration::from_secs(30));
    let text = fs::read_to_string(agent.log()).unwrap();
    assert!(!text.contains("run as root"), "{text}");
    assert_eq!(agent.count("auditrail_gaps_total", &[]), 0, "{text}");
    agent.stop_done();
}

#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("audit.log");
    fs::write(&log, line("a", 0)).unwrap();
    let tables = format!(
        "[inputs.one]\ntype = \"file\"\npath = \"{}\"\n[outputs.archive]\ntype = \"file\"\npath = \"{}/out.ndjson\"\n",
        log.display(),
        dir.path().display()
    );
    let mut agent = Agent::start_limited((50, 300), dir.path(), &tables);
    agent.wait_readyz(200, Duration::from_secs(30));
    assert_eq!(agent.count("process_max_fds", &[]), 300);
    agent.stop_done();
}
