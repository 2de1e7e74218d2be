//! The packages of a release in a real systemd: they are installed on nodes laid out like those of kubeadm, RKE2 and
//! K3s, upgraded from an older program while events are written, and removed.
//!
//! `etc/release/before.sh` makes the packages of the version before, from an older commit.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;
use std::time::Duration;

use jiff::SignedDuration;

use crate::artifacts;
use crate::container::{self, Container, Usr};
use crate::layout::{Layout, usual_port};
use crate::loki::Loki;
use crate::writer::Writing;
use kit::events::{Expected, Maker, log_of};
use kit::{LogWriter, wait_for};

mod manager;

use manager::Manager;

const LIMIT: Duration = Duration::from_mins(1);
/// The operator should see the first event within this time of the start.
const FIRST_EVENT: Duration = Duration::from_secs(10);
const SELECTOR: &str = "{cluster=\"test\"}";
const CONFIG: &str = "/etc/auditrail/auditrail.toml";
const PROGRAM: &str = "sha256sum /usr/bin/auditrail";
/// Rate of the events that the API server writes during an upgrade.
const EVENTS_PER_SECOND: usize = 3000;
/// How many events wait when the upgrade begins.
const BACKLOG: usize = 6000;

/// A control-plane node without an agent, and a store outside of it.
struct Node {
    container: Container,
    loki: Loki,
    layout: Layout,
    events: Vec<Expected>,
    maker: Maker,
    _port: MutexGuard<'static, ()>,
}

impl Node {
    fn start(layout: Layout, manager: Manager, packages: &[PathBuf]) -> Self {
        let port = usual_port();
        let container = Container::boot(Usr::ForPackages, |root| {
            layout.write(root);
            manager.prepare(root);
            for package in packages {
                fs::copy(package, root.join("root").join(package.file_name().unwrap())).unwrap();
            }
        });
        // This machine may forbid packages to start services, which is nothing to do with the container.
        container.must("rm -f /usr/sbin/policy-rc.d");
        let loki = Loki::stand_in(kit::store::loki::Settings::raised());
        let maker = Maker::from_ago(SignedDuration::from_mins(10));
        let mut node = Self { container, loki, layout, events: Vec::new(), maker, _port: port };
        node.append(50);
        node
    }

    /// Plays the API server: appends events to the log.
    fn append(&mut self, count: usize) {
        let new: Vec<_> = (0..count).map(|_| self.maker.event(300)).collect();
        LogWriter::new(self.log()).append(&log_of(&new));
        self.events.extend(new);
    }

    fn log(&self) -> PathBuf {
        self.container.path(self.layout.log())
    }

    /// Paths of the links beside the log.
    fn links(&self) -> Vec<PathBuf> {
        let hold = self.log().with_file_name(".auditrail-hold");
        fs::read_dir(hold).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    }

    fn has(&self, path: &str) -> bool {
        self.container.path(path).try_exists().unwrap()
    }

    fn wait_delivered(&self) {
        self.loki.wait_count(SELECTOR, &self.events, LIMIT);
    }
}

/// What the operator does after the installation: `init`, `check` and the start. The first event is in the store within
/// ten seconds.
fn first_contact(node: &Node) {
    for path in [
        "/usr/lib/systemd/system/auditrail.service",
        "/usr/share/man/man1/auditrail.1.gz",
        "/usr/share/bash-completion/completions/auditrail",
        "/usr/share/doc/auditrail/licences.txt",
        "/usr/share/doc/auditrail/examples/own-user.conf",
    ] {
        node.container.must(&format!("test -s {path}"));
    }
    node.container.must("id -u auditrail");
    assert_eq!(node.container.property("ActiveState"), "inactive", "nothing is configured yet");
    let init = format!("auditrail init --cluster test --loki {}", node.loki.url());
    let said = node.container.must(&init);
    assert!(said.contains(node.layout.log()), "{said}");
    node.container.must("auditrail check");
    node.container.must("systemctl enable --now auditrail");
    wait_for("the first event to be in the store", FIRST_EVENT, || {
        match node.loki.count(SELECTOR, &node.events)? {
            0 => Err("none is there".to_owned()),
            _ => Ok(()),
        }
    });
    node.wait_delivered();
}

