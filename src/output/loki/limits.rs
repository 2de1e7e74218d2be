//! Reads Loki's settings and limits: `/config`, overlaid with the tenant's overrides.
//!
//! They are used only to warn people beforehand, never to decide what is sent: a gateway may hide them, and another
//! Loki version may show them in another shape. A key that is missing or has another type counts as unknown.

use std::fmt;

use ::http::Method;
use bytes::Bytes;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::DuplicateKeyPolicy;

use super::Loki;
use crate::event::Nanos;
use crate::output::http::{Request, Response, excerpt};

/// Bytes of the configuration that are read; it has about 100 KiB.
const CONFIG: usize = 1 << 20;
/// The tenant of a Loki without multi-tenancy.
const NOBODY: &str = "fake";

/// The settings that decide what Loki accepts, shows and keeps.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    pub(super) limits_config: Limits,
    pub(super) ingester: Ingester,
    pub(super) querier: Querier,
    pub(super) schema_config: Schema,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Limits {
    pub(super) reject_old_samples: Word,
    pub(super) reject_old_samples_max_age: Word,
    pub(super) creation_grace_period: Word,
    pub(super) max_line_size: Word,
    pub(super) max_line_size_truncate: Word,
    pub(super) allow_structured_metadata: Word,
    pub(super) unordered_writes: Word,
    pub(super) max_query_lookback: Word,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ingester {
    pub(super) query_store_max_look_back_period: Word,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Querier {
    pub(super) query_ingesters_within: Word,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Schema {
    pub(super) configs: Vec<Period>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Period {
    pub(super) from: Word,
}

/// The settings, or why they are unknown.
pub(super) async fn settings(loki: &Loki) -> Result<Settings, String> {
    let mut settings: Settings = read(&get(loki, "/config", "").await?)?;
    let tenant = loki.config.tenant.as_str();
    let tenant = if tenant.is_empty() { NOBODY } else { tenant };
    // Since Loki 3.0. Without this API the defaults are used for the tenant.
    if let Ok(body) = get(loki, "/config/tenant/v1/limits", tenant).await
        && let Ok(own) = read(&body)
    {
        settings.limits_config.overlay(own);
    }
    Ok(settings)
}

async fn get(loki: &Loki, path: &str, tenant: &str) -> Result<Bytes, String> {
    let mut headers = Vec::new();
    Loki::add_tenant(&mut headers, tenant);
    let url = format!("{}{path}", loki.base);
    let request = Request { method: Method::GET, url, headers, body: Bytes::new() };
    match loki.client.send_keeping(request, CONFIG).await {
        Ok(Response { status: 200, body, .. }) if body.len() < CONFIG => Ok(body),
        Ok(Response { status: 200, .. }) => Err("it is too long".to_owned()),
        Ok(response) => Err(format!("{} {}", response.status, excerpt(&response.body))),
        Err(failure) => Err(failure.to_string()),
    }
}

/// Parses settings from any bytes; fails, but never panics.
pub(super) fn read<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| excerpt(error.to_string().as_bytes()))
}

impl Limits {
    /// Replaces every limit that `own` sets.
    fn overlay(&mut self, own: Self) {
        let Self {
            reject_old_samples,
            reject_old_samples_max_age,
            creation_grace_period,
            max_line_size,
            max_line_size_truncate,
            allow_structured_metadata,
            unordered_writes,
            max_query_lookback,
        } = own;
        for (general, own) in [
            (&mut self.reject_old_samples, reject_old_samples),
            (&mut self.reject_old_samples_max_age, reject_old_samples_max_age),
            (&mut self.creation_grace_period, creation_grace_period),
            (&mut self.max_line_size, max_line_size),
            (&mut self.max_line_size_truncate, max_line_size_truncate),
            (&mut self.allow_structured_metadata, allow_structured_metadata),
            (&mut self.unordered_writes, unordered_writes),
            (&mut self.max_query_lookback, max_query_lookback),
        ] {
            if !own.0.is_empty() {
                *general = own;
            }
        }
    }
}

/// A scalar as it is written, whatever its type; empty if it is missing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Word(pub(super) String);

impl Word {
    pub(super) fn flag(&self) -> Option<bool> {
        self.0.parse().ok()
    }

    /// A duration: `1w`, `30d1h`, `2h41m0s`, `0`. Everything below zero becomes -1: Loki treats it as no limit at all.
    pub(super) fn span(&self) -> Option<Nanos> {
        if self.0.starts_with('-') {
            return Some(-1);
        }
        let nanos = sum(&self.0, |unit| {
            Some(match unit {
                "" | "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 6e10,
                "h" => 3.6e12,
                "d" => 8.64e13,
                "w" => 6.048e14,
                "y" => 3.1536e16,
                _ => return None,
            })
        })?;
        // A float is cut to the range of the integer.
        #[expect(clippy::cast_possible_truncation, reason = "300 years are enough")]
        Some(nanos as Nanos)
    }

    /// A size: `256KB`, `3MB`, `0B`, in powers of 1024 as in Loki.
    pub(super) fn bytes(&self) -> Option<f64> {
        sum(&self.0, |unit| {
            let power = ["", "K", "M", "G", "T", "P"]
                .iter()
                .position(|prefix| *prefix == unit.trim_end_matches(['B', 'i', 'b']));
            Some(1024_f64.powi(i32::try_from(power?).ok()?))
        })
    }

    /// The duration if it is a limit: `None` if it is missing, or zero, which means no limit.
    pub(super) fn limit(&self) -> Option<Nanos> {
        self.span().filter(|span| *span > 0)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&excerpt(self.0.as_bytes()))
    }
}

/// The sum of numbers, each followed by its unit.
fn sum(text: &str, unit: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let (mut rest, mut sum) = (text.trim(), 0.0);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c| !is_number(c)).unwrap_or(rest.len()));
        let (name, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        sum += number.parse::<f64>().ok()? * unit(name.trim())?;
        rest = after;
    }
    Some(sum)
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordVisitor)
    }
}

