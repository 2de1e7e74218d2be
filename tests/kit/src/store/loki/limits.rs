//! Loki's settings: the limits that decide what it accepts and shows. Defaults as Loki has them, or as a test sets
//! them.

use std::fmt::Write as _;
use std::time::Instant;

use serde::{Deserialize, Serialize};

pub const SECOND: i64 = 1_000_000_000;
pub const HOUR: i64 = 3600 * SECOND;
const MB: f64 = 1_048_576.0;

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Settings {
    pub auth_enabled: bool,
    pub reject_old_samples: bool,
    /// In bytes.
    pub max_line_size: usize,
    pub ingestion_rate_mb: f64,
    pub ingestion_burst_size_mb: f64,
    /// In bytes per second.
    pub per_stream_rate_limit: f64,
    pub per_stream_rate_limit_burst: f64,
    pub max_streams: usize,
    /// Stream sharding and level discovery: Loki splits a busy stream into several shards, and detects service and
    /// level.
    pub shard_streams: bool,
    /// In nanoseconds. A query sees entries older than this only if they were flushed; 0: it sees all.
    pub query_ingesters_within: i64,
}

impl Default for Settings {
    /// Loki's defaults.
    fn default() -> Self {
        Self {
            auth_enabled: false,
            reject_old_samples: true,
            max_line_size: 256 << 10,
            ingestion_rate_mb: 4.0,
            ingestion_burst_size_mb: 6.0,
            per_stream_rate_limit: 3.0 * MB,
            per_stream_rate_limit_burst: 15.0 * MB,
            max_streams: 5000,
            shard_streams: true,
            query_ingesters_within: 3 * HOUR,
        }
    }
}

impl Settings {
    /// For recorded logs: accepts old timestamps and lines of megabytes, without rate limit.
    pub fn raised() -> Self {
        Self {
            reject_old_samples: false,
            max_line_size: 4 << 20,
            ingestion_rate_mb: 1000.0,
            ingestion_burst_size_mb: 1000.0,
            per_stream_rate_limit: 1000.0 * MB,
            per_stream_rate_limit_burst: 1000.0 * MB,
            query_ingesters_within: 0,
            ..Self::default()
        }
    }

    pub(super) fn rate(&self) -> Bucket {
        Bucket::new(self.ingestion_rate_mb * MB, self.ingestion_burst_size_mb * MB)
    }

    /// The rate limit of a stream. Each shard of a sharded stream has the whole limit.
    pub(super) fn stream_rate(&self) -> Bucket {
        let parts = if self.shard_streams { 2.0 } else { 1.0 };
        let burst = self.per_stream_rate_limit_burst * parts;
        Bucket::new(self.per_stream_rate_limit * parts, burst)
    }

    /// The answer of `GET /config`, as far as anyone reads it.
    pub(super) fn config(&self) -> String {
        let within = self.query_ingesters_within / SECOND;
        let mut text =
            format!("target: all\nauth_enabled: {}\nlimits_config:\n", self.auth_enabled);
        for line in self.limits().lines() {
            writeln!(text, "  {line}").unwrap();
        }
        write!(
            text,
            "querier:\n  query_ingesters_within: {within}s\ningester:\n  max_chunk_age: 2h0m0s\n  \
             query_store_max_look_back_period: 0s\ncompactor:\n  retention_enabled: false\n\
             schema_config:\n  configs:\n  - from: \"2020-01-01\"\n    store: tsdb\n"
        )
        .unwrap();
        text
    }

    /// The answer of `GET /config/tenant/v1/limits`.
    pub(super) fn limits(&self) -> String {
        format!(
            "reject_old_samples: {}\nreject_old_samples_max_age: 1w\ncreation_grace_period: 10m\n\
             max_line_size: {}\nmax_line_size_truncate: false\nallow_structured_metadata: true\n\
             ingestion_rate_mb: {}\ningestion_burst_size_mb: {}\nper_stream_rate_limit: {}B\n\
             per_stream_rate_limit_burst: {}B\nmax_global_streams_per_user: {}\nunordered_writes: true\n\
             max_query_length: 30d1h\nmax_query_lookback: 0s\nretention_period: 0s\n\
             shard_streams:\n  enabled: {}\n  time_sharding_enabled: false\n",
            self.reject_old_samples,
            format_args!("{}KB", self.max_line_size >> 10),
            self.ingestion_rate_mb,
            self.ingestion_burst_size_mb,
            self.per_stream_rate_limit,
            self.per_stream_rate_limit_burst,
            self.max_streams,
            self.shard_streams,
        )
    }
}

/// A token bucket for a rate limit, in bytes.
pub(super) struct Bucket {
    pub(super) rate: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn new(rate: f64, burst: f64) -> Self {
        Self { rate, burst, tokens: burst, at: Instant::now() }
    }

    /// Takes tokens for all of the bytes, or none.
    pub(super) fn takes(&mut self, bytes: usize) -> bool {
        let now = Instant::now();
        let come = (now - self.at).as_secs_f64() * self.rate;
        (self.tokens, self.at) = ((self.tokens + come).min(self.burst), now);
        #[expect(clippy::cast_precision_loss, reason = "no push has so many bytes")]
        let bytes = bytes as f64;
        let fits = bytes <= self.tokens;
        if fits {
            self.tokens -= bytes;
        }
        fits
    }
}