/// Where the store is during an upgrade.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Store {
    /// It takes events, so that requests are under way when the old agent ends.
    There,
    /// It is away, so that a backlog waits.
    Away,
}

/// Upgrades while the API server writes.
fn upgrade(node: &mut Node, manager: Manager, new: &Path, store: Store) {
    let config = fs::read_to_string(node.container.path(CONFIG)).unwrap();
    let before = node.container.property("MainPID");
    if store == Store::Away {
        node.loki.kill();
    }
    let maker = Maker::from_ago(SignedDuration::from_mins(5));
    let writing = Writing::start(node.log(), maker, EVENTS_PER_SECOND);
    writing.wait_for(BACKLOG);
    let old = node.container.must(PROGRAM);
    let said = node.container.must(&manager.install(new));
    let written = writing.count();
    assert_ne!(node.container.must(PROGRAM), old, "the version before has the same program");
    assert_ne!(node.container.property("MainPID"), before, "the old program still runs: {said}");
    assert_eq!(node.container.property("ActiveState"), "active", "{said}");
    assert_eq!(fs::read_to_string(node.container.path(CONFIG)).unwrap(), config);
    writing.wait_for(written + BACKLOG);
    if store == Store::Away {
        node.loki.resume();
    }
    node.events.extend(writing.stop());
    node.wait_delivered();
    node.loki.assert_holds(SELECTOR, &node.events);
}

/// Removes the package while a link alone keeps a backup that the store has not.
fn remove(node: &mut Node, manager: Manager) {
    node.loki.kill();
    node.append(50);
    wait_for("a link of the log", LIMIT, || match fs::metadata(node.log()).unwrap().nlink() {
        1 => Err("there is none".to_owned()),
        _ => Ok(()),
    });
    fs::remove_file(LogWriter::new(node.log()).rotate_now()).unwrap();
    assert!(!node.links().is_empty(), "the link should keep the backup");
    let said = node.container.must(manager.remove());
    assert!(said.contains("links removed"), "{said}");
    assert_eq!(node.links(), Vec::<PathBuf>::new(), "{said}");
    node.container.must("! test -e /usr/bin/auditrail");
    node.container.must("! systemctl is-active auditrail");
    assert!(node.has("/var/lib/auditrail/node.key"), "the state should be kept");
    assert!(node.has(CONFIG) || node.has(&format!("{CONFIG}.rpmsave")), "it should be kept");
}

/// The whole life of a package on a node: installed as the version before, upgraded, removed.
fn life(manager: Manager, layout: Layout, store: Store) -> Option<Node> {
    let (new, before) = (manager.artifact()?, manager.before()?);
    if !container::possible() {
        return None;
    }
    let mut node = Node::start(layout, manager, &[before.clone(), new.clone()]);
    node.container.must(&manager.install(&before));
    first_contact(&node);
    upgrade(&mut node, manager, &new, store);
    remove(&mut node, manager);
    Some(node)
}

#[test]
fn a_debian_package_is_installed_upgraded_removed_and_purged_on_a_kubeadm_node() {
    let Some(node) = life(Manager::Dpkg, Layout::Kubeadm, Store::Away) else { return };
    node.container.must("dpkg --purge auditrail");
    for gone in ["/var/lib/auditrail", "/etc/auditrail"] {
        assert!(!node.has(gone), "{gone} is left");
    }
}

#[test]
fn an_rpm_package_is_installed_upgraded_and_removed_on_an_rke2_node() {
    life(Manager::Rpm, Layout::Rke2, Store::There);
}

#[test]
fn a_debian_package_delivers_within_seconds_on_a_k3s_node() {
    let Some(new) = artifacts::deb() else { return };
    if !container::possible() {
        return;
    }
    let node = Node::start(Layout::K3s, Manager::Dpkg, std::slice::from_ref(&new));
    node.container.must(&Manager::Dpkg.install(&new));
    first_contact(&node);
    node.loki.assert_holds(SELECTOR, &node.events);
}
