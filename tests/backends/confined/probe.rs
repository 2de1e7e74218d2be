//! Checks that the restrictions of the unit (sandboxing, hardening) are in force. It reads what the kernel says about
//! the running agent, and runs a script of forbidden attempts, which systemd starts with the settings of the unit. The
//! same script without these settings shows that each attempt would otherwise succeed.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;

use super::{As, LOGS};
use crate::container::Container;

/// Numbers of the system calls mmap, personality and bpf, which perl can only call by number.
#[cfg(target_arch = "x86_64")]
const CALLS: [u32; 3] = [9, 135, 321];
#[cfg(target_arch = "aarch64")]
const CALLS: [u32; 3] = [222, 92, 280];

/// The attempts, each a line of shell that succeeds unless a restriction forbids it.
fn attempts(free: u16, barred: u16) -> Vec<(&'static str, String)> {
    let [mmap, personality, bpf] = CALLS;
    let perl = |code: &str| format!("perl -MSocket -e '{code}'");
    let call = |arguments: &str| perl(&format!("exit(syscall({arguments}) == -1)"));
    let socket =
        |family: u32, kind: u32| perl(&format!("exit !socket(my $s, {family}, {kind}, 0)"));
    let shell = |line: &str| line.to_owned();
    // Packets to a forbidden address are dropped silently, so the attempt needs a time-out.
    let connect =
        |address: &str, port: u16| format!("timeout 3 bash -c 'echo >/dev/tcp/{address}/{port}'");
    vec![
        ("write to /etc", shell("touch /etc/probe")),
        ("write to /var/lib", shell("touch /var/lib/probe")),
        ("write to /var/log", shell("touch /var/log/probe")),
        ("write to /root", shell("touch /root/probe")),
        ("write to the state directory", shell("touch /var/lib/auditrail/probe")),
        ("write to the directory of links", format!("touch {LOGS}/.auditrail-hold/probe")),
        ("link the log", format!("ln {LOGS}/audit.log {LOGS}/.auditrail-hold/link")),
        ("read the log", format!("cat {LOGS}/audit.log")),
        ("read the configuration", shell("cat /etc/auditrail/auditrail.toml")),
        ("write to the log of another user", shell("echo >>/var/log/others.log")),
        ("see the file that another left in /tmp", shell("cat /tmp/others")),
        ("see systemd in /proc", shell("cat /proc/1/cmdline")),
        ("read the environment of systemd", shell("cat /proc/1/environ")),
        ("read /proc/stat", shell("cat /proc/stat")),
        ("read /proc/sys", shell("cat /proc/sys/kernel/ostype")),
        ("read /proc/self/mountinfo", shell("cat /proc/self/mountinfo")),
        ("make a device", shell("mknod /var/lib/auditrail/null c 1 3")),
        ("write to /dev/null", shell("echo >/dev/null")),
        ("mount", shell("mount -t tmpfs none /mnt")),
        ("make a namespace of mounts", shell("unshare --mount true")),
        ("make a namespace of users", shell("unshare --user true")),
        ("set the host name", shell("hostname probe")),
        ("take the identity of another user", shell("setpriv --reuid=65534 --clear-groups true")),
        (
            "make a file setuid",
            shell("touch /var/lib/auditrail/s && chmod 4755 /var/lib/auditrail/s"),
        ),
        ("map memory to write and execute", call(&format!("{mmap}, 0, 4096, 7, 0x22, -1, 0"))),
        ("change the personality", call(&format!("{personality}, 8"))),
        ("call bpf", call(&format!("{bpf}, 0, my $none = pack(\"IIII\", 2, 4, 4, 1), 16"))),
        ("open an internet socket", socket(2, 1)),
        ("open a netlink socket", socket(16, 3)),
        ("open a raw packet socket", socket(17, 3)),
        ("connect to an address that is allowed", connect("127.0.0.1", free)),
        ("connect to an address that is not", connect("127.0.0.2", barred)),
    ]
}

/// Attempts that must succeed under the restrictions, since the agent needs them, both as root and as a user of its
/// own.
const ALLOWED: &[&str] = &[
    "write to the state directory",
    "write to the directory of links",
    "link the log",
    "read the log",
    "read the configuration",
    "read /proc/self/mountinfo",
    "write to /dev/null",
    "open an internet socket",
    "connect to an address that is allowed",
];

