//! The target of documents: a data stream, or an index by the hour of the event.

use crate::config::Target;
use crate::event::Nanos;

const HOUR: i64 = 3_600_000_000_000;

/// Names the index of each event of a batch. Keeps the last name, since neighbouring events mostly share it.
pub(super) struct Naming<'a> {
    target: &'a Target,
    hour: Option<i64>,
    name: String,
}

impl<'a> Naming<'a> {
    pub(super) fn new(target: &'a Target) -> Self {
        Self { target, hour: None, name: String::new() }
    }

    pub(super) fn name(&mut self, time: Nanos) -> &str {
        match self.target {
            Target::DataStream(name) => name,
            Target::Index(pattern) => {
                let hour = time.div_euclid(HOUR);
                if self.hour != Some(hour) {
                    self.hour = Some(hour);
                    self.name = fill(pattern, time);
                }
                &self.name
            }
        }
    }
}

fn fill(pattern: &str, time: Nanos) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(time)).unwrap_or_default();
    let time = time.to_zoned(jiff::tz::TimeZone::UTC);
    let mut name = String::with_capacity(pattern.len() + 8);
    replace(pattern, &mut name, |directive| match directive {
        'Y' => format!("{:04}", time.year()),
        'm' => format!("{:02}", time.month()),
        'd' => format!("{:02}", time.day()),
        'H' => format!("{:02}", time.hour()),
        other => format!("%{other}"),
    });
    name
}

/// Every index that a target may have written to, as a search expression.
pub(super) fn scope(target: &Target) -> String {
    match target {
        Target::DataStream(name) => name.clone(),
        Target::Index(pattern) => {
            let mut scope = String::new();
            replace(pattern, &mut scope, |_| "*".to_owned());
            scope
        }
    }
}

fn replace(pattern: &str, out: &mut String, value: impl Fn(char) -> String) {
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match (c, rest.clone().next()) {
            ('%', Some(directive)) => {
                out.push_str(&value(directive));
                rest.next();
            }
            _ => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_named_by_the_hour_of_the_event() {
        let target = Target::Index("audit-%Y.%m.%d-%H".to_owned());
        let mut naming = Naming::new(&target);
        let time: jiff::Timestamp = "2026-02-03T04:59:59.999999Z".parse().unwrap();
        let time = i64::try_from(time.as_nanosecond()).unwrap();
        assert_eq!(naming.name(time), "audit-2026.02.03-04");
        assert_eq!(naming.name(time + 1000), "audit-2026.02.03-05");
        assert_eq!(scope(&target), "audit-*.*.*-*");
        let stream = Target::DataStream("logs-a-b".to_owned());
        assert_eq!(
            (Naming::new(&stream).name(0), scope(&stream).as_str()),
            ("logs-a-b", "logs-a-b")
        );
    }
}
