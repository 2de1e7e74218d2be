//! The `check` of an Elasticsearch output. It writes nothing to the server, neither documents nor a template.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::flavour::Flavour;
use super::template::{TemplatePlan, plan};
use super::verdict::{error_of, said};
use super::{Elasticsearch, lookup};
use crate::output::finding::Finding;
use crate::output::http::{Failure, Request, Response, shown_url};
use crate::output::{QueryError, Verdict, stranger};

pub(in crate::output) async fn check(store: &Elasticsearch) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut present = None;
    for at in 0..store.endpoints.len() {
        let (finding, flavour) = reach(store, at).await;
        findings.push(finding);
        present = present.or(flavour);
    }
    if let Some(flavour) = present {
        findings.push(may_create(store, &flavour).await);
        findings.push(may_look_up(store).await);
        findings.push(template(store, &flavour).await);
    }
    findings
}

/// Whether this endpoint can be reached and accepts the credentials, and which server it is.
async fn reach(store: &Elasticsearch, at: usize) -> (Finding, Option<Flavour>) {
    let url = store.endpoints.url(at, "", &[]);
    let shown = shown_url(&url);
    let request =
        Request { method: ::http::Method::GET, url, headers: Vec::new(), body: Bytes::new() };
    let response = match store.client.send(request).await {
        Ok(response) => response,
        Err(Failure::Setup { answer, hint }) => return (Finding::fail(answer, hint), None),
        Err(failure) => {
            return (
                Finding::fail(failure.to_string(), "check the address, the network and `tls`"),
                None,
            );
        }
    };
    let answer = format!("{shown} answers {} {}", response.status, said(&response.body));
    let flavour = Flavour::of(&response.body, response.product.is_some());
    match (response.status, flavour) {
        (200, Some(Flavour::VictoriaLogs)) => {
            let finding = Finding::warn(
                format!(
                    "{shown} is VictoriaLogs: it keeps repeats and drops documents over 256 KiB"
                ),
                "events are stored at least once there; for exactly once use Elasticsearch or OpenSearch",
            );
            (finding, Some(Flavour::VictoriaLogs))
        }
        (200, Some(flavour)) => {
            let (name, version, tried) = match &flavour {
                Flavour::OpenSearch { version } => ("OpenSearch", version, 2),
                Flavour::Elasticsearch { version } => ("Elasticsearch", version, 8),
                Flavour::VictoriaLogs => ("VictoriaLogs", &String::new(), 0),
            };
            let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
            let what = format!("{shown} is {name} {version}");
            let finding = if major.is_some_and(|major| major >= tried) {
                Finding::ok(what)
            } else {
                Finding::warn(what, format!("auditrail is tested with {name} {tried} and later"))
            };
            (finding, Some(flavour))
        }
        (401, _) if !stranger::is_page(&response) => {
            (Finding::fail(answer, "check api_key_file, basic_auth or bearer_token_file"), None)
        }
        // A key that may create documents need not be allowed to ask which server it is.
        (403, _) if error_of(&response.body).is_some() => {
            let hint = "the cluster privilege `monitor` lets `check` say more";
            (Finding::warn(answer, hint), Some(Flavour::Elasticsearch { version: String::new() }))
        }
        (404, _) if response.body.is_empty() => {
            let hint = "this may be Amazon OpenSearch Serverless, which does not name itself and takes no documents under auditrail's ids; \
                        else the endpoint must be the base URL of Elasticsearch, OpenSearch or VictoriaLogs";
            (Finding::fail(answer, hint), None)
        }
        _ => (Finding::fail(answer, stranger::way_out(&response, "Elasticsearch", "")), None),
    }
}

/// The relevant part of Elasticsearch's answer about privileges.
#[derive(Deserialize)]
struct Rights {
    has_all_requested: bool,
}

/// Whether these credentials may create documents in the target.
async fn may_create(store: &Elasticsearch, flavour: &Flavour) -> Finding {
    let scope = store.scope();
    let unknown = |why: &str| {
        Finding::warn(
            format!("whether documents may be created in {scope} is not known: {why}"),
            "the first event shows it",
        )
    };
    match flavour {
        Flavour::VictoriaLogs => return Finding::ok("VictoriaLogs asks for no rights"),
        Flavour::OpenSearch { .. } => return unknown("OpenSearch has no question for it"),
        Flavour::Elasticsearch { .. } => (),
    }
    let wanted = serde_json::json!({ "index": [{ "names": [scope], "privileges": ["create_doc", "auto_configure"] }] });
    match has(store, &wanted).await {
        Ok(Some(true)) => Finding::ok(format!("documents may be created in {scope}")),
        Ok(Some(false)) => Finding::fail(
            format!("no right to create documents in {scope}"),
            "grant the index privileges create_doc and auto_configure",
        ),
        Ok(None) => Finding::ok("security is off: everybody may create documents"),
        Err(why) => unknown(&why),
    }
}

