//! Prints `[outputs.NAME]`.

use std::path::PathBuf;

use super::{SecretDisplay, TomlText, inline, list, or_off, path, quoted, word};
use crate::config::elasticsearch::{COMPRESSIONS, LAYOUTS, TEMPLATES};
use crate::config::file::FileOutput;
use crate::config::loki::METADATA;
use crate::config::value::{show_duration, show_size};
use crate::config::{
    Auth, Elasticsearch, Falco, Http, Loki, Output, OutputKind, SecretSource, Target,
};

impl TomlText {
    pub(super) fn output(&mut self, output: &Output) {
        self.table(&["outputs", &output.name]);
        match &output.kind {
            OutputKind::Loki(loki) => self.loki(loki),
            OutputKind::Elasticsearch(search) => self.elasticsearch(search),
            OutputKind::Falco(falco) => self.falco(falco),
            OutputKind::File(file) => self.file(file),
        }
        self.set("inputs", list(output.inputs.iter().map(|name| quoted(name))));
        if output.kind.http().is_some() && !matches!(output.kind, OutputKind::Falco(_)) {
            self.set("in_flight", output.in_flight);
        }
        self.set("max_bytes_per_second", or_off(output.max_bytes_per_second.map(show_size)));
        let batch = &output.batch;
        let batch = [
            ("max_bytes", show_size(batch.bytes as u64)),
            ("max_events", batch.events.to_string()),
            ("max_age", show_duration(batch.age)),
        ];
        self.set("batch", inline(batch.map(|(key, value)| (key.into(), value))));
        let retry = [("min", output.retry.min), ("max", output.retry.max)];
        self.set("retry", inline(retry.map(|(key, time)| (key.into(), show_duration(time)))));
        if let Some(http) = output.kind.http() {
            self.http(http);
        }
        self.transform(&["outputs", &output.name, "transform"], &output.transform);
    }

    fn loki(&mut self, loki: &Loki) {
        self.set("type", quoted("loki"));
        self.set("endpoint", self.url(&loki.endpoint));
        self.set("tenant", quoted(&loki.tenant));
        let labels = loki.labels.iter().map(|(name, value)| (name.clone(), quoted(value)));
        self.set("labels", inline(labels));
        self.set("metadata", list(loki.metadata.iter().map(|field| word(&METADATA, field))));
        self.set("stream_per_hour", loki.stream_per_hour);
    }

    fn elasticsearch(&mut self, search: &Elasticsearch) {
        self.set("type", quoted("elasticsearch"));
        self.set("endpoints", list(search.endpoints.iter().map(|url| self.url(url))));
        match &search.target {
            Target::DataStream(name) => self.set("data_stream", quoted(name)),
            Target::Index(pattern) => self.set("index", quoted(pattern)),
        }
        self.set("layout", word(&LAYOUTS, &search.layout));
        self.set("setup_template", word(&TEMPLATES, &search.setup_template));
        self.set("compression", word(&COMPRESSIONS, &search.compression));
        let query = search.query.iter().map(|(name, value)| (name.clone(), self.secret(value)));
        self.set("query", inline(query));
    }

    fn falco(&mut self, falco: &Falco) {
        self.set("type", quoted("falco"));
        self.set("endpoint", self.url(&falco.endpoint));
        self.set("resend_window", or_off(falco.resend_window.map(show_duration)));
    }

    fn file(&mut self, file: &FileOutput) {
        self.set("type", quoted("file"));
        self.set("path", path(&file.path));
        if let Some(rotate) = &file.rotate {
            let size = ("max_bytes".into(), show_size(rotate.max_bytes));
            let count = ("max_files".into(), rotate.max_files.to_string());
            self.set("rotate", inline([size, count]));
        }
    }

    fn http(&mut self, http: &Http) {
        self.set("timeout", show_duration(http.timeout));
        if let Some(proxy) = &http.proxy {
            self.set("proxy", self.url(proxy));
        }
        let tls = [
            ("ca_file", http.tls.ca_file.as_ref()),
            ("cert_file", http.tls.client.as_ref().map(|(cert, _)| cert)),
            ("key_file", http.tls.client.as_ref().map(|(_, key)| key)),
        ];
        self.tls(tls);
        self.auth(&http.auth);
        let headers = http.headers.iter().map(|(name, value)| {
            let value = match value {
                SecretSource::Inline(text) => self.secret(text),
                SecretSource::File(file) => inline([("file".into(), path(file))]),
            };
            (name.clone(), value)
        });
        self.set("headers", inline(headers));
    }

    /// The files of a `tls` table that are given.
    pub(super) fn tls<'a>(
        &mut self,
        files: impl IntoIterator<Item = (&'a str, Option<&'a PathBuf>)>,
    ) {
        let given = files.into_iter().filter_map(|(key, file)| Some((key.into(), path(file?))));
        let given: Vec<_> = given.collect();
        if !given.is_empty() {
            self.set("tls", inline(given));
        }
    }

    pub(super) fn auth(&mut self, auth: &Auth) {
        match auth {
            Auth::None => {}
            Auth::Basic { username, password } => {
                let username = ("username".into(), quoted(username));
                self.set("basic_auth", inline([username, self.source("password", password)]));
            }
            Auth::Bearer(token) => {
                let (key, value) = self.source("bearer_token", token);
                self.set(&key, value);
            }
            Auth::ApiKey(key) => {
                let (key, value) = self.source("api_key", key);
                self.set(&key, value);
            }
        }
    }

    /// A secret, or the file that holds it, with its key.
    fn source(&self, key: &str, secret: &SecretSource) -> (String, String) {
        match secret {
            SecretSource::Inline(text) => (key.into(), self.secret(text)),
            SecretSource::File(file) => (format!("{key}_file"), path(file)),
        }
    }

    fn secret(&self, text: &str) -> String {
        match self.secrets {
            SecretDisplay::Whole => quoted(text),
            SecretDisplay::Hidden(_) => quoted("***"),
        }
    }

    /// A URL. If nothing in it may be a secret, it is printed as it was written.
    fn url(&self, url: &str) -> String {
        match self.secrets {
            SecretDisplay::Whole => quoted(url),
            SecretDisplay::Hidden(show) => {
                let shown = show(url);
                quoted(if shown.strip_suffix('/') == Some(url) { url } else { &shown })
            }
        }
    }
}
