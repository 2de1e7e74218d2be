//! Plays the kubelet of the only node: it does what the API server's objects say. For each pod of the node it starts a
//! container from the pod's image, with the pod's arguments, variables and volumes, and reports it ready once the
//! pod's own readiness probe succeeds in it. For a pod that is to end it sends SIGTERM, waits for the pod's grace
//! period, sends SIGKILL after it, and takes the pod away.
//!
//! Played is this alone. Missing are the runtime's own seccomp profile, cgroups, and the liveness probe.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kit::process::{Running, log_to};
use kit::tail;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::cluster::{ControlPlane, NAMESPACE, NODE};
use crate::pod::{self, Mount, agent_below};

/// How a container lived and ended.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) image: String,
    /// The exit code of the agent; `None`: the kubelet had to kill it.
    pub(super) code: Option<i32>,
}

pub(super) struct Kubelet<'a> {
    control_plane: &'a ControlPlane,
    /// The root directory of each image, by the image's name.
    images: BTreeMap<String, PathBuf>,
    /// The root directory of the node, and what the kubelet keeps for its pods.
    node: PathBuf,
    work: PathBuf,
    /// The running containers by the name of their pod.
    running: BTreeMap<String, Living>,
    pub(super) ended: Vec<Past>,
    /// The most containers that ran at once.
    pub(super) most: usize,
}

/// A running container.
struct Living {
    image: String,
    nspawn: Running,
    ready: bool,
    /// When SIGTERM was sent.
    asked_to_end: Option<Instant>,
    log: PathBuf,
}

impl<'a> Kubelet<'a> {
    /// `dir` is for the root directory of the node (`node`) and the files of the kubelet.
    pub(super) fn new(
        control_plane: &'a ControlPlane,
        images: BTreeMap<String, PathBuf>,
        dir: &Path,
    ) -> Self {
        let (node, work) = (dir.join("node"), dir.join("kubelet"));
        fs::create_dir_all(&work).unwrap();
        Self {
            control_plane,
            images,
            node,
            work,
            running: BTreeMap::new(),
            ended: Vec::new(),
            most: 0,
        }
    }

    /// Looks at all pods of the node once, and does what they want.
    pub(super) fn look(&mut self) {
        let pods = self.control_plane.get(&format!("/api/v1/namespaces/{NAMESPACE}/pods")).unwrap();
        for pod in pods["items"].as_array().unwrap() {
            if pod["spec"]["nodeName"] != NODE {
                continue;
            }
            let name = pod["metadata"]["name"].as_str().unwrap();
            match (pod["metadata"]["deletionTimestamp"].is_null(), self.running.remove(name)) {
                (true, None) => {
                    let started = self.start(name, pod);
                    self.running.insert(name.to_owned(), started);
                    self.most = self.most.max(self.running.len());
                }
                (true, Some(mut living)) => {
                    self.probe(name, pod, &mut living);
                    self.running.insert(name.to_owned(), living);
                }
                (false, Some(living)) => self.end(name, pod, living),
                (false, None) => self.forget(name),
            }
        }
    }

    fn start(&self, name: &str, pod: &Value) -> Living {
        let container = &pod["spec"]["containers"][0];
        let image = container["image"].as_str().unwrap();
        let root = self.images.get(image).unwrap_or_else(|| panic!("there is no image {image}"));
        let mounts: Vec<_> = items(&container["volumeMounts"])
            .iter()
            .map(|mount| Mount {
                from: self.volume(name, pod, mount["name"].as_str().unwrap()),
                to: mount["mountPath"].as_str().unwrap().to_owned(),
                read_only: mount["readOnly"] == true,
            })
            .collect();
        let variables: Vec<_> = items(&container["env"])
            .iter()
            .map(|variable| {
                let field = &variable["valueFrom"]["fieldRef"]["fieldPath"];
                assert_eq!(field, "spec.nodeName", "the kubelet here knows this field only");
                (variable["name"].as_str().unwrap().to_owned(), NODE.to_owned())
            })
            .collect();
        let log = self.work.join(format!("{name}.log"));
        let mut command = pod::command(root, &mounts, &variables);
        // The entry point of the image.
        command.arg("/usr/local/bin/auditrail");
        command.args(items(&container["args"]).iter().map(|argument| argument.as_str().unwrap()));
        let nspawn = Running::spawn(log_to(&mut command, &log));
        Living { image: image.to_owned(), nspawn, ready: false, asked_to_end: None, log }
    }

