//! Finds out which server answers at the endpoint.

use serde::Deserialize;

/// The server at the endpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Flavour {
    Elasticsearch {
        version: String,
    },
    OpenSearch {
        version: String,
    },
    /// It takes `_bulk` and answers every other request with something empty.
    VictoriaLogs,
}

impl Flavour {
    /// Reads the answer to `GET /`; `None` if it comes from no known server. `named`: the answer has the header
    /// `X-elastic-product`, the only sign that tells `VictoriaLogs` from another service with a version.
    pub(super) fn of(body: &[u8], named: bool) -> Option<Self> {
        #[derive(Deserialize)]
        struct Root {
            cluster_name: Option<String>,
            tagline: Option<String>,
            version: Version,
        }
        #[derive(Deserialize)]
        struct Version {
            number: String,
            distribution: Option<String>,
        }
        let Root { cluster_name, tagline, version: Version { number: version, distribution } } =
            serde_json::from_slice(body).ok()?;
        if distribution.as_deref() == Some("opensearch") {
            return Some(Self::OpenSearch { version });
        }
        match (tagline.as_deref(), cluster_name) {
            (Some("You Know, for Search"), _) => Some(Self::Elasticsearch { version }),
            (_, Some(_)) if named => Some(Self::Elasticsearch { version }),
            (None, None) if named => Some(Self::VictoriaLogs),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_apart() {
        let elastic = br#"{"name":"n1","cluster_name":"ci","version":{"number":"8.19.21"},"tagline":"You Know, for Search"}"#;
        assert_eq!(
            Flavour::of(elastic, false),
            Some(Flavour::Elasticsearch { version: "8.19.21".to_owned() })
        );
        let open =
            br#"{"cluster_name":"ci","version":{"distribution":"opensearch","number":"2.19.1"}}"#;
        assert_eq!(
            Flavour::of(open, false),
            Some(Flavour::OpenSearch { version: "2.19.1".to_owned() })
        );
        assert_eq!(
            Flavour::of(br#"{ "version": { "number": "8.9.0" } }"#, true),
            Some(Flavour::VictoriaLogs)
        );
        for other in [
            &b"<html>"[..],
            b"{}",
            br#"{"version":{"number":"1.2"}}"#,
            br#"{"name":"x","cluster_name":"y","version":{"number":"1"}}"#,
        ] {
            assert_eq!(Flavour::of(other, false), None);
        }
    }
}
