//! An upgrade by the chart while the API server writes 3,000 events a second: Helm installs the chart of the version
//! before and upgrades to this one, and the new pod goes on where the old one stopped.
//!
//! The API server, etcd, the DaemonSet controller, the scheduler and Helm are real, and so are the images and charts
//! of both versions. The kubelet and the container runtime are played (`rollout/kubelet.rs`), and so is the node.
//! `etc/release/before.sh` makes the version before.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use kit::events::Maker;
use kit::{free_port, wait_for};
use tempfile::TempDir;

use crate::artifacts::{self, BEFORE as OLD};
use crate::container;
use crate::loki::Loki;
use crate::pod::ImageLayout;
use crate::servers::{Server, have, say};
use crate::writer::Writing;

mod cluster;
mod kubelet;

use cluster::{ControlPlane, helm};
use kubelet::Kubelet;

const LIMIT: Duration = Duration::from_mins(2);
const SELECTOR: &str = "{cluster=\"test\"}";
const EVENTS_PER_SECOND: usize = 3000;
/// How many events are written before the upgrade, and after it.
const SOME: usize = 9000;
const REPOSITORY: &str = "registry.example.org/auditrail";
const NEW: &str = env!("CARGO_PKG_VERSION");

/// Both versions of the image and the chart; `None`: something is missing, which is printed.
fn versions() -> Option<[(PathBuf, PathBuf); 2]> {
    let new =
        (artifacts::image()?, Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/helm/auditrail"));
    let old = (
        artifacts::before(&format!("artifacts/auditrail-{OLD}-image.tar"))?,
        artifacts::before("chart")?,
    );
    let servers = [Server::KubeApi, Server::KubeControllers, Server::KubeScheduler];
    if !have(&servers) || !container::possible() {
        return None;
    }
    if helm().is_none() {
        say("not run: helm is missing");
        return None;
    }
    Some([old, new])
}

#[test]
fn an_upgrade_by_the_chart_under_load_loses_and_doubles_nothing() {
    let Some([old, new]) = versions() else { return };
    let dir = TempDir::new().unwrap();
    let mut images = BTreeMap::new();
    for (tag, archive) in [(OLD, &old.0), (NEW, &new.0)] {
        let root = dir.path().join("images").join(tag);
        ImageLayout::unpack(archive).root(&root);
        // The runtime makes this too, for the volume with Secrets.
        fs::create_dir_all(root.join("run/auditrail-secrets")).unwrap();
        images.insert(format!("{REPOSITORY}:{tag}"), root);
    }
    let program = |tag: &str| {
        fs::read(images[&format!("{REPOSITORY}:{tag}")].join("usr/local/bin/auditrail")).unwrap()
    };
    assert!(program(OLD) != program(NEW), "the version before has the same program");

    let loki = Loki::stand_in(kit::store::loki::Settings::raised());
    let log = dir.path().join("node/var/log/kubernetes/audit/audit.log");
    let control_plane = ControlPlane::start();
    let mut kubelet = Kubelet::new(&control_plane, images, dir.path());
    let values = format!(
        "port: {}\nimage: {{repository: {REPOSITORY}}}\nconfig:\n  cluster: test\n  disk: {{min_free: 1MiB}}\n  \
         outputs: {{loki: {{type: loki, endpoint: '{}'}}}}\n",
        free_port(),
        loki.url()
    );
    let maker = Maker::from_ago(SignedDuration::from_mins(5));
    let writing = Writing::start(log, maker, EVENTS_PER_SECOND);
    writing.wait_for(1);

    control_plane.helm("install", &old.1, &values, OLD);
    let image = wait_rolled_out(&mut kubelet, &control_plane, OLD);
    assert_eq!(image, format!("{REPOSITORY}:{OLD}"));
    writing.wait_for(writing.count() + SOME);
    let written = writing.count();

    control_plane.helm("upgrade", &new.1, &values, NEW);
    let image = wait_rolled_out(&mut kubelet, &control_plane, NEW);
    assert_eq!(image, format!("{REPOSITORY}:{NEW}"));
    assert!(writing.count() > written, "nothing was written during the upgrade");
    writing.wait_for(writing.count() + SOME);
    let events = writing.stop();

    loki.wait_count(SELECTOR, &events, LIMIT);
    loki.assert_holds(SELECTOR, &events);
    assert_eq!(kubelet.most, 1, "two agents ran on the node at once");
    let ended: Vec<_> = kubelet.ended.iter().map(|past| (&*past.image, past.code)).collect();
    assert_eq!(ended, [(&*format!("{REPOSITORY}:{OLD}"), Some(0))], "the old pod drains and ends");
}

/// Lets the kubelet work until the DaemonSet is rolled out with this tag, and returns its image.
fn wait_rolled_out(kubelet: &mut Kubelet<'_>, control_plane: &ControlPlane, tag: &str) -> String {
    wait_for("the DaemonSet to be rolled out", LIMIT, || {
        kubelet.look();
        let image = control_plane.rolled_out()?;
        if image.ends_with(&format!(":{tag}")) { Ok(image) } else { Err(image) }
    })
}
