//! Who sent a request.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Who sent a request: nothing of it comes from the body.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    address: IpAddr,
    /// The name in the client's certificate, or the user of basic authentication.
    name: Option<Arc<str>>,
}

impl Sender {
    pub(super) fn new(address: IpAddr, name: Option<String>) -> Self {
        Self { address: address.to_canonical(), name: name.map(Arc::from) }
    }

    /// The same sender under the name of a user, unless a certificate names it.
    pub(super) fn or_user(&self, user: Option<String>) -> Self {
        let name = self.name.clone().or(user.map(Arc::from));
        Self { address: self.address, name }
    }

    /// The name, or the address if there is none.
    pub(super) fn name(&self) -> Arc<str> {
        self.name.clone().unwrap_or_else(|| self.address.to_string().into())
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} ({})", name.escape_debug(), self.address),
            None => write!(f, "{}", self.address),
        }
    }
}
