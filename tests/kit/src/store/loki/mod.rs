//! Loki 3.7.8 as a sender and its look-ups see it. `push.rs` ingests, `query.rs` answers queries, `limits.rs` has the
//! settings.

mod labels;
mod limits;
mod push;
mod query;
mod store;

use std::path::Path;

use super::http::{Answer, Request, Service};
pub use limits::{HOUR, SECOND, Settings};
use store::Store;

pub struct Loki {
    settings: Settings,
    store: Store,
}

impl Loki {
    pub fn open(settings: Settings, dir: &Path) -> Self {
        Self { settings, store: Store::open(&dir.join("loki.journal")) }
    }

    /// The tenant of a request (`X-Scope-OrgID`), or the error answer if it is missing or invalid.
    fn tenant(&self, request: &Request) -> Result<String, Answer> {
        if !self.settings.auth_enabled {
            return Ok("fake".to_owned());
        }
        let refuse = |text: String| Err(Answer::text(400, text + "\n"));
        let tenant = request.header("x-scope-orgid").unwrap_or_default();
        let odd = |c: &char| !c.is_ascii_alphanumeric() && !"!-_.*'()".contains(*c);
        if tenant.is_empty() {
            return Err(Answer::text(401, "no org id\n"));
        }
        if tenant.contains('|') {
            return refuse("multiple org IDs present".to_owned());
        }
        if let Some(odd) = tenant.chars().find(odd) {
            return refuse(format!("tenant ID '{tenant}' contains unsupported character '{odd}'"));
        }
        if tenant.len() > 150 {
            return refuse("tenant ID is too long: max 150 characters".to_owned());
        }
        if matches!(tenant, "." | "..") {
            return refuse("tenant ID is '.' or '..'".to_owned());
        }
        Ok(tenant.to_owned())
    }
}

impl Service for Loki {
    fn answer(&mut self, request: &Request) -> Answer {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/ready") => return Answer::text(200, "ready\n"),
            ("GET", "/config") => return Answer::text(200, self.settings.config()),
            ("POST", "/flush") => {
                self.store.flush();
                return Answer::empty(204);
            }
            ("GET", "/loki/api/v1/status/buildinfo") => {
                let version = serde_json::json!({"version": "3.7.8", "branch": "HEAD", "goVersion": "go1.26.5"});
                return Answer::json(200, &version);
            }
            ("POST", "/loki/api/v1/push")
            | (
                "GET",
                "/loki/api/v1/query_range" | "/loki/api/v1/query" | "/config/tenant/v1/limits",
            ) => (),
            _ => return Answer::text(404, "404 page not found\n"),
        }
        let tenant = match self.tenant(request) {
            Ok(tenant) => tenant,
            Err(answer) => return answer,
        };
        match request.path.as_str() {
            "/loki/api/v1/push" => push::push(self, &tenant, request),
            "/loki/api/v1/query_range" => query::range(self, &tenant, request),
            "/loki/api/v1/query" => query::instant(self, &tenant, request),
            _ => Answer::text(200, self.settings.limits()),
        }
    }
}
