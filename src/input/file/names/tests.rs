use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const STAMP: &str = "2026-11-21T06-28-01.678";

fn time(text: &str) -> Option<Stamp> {
    rfc3339(text.as_bytes()).map(Stamp::Time)
}

#[test]
fn backups_of_each_maker_are_recognised() {
    let rotated = time("2026-11-21T06:28:01.678000Z");
    let day = time("2026-11-21T00:00:00Z");
    let table = [
        ("audit.log", "audit-2026-11-21T06-28-01.678.log.gz", rotated),
        ("audit-log.json", "audit-log-2026-11-21T06-28-01.678.json", rotated),
        ("kube-apiserver", "kube-apiserver-2026-11-21T06-28-01.678", rotated),
        ("audit.log", "audit.log-20261121", day),
        ("audit.log", "audit-20261121.log", day),
        ("audit.log", "audit.log-2026112107.gz", time("2026-11-21T07:00:00Z")),
        ("audit.log", "audit.log-20261121-1795242322", time("2026-11-21T06:25:22Z")),
        ("0.log", "0.log.20261121-062522.gz", time("2026-11-21T06:25:22Z")),
        ("audit.log", "audit.log.1", Some(Stamp::Number(1))),
        ("audit.log", "audit.log.12.gz", Some(Stamp::Number(12))),
        ("audit.log", "audit.3.log", Some(Stamp::Number(3))),
        ("audit.log", "audit.log.gz", Some(Stamp::Number(0))),
    ];
    for (live, name, stamp) in table {
        let read = parse(live, name).unwrap_or_else(|| panic!("{name} is a backup of {live}"));
        assert_eq!((read.stamp, &*read.file), (stamp, name), "{name}");
        let plain = name.strip_suffix(".gz");
        assert_eq!((read.gzip, &*read.stem), (plain.is_some(), plain.unwrap_or(name)), "{name}");
    }
    assert_eq!(parse("audit.log", "audit.log").unwrap().stamp, None);
}

#[test]
fn backups_that_were_rotated_once_more_keep_the_server_s_time() {
    for end in [
        ".log.1",
        ".log.1.gz",
        ".log.gz.1",
        ".log-20261126",
        ".log-20261126.gz",
        ".log.2.gz",
        ".log-20261126.1.gz",
        ".log.20261126-013000",
    ] {
        let name = format!("audit-{STAMP}{end}");
        let read = parse("audit.log", &name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(read.stamp, time("2026-11-21T06:28:01.678000Z"), "{name}");
        assert_eq!(server_stamp(&name), rfc3339(b"2026-11-21T06:28:01.678000Z"), "{name}");
    }
}

#[test]
fn only_the_server_s_own_names_tell_when_the_next_file_began() {
    let stamp = rfc3339(b"2026-11-21T06:28:01.678000Z");
    for name in [
        "audit-2026-11-21T06-28-01.678.log.gz",
        "audit-log-2026-11-21T06-28-01.678.json",
        "kube-apiserver-2026-11-21T06-28-01.678",
    ] {
        assert_eq!(server_stamp(name), stamp, "{name}");
    }
    for name in ["audit.log", "audit.log-20261121", "audit.log.1", "é-2026-11-21T06-28-01.6"] {
        assert_eq!(server_stamp(name), None, "{name}");
    }
}

#[test]
fn files_of_others_are_left_alone() {
    let foreign = [
        "audit.log.swp",
        "audit.log~",
        "other-2026-11-21T06-28-01.678.log",
        "audit-2026-11-21T06-28-01.678.log.tmp",
        "audit-2026-13-21T06-28-01.678.log",
        "audit-2026-11-21T06-28-01.678",
        "audit-x.log",
        "audit-1.log",
        "audit.log.gz.tmp",
        "audit.log.",
        "audit-.log",
        "audit.log-2026",
        "audit.log.tar.gz",
        "audit-policy.yaml",
        "auditd.log",
        "audit.log1",
        "audit-proxy-20261121.log",
    ];
    for name in foreign {
        assert_eq!(parse("audit.log", name), None, "{name}");
    }
}

#[test]
fn the_oldest_comes_first_and_the_live_file_last() {
    let mut names: Vec<_> = [
        "audit.log",
        "audit-2026-11-21T06-28-01.678.log",
        "audit.log.1",
        "audit.log.10.gz",
        "audit-2026-11-21T06-28-01.677.log.gz",
    ]
    .iter()
    .map(|name| parse("audit.log", name).unwrap())
    .collect();
    names.sort_by(order);
    let stems: Vec<_> = names.iter().map(|name| name.stem.as_str()).collect();
    assert_eq!(
        stems,
        [
            "audit.log.10",
            "audit.log.1",
            "audit-2026-11-21T06-28-01.677.log",
            "audit-2026-11-21T06-28-01.678.log",
            "audit.log"
        ]
    );
}

/// Formats a time as `strftime` does, for the formats that people use as `dateformat`.
fn written(format: &str, at: jiff::Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::UTC).strftime(format).to_string()
}

