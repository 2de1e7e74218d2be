//! Reads Loki's settings and limits: `/config`, overlaid with the tenant's overrides.
//!
//! They are used only to warn people beforehand, never to decide what is sent: a gateway may hide them, and another
//! Loki version may show them in another shape. A key that is missing or has another type counts as unknown.

use std::fmt;

use ::http::Method;
use bytes::Bytes;
use serde_json::Value;
use serde_saphyr::DuplicateKeyPolicy;

use super::Loki;
use crate::event::Nanos;
use crate::output::http::{Request, Response, excerpt};

/// Bytes of the configuration that are read; it has about 100 KiB.
const CONFIG: usize = 1 << 20;
/// The tenant of a Loki without multi-tenancy.
const NOBODY: &str = "fake";

/// The settings that decide what Loki accepts, shows and keeps.
#[derive(Debug, Default)]
pub(super) struct Settings(Value);

/// The settings, or why they are unknown.
pub(super) async fn settings(loki: &Loki) -> Result<Settings, String> {
    let mut settings = Settings::read(&get(loki, "/config", "").await?)?;
    let tenant = loki.config.tenant.as_str();
    let tenant = if tenant.is_empty() { NOBODY } else { tenant };
    // Since Loki 3.0. Without this API the defaults are used for the tenant.
    if let Ok(body) = get(loki, "/config/tenant/v1/limits", tenant).await
        && let Ok(own) = Settings::read(&body)
    {
        settings.overlay_limits(own);
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

impl Settings {
    /// Parses settings from any bytes; fails, but never panics.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
        let options = serde_saphyr::options! {
            duplicate_keys: DuplicateKeyPolicy::LastWins,
            with_snippet: false,
        };
        match serde_saphyr::from_str_with_options(text, options) {
            Ok(settings @ Value::Object(_)) => Ok(Self(settings)),
            Ok(_) => Err("it holds no settings".to_owned()),
            Err(error) => Err(excerpt(error.to_string().as_bytes())),
        }
    }

    /// The setting under a path of names that are joined by dots.
    pub(super) fn word(&self, path: &str) -> Word {
        Word::of(path.split('.').fold(&self.0, |value, name| &value[name]))
    }

    /// The same below `limits_config`.
    pub(super) fn limit(&self, path: &str) -> Word {
        self.word(&format!("limits_config.{path}"))
    }

    /// When each period of the schema begins.
    pub(super) fn periods(&self) -> impl Iterator<Item = Word> {
        let periods = self.0["schema_config"]["configs"].as_array();
        periods.into_iter().flatten().map(|period| Word::of(&period["from"]))
    }

    /// Replaces every limit that `own` sets.
    fn overlay_limits(&mut self, own: Self) {
        if let Value::Object(all) = &mut self.0 {
            overlay(all.entry("limits_config").or_insert(Value::Null), own.0);
        }
    }
}

fn overlay(general: &mut Value, own: Value) {
    match own {
        Value::Object(own) => {
            if !general.is_object() {
                *general = Value::Object(serde_json::Map::new());
            }
            for (name, own) in own {
                overlay(&mut general[name], own);
            }
        }
        own if !Word::of(&own).0.is_empty() => *general = own,
        _ => {}
    }
}

/// A scalar as it is written, whatever its type; empty if it is missing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Word(pub(super) String);

impl Word {
    fn of(value: &Value) -> Self {
        Self(match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
        })
    }

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
        let mut settings = Settings::read(text.as_bytes()).unwrap();
        assert_eq!(settings.limit("reject_old_samples").flag(), Some(true));
        assert_eq!(
            (
                settings.limit("max_line_size").bytes(),
                settings.limit("creation_grace_period").span()
            ),
            (None, Some(4))
        );
        assert_eq!(settings.periods().collect::<Vec<_>>(), [word("2024-01-01")]);
        let own = "reject_old_samples: false\nmax_query_lookback: ''\n";
        settings.overlay_limits(Settings::read(own.as_bytes()).unwrap());
        assert_eq!(settings.limit("reject_old_samples").flag(), Some(false));
        assert_eq!(settings.limit("max_query_lookback"), word("3h"));
        for odd in ["", "no", "- 1", "limits_config: 7", "\u{0}", "a: &a [*a]", "{"] {
            if let Ok(mut settings) = Settings::read(odd.as_bytes()) {
                settings.overlay_limits(Settings::read(own.as_bytes()).unwrap());
                assert_eq!(settings.limit("reject_old_samples").flag(), Some(false));
            }
        }
    }
}
