//! Plants markers in every row of the table in section 7 of the reference, under the names it uses; none may leave
//! the node.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::*;

/// The secret that must not leave. It has no word and no shape that gives it away, so it stands for any secret.
pub(super) const MARKER: &str = "hunter2-Qx7";

/// Whether a marker leaves, in plain text or in base64, at any of the three offsets in a group of four.
pub(super) fn leaks(out: &[u8]) -> bool {
    let mut forms = vec![MARKER.as_bytes().to_vec()];
    for shift in 0..3 {
        let padded = [vec![b'x'; shift], MARKER.as_bytes().to_vec()].concat();
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = engine.encode(&padded);
            // The characters that the neighbouring bytes influence are left out.
            let from = [0, 2, 3][shift];
            let to = text.len() - usize::from(padded.len() % 3 != 0);
            forms.push(text.as_bytes()[from..to].to_vec());
        }
    }
    forms.iter().any(|form| memchr::memmem::find(out, form).is_some())
}

/// Replaces `M` in a row by the marker, `B` by its base64, and `L` by a long run of base64 that holds it.
pub(super) fn planted(row: &str) -> String {
    let base64 = STANDARD.encode(MARKER);
    let long =
        STANDARD.encode(format!("some bytes before and {MARKER} and more behind, 0123456789"));
    let jwt = format!(
        "eyJhbGciOiJSUzI1NiJ9.{}.{}",
        URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"{MARKER}"}}"#)),
        URL_SAFE_NO_PAD.encode(MARKER)
    );
    row.replace("§M", MARKER).replace("§B", &base64).replace("§L", &long).replace("§J", &jwt)
}

pub(super) fn check(rows: &[(&str, &str)]) {
    let modes = [Mode::Mask, Mode::Hash(Key([3; 32]))];
    for mode in modes {
        let redaction = Redaction::new(Rules::default(), mode).unwrap();
        for (place, line) in rows {
            let line = planted(line);
            assert!(leaks(line.as_bytes()), "{place}: nothing planted");
            let out = leaves(&redaction, line.as_bytes());
            let shown = String::from_utf8_lossy(&out);
            assert!(!leaks(&out), "{place}\n{line}\n{shown}");
            let read: Result<serde_json::Value, _> = serde_json::from_slice(&out);
            assert!(read.is_ok() || !line.starts_with('{'), "{place}\n{shown}");
            same(place, &String::from_utf8_lossy(&leaves(&redaction, &out)), &shown);
        }
    }
}

/// Rows of (place, resource, members).
pub(super) fn check_bodies(rows: &[(&str, &str, &str)]) {
    let lines: Vec<_> = rows.iter().map(|row| (row.0, event(row.1, row.2))).collect();
    check(&lines.iter().map(|(place, line)| (*place, line.as_str())).collect::<Vec<_>>());
}

