//! Tests of what redaction must keep: an audit log has to show who did what.

use serde_json::Value;

use super::*;

/// Events in which nothing is redacted.
#[test]
fn what_is_no_secret_stays_byte_for_byte() {
    let redaction = masking();
    for (resource, members) in [
        (
            "pods",
            r#""requestObject":{"metadata":{"name":"token-cleaner-7d4f8","uid":"968d8a3d-a9a8-4901-8522-dfeeb5a9bda4"},"spec":{"volumes":[{"name":"kube-api-access-x2x4z","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}}]}},{"name":"s","secret":{"secretName":"db-password","defaultMode":420,"optional":false,"items":[{"key":"password","path":"pw"}]}}],"containers":[{"image":"registry.example/token-service:1.2@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","env":[{"name":"DB_PASSWORD","valueFrom":{"secretKeyRef":{"name":"db","key":"password"}}},{"name":"OTHER","value":"$(DB_PASSWORD)"},{"name":"TOKEN_URL","value":"https://idp.example/token"},{"name":"PASSWORD_FILE","value":"/run/secrets/pw"}],"args":["--kubeconfig=/etc/kubernetes/admin.conf","--token-ttl=1h","--tls-private-key-file=/etc/x.key","--password-file","/run/pw","--api-key=$(API_KEY)"],"volumeMounts":[{"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount","name":"kube-api-access-x2x4z"}],"securityContext":{"privileged":false,"allowPrivilegeEscalation":false}}],"imagePullSecrets":[{"name":"regcred"}],"automountServiceAccountToken":true,"tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists"}]}}"#,
        ),
        (
            "serviceaccounts",
            r#""requestObject":{"secrets":[{"name":"default-token-abc"}],"imagePullSecrets":[{"name":"x"}],"automountServiceAccountToken":false}"#,
        ),
        (
            "clusterroles",
            r#""requestObject":{"rules":[{"apiGroups":[""],"resources":["secrets","serviceaccounts/token","tokenreviews"],"verbs":["get","list"],"resourceNames":["my-password"]}]}"#,
        ),
        (
            "databases",
            r#""requestObject":{"spec":{"passwordSecretRef":{"name":"db","key":"password"},"tokenTTL":"1h","tokenExpirationSeconds":3600,"passwordRotation":true,"secretName":"x","tls":{"credentialName":"gw-cert"},"privateKey":{"algorithm":"RSA","size":2048,"rotationPolicy":"Always","encoding":"PKCS1"},"replicas":3}}"#,
        ),
        (
            "configmaps",
            r#""requestObject":{"data":{"ca.crt":"-----BEGIN CERTIFICATE-----\nMIIDBTCCAe2gAwIBAgIIRaf5SE7k9kQwDQYJKoZIhvcNAQELBQAwFTETMBEGA1UE\nAxMKa3ViZXJuZXRlczAeFw0yNjExMjEwNjE5\n-----END CERTIFICATE-----\n","app.yaml":"key1: value\nsecretName: x\n"}}"#,
        ),
        (
            "validatingwebhookconfigurations",
            r#""requestObject":{"webhooks":[{"clientConfig":{"caBundle":"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSURCVENDQWUyZ0F3SUJBZ0lJUmFmNVNFN2s5a1F3RFFZSktvWklodmNOQVFFTEJRQXdGVEVUTUJFR0ExVUUK"}}]}"#,
        ),
        (
            "things",
            r#""requestObject":{"spec":{"a":"https://x.example/y?design=a-long-value-here\\u0026sig=v1","args":["mongod","--port","27017","-c","compass: on; bypass:on"],"oauths":"x","signature":"MEUCIQDx","image":"mongo:7.0"}}"#,
        ),
        (
            "events",
            r#""requestObject":{"message":"MountVolume.SetUp failed for volume \"token\" : secret \"db\" not found","reason":"FailedMount"}"#,
        ),
        (
            "pods",
            r#""responseObject":{"metadata":{"continue":"eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MTE1NSwic3RhcnQiOiJhcHAtMC03LTVkNTc2NTU5OWQtN3FwZzdcdTAwMDAifQ","managedFields":[{"fieldsV1":{"f:spec":{"f:volumes":{"k:{\"name\":\"token\"}":{".":{},"f:secret":{".":{},"f:secretName":{}}}}}}}]}}"#,
        ),
        (
            "customresourcedefinitions",
            r#""requestObject":{"spec":{"versions":[{"schema":{"openAPIV3Schema":{"properties":{"passwordSecret":{"description":"Where the password is.","type":"object","properties":{"name":{"type":"string"}}}}}}}]}}"#,
        ),
    ] {
        let line = event(resource, members);
        same(resource, &text(&redaction, &line), &line);
    }
    let line = event("pods", "");
    for (from, to) in [
        (
            "/api/v1/namespaces/ns/pods/x",
            "/api/v1/pods?labelSelector=app%3Dx%2Ctier%21%3Dy\\u0026limit=500&fieldSelector=metadata.name%3Dtoken-x",
        ),
        (
            "/api/v1/namespaces/ns/pods/x",
            "/api/v1/namespaces/n/pods/p/exec?command=cat&command=%2Fetc%2Fhosts&stdin=true",
        ),
        ("15cd68e0-5d91-4011-a160-4f93a4b80180", "my-request-17"),
        (
            r#""metadata":{},"code":201"#,
            r#""metadata":{},"status":"Failure","message":"pods \"x\" is forbidden: User \"system:serviceaccount:secret-ns:default\" cannot get resource \"secrets\" in API group \"\"","reason":"Forbidden","details":{"name":"x","kind":"secrets"},"code":403"#,
        ),
        (
            r#""authorization.k8s.io/reason":"""#,
            r#""authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"system:controller:token-cleaner\" of ClusterRole \"x\" to ServiceAccount \"token-cleaner/kube-system\"","authentication.kubernetes.io/issued-credential-id":"JTI=c7d7c71d-6c95-4132-a8b7-519fefbc7c5e""#,
        ),
    ] {
        let line = line.replace(from, to);
        same(to, &text(&redaction, &line), &line);
    }
}

