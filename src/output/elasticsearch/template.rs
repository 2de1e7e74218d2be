//! The index template. It is installed if the target would otherwise get a dynamic mapping, upgraded if an earlier
//! version of auditrail made it, and left alone if somebody else made or edited it (`template_origin.rs`).
//!
//! It indexes the fields of the bodies that Elastic's integration indexes and that Elastic's rules query. `dynamic` is
//! off everywhere, so that no client of the API server can add fields until the index reaches its limit. `cloud.*` and
//! `event.type` are mapped but never filled: an audit event does not contain them, but ES|QL and EQL refuse a rule with
//! unmapped fields. `template_body.rs` makes the template.

use ::http::Method;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use tracing::{info, warn};

use super::Elasticsearch;
use super::flavour::Flavour;
use super::target::{Naming, scope};
use super::template_body::made;
use super::template_origin::{Origin, origin};
use super::verdict::{self, said};
use crate::config::{SetupTemplate, Target};
use crate::event::RetryReason;
use crate::output::door::Texts as _;
use crate::output::http::{Failure, Request, Response};
use crate::output::verdict::unanswered;
use crate::output::{Verdict, stranger};

/// The catch-all template that Elasticsearch ships with, and its priority.
const BUILT_IN: (&str, i64) = ("logs", 100);