struct WordVisitor;

/// A visitor method for each scalar type.
macro_rules! scalars {
    ($($visit:ident: $scalar:ty),*) => {
        $(fn $visit<E>(self, scalar: $scalar) -> Result<Word, E> {
            Ok(Word(scalar.to_string()))
        })*
    };
}

impl<'de> Visitor<'de> for WordVisitor {
    type Value = Word;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar")
    }

    scalars! { visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str }

    fn visit_unit<E>(self) -> Result<Word, E> {
        Ok(Word::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Word, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Word::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Word, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Word::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word {
        Word(text.to_owned())
    }

    #[test]
    fn spans_and_sizes_are_read_as_loki_writes_them() {
        const HOUR: Nanos = 3_600_000_000_000;
        for (text, span) in [
            ("1w", Some(168 * HOUR)),
            ("30d1h", Some(721 * HOUR)),
            ("2h41m0s", Some(2 * HOUR + 41 * HOUR / 60)),
            ("1.5h", Some(3 * HOUR / 2)),
            ("0s", Some(0)),
            ("0", Some(0)),
            ("-1ns", Some(-1)),
            ("2562047h47m16.854775807s", Some(Nanos::MAX)),
            ("", None),
            ("soon", None),
            ("1x", None),
        ] {
            assert_eq!(word(text).span(), span, "{text}");
        }
        for (text, bytes) in [
            ("256KB", Some(262_144.0)),
            ("3MB", Some(3_145_728.0)),
            ("0B", Some(0.0)),
            ("1536KiB", Some(1_572_864.0)),
            ("512", Some(512.0)),
            ("4XB", None),
        ] {
            assert_eq!(word(text).bytes(), bytes, "{text}");
        }
    }

    #[test]
    fn settings_of_any_shape_are_read_as_far_as_they_go() {
        let text = "target: all\nlimits_config:\n  reject_old_samples: true\n  max_line_size: {odd: [1]}\n  creation_grace_period: 4\n  \
                    max_query_lookback: 3h\nschema_config:\n  configs: [{from: \"2024-01-01\"}]\n";
        let mut settings: Settings = read(text.as_bytes()).unwrap();
        let limits = &mut settings.limits_config;
        assert_eq!(limits.reject_old_samples.flag(), Some(true));
        assert_eq!(
            (limits.max_line_size.bytes(), limits.creation_grace_period.span()),
            (None, Some(4))
        );
        assert_eq!(settings.schema_config.configs[0].from, word("2024-01-01"));
        limits.overlay(read(b"reject_old_samples: false\nmax_query_lookback: ''\n").unwrap());
        assert_eq!(limits.reject_old_samples.flag(), Some(false));
        assert_eq!(limits.max_query_lookback, word("3h"));
        for odd in ["", "no", "- 1", "limits_config: 7", "\u{0}", "a: &a [*a]", "{"] {
            let _ = read::<Settings>(odd.as_bytes());
        }
    }
}
