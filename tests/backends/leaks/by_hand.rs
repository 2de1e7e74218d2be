//! Log lines with secrets that a current API server cannot be made to write in a test: annotations of webhooks, hostile
//! bodies that a client sends as a patch, damaged files, the legacy text format.

use jiff::{SignedDuration, Timestamp};

use super::markers::Planted;

/// `(place in the reference, how, resource, members of the event)`. `§X` is a byte that is not UTF-8.
#[rustfmt::skip]
const EVENTS: &[(&str, &str, &str, &str)] = &[
    ("annotations[patch.webhook...]", "env in a webhook's patch", "pods", r#""annotations":{"patch.webhook.admission.k8s.io/round_0_index_0":"{\"patch\":[{\"op\":\"add\",\"path\":\"/spec/containers/0/env/0\",\"value\":{\"name\":\"TOKEN\",\"value\":\"§M\"}}],\"patchType\":\"JSONPatch\"}"}"#),
    ("annotations[patch.webhook...]", "a Secret in a webhook's patch", "secrets", r#""annotations":{"patch.webhook.admission.k8s.io/round_0_index_0":"{\"patch\":[{\"op\":\"add\",\"path\":\"/data/a\",\"value\":\"§B\"}]}"}"#),
    ("annotations[patch.webhook...]", "a webhook's patch that is cut", "pods", r#""annotations":{"patch.webhook.admission.k8s.io/round_0_index_0":"{\"patch\":[{\"op\":\"§M"}"#),
    ("other audit annotations", "a webhook's words", "pods", r#""annotations":{"hook/why":"denied: password=§M","hook/token":"§M"}"#),
    ("user.extra, impersonatedUser.extra", "claims of a user", "pods", r#""user":{"username":"admin","extra":{"arn":["§M"],"authentication.kubernetes.io/credential-id":["JTI=§M"]}}"#),
    ("Secret patch", "bad UTF-8 in a Secret", "secrets", r#""requestObject":{"data":{"a":"§X§M§X","§X":"§M"},"§X":{"b":"§M"}}"#),
    ("Secret patch", "lone surrogates in a Secret", "secrets", r#""requestObject":{"stringData":{"a":"\ud800§M\udfff","\udc00":"§M"}}"#),
    ("Secret patch", "duplicate keys in a Secret", "secrets", r#""requestObject":{"data":{"a":"§B","a":"§M"},"data":"§M","data":["§M"]}"#),
    ("Secret patch", "two bodies", "secrets", r#""requestObject":{"data":{"a":"§B"}},"requestObject":{"stringData":{"a":"§M"}}"#),
    ("Secret patch", "two objects", "secrets", r#""requestObject":{"data":{"a":"§B"}},"objectRef":{"resource":"pods","name":"x"}"#),
    ("Secret patch", "scalars and arrays for a Secret", "secrets", r#""requestObject":"§M","responseObject":["§M",["§M"]]"#),
    ("Secret patch", "a Secret in escapes", "secrets", r#""requestObject":{"d\u0061ta":{"a":"§U"},"x":1e999999,"y":77777777777777777777777777777777}"#),
    ("custom resources", "bad UTF-8", "databases", r#""requestObject":{"spec":{"password":"§X§M","url":"https://u§X:§M@h","n":"Bearer §M§X","§X":{"token":"§M"}}}"#),
    ("custom resources", "lone surrogates", "databases", r#""requestObject":{"spec":{"password":"\udfff§M","n":"\ud800 password=§M","\ud800":{"token":"§M"}}}"#),
    ("custom resources", "duplicate keys", "databases", r#""requestObject":{"password":"x","password":"§M","password":{"a":"§M"},"password":["§M"]}"#),
    ("custom resources", "names and values in escapes", "databases", r#""requestObject":{"p\u0061ssword":"§U","url":"https:\/\/u:§M@h","x":"p\u0061ssword=§U"}"#),
    ("custom resources", "JSON inside JSON inside JSON", "databases", r#""requestObject":{"a":"{\"b\":\"{\\\"c\\\":\\\"{\\\\\\\"token\\\\\\\":\\\\\\\"§M\\\\\\\"}\\\"}\"}"}"#),
    ("custom resources", "a Secret inside JSON inside JSON inside JSON", "databases", r#""requestObject":{"a":"{\"b\":\"{\\\"kind\\\":\\\"Secret\\\",\\\"data\\\":{\\\"a\\\":\\\"§B\\\"}}\"}"}"#),
    ("custom resources", "JSON in base64", "databases", r#""requestObject":{"spec":{"blob":"§L"}}"#),
    ("any object", "a manifest that is cut", "deployments", r#""responseObject":{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"spec\":{\"a\":\"§M"}}}"#),
    ("any object", "a manifest of bad UTF-8", "deployments", r#""responseObject":{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"kind\":\"Secret\",\"§X\":1,\"stringData\":{\"a\":\"§M\"}}"}}}"#),
];

/// `(how, user agent, URI)`, quoted as in Go.
#[rustfmt::skip]
const LEGACY: &[(&str, &str, &str)] = &[
    ("legacy: URI", "curl", "/api?token=§M&x=§J"),
    ("legacy: exec", "curl", "/api/v1/namespaces/n/pods/p/exec?command=--password%3D§M"),
    ("legacy: user agent", r#"x \"password\"=\x22§M\x22 §J"#, "/api"),
];

/// A log of these lines, and the number of events in it.
pub(super) struct Made {
    pub(super) log: Vec<u8>,
    pub(super) events: usize,
    at: Timestamp,
}

impl Made {
    pub(super) fn plant(planted: &mut Planted) -> Self {
        let at = Timestamp::now() - SignedDuration::from_mins(5);
        let mut made = Self { log: Vec::new(), events: 0, at };
        for (place, how, resource, members) in EVENTS {
            let line = made.event(resource, members);
            let line = planted.plant(place, how, &line);
            made.line(1, line.as_bytes());
        }
        for (how, agent, uri) in LEGACY {
            made.legacy(planted, how, agent, uri);
        }
        made.deep(planted);
        made.long(planted);
        made.damaged(planted);
        made
    }

    fn event(&mut self, resource: &str, members: &str) -> String {
        let time = self.time();
        let status = r#""responseStatus":{"metadata":{},"code":200}"#;
        let annotations = if members.contains(r#""annotations":"#) {
            ""
        } else {
            r#","annotations":{"authorization.k8s.io/decision":"allow"}"#
        };
        // Of duplicate keys the hand-made one comes first. Annotations, an object, come last instead.
        let (first, last) = if members.starts_with(r#""annotations""#) {
            ("", format!(",{members}"))
        } else {
            (members, String::new())
        };
        let first = if first.is_empty() { String::new() } else { format!("{first},") };
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"hand-{n:04}","stage":"ResponseComplete","requestURI":"/apis/example.com/v1/namespaces/leaks/{resource}/x","verb":"patch","user":{{"username":"mallory","groups":["system:authenticated"]}},"sourceIPs":["198.51.100.7"],"userAgent":"curl/8","objectRef":{{"resource":"{resource}","namespace":"leaks","name":"x","apiVersion":"v1"}},{status},{first}"requestReceivedTimestamp":"{time}","stageTimestamp":"{time}"{annotations}{last}}}"#,
            n = self.events
        )
    }

    fn time(&mut self) -> String {
        self.at += SignedDuration::from_millis(1);
        self.at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
    }

    fn line(&mut self, events: usize, line: &[u8]) {
        // Replaces `§X` by a byte that is not UTF-8, which only raw bytes can hold.
        let mut rest = line;
        while let Some(at) = memchr::memmem::find(rest, "§X".as_bytes()) {
            self.log.extend_from_slice(&rest[..at]);
            self.log.push(0xff);
            rest = &rest[at + "§X".len()..];
        }
        self.log.extend_from_slice(rest);
        self.log.push(b'\n');
        self.events += events;
    }

    fn legacy(&mut self, planted: &mut Planted, how: &'static str, agent: &str, uri: &str) {
        let line = format!(
            r#"{} AUDIT: id="c9" stage="ResponseComplete" ip="127.0.0.1" method="get" user="admin" groups="\"system:masters\"" as="<self>" asgroups="<lookup>" user-agent="{agent}" namespace="default" uri="{uri}" response="200""#,
            self.time()
        );
        let line = planted.plant("legacy lines", how, &line);
        self.line(1, line.as_bytes());
    }

    /// Bodies nested about as deep as the API server accepts.
    fn deep(&mut self, planted: &mut Planted) {
        let levels = 9_990;
        let arrays = format!("{}\"§M\"{}", "[".repeat(levels), "]".repeat(levels));
        let objects =
            format!("{}{{\"password\":\"§M\"}}{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        for (place, how, resource, body) in [
            (
                "Secret patch",
                "10,000 levels in a Secret",
                "secrets",
                format!("{{\"data\":{arrays}}}"),
            ),
            ("custom resources", "10,000 levels", "databases", objects),
            (
                "custom resources",
                "10,000 levels under a name",
                "databases",
                format!("{{\"token\":{arrays}}}"),
            ),
        ] {
            let line = self.event(resource, &format!("\"requestObject\":{body}"));
            let line = planted.plant(place, how, &line);
            self.line(1, line.as_bytes());
        }
    }

    /// Lines that are longer than one read, and lines that are truncated for Loki.
    fn long(&mut self, planted: &mut Planted) {
        let padding = |bytes: usize| "the pad ".repeat(bytes / 8);
        for (how, resource, bytes) in [
            ("a Secret of 5 MiB", "secrets", 5 << 20),
            ("a ConfigMap of 1 MiB", "configmaps", 1 << 20),
            ("a ConfigMap of 300 KiB", "configmaps", 300 << 10),
        ] {
            let pad = padding(bytes);
            let body = format!(
                r#""requestObject":{{"data":{{"a":"{pad}","password":"§M","f":"{pad}\npassword: §M\n"}}}}"#
            );
            let line = self.event(resource, &body);
            let place = if resource == "secrets" { "Secret create/update" } else { "ConfigMap" };
            let line = planted.plant(place, how, &line);
            self.line(1, line.as_bytes());
        }
    }

    /// Torn and damaged lines, as after a crash, a full disk or a mistake of an administrator.
    fn damaged(&mut self, planted: &mut Planted) {
        let place = "torn or unparseable lines";
        let body = r#""requestObject":{"data":{"a":"§M"}},"responseObject":{"data":{"a":"§B"}}"#;
        let mut planted = |made: &mut Self, how| {
            let line = made.event("secrets", body);
            planted.plant(place, how, &line)
        };
        let whole = planted(self, "a torn line");
        let tear = whole.find("responseObject").unwrap();
        self.line(1, &whole.as_bytes()[..tear]);
        let (one, two) = (planted(self, "glued, the first"), planted(self, "glued, the second"));
        self.line(2, format!("{one}{two}").as_bytes());
        let (one, two) = (
            planted(self, "torn and glued, the first"),
            planted(self, "torn and glued, the second"),
        );
        self.line(2, format!("{}{two}", &one[..tear]).as_bytes());
        let (one, two) = (planted(self, "before a hole"), planted(self, "behind a hole"));
        self.line(1, &[&one.as_bytes()[..tear], &[0; 5000]].concat());
        self.line(1, &[&[0; 5000], two.as_bytes()].concat());
        let one = planted(self, "a hole inside");
        let hole = one.find(r#"","responseObject"#).unwrap_or(tear - 20);
        self.line(2, &[&one.as_bytes()[..hole], &[0; 50], &one.as_bytes()[hole..]].concat());
        let one = planted(self, "the end of a line");
        self.line(1, &one.as_bytes()[one.find("requestObject").unwrap()..]);
        // A wrapper around events is not an event itself.
        let one = planted(self, "in a container's log");
        let json = serde_json::json!({"log": one, "stream": "stdout"}).to_string();
        self.line(1, json.as_bytes());
        let one = planted(self, "in a list");
        self.line(1, format!(r#"{{"kind":"EventList","items":[{one}]}}"#).as_bytes());
        let one = planted(self, "no event");
        self.line(1, format!("password=x {}", &one[tear - 30..tear + 60]).as_bytes());
    }
}
