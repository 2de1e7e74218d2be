//! Authentication and authorisation: the user `elastic` may do everything, an API key may do what its role descriptors
//! allow.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::super::http::{Answer, Request};
use super::error::Error;
use super::indices::{Change, Indices, matches};
use super::{Elastic, PASSWORD};

/// Each of these privileges allows a caller to create documents.
pub(super) const WRITE: &[&str] = &["create_doc", "create", "index", "write", "all"];
pub(super) const READ: &[&str] = &["read", "all"];

/// The sender of a request and its privileges.
pub(super) struct Caller {
    /// Role descriptors; `None`: may do everything.
    rights: Option<Value>,
    name: String,
}

/// Authenticates a request; 401 without valid credentials.
pub(super) fn caller(indices: &Indices, request: &Request) -> Result<Caller, Error> {
    let (method, uri) = (&request.method, &request.path);
    let Some(header) = request.header("authorization") else {
        let reason = format!("missing authentication credentials for REST request [{uri}]");
        return Err(Error::whole(401, "security_exception", reason));
    };
    let refused = |what: &str| {
        let reason = format!(
            "unable to authenticate {what} for REST request [{uri}] with method [{method}]"
        );
        Error::whole(401, "security_exception", reason)
    };
    let (scheme, secret) = header.split_once(' ').unwrap_or((header, ""));
    let decoded = BASE64_STANDARD.decode(secret.trim()).unwrap_or_default();
    let decoded = String::from_utf8_lossy(&decoded).into_owned();
    let (id, secret) = decoded.split_once(':').unwrap_or_default();
    match scheme {
        "Basic" if (id, secret) == ("elastic", PASSWORD) => Ok(Caller::all()),
        "Basic" => Err(refused(&format!("user [{id}]"))),
        "ApiKey" => {
            let rights = indices.keys.get(&(id.to_owned(), secret.to_owned()));
            let rights = rights.ok_or_else(|| {
                refused("with provided credentials and anonymous access is not allowed")
            })?;
            Ok(Caller {
                rights: Some(rights.clone()),
                name: format!("API key id [{id}] of user [elastic]"),
            })
        }
        _ => Err(refused("with provided credentials and anonymous access is not allowed")),
    }
}

impl Caller {
    /// A caller who may do everything.
    pub(super) fn all() -> Self {
        Self { rights: None, name: "user [elastic]".to_owned() }
    }

    /// The index privileges, as pairs of index pattern and privilege.
    fn on_indices(&self) -> Vec<(&str, &str)> {
        let roles =
            self.rights.iter().filter_map(Value::as_object).flat_map(|roles| roles.values());
        let entries = roles.flat_map(|role| role["indices"].as_array().into_iter().flatten());
        let mut all = Vec::new();
        for entry in entries {
            let texts = |name: &str| {
                let list = entry[name]
                    .as_array()
                    .map_or_else(|| vec![&entry[name]], |list| list.iter().collect());
                list.into_iter().filter_map(Value::as_str).collect::<Vec<_>>()
            };
            for name in texts("names") {
                all.extend(texts("privileges").into_iter().map(|privilege| (name, privilege)));
            }
        }
        all
    }

    fn has(&self, index: &str, privileges: &[&str]) -> bool {
        self.rights.is_none()
            || self
                .on_indices()
                .iter()
                .any(|(name, privilege)| matches(name, index) && privileges.contains(privilege))
    }

    /// 403 unless the caller has one of these privileges on the index.
    pub(super) fn may(&self, index: &str, privileges: &[&str], action: &str) -> Result<(), Error> {
        if self.has(index, privileges) {
            return Ok(());
        }
        Err(self.unauthorized(action, &format!(" on indices [{index}]"), "index", privileges))
    }

    /// 403 for the whole request if the caller may not write to any index.
    pub(super) fn may_write_at_all(&self) -> Result<(), Error> {
        let any = || self.on_indices().iter().any(|(_, privilege)| WRITE.contains(privilege));
        if self.rights.is_none() || any() {
            return Ok(());
        }
        Err(self.unauthorized(
            "indices:data/write/bulk",
            "",
            "index",
            &["create_doc", "create", "delete", "index", "write", "all"],
        ))
    }

    /// 403 unless the caller has one of these cluster privileges.
    pub(super) fn may_in_cluster(&self, privileges: &[&str], action: &str) -> Result<(), Error> {
        let roles =
            self.rights.iter().filter_map(Value::as_object).flat_map(|roles| roles.values());
        let mut given = roles
            .flat_map(|role| role["cluster"].as_array().into_iter().flatten())
            .filter_map(Value::as_str);
        if self.rights.is_none() || given.any(|privilege| privileges.contains(&privilege)) {
            return Ok(());
        }
        Err(self.unauthorized(action, "", "cluster", privileges))
    }

    fn unauthorized(&self, action: &str, place: &str, of: &str, privileges: &[&str]) -> Error {
        let reason = format!(
            "action [{action}] is unauthorized for {}{place}, this action is granted by the {of} privileges [{}]",
            self.name,
            privileges.join(",")
        );
        Error::whole(403, "security_exception", reason)
    }
}

/// `_security/user/_has_privileges`
pub(super) fn has_privileges(caller: &Caller, request: &Request) -> Answer {
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let texts = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut all = true;
    for entry in texts(&asked["index"]) {
        for name in texts(&entry["names"]) {
            let name = name.as_str().unwrap_or_default();
            for privilege in texts(&entry["privileges"]) {
                all &= caller.has(name, &implying(privilege.as_str().unwrap_or_default()));
            }
        }
    }
    for privilege in texts(&asked["cluster"]) {
        all &= caller.may_in_cluster(&[privilege.as_str().unwrap_or_default(), "all"], "").is_ok();
    }
    Answer::json(
        200,
        &json!({"username": "elastic", "has_all_requested": all, "cluster": {}, "index": {}, "application": {}}),
    )
}

/// The privileges that include this one.
fn implying(privilege: &str) -> Vec<&str> {
    match privilege {
        "create_doc" => WRITE.to_vec(),
        "auto_configure" => vec!["auto_configure", "manage", "all"],
        other => vec![other, "all"],
    }
}

/// `POST _security/api_key`
pub(super) fn make_key(store: &mut Elastic, request: &Request) -> Result<Answer, Error> {
    let asked: Value = serde_json::from_slice(&request.body).map_err(super::error::unparsable)?;
    let id = format!("key-{}", store.indices.keys.len() + 1);
    let (secret, rights) = (format!("secret-of-{id}"), asked["role_descriptors"].clone());
    let encoded = BASE64_STANDARD.encode(format!("{id}:{secret}"));
    let answer = json!({"id": id, "name": asked["name"], "api_key": secret, "encoded": encoded});
    store.indices.change(vec![Change::Key { id, secret, rights }]);
    Ok(Answer::json(200, &answer))
}
