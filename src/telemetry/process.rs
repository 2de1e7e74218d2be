//! The standard `process_*` metrics of every Prometheus client, read from `/proc/self` at each scrape.
//!
//! Formats: proc(5). Only the process's own directory in `/proc` is read, so a unit with `ProcSubset=pid` loses no
//! metric. A value that cannot be read is left out, not guessed.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

use super::Time;

/// Ticks per second in `/proc/PID/stat`: `USER_HZ`, 100 on every architecture for which Rust has a Linux target.
const TICKS: f64 = 100.0;

/// `process_*`, in seconds and bytes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) start_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
}

impl Process {
    /// `start_seconds` is the value that [`started`] returned when the process started.
    pub(super) fn read(start_seconds: Option<f64>) -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let (stat, status) = (text("/proc/self/stat"), text("/proc/self/status"));
        let kib = |name| word(&status, name).map(|kib| kib * 1024);
        Self {
            cpu_seconds: ticks(&stat, 14).zip(ticks(&stat, 15)).map(|(user, kernel)| user + kernel),
            start_seconds,
            resident_bytes: kib("VmRSS:"),
            virtual_bytes: kib("VmSize:"),
            threads: word(&status, "Threads:"),
            // The directory listing itself holds one descriptor.
            open_fds: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|fds| (fds.count() as u64).saturating_sub(1)),
            max_fds: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
        }
    }
}

/// Start time of the process, in seconds since 1970.
///
/// Call it once: two results differ by the time between reading two clocks, and by changes of the wall clock in
/// between. Prometheus takes a changed start time for a restart.
pub(super) fn started() -> Option<f64> {
    // Counted from boot (proc(5), field 22), including suspend, like CLOCK_BOOTTIME.
    let after_boot = ticks(&fs::read_to_string("/proc/self/stat").ok()?, 22)?;
    let boottime = clock_gettime(ClockId::Boottime);
    let since_boot = Time::from_nanos(
        boottime.tv_sec.checked_mul(1_000_000_000)?.checked_add(boottime.tv_nsec)?,
    );
    Some(Time::now().seconds() - since_boot.seconds() + after_boot)
}

/// The number after a name at the start of a line.
fn word(text: &str, name: &str) -> Option<u64> {
    let mut words = text.lines().find(|line| line.starts_with(name))?.split_ascii_whitespace();
    words.nth(1)?.parse().ok()
}

/// A field of `/proc/self/stat`, counted from 1 as in proc(5), in seconds.
fn ticks(stat: &str, field: usize) -> Option<f64> {
    // The second field is the program's name in parentheses and may contain anything, even more parentheses.
    let rest = &stat[stat.rfind(')')? + 1..];
    Some(rest.split_ascii_whitespace().nth(field - 3)?.parse::<f64>().ok()? / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn this_process_has_started_already_and_holds_memory_and_files() {
        let process = Process::read(started());
        let age = Time::now().seconds() - process.start_seconds.unwrap();
        assert!((-2.0..3600.0).contains(&age), "{age} seconds old");
        assert!(process.cpu_seconds.unwrap() < 3600.0);
        assert!(process.resident_bytes.unwrap() > 1 << 20);
        assert!(process.virtual_bytes > process.resident_bytes);
        assert!(process.threads.unwrap() >= 1 && process.open_fds.unwrap() >= 3);
        assert!(process.max_fds > process.open_fds);
    }

    #[test]
    fn the_start_time_is_that_which_the_kernel_s_own_boot_time_gives() {
        // Whole seconds since 1970. ProcSubset=pid hides this file from the agent, but not from a test.
        let boot = word(&fs::read_to_string("/proc/stat").unwrap(), "btime").unwrap();
        let after = ticks(&fs::read_to_string("/proc/self/stat").unwrap(), 22).unwrap();
        let kernel = f64::from(u32::try_from(boot).unwrap()) + after;
        let apart = started().unwrap() - kernel;
        assert!((-0.5..1.5).contains(&apart), "{apart} seconds apart");
    }

    #[test]
    fn a_program_named_like_the_end_of_its_own_field_is_read_all_the_same() {
        let stat = "7 (a) S 1 (b) S 1 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 3 0 900 1 2";
        assert_eq!((ticks(stat, 14), ticks(stat, 22)), (Some(1.5), Some(9.0)));
        assert_eq!(ticks("", 14), None);
    }
}
