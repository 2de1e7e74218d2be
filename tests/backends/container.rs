//! A container with a real systemd in it: `systemd-nspawn --boot` on a root directory made for the test, with the
//! `/usr` of this machine, which nothing in the container can change. It shares the network with the machine, so the agent in it can reach a
//! stand-in on loopback.
//!
//! It needs root. Where systemd is not the init of this machine, nobody assigns cgroups, so this file makes one for the
//! container. Everything that it starts or creates ends with the container. The next run removes the remains of a run
//! that was killed.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, thread};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

use crate::servers::say;
use kit::{tail, wait_for};

const LIMIT: Duration = Duration::from_mins(1);
/// The target that the container boots: only systemd's own basic units.
const TARGET: &str = "[Unit]\nRequires=basic.target\nAfter=basic.target\n";
/// Prefix of the name of each cgroup and machine; the process ID of the test follows.
const PREFIX: &str = "auditrail-test-";

/// Whether a container can be started here. If not, prints why, and the test returns; with
/// `AUDITRAIL_REQUIRE_CONTAINER=1` it fails.
pub(crate) fn possible() -> bool {
    let mut missing = Vec::new();
    if !rustix::process::geteuid().is_root() {
        missing.push("it takes root".to_owned());
    }
    for (program, package) in [
        ("systemd-nspawn", "systemd-container"),
        ("systemctl", "systemd"),
        ("nsenter", "util-linux"),
        ("setpriv", "util-linux"),
        ("perl", "perl-base"),
    ] {
        let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(Path::new);
        if !folders.iter().any(|folder| folder.join(program).is_file()) {
            missing.push(format!("{program} is missing, of the Debian package {package}"));
        }
    }
    if !Path::new("/usr/lib/systemd/systemd").is_file() {
        missing.push("there is no /usr/lib/systemd/systemd".to_owned());
    }
    if missing.is_empty() {
        return true;
    }
    let why = missing.join("; ");
    let required = env::var_os("AUDITRAIL_REQUIRE_CONTAINER").is_some_and(|value| value == "1");
    assert!(!required, "no container: {why}");
    say(&format!("not run, no container: {why}"));
    false
}

/// What the container has as `/usr`: this machine's, in either case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Usr {
    /// Read-only, with the built binary in `/usr/local/bin`.
    WithBuiltBinary,
    /// With a layer of the container's own on top, which takes what a package installs. `/usr/local` is empty.
    ForPackages,
}

/// A running container. Dropping it ends all of its processes.
pub(crate) struct Container {
    dir: TempDir,
    name: String,
    nspawn: Child,
    /// The systemd of the container, by its process ID on the host.
    leader: u32,
    cgroups: Vec<PathBuf>,
}

/// Exit code and output of a command in the container.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
}

impl Container {
    /// Boots a container. `prepare` gets its root directory and may put files there before the boot.
    pub(crate) fn boot(usr: Usr, prepare: impl FnOnce(&Path)) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let dir = TempDir::new().unwrap();
        make_root(dir.path());
        if usr == Usr::WithBuiltBinary {
            install_built_binary(&dir.path().join("local/bin"));
        }
        prepare(&dir.path().join("root"));
        let cgroups = make_cgroups(&name);
        let console = File::create(dir.path().join("console.log")).unwrap();
        // If this process is killed, nspawn gets SIGTERM and powers the container off.
        let script =
            r#"for group in $CGROUPS; do echo $$ >"$group/cgroup.procs" || exit; done; exec "$@""#;
        let groups: Vec<_> = cgroups.iter().map(|path| path.to_str().unwrap()).collect();
        let local = format!("--bind-ro={}:/usr/local", dir.path().join("local").display());
        let usr = match usr {
            Usr::WithBuiltBinary => "--bind-ro=/usr:/usr".to_owned(),
            Usr::ForPackages => format!("--overlay=/usr:{}:/usr", dir.path().join("usr").display()),
        };
        let nspawn = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "sh", "-c", script, "sh", "systemd-nspawn", "--boot"])
            .args(["--quiet", "--console=pipe", "--register=no", "--keep-unit"])
            // For the unified cgroup hierarchy, and for bpf(2), without which `IPAddressDeny=` and `DevicePolicy=` do
            // nothing.
            .args(["--capability=all", "--system-call-filter=bpf"])
            // The filter of nspawn refuses Landlock, which the kernel of a node allows.
            .arg("--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self")
            .arg(format!("--machine={name}"))
            .arg(format!("--directory={}", dir.path().join("root").display()))
            .args([usr, local])
            .args(["--", "--unit=boot.target"])
            .env("CGROUPS", groups.join(" "))
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console)
            .spawn()
            .unwrap();
        let mut container = Self { dir, name, nspawn, leader: 0, cgroups };
        container.leader = wait_for("nspawn to start systemd", LIMIT, || container.find_leader());
        wait_for("systemd to have booted", LIMIT, || {
            let said = container.run("systemctl is-active boot.target");
            if said.code == Some(0) { Ok(()) } else { Err(said.text) }
        });
        container
    }

    fn find_leader(&mut self) -> Result<u32, String> {
        if let Some(status) = self.nspawn.try_wait().unwrap() {
            return Err(format!("nspawn ended with {status}"));
        }
        let parent = format!(" {} ", self.nspawn.id());
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            // The format of `/proc/PID/stat`: NUMBER (NAME) STATE PARENT …
            let Some((number, rest)) = stat.split_once(" (systemd) ") else { continue };
            if rest.get(1..).is_some_and(|rest| rest.starts_with(&parent)) {
                return number.parse().map_err(|_| stat);
            }
        }
        Err("not there yet".to_owned())
    }

    /// Runs a line of shell in the container, as root and without restrictions. Returns stdout and stderr in the order
    /// in which they were written.
    pub(crate) fn run(&self, line: &str) -> Said {
        let output = Command::new("nsenter")
            .args(["--target", &self.leader.to_string()])
            .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"])
            .args(["sh", "-c", &format!("exec 2>&1; {line}")])
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/usr/sbin")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let more = String::from_utf8_lossy(&output.stderr);
        Said { code: output.status.code(), text: text + &more }
    }

    /// Like [`Container::run`], for a command that must succeed; returns its output.
    pub(crate) fn must(&self, line: &str) -> String {
        let said = self.run(line);
        assert_eq!(said.code, Some(0), "{line}: {}", said.text);
        said.text
    }

    /// A property of the service, from `systemctl show`.
    pub(crate) fn property(&self, name: &str) -> String {
        self.must(&format!("systemctl show --value --property={name} auditrail"))
    }

    /// The path on the host of a file in the container.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.dir.path().join("root").join(inside.trim_start_matches('/'))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if thread::panicking() && self.leader != 0 {
            eprintln!("--- systemctl status\n{}", self.run("systemctl status auditrail").text);
            eprintln!("--- journal\n{}", self.run("journalctl --no-pager --lines=80").text);
        }
        if thread::panicking() {
            eprintln!("--- console\n{}", tail(&self.dir.path().join("console.log"), 40));
        }
        let pid = Pid::from_child(&self.nspawn);
        let _ = kill_process(pid, Signal::TERM);
        for _ in 0..200 {
            if self.nspawn.try_wait().is_ok_and(|ended| ended.is_some()) {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        // Killing nspawn alone would leave the container running.
        self.cgroups.iter().for_each(|cgroup| end(cgroup));
        let _ = self.nspawn.kill();
        let _ = self.nspawn.wait();
        self.cgroups.iter().for_each(|cgroup| remove(cgroup));
        // nspawn leaves this folder behind if /run is not a file system of its own.
        let _ = fs::remove_dir(Path::new("/run/systemd/nspawn/propagate").join(&self.name));
    }
}

