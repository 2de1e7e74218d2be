//! Refuses system calls with seccomp: those that the agent never makes and that an intruder needs. A refused call fails
//! with `EPERM`, as with `SystemCallErrorNumber=EPERM` in the unit.
//!
//! The unit and the pod bring a filter of their own. It is narrower, so nothing is added to it.

use std::collections::BTreeMap;
use std::fs;

use libc as c;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};

use super::strength::Strength;

/// Calls that are refused whatever their arguments.
#[rustfmt::skip]
const REFUSED: &[i64] = &[
    // Another program.
    c::SYS_execve, c::SYS_execveat,
    // Other processes.
    c::SYS_ptrace, c::SYS_process_vm_readv, c::SYS_process_vm_writev, c::SYS_process_madvise, c::SYS_kcmp,
    c::SYS_pidfd_open, c::SYS_pidfd_getfd, c::SYS_pidfd_send_signal, c::SYS_kill,
    // Mounts and namespaces.
    c::SYS_mount, c::SYS_umount2, c::SYS_pivot_root, c::SYS_chroot, c::SYS_move_mount, c::SYS_open_tree,
    c::SYS_fsopen, c::SYS_fsconfig, c::SYS_fsmount, c::SYS_fspick, c::SYS_mount_setattr, c::SYS_unshare, c::SYS_setns,
    c::SYS_swapon, c::SYS_swapoff, c::SYS_quotactl, c::SYS_acct,
    // The kernel.
    c::SYS_init_module, c::SYS_finit_module, c::SYS_delete_module, c::SYS_kexec_load, c::SYS_bpf,
    c::SYS_perf_event_open, c::SYS_reboot, c::SYS_syslog, c::SYS_userfaultfd, c::SYS_personality, c::SYS_vhangup,
    c::SYS_io_uring_setup, c::SYS_io_uring_enter, c::SYS_io_uring_register,
    // Files by handle instead of by path, devices, and changes of the whole file system.
    c::SYS_open_by_handle_at, c::SYS_name_to_handle_at, c::SYS_fanotify_init, c::SYS_fanotify_mark, c::SYS_mknodat,
    // Keys.
    c::SYS_add_key, c::SYS_request_key, c::SYS_keyctl,
    // Another user.
    c::SYS_setuid, c::SYS_setgid, c::SYS_setreuid, c::SYS_setregid, c::SYS_setresuid, c::SYS_setresgid,
    c::SYS_setgroups, c::SYS_setfsuid, c::SYS_setfsgid, c::SYS_capset,
    // The clock and the name of the host.
    c::SYS_settimeofday, c::SYS_clock_settime, c::SYS_clock_adjtime, c::SYS_adjtimex, c::SYS_sethostname,
    c::SYS_setdomainname,
];

/// Further calls that this architecture has.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const REFUSED_HERE: &[i64] = &[
    c::SYS_fork, c::SYS_vfork, c::SYS_mknod, c::SYS_iopl, c::SYS_ioperm, c::SYS_modify_ldt, c::SYS_uselib,
    c::SYS_kexec_file_load,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[i64] = &[];

type CallRules = BTreeMap<i64, Vec<SeccompRule>>;

/// Refuses the calls to this thread and those that it starts, unless there is a filter.
pub(super) fn refuse() -> Strength {
    if has_filter() {
        return Strength::Given;
    }
    let filters = || -> Result<(), seccompiler::Error> {
        for filter in filters()? {
            seccompiler::apply_filter(&filter)?;
        }
        Ok(())
    };
    match filters() {
        Ok(()) => Strength::Whole,
        Err(error) => Strength::None(format!("seccomp: {error}")),
    }
}

/// Whether whoever started this process has set a filter.
fn has_filter() -> bool {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    mode.is_some_and(|mode| mode.trim() == "2")
}

fn filters() -> Result<[BpfProgram; 2], BackendError> {
    let mut rules: CallRules =
        REFUSED.iter().chain(REFUSED_HERE).map(|call| (*call, Vec::new())).collect();
    rules.extend(by_argument()?);
    // Its arguments are in memory, where no filter sees them. The C library takes `clone` instead, if it is told that
    // the kernel does not know this one.
    let unknown = CallRules::from([(c::SYS_clone3, Vec::new())]);
    Ok([program(rules, c::EPERM)?, program(unknown, c::ENOSYS)?])
}