/// Formats with seconds, so that times one second apart differ.
const EXACT: &[&str] = &[
    "%Y%m%d%H%M%S",
    "%Y%m%d-%H%M%S",
    "%Y-%m-%d_%H-%M-%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H-%M-%S.000",
    "%Y.%m.%d.%H.%M.%S",
    "%d-%m-%YT%H:%M:%S",
    "%Y%m%dT%H%M%SZ",
    "%Y-%m-%d-%s",
    "%Y_%m_%d_%H%M%S",
];
/// Coarser formats.
const COARSE: &[&str] = &[
    "%Y%m%d",
    "%Y-%m-%d",
    "%Y.%m.%d",
    "%d-%m-%Y",
    "%Y%m%d%H",
    "%Y-%m-%d-%H",
    "%Y%m%d-%H%M",
    "%s",
    "%Y-%m",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_name_made_of_any_date_format_and_rotation_is_a_backup(
        live in select(&["audit.log", "kube-apiserver", "audit-log.json", "a.b.log", ".log", "0.log"][..]),
        format in select([EXACT, COARSE].concat()),
        joint in select(&["-", ".", "_"][..]),
        inside in any::<bool>(),
        end in select(&["", ".1", ".1.gz", ".gz", "-20261126", "-20261126.2.gz", ".gz.1"][..]),
        at in 1_000_000_000_i64..4_000_000_000,
    ) {
        let stamp = written(format, jiff::Timestamp::from_second(at).unwrap());
        let (base, extension) = live.rfind('.').map_or((live, ""), |dot| live.split_at(dot));
        let name = if inside {
            format!("{base}{joint}{stamp}{extension}{end}")
        } else {
            format!("{live}{joint}{stamp}{end}")
        };
        let read = parse(live, &name);
        prop_assert!(read.as_ref().is_some_and(|read| read.stamp.is_some()), "{name}");
        prop_assert_eq!(read.map(|read| read.gzip), Some(name.strip_suffix(".gz").is_some()));
    }

    #[test]
    fn names_of_one_format_are_in_the_order_of_their_times(
        format in select(EXACT),
        at in 1_000_000_000_i64..4_000_000_000,
        later in 1_i64..100_000_000,
    ) {
        let name = |at| {
            let name = format!("audit.log-{}", written(format, jiff::Timestamp::from_second(at).unwrap()));
            parse("audit.log", &name).unwrap()
        };
        prop_assert_eq!(order(&name(at), &name(at + later)), Ordering::Less);
    }

    #[test]
    fn any_name_is_read_without_a_fault_and_one_with_another_beginning_is_a_stranger(
        name in "[-_.a-z0-9T:é]{0,40}",
        live in "[-_.a-z0-9é]{1,12}",
    ) {
        let base = live.rfind('.').map_or(&*live, |dot| &live[..dot]);
        if let Some(read) = parse(&live, &name) {
            prop_assert!(name.starts_with(base));
            prop_assert_eq!(&read.file, &name);
        }
        let longer = format!("{live}{name}");
        if let Some(read) = parse(&live, &longer) {
            prop_assert_eq!(read.stamp.is_none(), name.is_empty());
        }
        server_stamp(&name);
    }
}