#[test]
fn no_value_of_a_secret_leaves() {
    check_bodies(&[
        (
            "Secret create/update",
            "secrets",
            r#""requestObject":{"kind":"Secret","metadata":{},"data":{"a":"§B"},"type":"Opaque"}"#,
        ),
        (
            "Secret patch",
            "secrets",
            r#""requestObject":{"data":{"a":"§B"},"stringData":{"b":"§M"}}"#,
        ),
        (
            "Secret patch, doubled",
            "secrets",
            r#""requestObject":{"data":{"a":"§B","a":"§M"},"data":{"c":"§M"},"data":"§M"}"#,
        ),
        (
            "Secret patch, JSON Patch",
            "secrets",
            r#""requestObject":[{"op":"replace","path":"/data/a","value":"§B"},{"op":"add","path":"/stringData","value":{"x":"§M"}},{"value":{"data":{"x":"§B"}},"op":"replace","path":""}]"#,
        ),
        (
            "Secret patch, test",
            "secrets",
            r#""requestObject":[{"op":"test","path":"/data/a","value":"§B","value":"x"}]"#,
        ),
        (
            "Secret patch, wrong field",
            "secrets",
            r#""requestObject":{"dta":{"a":"§M"},"Data":{"b":"§M"}}"#,
        ),
        (
            "Secret patch, strategic",
            "secrets",
            r#""requestObject":{"data":{"$patch":"replace","a":"§B"},"$retainKeys":["§M"]}"#,
        ),
        (
            "Secret read",
            "secrets",
            r#""responseObject":{"kind":"Secret","data":{"a":"§B","n":1,"o":{"p":"§M"}}}"#,
        ),
        (
            "Secret read, list",
            "secrets",
            r#""responseObject":{"kind":"SecretList","items":[{"metadata":{"name":"a"},"data":{"a":"§B"}},{"data":{"b":"§B"}}]}"#,
        ),
        (
            "Secret read, Table",
            "secrets",
            r#""responseObject":{"kind":"Table","rows":[{"cells":["x",1],"object":{"kind":"Secret","metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{\"a\":\"§B\"}}"}},"data":{"a":"§B"}}}]}"#,
        ),
        (
            "Secret delete",
            "secrets",
            r#""responseObject":{"kind":"Secret","data":{"a":"§B"},"metadata":{"finalizers":["x"]}}"#,
        ),
        (
            "Secret deletecollection",
            "secrets",
            r#""responseObject":{"kind":"SecretList","items":[{"data":{"a":"§B"}}]}"#,
        ),
        ("Secret, odd bodies", "secrets", r#""requestObject":"§M","responseObject":["§M",["§M"]]"#),
        (
            "Secret, odd numbers",
            "secrets",
            r#""requestObject":{"data":{"a":"§B"}},"requestObject":{"data":"§M"}"#,
        ),
        (
            "bootstrap token, dockercfg, service-account-token Secrets",
            "secrets",
            r#""requestObject":{"kind":"Secret","data":{"token-secret":"§B",".dockerconfigjson":"§B","token":"§B"}}"#,
        ),
        (
            "Helm release Secrets",
            "secrets",
            r#""requestObject":{"kind":"Secret","data":{"release":"§L"},"type":"helm.sh/release.v1"}"#,
        ),
    ]);
}

#[test]
fn no_manifest_in_an_annotation_leaves_with_its_secrets() {
    check_bodies(&[
        (
            "last-applied-configuration",
            "secrets",
            r#""requestObject":{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{\"a\":\"§B\"}}"}}}"#,
        ),
        (
            "last-applied-configuration, of another",
            "deployments",
            r#""responseObject":{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"spec\":{\"env\":[{\"name\":\"DB_PASSWORD\",\"value\":\"§M\"}]}}"}}}"#,
        ),
        (
            "last-applied-configuration, cut",
            "deployments",
            r#""responseObject":{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"spec\":{\"a\":\"§M"}}}"#,
        ),
        (
            "last-applied-configuration, in items",
            "deployments",
            r#""responseObject":{"items":[{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"kind\":\"Secret\",\"data\":{\"a\":\"§B\"}}"}}}]}"#,
        ),
        (
            "last-applied-configuration, JSON in JSON",
            "things",
            r#""responseObject":{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"metadata\":{\"annotations\":{\"x\":\"{\\\"password\\\":\\\"§M\\\"}\"}}}"}}}"#,
        ),
        (
            "JSON in JSON in JSON",
            "things",
            r#""requestObject":{"a":"{\"b\":\"{\\\"c\\\":\\\"{\\\\\\\"token\\\\\\\":\\\\\\\"§M\\\\\\\"}\\\"}\"}"}"#,
        ),
        (
            "managedFields",
            "things",
            r#""requestObject":{"metadata":{"managedFields":[{"manager":"x","token":"§M"}]}}"#,
        ),
        (
            "managedFields, a set",
            "things",
            r#""requestObject":{"metadata":{"managedFields":[{"fieldsV1":{"f:tokens":{"v:\"§M\"":{}}}}]}}"#,
        ),
    ]);
}

#[test]
fn no_pattern_of_a_config_map_leaves() {
    check_bodies(&[
        (
            "ConfigMap",
            "configmaps",
            r#""requestObject":{"kind":"ConfigMap","data":{"password":"§M","app.properties":"a=1\ndb.password=§M\nb=2","app.yaml":"db:\n  password: §M\n  other: x\n","url":"postgres://u:§M@db/x"},"binaryData":{"x":"§B"}}"#,
        ),
        (
            "ConfigMap, YAML blocks",
            "configmaps",
            r#""requestObject":{"data":{"a.yaml":"password: |\n  §M\n  §M\nb: c\nsecrets:\n  - §M\n  key: x\n  db: §M\n"}}"#,
        ),
        (
            "ConfigMap, a manifest",
            "configmaps",
            r#""requestObject":{"data":{"a.yaml":"kind: Secret\ndata:\n  a: §B\n"}}"#,
        ),
        (
            "ConfigMap, XML",
            "configmaps",
            r#""requestObject":{"data":{"settings.xml":"\u003cserver\u003e\n \u003cpassword\u003e§M\u003c/password\u003e\n\u003cs:secret a=\"b\"\u003e§M\u003c/s:secret\u003e\u003cproperty\u003e\u003cname\u003edb.password\u003c/name\u003e\n \u003cvalue\u003e§M\u003c/value\u003e\u003c/property\u003e","web.config":"\u003cadd key=\"ApiKey\" value=\"§M\"/\u003e\u003cuser password='§M'/\u003e","raw.xml":"<password>§M</password><api-key x='y'>§M</api-key><add key=\"Secret\" value=\"§M\"/>"}}"#,
        ),
        (
            "ConfigMap patch",
            "configmaps",
            r#""requestObject":[{"op":"add","path":"/data/password","value":"§M"},{"op":"add","path":"/binaryData/x","value":"§B"}]"#,
        ),
        (
            "ConfigMap, JSON",
            "configmaps",
            r#""requestObject":{"data":{"config.json":"{\"auths\":{\"r\":{\"password\":\"§M\"}}}"}}"#,
        ),
    ]);
}

#[test]
fn no_token_leaves() {
    check_bodies(&[
        (
            "TokenReview",
            "tokenreviews",
            r#""requestObject":{"kind":"TokenReview","spec":{"token":"§M"}},"responseObject":{"spec":{"token":"§M"},"status":{"user":{"username":"a","extra":{"session":["§M"],"other":"§M"}}}}"#,
        ),
        (
            "ServiceAccount token",
            "serviceaccounts/token",
            r#""responseObject":{"kind":"TokenRequest","status":{"token":"§M","expirationTimestamp":"2026-11-21T07:27:41Z"}}"#,
        ),
        (
            "ServiceAccount token, a JWT",
            "serviceaccounts/token",
            r#""responseObject":{"status":{"token":"§J"}}"#,
        ),
        (
            "CSR",
            "certificatesigningrequests",
            r#""requestObject":{"spec":{"username":"a","extra":{"x":["§M"]}}}"#,
        ),
        (
            "objectRef.name",
            "oauthaccesstokens",
            r#""responseObject":{"kind":"OAuthAccessToken","metadata":{"name":"§M","selfLink":"/x/§M"},"authorizeToken":"§M"},"objectRef":{"resource":"oauthaccesstokens","name":"§M"},"requestURI":"/apis/oauth.openshift.io/v1/oauthaccesstokens/§M","responseStatus":{"code":404,"message":"oauthaccesstokens \"§M\" not found","details":{"name":"§M"}}"#,
        ),
    ]);
}

#[test]
fn no_secret_of_a_pod_leaves() {
    check_bodies(&[
        (
            "Pod env",
            "pods",
            r#""requestObject":{"spec":{"containers":[{"env":[{"name":"DB_PASSWORD","value":"§M"},{"value":"§M","name":"API_KEY"},{"name":"URL","value":"amqp://u:§M@q/"},{"name":"J","value":"§J"},{"name":"CONN","value":"Server=x;Password=§M;Y=1"}]}]}}"#,
        ),
        (
            "Pod command",
            "deployments",
            r#""requestObject":{"spec":{"template":{"spec":{"containers":[{"command":["sh","-c","PGPASSWORD=§M psql; curl -H 'Authorization: Bearer §M' x"],"args":["--password=§M","--token","§M","-v"]}]}}}}"#,
        ),
        (
            "commands, less usual",
            "pods",
            r#""requestObject":{"spec":{"containers":[{"command":["mongosh","-u","x","-p","§M"]},{"args":["kubectl","create","secret","generic","x","--from-literal=a=§M","--from-literal","b=§M"]},{"command":["sh","-c","kubectl create secret generic x --from-literal=a=§M; openssl rsa -passin pass:§M; mongodump -p §M"]},{"args":["-passin","pass:§M"]}]}}"#,
        ),
        (
            "signed URLs, logins to registries",
            "things",
            r#""requestObject":{"spec":{"a":"https://x.example/y?sv=1&sig=§M%2F§M%3D","b":"get https://s3.example/o?X-Amz-Date=1\u0026X-Amz-Signature=§M§M now","c":{"auths":{"r.example":{"auth":"§B"}}},"d":"{\"auths\":{\"r.example\":{\"auth\":\"§B\"}}}","e":"a:\n  auths:\n    r.example:\n      auth: §B\n"}}"#,
        ),
        (
            "Pod command, short flags",
            "jobs",
            r#""requestObject":{"spec":{"containers":[{"command":["mysql","-uroot","-p§M"]},{"command":["curl","-u","a:§M"]},{"args":["-c","mysqldump -u root -p§M db"]},{"command":["redis-cli","-a","§M"]},{"command":["sshpass","-p","§M","ssh"]},{"command":["x","--pass","§M"]}]}}"#,
        ),
        (
            "Pod probes",
            "cronjobs",
            r#""requestObject":{"spec":{"livenessProbe":{"httpGet":{"httpHeaders":[{"name":"Authorization","value":"§M"},{"name":"X-Api-Key","value":"§M"}]},"exec":{"command":["x","--api-key","§M"]}}}}"#,
        ),
        (
            "Pod annotations",
            "pods/ephemeralcontainers",
            r#""requestObject":{"metadata":{"annotations":{"vault/token":"§M","note":"the password: §M"}}}"#,
        ),
        (
            "Pod patches",
            "deployments",
            r#""requestObject":[{"op":"add","path":"/spec/template/spec/containers/0/env/-","value":{"name":"TOKEN","value":"§M"}},{"op":"replace","path":"/spec/password","value":"§M"}]"#,
        ),
        (
            "Pod merge patch",
            "pods",
            r#""requestObject":{"spec":{"$setElementOrder/containers":[{"name":"a"}],"containers":[{"name":"a","env":[{"name":"A_SECRET","value":"§M"}]}]}}"#,
        ),
    ]);
}

#[test]
fn no_secret_of_a_custom_resource_leaves() {
    check_bodies(&[
        ("custom resources, names", "databases", r#""requestObject":{"spec":{"password":"§M","adminPasswd":"§M","pass_phrase":"§M","API-KEY":"§M","clientSecret":{"value":"§M"},"tokens":["§M",{"x":"§M"}],"privateKey":"§M","credentials":{"user":"u","pass":"§M"},".dockerconfigjson":"§M","X-Auth-Token":"§M","da\u0074abasePass\u0077ord":"§M"}}"#),
        ("custom resources, shapes", "databases", r#""requestObject":{"spec":{"a":"§J","b":"-----BEGIN EC PRIVATE KEY-----\n§B\n-----END EC PRIVATE KEY-----","c":"AKIA§M","d":"§L","e":"Bearer §M","g":"https://u:§M@h/p"}}"#.replace("\"c\":\"AKIA§M\",", "").leak()),
        ("custom resources, status", "databases", r#""responseObject":{"status":{"conditions":[{"message":"login failed: password=§M"}],"secretKey":"§M"}}"#),
        ("custom resources, a key", "databases", r#""requestObject":{"spec":{"§J":1}}"#),
        ("custom resources, a schema", "customresourcedefinitions", r#""requestObject":{"spec":{"versions":[{"schema":{"openAPIV3Schema":{"properties":{"password":{"type":"string","description":"the password","default":"§M"}}}}}]}}"#),
        ("custom resources, Table", "databases", r#""responseObject":{"kind":"Table","columnDefinitions":[{"name":"Name","type":"string"},{"name":"Admin Password","type":"string"}],"rows":[{"cells":["a","§M"],"object":{"kind":"PartialObjectMetadata"}},{"cells":["b","§M"]}]}"#),
        ("custom resources, escaped", "databases", r#""requestObject":{"spec":{"url":"https:\/\/u:§M@h","x":"p\u0061ssword=§M"}}"#),
    ]);
}

#[test]
fn no_secret_of_an_envelope_leaves() {
    let uri = |uri: &str| event("pods", "").replace("/api/v1/namespaces/ns/pods/x", uri);
    let with = |from: &str, to: &str| event("pods", "").replace(from, to);
    let agent = r#""userAgent":"kubectl/v1.34.4 (linux/amd64) kubernetes/f5c9a3b""#;
    let id = "15cd68e0-5d91-4011-a160-4f93a4b80180";
    let rows = [
        ("exec", uri("/api/v1/namespaces/n/pods/p/exec?command=sh&command=-c&command=PGPASSWORD%3D§M+psql&stdin=true")),
        ("exec, flags", uri("/api/v1/namespaces/n/pods/p/exec?command=x&command=--token&command=§M\\u0026command=mysql&command=-p§M")),
        ("attach", uri("/api/v1/namespaces/n/pods/p/attach?container=a&token=§M")),
        ("proxy", uri("/api/v1/namespaces/n/services/s:80/proxy/login?user=a&x=§M&§M")),
        ("nodes/proxy", uri("/api/v1/nodes/n/proxy/run?cmd=§M")),
        ("requestURI, names", uri("/x?access_token=§M&password=§M\\u0026sig=§M&X-Amz-Signature=§M&code=§M")),
        ("requestURI, shapes", uri("/x?a=§J&b=§L&c=https://u:§M@h")),
        ("requestURI, path", uri("/x/§J/§L/y")),
        ("requestURI, encoded", uri("/x?%70assword=§M&a=%70assword%3D§M&b=%2570assword%253D§M")),
        ("requestURI, absolute", uri("http://u:§M@h/api")),
        ("requestURI, selectors", uri("/api/v1/pods?labelSelector=token%3D§M")),
        ("userAgent", with(agent, r#""userAgent":"x password=§M §J""#)),
        ("userAgent, twice", with(agent, &format!(r#"{agent},"userAgent":"token=§M""#))),
        ("auditID", with(id, "§J")),
        ("auditID, base64", with(id, "§L")),
        ("user.extra", with(r#""username":"admin""#, r#""username":"admin","extra":{"arn":["§M"],"authentication.kubernetes.io/credential-id":["JTI=§M"],"x":"§M","y":{"z":"§M"}}"#)),
        ("impersonatedUser.extra", with(r#""sourceIPs""#, r#""impersonatedUser":{"username":"u","extra":{"scopes":["§M"]}},"sourceIPs""#)),
        ("responseStatus.message", with(r#""metadata":{},"code":201"#, r#""message":"Pod \"x\" is invalid: spec.a: Invalid value: \"§M\": bad","details":{"causes":[{"message":"Unsupported value: \"§M\""},{"message":"Invalid value: v1.Foo{A:\"§M\"}"}]},"code":422"#)),
        ("responseStatus.message, of a Secret", event("secrets", "").replace(r#""metadata":{},"code":201"#, r#""message":"cannot parse \"§M\"","code":400"#)),
        ("annotations, webhook patches", with(r#""authorization.k8s.io/decision":"allow""#, r#""patch.webhook.admission.k8s.io/round_0_index_0":"{\"patch\":[{\"op\":\"add\",\"path\":\"/spec/containers/0/env/0\",\"value\":{\"name\":\"TOKEN\",\"value\":\"§M\"}}],\"patchType\":\"JSONPatch\"}""#)),
        ("annotations, webhook patches that cannot be read", with(r#""authorization.k8s.io/decision":"allow""#, r#""patch.webhook.admission.k8s.io/round_0_index_0":"{\"patch\":[§M""#)),
        ("annotations, webhook patches of a Secret", event("secrets", "").replace(r#""authorization.k8s.io/decision":"allow""#, r#""patch.webhook.admission.k8s.io/round_0_index_0":"{\"patch\":[{\"op\":\"add\",\"path\":\"/data/a\",\"value\":\"§B\"}]}""#)),
        ("other audit annotations", with(r#""authorization.k8s.io/decision":"allow""#, r#""hook/why":"denied: password=§M","hook/token":"§M""#)),
        ("an unknown member", with(r#""sourceIPs""#, r#""unknown":{"password":"§M"},"sourceIPs""#)),
    ];
    let rows: Vec<_> = rows.iter().map(|(place, line)| (*place, line.as_str())).collect();
    check(&rows);
}

#[test]
fn no_secret_of_a_legacy_line_leaves() {
    let line = |uri: &str, agent: &str| {
        format!(
            r#"2017-03-21T03:57:09.1-04:00 AUDIT: id="c9" stage="ResponseComplete" ip="127.0.0.1" method="get" user="admin" groups="\"system:masters\"" as="<self>" asgroups="<lookup>" user-agent="{agent}" namespace="default" uri="{uri}" response="200""#
        )
    };
    let rows = [
        ("legacy lines, uri", line("/api?token=§M&x=§J", "curl")),
        (
            "legacy lines, exec",
            line("/api/v1/namespaces/n/pods/p/exec?command=--password%3D§M", "curl"),
        ),
        ("legacy lines, user-agent", line("/api", r#"x \"password\"=\x22§M\x22 §J"#)),
    ];
    let rows: Vec<_> = rows.iter().map(|(place, line)| (*place, line.as_str())).collect();
    check(&rows);
}