/// Calls that are refused for some arguments.
fn by_argument() -> Result<CallRules, BackendError> {
    let masked = |mask: i32| SeccompCmpOp::MaskedEq(u64::from(mask.unsigned_abs()));
    let is = |at, how, value: i32| {
        SeccompCondition::new(at, SeccompCmpArgLen::Dword, how, u64::from(value.unsigned_abs()))
    };
    // Another process; threads are allowed.
    let process = SeccompRule::new(vec![is(0, masked(c::CLONE_THREAD), 0)?])?;
    // Code that was written to memory.
    let executable = || SeccompRule::new(vec![is(2, masked(c::PROT_EXEC), c::PROT_EXEC)?]);
    let both = c::PROT_WRITE | c::PROT_EXEC;
    let written = SeccompRule::new(vec![is(2, masked(both), both)?])?;
    // Raw packets, Netlink, virtual machines and the like.
    let families = [c::AF_UNIX, c::AF_INET, c::AF_INET6];
    let families = families.map(|family| is(0, SeccompCmpOp::Ne, family));
    let socket = SeccompRule::new(families.into_iter().collect::<Result<_, _>>()?)?;
    Ok(CallRules::from([
        (c::SYS_clone, vec![process]),
        (c::SYS_mprotect, vec![executable()?]),
        (c::SYS_pkey_mprotect, vec![executable()?]),
        (c::SYS_mmap, vec![written]),
        (c::SYS_socket, vec![socket]),
    ]))
}

fn program(rules: CallRules, errno: i32) -> Result<BpfProgram, BackendError> {
    let refusal = SeccompAction::Errno(errno.unsigned_abs());
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, refusal, architecture)?.try_into()
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::process::Command;
    use std::thread;

    use super::*;

    /// Runs `test` in a thread with these filters.
    fn filtered<T: Send>(filters: &[BpfProgram], test: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let run = || {
                for filter in filters {
                    seccompiler::apply_filter(filter).unwrap();
                }
                test()
            };
            scope.spawn(run).join().unwrap()
        })
    }

    /// The error numbers of each call with arguments that the kernel refuses by itself, as Perl makes them.
    fn tried(calls: &[i64]) -> Vec<i32> {
        let list: Vec<_> = calls.iter().map(i64::to_string).collect();
        // -1 is no valid address, descriptor, flag or process; the first argument of `kill` and `reboot`, too.
        let script = format!(
            "for my $call ({}) {{ $! = 0; syscall($call, -1, -1, -1, -1, -1, -1); print $! + 0, qq(\\n) }}",
            list.join(",")
        );
        let output = Command::new("perl").args(["-e", &script]).output().expect("perl runs");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }

    #[test]
    fn each_call_of_the_list_is_refused_and_without_the_filter_the_kernel_looks_at_its_arguments() {
        // Perl itself has to be started, and a new process has to be made for it.
        let needed = [c::SYS_execve, c::SYS_execveat];
        #[cfg(target_arch = "x86_64")]
        let needed = [&needed[..], &[c::SYS_fork, c::SYS_vfork]].concat();
        // These would end the test, or do something, whatever their arguments.
        let acts =
            [c::SYS_kill, c::SYS_vhangup, c::SYS_personality, c::SYS_setfsuid, c::SYS_setfsgid];
        let all: Vec<i64> = REFUSED.iter().chain(REFUSED_HERE).copied().collect();
        let calls: Vec<i64> = all.iter().copied().filter(|call| !needed.contains(call)).collect();
        let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
        let filter = program(rules, c::EPERM).unwrap();
        let refused = filtered(&[filter], || tried(&calls));
        assert_eq!(refused, vec![c::EPERM; calls.len()]);
        let harmless: Vec<i64> = calls.into_iter().filter(|call| !acts.contains(call)).collect();
        let allowed = tried(&harmless);
        assert_eq!(allowed.len(), harmless.len());
        let looked_at = allowed.iter().filter(|errno| **errno != c::EPERM).count();
        // Some are refused to a test in a container, too.
        assert!(looked_at * 2 > harmless.len(), "{allowed:?}");
    }

    #[test]
    fn threads_and_sockets_work_and_programs_processes_and_odd_sockets_do_not() {
        use rustix::net::{AddressFamily, SocketType, socket};
        filtered(&filters().unwrap(), || {
            assert_eq!(thread::spawn(|| 7).join().unwrap(), 7);
            for family in [AddressFamily::UNIX, AddressFamily::INET, AddressFamily::INET6] {
                socket(family, SocketType::STREAM, None).unwrap();
            }
            for family in [AddressFamily::NETLINK, AddressFamily::PACKET, AddressFamily::VSOCK] {
                let refused = socket(family, SocketType::DGRAM, None).unwrap_err();
                assert_eq!(refused, rustix::io::Errno::PERM);
            }
            let refused = Command::new("true").status().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
        });
    }

    #[test]
    fn a_filter_that_is_there_is_left_alone() {
        let filter = program(CallRules::from([(c::SYS_acct, Vec::new())]), c::EPERM).unwrap();
        filtered(&[filter], || assert_eq!(refuse(), Strength::Given));
    }
}