/// Makes a root directory that holds nothing of the machine but symbolic links into `/usr`.
fn make_root(dir: &Path) {
    let root = dir.join("root");
    for folder in [
        "etc/systemd/system",
        "proc",
        "sys",
        "dev",
        "run",
        "tmp",
        "usr",
        "var/log",
        "root",
        "home",
        "mnt",
    ] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for link in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        if let Ok(to) = fs::read_link(Path::new("/").join(link)) {
            symlink(to, root.join(link)).unwrap();
        }
    }
    for folder in ["local/bin", "usr"] {
        fs::create_dir_all(dir.join(folder)).unwrap();
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    let etc = |name: &str, text: &str| {
        File::create(root.join("etc").join(name)).unwrap().write_all(text.as_bytes()).unwrap();
    };
    etc("passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\n");
    etc("group", "root:x:0:\nnogroup:x:65534:\n");
    etc("hosts", "127.0.0.1 localhost\n");
    etc("os-release", "ID=auditrail-test\n");
    etc("machine-id", "");
    etc("systemd/system/boot.target", TARGET);
}

fn install_built_binary(folder: &Path) {
    let binary = folder.join("auditrail");
    fs::copy(kit::process::built_binary(), &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Makes a cgroup for the container in the unified hierarchy, and one in systemd's own hierarchy if that is separate.
fn make_cgroups(name: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let hierarchies = mounts.lines().filter_map(|line| {
        let (mount, system) = line.split_once(" - ")?;
        let ours = system.starts_with("cgroup2 ")
            || (system.starts_with("cgroup ") && system.contains("name=systemd"));
        ours.then(|| PathBuf::from(mount.split(' ').nth(4).unwrap()))
    });
    let make = |hierarchy: PathBuf| {
        remove_left_over(&hierarchy);
        let cgroup = hierarchy.join(name);
        fs::create_dir(&cgroup).unwrap_or_else(|error| panic!("{}: {error}", cgroup.display()));
        cgroup
    };
    hierarchies.map(make).collect()
}

/// Kills and removes the cgroups of runs whose process, known by its ID in the name, no longer exists.
fn remove_left_over(hierarchy: &Path) {
    for entry in fs::read_dir(hierarchy).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let number = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let pid = number.and_then(|number| Pid::from_raw(number.parse().ok()?));
        if pid.is_some_and(|pid| test_kill_process(pid).is_err()) {
            end(&entry.path());
            remove(&entry.path());
        }
    }
}

/// Sends SIGKILL to all processes of a cgroup and of those below it. The death of systemd, PID 1 of the container, ends
/// the others too.
fn end(cgroup: &Path) {
    for below in children(cgroup) {
        end(&below);
    }
    let processes = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn remove(cgroup: &Path) {
    for below in children(cgroup) {
        remove(&below);
    }
    // The cgroup is busy until the last killed process has exited.
    for _ in 0..100 {
        match fs::remove_dir(cgroup) {
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                thread::sleep(Duration::from_millis(20));
            }
            _ => return,
        }
    }
}

fn children(cgroup: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cgroup).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}
