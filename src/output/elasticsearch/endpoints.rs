//! Failover between several endpoints of one cluster: keeps the first that works, and tries the very first again after
//! a while.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use url::Url;

use crate::output::http::{Failure, shown_url};

/// How long a failed endpoint is not used while another works.
const COME_BACK: Duration = Duration::from_mins(1);

pub(super) struct Endpoints {
    urls: Vec<Url>,
    query: Vec<(String, String)>,
    at: AtomicUsize,
    left: Mutex<Option<Instant>>,
}

impl Endpoints {
    /// Refuses everything but `http` and `https` URLs. A path is kept as a prefix.
    pub(super) fn new(endpoints: &[String], query: &[(String, String)]) -> Result<Self, Failure> {
        let mut urls = Vec::new();
        for endpoint in endpoints {
            match Url::parse(endpoint) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                    urls.push(url);
                }
                _ => {
                    let answer =
                        format!("endpoint {} is not an http or https URL", shown_url(endpoint));
                    let hint = "write it like https://logs.example.org:9200".to_owned();
                    return Err(Failure::Setup { answer, hint });
                }
            }
        }
        Ok(Self { urls, query: query.to_vec(), at: AtomicUsize::new(0), left: Mutex::new(None) })
    }

    pub(super) fn len(&self) -> usize {
        self.urls.len()
    }

    /// The index of the endpoint to use now.
    pub(super) fn present(&self) -> usize {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.is_some_and(|left| left.elapsed() >= COME_BACK) {
            *left = None;
            self.at.store(0, Ordering::Relaxed);
        }
        self.at.load(Ordering::Relaxed)
    }

    /// Moves on from a failed endpoint, unless another request has done so already.
    pub(super) fn leave(&self, failed: usize) {
        let next = (failed + 1) % self.urls.len().max(1);
        if self.at.compare_exchange(failed, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            *self.left.lock().unwrap_or_else(PoisonError::into_inner) =
                (next != 0).then(Instant::now);
        }
    }

    /// The URL of a path below an endpoint. The path segments are escaped; commas and stars are kept.
    pub(super) fn url(&self, endpoint: usize, path: &str, query: &[(&str, &str)]) -> String {
        let Some(mut url) = self.urls.get(endpoint).cloned() else { return String::new() };
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        let own = self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let pairs: Vec<_> = query.iter().copied().chain(own).collect();
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        url.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(urls: &[&str]) -> Endpoints {
        let urls: Vec<_> = urls.iter().map(|&url| url.to_owned()).collect();
        Endpoints::new(&urls, &[("_time_field".to_owned(), "@timestamp".to_owned())]).unwrap()
    }

    #[test]
    fn a_path_in_front_and_configured_parameters_are_kept() {
        let one = endpoints(&["http://h:9428/insert/elasticsearch/"]);
        assert_eq!(
            one.url(0, "_bulk", &[("a", "b c")]),
            "http://h:9428/insert/elasticsearch/_bulk?a=b+c&_time_field=%40timestamp"
        );
    }

    #[test]
    fn an_endpoint_that_fails_is_left_once_however_many_requests_failed_on_it() {
        let three = endpoints(&["http://a", "http://b", "http://c"]);
        three.leave(0);
        three.leave(0);
        assert_eq!(three.present(), 1);
        three.leave(1);
        three.leave(2);
        assert_eq!(three.present(), 0);
    }

    #[test]
    fn a_wrong_endpoint_is_refused_without_showing_its_password() {
        for wrong in ["ftp://u:geheim@h", "geheim", ""] {
            let error = Endpoints::new(&[wrong.to_owned()], &[])
                .err()
                .map(|error| error.to_string())
                .unwrap();
            assert!(!error.contains("geheim") && error.contains("is not an http"), "{error}");
        }
    }
}