    /// The directory on this machine that holds a volume of the pod.
    fn volume(&self, pod_name: &str, pod: &Value, name: &str) -> PathBuf {
        let volumes = items(&pod["spec"]["volumes"]);
        let volume = volumes.iter().find(|volume| volume["name"] == name).unwrap();
        if let Some(path) = volume["hostPath"]["path"].as_str() {
            let path = self.node.join(path.trim_start_matches('/'));
            if volume["hostPath"]["type"] == "DirectoryOrCreate" {
                fs::create_dir_all(&path).unwrap();
            }
            assert!(path.is_dir(), "{} is no directory", path.display());
            return path;
        }
        let path = self.work.join(pod_name).join(name);
        fs::create_dir_all(&path).unwrap();
        if let Some(config) = volume["configMap"]["name"].as_str() {
            let config = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{config}");
            let config = self.control_plane.get(&config).unwrap();
            for (file, text) in config["data"].as_object().unwrap() {
                fs::write(path.join(file), text.as_str().unwrap()).unwrap();
            }
        } else {
            assert_eq!(volume["secret"]["optional"], true, "the kubelet here has no Secrets");
        }
        path
    }

    /// Reports the pod ready once its readiness probe succeeds in the container.
    fn probe(&self, name: &str, pod: &Value, living: &mut Living) {
        if let Some(status) = living.nspawn.ended() {
            panic!("the container of {name} ended with {status}: {}", tail(&living.log, 20));
        }
        let Ok(agent) = agent_below(living.nspawn.id()) else { return };
        let probe = &pod["spec"]["containers"][0]["readinessProbe"]["exec"]["command"];
        let probe = items(probe);
        let mut command = Command::new("nsenter");
        command.args(["--target", &agent.to_string(), "--mount", "--root", "--wd", "--"]);
        command.args(probe.iter().map(|word| word.as_str().unwrap()));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if living.ready || !command.status().unwrap().success() {
            return;
        }
        living.ready = true;
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let condition =
            |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now});
        let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(condition);
        let status = json!({"status": {
            "phase": "Running",
            "startTime": now,
            "conditions": conditions,
            "containerStatuses": [{
                "name": "auditrail", "image": living.image, "imageID": "", "restartCount": 0,
                "ready": true, "state": {"running": {"startedAt": now}},
            }],
        }});
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}/status");
        self.control_plane.patch(&path, &status.to_string());
    }

    /// Ends the container as the pod says, and takes the pod away when it has ended.
    fn end(&mut self, name: &str, pod: &Value, mut living: Living) {
        let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap();
        let code = match (living.nspawn.ended(), living.asked_to_end) {
            (Some(status), _) => status.code(),
            (None, Some(since)) if since.elapsed() > Duration::from_secs(grace) => {
                living.nspawn.kill();
                None
            }
            (None, asked) => {
                if asked.is_none()
                    && let Ok(agent) = agent_below(living.nspawn.id())
                {
                    let agent = Pid::from_raw(agent.try_into().unwrap()).unwrap();
                    kill_process(agent, Signal::TERM).unwrap();
                    living.asked_to_end = Some(Instant::now());
                }
                self.running.insert(name.to_owned(), living);
                return;
            }
        };
        self.ended.push(Past { image: living.image, code });
        self.forget(name);
    }

    fn forget(&self, name: &str) {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}?gracePeriodSeconds=0");
        let answer = self.control_plane.server.ask("DELETE", &path, &[], "");
        assert!(matches!(answer.status, 200 | 404), "{}", answer.text());
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
