//! Which server answers at the endpoint.

use serde::Deserialize;

/// What answers at the endpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Flavour {
    Elasticsearch {
        version: String,
    },
    OpenSearch {
        version: String,
    },
    /// It takes `_bulk` and answers everything else with something empty.
    VictoriaLogs,
}

impl Flavour {
    /// From the answer to `GET /`; `None` where that is of no known server.
    pub(super) fn of(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Root {
            cluster_name: Option<String>,
            version: Version,
        }
        #[derive(Deserialize)]
        struct Version {
            number: String,
            distribution: Option<String>,
        }
        let Root { cluster_name, version: Version { number: version, distribution } } =
            serde_json::from_slice(body).ok()?;
        Some(match (cluster_name, distribution.as_deref()) {
            (None, _) => Self::VictoriaLogs,
            (_, Some("opensearch")) => Self::OpenSearch { version },
            _ => Self::Elasticsearch { version },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_apart() {
        let elastic = br#"{"name":"n1","cluster_name":"ci","version":{"number":"8.19.21"},"tagline":"You Know, for Search"}"#;
        assert_eq!(
            Flavour::of(elastic),
            Some(Flavour::Elasticsearch { version: "8.19.21".to_owned() })
        );
        let open =
            br#"{"cluster_name":"ci","version":{"distribution":"opensearch","number":"2.19.1"}}"#;
        assert_eq!(Flavour::of(open), Some(Flavour::OpenSearch { version: "2.19.1".to_owned() }));
        assert_eq!(
            Flavour::of(br#"{ "version": { "number": "8.9.0" } }"#),
            Some(Flavour::VictoriaLogs)
        );
        assert_eq!(Flavour::of(b"<html>"), None);
    }
}
