//! Elasticsearch 8.19.21 as a sender and its look-ups see it: data streams and their backing indices, where an id is
//! unique within one index only. `bulk.rs` ingests, `search.rs` answers queries, `security.rs` checks credentials,
//! `admin.rs` has the rest.

mod admin;
mod bulk;
mod document;
mod error;
mod indices;
mod json;
mod mapping;
mod query;
mod search;
mod security;

use std::collections::VecDeque;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::http::{Answer, Request, Service};
use error::Error;
use indices::Indices;
use security::Caller;

/// Password of the user `elastic` if security is on.
pub const PASSWORD: &str = "only-for-tests";

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Settings {
    /// Whether requests need credentials.
    pub secure: bool,
    /// `http.max_content_length` in bytes; it applies to the decompressed body too.
    pub max_content_length: usize,
    /// `action.auto_create_index`
    pub auto_create: bool,
    /// How many bulk requests are throttled: the write queue is full for every other item.
    pub busy: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { secure: false, max_content_length: 100 << 20, auto_create: true, busy: 0 }
    }
}

/// How one bulk request is throttled.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Busy {
    /// Every other item is refused.
    Shard,
    Coordinating,
    Pressure,
}

pub struct Elastic {
    settings: Settings,
    indices: Indices,
    /// For the next bulk requests, one each.
    busy: VecDeque<Busy>,
}

impl Elastic {
    pub fn open(settings: Settings, dir: &Path) -> Self {
        let indices = Indices::open(&dir.join("elastic.journal"));
        let busy = std::iter::repeat_n(Busy::Shard, settings.busy).collect();
        Self { settings, indices, busy }
    }

    fn route(&mut self, request: &Request) -> Result<Answer, Error> {
        check_types(request)?;
        let caller = if self.settings.secure {
            security::caller(&self.indices, request)?
        } else {
            Caller::all()
        };
        let parts: Vec<_> = request.path.split('/').filter(|part| !part.is_empty()).collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("POST" | "PUT", ["_bulk"]) => bulk::bulk(self, &caller, None, request),
            ("POST" | "PUT", [target, "_bulk"]) => bulk::bulk(self, &caller, Some(target), request),
            ("PUT" | "POST", [target, "_create", id]) => {
                bulk::create(self, &caller, target, id, request)
            }
            ("DELETE", [index, "_doc", id]) => bulk::delete(self, index, id),
            ("POST" | "GET", ["_search", "scroll"]) => search::scroll(self, request),
            ("POST" | "GET", [target, "_search"]) => search::search(self, &caller, target, request),
            ("POST" | "GET", [target, "_count"]) => search::count(self, &caller, target, request),
            ("POST" | "GET", [target, "_refresh"]) => {
                search::refresh(self, &caller, target, request)
            }
            ("POST" | "GET", [target, "_field_caps"]) => {
                search::caps(self, &caller, target, request)
            }
            ("PUT", ["_stand_in", "busy"]) => {
                self.busy = serde_json::from_slice(&request.body).map_err(error::unparsable)?;
                Ok(Answer::json(200, &json!({"acknowledged": true})))
            }
            (method, parts) => admin::admin(self, &caller, method, parts, request),
        }
    }
}

impl Service for Elastic {
    fn answer(&mut self, request: &Request) -> Answer {
        let plain = request.unzipped().unwrap_or_default();
        if request.body.len().max(plain.len()) > self.settings.max_content_length {
            return Answer::empty(413);
        }
        let mut answer = self.route(request).unwrap_or_else(Error::answer);
        // The header is missing if the whole request is refused for its credentials.
        if !matches!(answer.status, 401 | 403) {
            answer.headers.push(("x-elastic-product", "Elasticsearch".to_owned()));
        }
        answer
    }
}

/// Refuses unsupported content types, before anything else is checked.
fn check_types(request: &Request) -> Result<(), Error> {
    let Some(kind) = request.header("content-type").filter(|_| !request.body.is_empty()) else {
        return Ok(());
    };
    let base = kind.split(';').next().unwrap_or_default().trim();
    if let Some(form) = base.strip_prefix("application/vnd.elasticsearch+") {
        let accept = request.header("accept").unwrap_or_default();
        if matches!(form, "json" | "x-ndjson")
            && accept.contains("application/vnd.elasticsearch+json")
        {
            return Ok(());
        }
        let reason = format!(
            "A compatible version is required on both Content-Type and Accept headers if either one has requested a compatible version. Accept={accept}, Content-Type={kind}"
        );
        return Err(Error::whole(400, "media_type_header_exception", reason));
    }
    if matches!(base, "application/json" | "application/x-ndjson") {
        return Ok(());
    }
    Err(Error::not_supported(kind))
}