#[test]
fn a_client_cannot_fill_the_log_with_its_name() {
    let long = event("pods", "").replace("kubectl", &"k".repeat(2000));
    let out = text(&masking(), &long);
    assert!(out.len() < 1200 && out.contains("..."), "{out}");
    let long = event("pods", "").replace("15cd68e0", &"k".repeat(2000));
    assert!(text(&masking(), &long).len() < 1200);
}

/// Who did what to which object, when, from where and with what result.
fn essence(event: &Value) -> Value {
    let at = |path: &str| event.pointer(path).cloned().unwrap_or_default();
    [
        "/level",
        "/auditID",
        "/stage",
        "/verb",
        "/user/username",
        "/user/uid",
        "/user/groups",
        "/impersonatedUser/username",
        "/authenticationMetadata",
        "/sourceIPs",
        "/userAgent",
        "/objectRef",
        "/responseStatus/code",
        "/responseStatus/reason",
        "/requestReceivedTimestamp",
        "/stageTimestamp",
        "/annotations",
        "/requestURI",
    ]
    .into_iter()
    .map(at)
    .collect::<Vec<_>>()
    .into()
}

/// Every mode and verb of KEP-5284, with a body that is searched and with one that is not.
#[test]
fn the_verb_that_allowed_an_impersonation_is_kept() {
    let modes = ["user-info", "serviceaccount", "arbitrary-node", "associated-node"];
    let modes = modes.iter().flat_map(|mode| {
        ["get", "list", "patch", "deletecollection"]
            .map(|verb| format!("impersonate-on:{mode}:{verb}"))
            .into_iter()
            .chain([format!("impersonate:{mode}")])
    });
    for constraint in modes.chain(["impersonate".to_owned()]) {
        for resource in ["pods", "secrets", "oauthaccesstokens"] {
            let member = format!(
                r#""impersonatedUser":{{"username":"jane"}},"authenticationMetadata":{{"impersonationConstraint":"{constraint}"}},"objectRef""#
            );
            let line = event(resource, r#""requestObject":{"data":{"password":"hunter2hunter2"}}"#)
                .replacen(r#""objectRef""#, &member, 1);
            let before: Value = serde_json::from_str(&line).unwrap();
            let after: Value = serde_json::from_str(&text(&masking(), &line)).unwrap();
            assert!(before["authenticationMetadata"].is_object());
            let kept = |event: &Value| event["authenticationMetadata"].clone();
            assert_eq!(kept(&after), kept(&before), "{constraint}");
        }
    }
}

/// The log that ships with the project, or all logs of the folder `AUDITRAIL_CORPUS`.
#[test]
fn of_a_recorded_log_who_did_what_is_still_there() {
    let redaction = masking();
    let recorded = include_str!("../../../../../tests/data/audit-events.ndjson").to_owned();
    let more = std::env::var("AUDITRAIL_CORPUS").into_iter().flat_map(|folder| {
        std::fs::read_dir(folder)
            .unwrap()
            .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
    });
    for log in more.chain([recorded]) {
        for line in log.lines() {
            let out = text(&redaction, line);
            if out != line {
                let (before, after) =
                    (serde_json::from_str(line).unwrap(), serde_json::from_str(&out).unwrap());
                assert_eq!(essence(&after), essence(&before));
            }
        }
    }
}
