//! `holds list` and `holds prune`: the hard links of a removed state directory keep their files, and use disk space,
//! until the operator removes them.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use crate::command::{Ran, auditrail, finish};
use kit::events::{Maker, log_of};
use kit::process::Running;
use kit::wait_for;

/// A log with one backup. Its only output cannot be reached, so the agent holds both files.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        let text = format!(
            "node = \"n\"\nstate_dir = \"{}\"\ndisk = {{ min_free = \"0%\" }}\n[server]\nlisten = \"off\"\n\
             [inputs.api]\ntype = \"file\"\npath = \"{}\"\nhold = {{ min_free = \"0%\" }}\n\
             [outputs.o]\ntype = \"loki\"\nendpoint = \"http://127.0.0.1:1\"\n",
            place.path("state").display(),
            place.path("log/audit.log").display(),
        );
        fs::create_dir(place.path("log")).unwrap();
        fs::write(place.path("auditrail.toml"), text).unwrap();
        let mut maker = Maker::from("2026-11-21T05:30:00Z".parse().unwrap());
        for name in ["audit-2026-11-21T06-00-00.000.log", "audit.log"] {
            fs::write(place.path("log").join(name), log_of(&[maker.event(10)])).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn links(&self) -> usize {
        let Ok(listing) = fs::read_dir(self.path("log/.auditrail-hold")) else { return 0 };
        let whole = |entry: &fs::DirEntry| entry.path().extension().is_none_or(|end| end != "new");
        listing.flatten().filter(whole).count()
    }

    fn start(&self) -> Running {
        let mut command = auditrail();
        command.args(["run", "-c"]).arg(self.path("auditrail.toml"));
        let running = Running::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()));
        wait_for("two links", Duration::from_secs(20), || {
            let links = self.links();
            if links == 2 { Ok(()) } else { Err(links.to_string()) }
        });
        running
    }

    fn holds(&self, arguments: &[&str]) -> Ran {
        finish(auditrail().arg("holds").args(arguments).arg("-c").arg(self.path("auditrail.toml")))
    }
}

#[test]
fn links_that_a_removed_state_directory_left_behind_are_listed_and_removed() {
    let place = Place::new();
    let running = place.start();
    // `prune` keeps the links of a running agent.
    let said = place.holds(&["prune"]).expect(0).stdout;
    assert!(said.contains("0 links removed"), "{said}");
    drop(running);
    let said = place.holds(&["prune"]).expect(0).stdout;
    assert!(said.contains("needs it when it runs again"), "{said}");
    let said = place.holds(&["list"]).expect(0).stdout;
    assert_eq!(said.matches("this agent").count(), 2, "{said}");

    fs::remove_dir_all(place.path("state")).unwrap();
    fs::remove_file(place.path("log/audit-2026-11-21T06-00-00.000.log")).unwrap();
    let said = place.holds(&["list"]).expect(0).stdout;
    assert!(said.contains("one that is gone") && said.contains("the link alone"), "{said}");
    let said = place.holds(&["prune"]).expect(0).stdout;
    assert!(said.contains("2 links removed, 4 KiB freed"), "{said}");
    assert_eq!((place.links(), place.holds(&["list"]).expect(0).stdout), (0, "no links\n".into()));
}

#[test]
fn links_of_another_agent_that_follows_the_same_log_are_left_alone() {
    let place = Place::new();
    let running = place.start();
    // The configuration now names another state directory than the running agent's.
    let config = fs::read_to_string(place.path("auditrail.toml")).unwrap();
    fs::write(place.path("auditrail.toml"), config.replace("/state\"", "/another\"")).unwrap();
    let said = place.holds(&["prune"]).expect(1).stdout;
    assert!(said.contains("another auditrail follows the log"), "{said}");
    assert_eq!(place.links(), 2);
    place.holds(&["prune", "--force"]).expect(0);
    drop(running);
}
