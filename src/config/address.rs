//! Addresses to listen on: `host:port`.

use super::ConfigError;
use super::item::Item;

/// A `host:port`.
pub(super) fn host_and_port(item: &Item<'_>) -> Result<String, ConfigError> {
    let forms = "\"127.0.0.1:9886\" or \"[::1]:9886\"";
    valid_address(&item.text()?)
        .map_or_else(|| Err(item.wrong(format!("write a host and a port, such as {forms}"))), Ok)
}

/// The text, if it is a host and a port.
pub(crate) fn valid_address(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    let is_wrong = host.is_empty()
        || bare_v6
        || host.contains(char::is_whitespace)
        || port.parse::<u16>().is_err();
    (!is_wrong).then(|| text.to_owned())
}