/// Fails unless each restriction is in force for the running agent, and for a script in its place.
pub(super) fn is_in_force(container: &Container, user: As) {
    of_the_agent(container, user);
    let servers = ["127.0.0.1:0", "127.0.0.2:0"].map(|at| TcpListener::bind(at).unwrap());
    let [free, barred] = servers.each_ref().map(|server| server.local_addr().unwrap().port());
    let attempts = attempts(free, barred);
    let tried = |(name, line): &(&str, String)| {
        format!(
            "if ( {line} ) >/dev/null; then echo 'done: {name}'; else echo 'refused: {name}'; fi"
        )
    };
    let script = attempts.iter().map(tried).collect::<Vec<_>>().join("\n");
    fs::write(
        container.path("/etc/probe.sh"),
        format!("#!/bin/bash\nset -o posix\nexec >/var/lib/auditrail/found 2>/var/lib/auditrail/why\n{script}\n"),
    )
    .unwrap();
    container
        .must("echo others >/tmp/others; install -o 65534 -m 600 /dev/null /var/log/others.log");

    let unit = fs::read_to_string(container.path("/etc/systemd/system/auditrail.service")).unwrap();
    let bare = found(container, "[Service]\nType=oneshot\nExecStart=/bin/bash /etc/probe.sh\n", "");
    let refused = attempts.iter().map(|(name, _)| *name).filter(|name| !bare[*name]);
    assert_eq!(
        refused.collect::<Vec<_>>(),
        Vec::<&str>::new(),
        "refused without any restriction:\n{}",
        why(container)
    );

    // The settings of the unit, except for the command, how systemd learns that it is ready, and the allowed addresses:
    // one of the two test servers is not among them.
    let drop_in = "[Service]\nType=oneshot\nExecStart=\nExecStart=/bin/bash /etc/probe.sh\nRestart=no\nWatchdogSec=0\n";
    let mut own = String::new();
    if user == As::OwnUser {
        own = fs::read_to_string(
            container.path("/etc/systemd/system/auditrail.service.d/own-user.conf"),
        )
        .unwrap();
        own += "\nIPAddressAllow=\nIPAddressAllow=127.0.0.1\n";
    }
    let confined = found(container, &unit, &(own + drop_in));
    // Only the drop-in for an own user restricts addresses. And `hidepid=` exempts the group that its `gid=` names,
    // here root's (proc(5)).
    let as_root = ["connect to an address that is not", "see systemd in /proc"];
    let allowed = |name| ALLOWED.contains(&name) || user == As::Root && as_root.contains(&name);
    let names = attempts.iter().map(|(name, _)| *name);
    let wrong = names.filter(|name| confined[*name] != allowed(*name));
    let wrong: Vec<_> = wrong.collect();
    assert!(
        wrong.is_empty(),
        "as {user:?} not as they should be: {wrong:?}; what failed said:\n{}",
        why(container)
    );
}

fn why(container: &Container) -> String {
    container.run("cat /var/lib/auditrail/why").text
}

/// Runs the script as the service `probe`; returns whether each attempt succeeded.
fn found(container: &Container, unit: &str, drop_in: &str) -> BTreeMap<String, bool> {
    let units = container.path("/etc/systemd/system");
    fs::write(units.join("probe.service"), unit).unwrap();
    fs::create_dir_all(units.join("probe.service.d")).unwrap();
    fs::write(units.join("probe.service.d/probe.conf"), drop_in).unwrap();
    // Left by the previous run, perhaps by another user.
    container
        .must("rm -f /var/lib/auditrail/why; systemctl daemon-reload && systemctl start probe");
    let text = container.must("cat /var/lib/auditrail/found");
    let made = "/etc/probe /root/probe /var/lib/probe /var/log/probe probe s null found";
    container.must(&format!(
        "umount /mnt; hostname auditrail; cd /var/lib/auditrail; rm -f {made}; \
         cd {LOGS}/.auditrail-hold; rm -f probe link"
    ));
    let line = |line: &str| {
        let (outcome, name) = line.split_once(": ").unwrap();
        (name.to_owned(), outcome == "done")
    };
    text.lines().map(line).collect()
}

/// Checks what `/proc` says about the process of the agent.
fn of_the_agent(container: &Container, user: As) {
    let pid = container.property("MainPID");
    let status = container.must(&format!("cat /proc/{pid}/status"));
    let field = |name: &str| -> Vec<&str> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().collect()
    };
    // CAP_DAC_READ_SEARCH is 2, CAP_FOWNER 3 (capability.h).
    let capabilities = if user == As::Root { "0000000000000000" } else { "000000000000000c" };
    for set in ["CapBnd:", "CapPrm:", "CapEff:"] {
        assert_eq!(field(set), [capabilities], "{set}");
    }
    let uid = container.must(&format!("id -u {}", user.user()));
    assert_eq!(field("Uid:"), [&*uid; 4]);
    assert_eq!((field("NoNewPrivs:"), field("Seccomp:")), (vec!["1"], vec!["2"]));
    let read = |file: &str| container.must(&format!("cat /proc/{pid}/{file}"));
    assert_eq!(read("oom_score_adj"), "500");
    let limits = read("limits");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().nth(4), Some("4096"), "{files}");

    let mounts = read("mountinfo");
    let options = |point: &str| -> Vec<String> {
        let mount = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some(point));
        let mount = mount.unwrap_or_else(|| panic!("{point} is no mount in\n{mounts}"));
        let (before, after) = mount.split_once(" - ").unwrap();
        let of = |text: &str, at: usize| text.split(' ').nth(at).unwrap().to_owned();
        format!("{},{}", of(before, 5), of(after, 2)).split(',').map(str::to_owned).collect()
    };
    let has = |point: &str, option: &str| options(point).iter().any(|found| found == option);
    assert!(has("/", "ro"), "{mounts}");
    assert!(has(LOGS, "rw") && has("/var/lib/auditrail", "rw"), "{mounts}");
    assert!(has("/proc", "subset=pid") && has("/proc", "hidepid=invisible"), "{mounts}");
    for (property, value) in [
        ("MemoryMax", (720 << 20).to_string()),
        ("CPUWeight", "20".into()),
        ("IOWeight", "20".into()),
        ("TasksMax", "64".into()),
    ] {
        assert_eq!(container.property(property), value, "{property}");
    }
}