/// A template in the answer of `GET _index_template`.
#[derive(Debug, Deserialize)]
struct Listed {
    name: String,
    index_template: Pattern,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    index_templates: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
struct Pattern {
    #[serde(default)]
    index_patterns: Vec<String>,
    #[serde(default)]
    priority: i64,
}

/// The action for the index template.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum TemplatePlan {
    Install,
    /// The installed template was made by an earlier version and not edited since.
    Upgrade,
    /// Do nothing: ours is installed, or the configuration or the server wants none.
    Nothing(&'static str),
    /// Do nothing: another template (by name) is in force, or ours was edited.
    Theirs(String),
    /// The server does not list its templates.
    Unknown(String),
}

impl Elasticsearch {
    /// Installs or upgrades the index template, once. [`Elasticsearch::send`] calls it too; an error is the verdict on
    /// all events that wait to be sent. It is no error if the server denies it or has no templates.
    pub(super) async fn prepare(&self) -> Result<(), Verdict> {
        self.prepared.get_or_try_init(|| install(self)).await.copied()
    }
}

/// Compares with the installed templates. Fails if the server cannot be reached or is not well.
pub(super) async fn plan(
    store: &Elasticsearch,
    flavour: &Flavour,
) -> Result<TemplatePlan, Verdict> {
    if store.config.setup_template == SetupTemplate::Never {
        return Ok(TemplatePlan::Nothing("setup_template is never"));
    }
    if *flavour == Flavour::VictoriaLogs {
        return Ok(TemplatePlan::Nothing("VictoriaLogs has no templates"));
    }
    let wanted = "index_templates.name,index_templates.index_template.index_patterns,index_templates.index_template.priority";
    let body = match listed(store, "_index_template", &[("filter_path", wanted)]).await? {
        Ok(body) => body,
        Err(unknown) => return Ok(unknown),
    };
    match serde_json::from_slice::<List>(&body) {
        Ok(list) => match choose(&list.index_templates, &store.config.target) {
            Some(plan) => Ok(plan),
            None => compare(store).await,
        },
        Err(_) => Ok(TemplatePlan::Unknown(said(&body))),
    }
}

/// The answer to a request for templates, or the plan if the server does not list them.
async fn listed(
    store: &Elasticsearch,
    path: &str,
    query: &[(&str, &str)],
) -> Result<Result<Bytes, TemplatePlan>, Verdict> {
    let response = store.get(path, query).await.map_err(unasked)?;
    match response.status {
        200 => Ok(Ok(response.body)),
        429 | 500.. => Err(later(response.status, &response.body)),
        status => Ok(Err(TemplatePlan::Unknown(format!("{status} {}", said(&response.body))))),
    }
}

/// The action if a template with our name is in force.
async fn compare(store: &Elasticsearch) -> Result<TemplatePlan, Verdict> {
    let ours = name(&store.config.target);
    let body = match listed(store, &format!("_index_template/{ours}"), &[]).await? {
        Ok(body) => body,
        Err(unknown) => return Ok(unknown),
    };
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    Ok(match origin(&answer["index_templates"][0]["index_template"], &store.config.target) {
        Origin::ThisVersion => TemplatePlan::Nothing("installed earlier"),
        Origin::LaterVersion => TemplatePlan::Nothing("a later version of auditrail installed it"),
        Origin::EarlierVersion => TemplatePlan::Upgrade,
        Origin::Operator => TemplatePlan::Theirs(ours),
    })
}

/// Decides by names and priorities only; `None` if the template in force has our name.
fn choose(templates: &[Listed], target: &Target) -> Option<TemplatePlan> {
    let mut naming = Naming::new(target);
    // Any time will do to match a pattern.
    let index = naming.name(0);
    let ours = name(target);
    let matching = templates.iter().filter(|listed| {
        listed.index_template.index_patterns.iter().any(|pattern| matches(pattern, index))
    });
    match matching.max_by_key(|listed| listed.index_template.priority) {
        None => Some(TemplatePlan::Install),
        Some(best) if best.name == ours => None,
        Some(best) if (best.name.as_str(), best.index_template.priority) == BUILT_IN => {
            Some(TemplatePlan::Install)
        }
        Some(best) => Some(TemplatePlan::Theirs(best.name.clone())),
    }
}

/// Installs or upgrades the template if the plan says so.
async fn install(store: &Elasticsearch) -> Result<(), Verdict> {
    if store.config.setup_template == SetupTemplate::Never {
        return Ok(());
    }
    let root = store.get("", &[]).await.map_err(unasked)?;
    match root.status {
        429 | 500.. => return Err(later(root.status, &root.body)),
        // Bulk requests would be refused too. Once they are not, the template is installed first.
        401 => return Err(refused(root.status, &root.body)),
        // A sign-in page or a redirect in front of everything would hide the templates, too.
        300..=399 => return Err(strange(&root)),
        200..=299 if !root.body.trim_ascii_start().starts_with(b"{") => return Err(strange(&root)),
        _ => (),
    }
    // The credentials may allow documents only, and a proxy may let no other request through.
    let unknown = Flavour::Elasticsearch { version: String::new() };
    let flavour = Flavour::of(&root.body, root.product.is_some()).unwrap_or(unknown);
    let upgrades = match plan(store, &flavour).await? {
        TemplatePlan::Install => false,
        TemplatePlan::Upgrade => true,
        TemplatePlan::Nothing(why) => {
            info!(why, "index template unchanged");
            return Ok(());
        }
        TemplatePlan::Theirs(template) => {
            let template = template.shown(|| Some(store.secrets()));
            info!(template, "another index template applies, or ours was edited: unchanged");
            return Ok(());
        }
        TemplatePlan::Unknown(answer) => {
            let answer = answer.shown(|| Some(store.secrets()));
            warn!(
                answer,
                "index templates cannot be listed, none installed: see etc/elasticsearch-template.json"
            );
            return Ok(());
        }
    };
    put(store, &flavour, upgrades).await
}

async fn put(store: &Elasticsearch, flavour: &Flavour, upgrades: bool) -> Result<(), Verdict> {
    let template = name(&store.config.target);
    let body: Bytes = made(store.config.layout, &store.config.target, flavour).to_string().into();
    let request = |url| Request {
        method: Method::PUT,
        url,
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.clone(),
    };
    let path = format!("_index_template/{template}");
    let response = store.anywhere(&path, &[], request, 64 * 1024).await.map_err(unasked)?;
    match response.status {
        200 if upgrades => info!(
            template,
            "index template upgraded: it holds from the next index or rollover on; POST TARGET/_rollover makes a data stream use it now"
        ),
        200 => info!(template, "index template installed"),
        429 | 500.. => return Err(later(response.status, &response.body)),
        status => {
            let answer = said(&response.body).shown(|| Some(store.secrets()));
            warn!(
                template,
                status,
                answer,
                "index template refused: install etc/elasticsearch-template.json by hand"
            );
        }
    }
    Ok(())
}

/// The answer does not come from Elasticsearch.
fn strange(response: &Response) -> Verdict {
    let hint = stranger::way_out(response, "Elasticsearch", "");
    Verdict::Stop { answer: stranger::shown(response), hint }
}

/// The verdict if the server did not answer: no event was sent yet, so none is in doubt.
fn unasked(failure: Failure) -> Verdict {
    match unanswered(failure) {
        Verdict::Doubt { reason, answer } => Verdict::Retry { after: None, reason, answer },
        verdict => verdict,
    }
}

/// The credentials are refused; bulk requests would be refused too.
fn refused(status: u16, body: &[u8]) -> Verdict {
    let answer = format!("{status} {}", said(body));
    Verdict::Stop { answer, hint: verdict::CREDENTIALS.to_owned() }
}

fn later(status: u16, body: &[u8]) -> Verdict {
    let reason = if status == 429 { RetryReason::Throttled } else { RetryReason::ServerError };
    Verdict::Retry { after: None, reason, answer: format!("{status} {}", said(body)) }
}

pub(super) fn name(target: &Target) -> String {
    let scope = scope(target);
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    format!("auditrail-{}", scope.chars().filter(plain).collect::<String>())
}

/// Whether an index pattern with stars matches a name.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|left| {
            (0..=left.len()).any(|at| left.is_char_boundary(at) && matches(rest, &left[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(templates: &[(&str, &str, i64)], expected: Option<&TemplatePlan>) {
        let listed: Vec<_> = templates
            .iter()
            .map(|&(name, pattern, priority)| Listed {
                name: name.to_owned(),
                index_template: Pattern { index_patterns: vec![pattern.to_owned()], priority },
            })
            .collect();
        let target = Target::DataStream("logs-kubernetes.audit_logs-default".to_owned());
        assert_eq!(choose(&listed, &target).as_ref(), expected, "with {templates:?}");
    }

    #[test]
    fn a_template_is_installed_only_over_the_built_in_one() {
        check(&[], Some(&TemplatePlan::Install));
        check(
            &[("logs", "logs-*-*", 100), ("metrics", "metrics-*-*", 500)],
            Some(&TemplatePlan::Install),
        );
        let fleet = ("logs-kubernetes.audit_logs", "logs-kubernetes.audit_logs-*", 200);
        check(&[("logs", "logs-*-*", 100), fleet], Some(&TemplatePlan::Theirs(fleet.0.to_owned())));
        check(&[("mine", "logs-*", 0)], Some(&TemplatePlan::Theirs("mine".to_owned())));
        check(&[("auditrail-logs-kubernetes.audit_logs-default", "logs-k*", 200)], None);
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, expected) in [
            ("a-*-c", "a-b-b-c", true),
            ("*", "", true),
            ("a*", "b", false),
            ("a", "ab", false),
            ("*a*", "bab", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