/// Whether these credentials have all of the privileges; `None` if the server has no security enabled.
async fn has(store: &Elasticsearch, wanted: &serde_json::Value) -> Result<Option<bool>, String> {
    let path = "_security/user/_has_privileges";
    let answer = store.ask(path, &[], wanted.to_string().into(), 64 * 1024).await;
    let Response { status, body, .. } = answer.map_err(|failure| failure.to_string())?;
    match (status, serde_json::from_slice::<Rights>(&body)) {
        (200, Ok(rights)) => Ok(Some(rights.has_all_requested)),
        (400 | 404 | 405, _) if serde_json::from_slice::<IgnoredAny>(&body).is_ok() => Ok(None),
        _ => Err(format!("{status} {}", said(&body))),
    }
}

/// Whether events in doubt can be looked up. Tries it with an id that no event has.
async fn may_look_up(store: &Elasticsearch) -> Finding {
    match lookup::try_out(store, &store.scope()).await {
        Ok(()) => Finding::ok("events in doubt can be looked up: events are stored exactly once"),
        Err(QueryError::Unavailable { answer }) if answer.contains("serverless") => Finding::warn(
            format!("events in doubt cannot be looked up: {answer}"),
            "nothing can be granted for that: after a lost answer or a kill events may be stored twice there",
        ),
        Err(QueryError::Unavailable { answer }) => Finding::warn(
            format!(
                "events in doubt cannot be looked up ({answer}): events are stored at least once"
            ),
            "grant the index privileges read and maintenance on the target",
        ),
        Err(QueryError::Retry { answer, .. }) => Finding::warn(
            format!("a look-up failed: {answer}"),
            "see to the cluster's health and run `check` again",
        ),
    }
}

async fn template(store: &Elasticsearch, flavour: &Flavour) -> Finding {
    match plan(store, flavour).await {
        Ok(TemplatePlan::Install) if may_install(store, flavour).await == Ok(Some(false)) => {
            Finding::warn(
                "the target has no index template, and there is no right to install one",
                "grant the cluster privilege manage_index_templates, or have etc/elasticsearch-template.json installed: \
             with a dynamic mapping Elasticsearch refuses many bodies, and they are sent in safe form",
            )
        }
        Ok(TemplatePlan::Upgrade) if may_install(store, flavour).await == Ok(Some(false)) => {
            Finding::warn(
                "the index template is an earlier version's, and there is no right to upgrade it",
                "grant the cluster privilege manage_index_templates, or have etc/elasticsearch-template.json installed: \
             fields that Elastic's rules ask for are not searchable until then",
            )
        }
        Ok(TemplatePlan::Install) => {
            Finding::ok("the index template will be installed at the first start")
        }
        Ok(TemplatePlan::Upgrade) => Finding::ok(
            "the index template is an earlier version's and will be upgraded at the next start",
        ),
        Ok(TemplatePlan::Nothing(why)) => Finding::ok(format!("index template: {why}")),
        Ok(TemplatePlan::Theirs(name)) => Finding::ok(format!(
            "index template `{name}` applies and differs from auditrail's: unchanged"
        )),
        Ok(TemplatePlan::Unknown(answer)) => Finding::warn(
            format!("index templates cannot be listed: {answer}"),
            "install etc/elasticsearch-template.json by hand, or grant manage_index_templates",
        ),
        Err(Verdict::Retry { answer, .. } | Verdict::Stop { answer, .. }) => Finding::warn(
            format!("index templates cannot be listed: {answer}"),
            "run `check` again",
        ),
        Err(_) => Finding::warn("index templates cannot be listed", "run `check` again"),
    }
}

async fn may_install(store: &Elasticsearch, flavour: &Flavour) -> Result<Option<bool>, String> {
    match flavour {
        Flavour::Elasticsearch { .. } => {
            has(store, &serde_json::json!({ "cluster": ["manage_index_templates"] })).await
        }
        Flavour::OpenSearch { .. } | Flavour::VictoriaLogs => Ok(None),
    }
}
