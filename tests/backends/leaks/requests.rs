//! Requests to the real API server that make it log secrets: the rows of section 7 of the reference.

/// `(place in the reference, how, method, path, body)`. A path without a leading slash is relative to the namespace.
/// Methods that are not HTTP methods are patch types. The server refuses some of these requests, and logs them all the
/// same.
pub(super) type Request = (&'static str, &'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
pub(super) const SECRETS: &[Request] = &[
    ("Secret create/update", "create with stringData", "POST", "secrets", r#"{"metadata":{"name":"a"},"stringData":{"k":"§M"}}"#),
    ("Secret create/update", "create with data", "POST", "secrets", r#"{"metadata":{"name":"b"},"data":{"k":"§B"}}"#),
    ("Secret create/update", "create that is refused", "POST", "secrets", r#"{"metadata":{"name":"No Name"},"data":{"k":"§B"}}"#),
    ("Secret create/update", "update", "PUT", "secrets/a", r#"{"metadata":{"name":"a"},"data":{"k":"§B"}}"#),
    ("Secret patch", "merge patch", "MERGE", "secrets/a", r#"{"stringData":{"k":"§M"},"data":{"l":"§B"}}"#),
    ("Secret patch", "merge patch, duplicate keys", "MERGE", "secrets/a", r#"{"data":{"k":"§B","k":"eA=="},"data":{"m":"§B"}}"#),
    ("Secret patch", "merge patch, a number beyond all", "MERGE", "secrets/a", r#"{"stringData":{"k":"§M"},"x":1e999999}"#),
    ("Secret patch", "merge patch, lone surrogates", "MERGE", "secrets/a", r#"{"stringData":{"k":"\ud800§M\udfff"}}"#),
    ("Secret patch", "strategic patch", "STRATEGIC", "secrets/a", r#"{"data":{"$patch":"replace","k":"§B"}}"#),
    ("Secret patch", "JSON patch of a value", "JSON", "secrets/a", r#"[{"op":"add","path":"/data/k","value":"§B"}]"#),
    ("Secret patch", "JSON patch of stringData", "JSON", "secrets/a", r#"[{"op":"add","path":"/stringData","value":{"x":"§M"}}]"#),
    ("Secret patch", "JSON patch, a test", "JSON", "secrets/a", r#"[{"op":"test","path":"/data/k","value":"§B"}]"#),
    ("Secret patch", "JSON patch of the whole", "JSON", "secrets/a", r#"[{"value":{"data":{"x":"§B"}},"op":"replace","path":""}]"#),
    ("Secret patch", "server-side apply", "APPLY", "secrets/applied?fieldManager=leaks", r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"applied"},"stringData":{"k":"§M"}}"#),
    ("Secret read", "read", "POST", "secrets", r#"{"metadata":{"name":"read"},"data":{"k":"§B"}}"#),
    ("Secret delete / deletecollection", "kept by a finalizer", "POST", "secrets", r#"{"metadata":{"name":"kept","finalizers":["example.com/keep"]},"data":{"k":"§B"}}"#),
    ("Secret delete / deletecollection", "deleted with others", "POST", "secrets", r#"{"metadata":{"name":"gone","labels":{"gone":"yes"}},"data":{"k":"§B"}}"#),
    ("bootstrap token, dockercfg, service-account-token Secrets", "bootstrap token", "POST", "/api/v1/namespaces/kube-system/secrets", r#"{"metadata":{"name":"bootstrap-token-abcdef"},"type":"bootstrap.kubernetes.io/token","stringData":{"token-id":"abcdef","token-secret":"§M"}}"#),
    ("bootstrap token, dockercfg, service-account-token Secrets", "dockerconfigjson", "POST", "secrets", r#"{"metadata":{"name":"d"},"type":"kubernetes.io/dockerconfigjson","stringData":{".dockerconfigjson":"{\"auths\":{\"r\":{\"auth\":\"§B\"}}}"}}"#),
    ("bootstrap token, dockercfg, service-account-token Secrets", "service account token", "POST", "secrets", r#"{"metadata":{"name":"t","annotations":{"kubernetes.io/service-account.name":"default"}},"type":"kubernetes.io/service-account-token","stringData":{"token":"§J"}}"#),
    ("responseStatus.message", "unknown field of a Secret", "POST", "secrets?fieldValidation=Strict", r#"{"metadata":{"name":"s"},"data":{"k":"eA=="},"§M":1}"#),
];

#[rustfmt::skip]
pub(super) const OBJECTS: &[Request] = &[
    ("ConfigMap", "keys and files", "POST", "configmaps", r#"{"metadata":{"name":"c"},"data":{"db-password":"§M","app.properties":"a=1\ndb.password=§M\nb=2","app.yaml":"db:\n  password: §M\n","app.json":"{\"auth\":{\"token\":\"§M\"}}","url":"postgres://u:§M@db/x"},"binaryData":{"x":"§B"}}"#),
    ("ConfigMap", "JSON patch of a ConfigMap", "JSON", "configmaps/c", r#"[{"op":"add","path":"/data/password","value":"§M"},{"op":"add","path":"/binaryData/y","value":"§B"}]"#),
    ("TokenReview", "review", "POST", "/apis/authentication.k8s.io/v1/tokenreviews", r#"{"spec":{"token":"§M"}}"#),
    ("Pod specs and every template", "Pod", "POST", "pods", r#"{"metadata":{"name":"web","annotations":{"vault/token":"§M","note":"the password: §M"}},"spec":{"containers":[{"name":"a","image":"x","env":[{"name":"DB_PASSWORD","value":"§M"},{"name":"CONN","value":"Server=x;Password=§M;Y=1"},{"name":"URL","value":"amqp://u:§M@q/"},{"name":"J","value":"§J"}],"command":["sh","-c","PGPASSWORD=§M psql; curl -H 'Authorization: Bearer §M' x"],"args":["--password=§M","--token","§M"],"livenessProbe":{"httpGet":{"port":80,"httpHeaders":[{"name":"Authorization","value":"§M"},{"name":"X-Api-Key","value":"§M"}]}},"readinessProbe":{"exec":{"command":["x","--api-key","§M"]}}}]}}"#),
    ("Pod specs and every template", "ephemeral container", "STRATEGIC", "pods/web/ephemeralcontainers", r#"{"spec":{"ephemeralContainers":[{"name":"debug","image":"x","env":[{"name":"A_TOKEN","value":"§M"}],"command":["mysql","-uroot","-p§M"]}]}}"#),
    ("Pod specs and every template", "Deployment", "POST", "/apis/apps/v1/namespaces/leaks/deployments", r#"{"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"a","image":"x","args":["--client-secret=§M"],"env":[{"name":"API_KEY","value":"§M"}]}]}}}}"#),
    ("Pod specs and every template", "CronJob", "POST", "/apis/batch/v1/namespaces/leaks/cronjobs", r#"{"metadata":{"name":"j"},"spec":{"schedule":"* * * * *","jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"a","image":"x","command":["curl","-u","a:§M","http://h"],"env":[{"name":"AWS_SECRET_ACCESS_KEY","value":"§M"}]}]}}}}}}"#),
    ("Pod specs and every template", "StatefulSet, JSON patch", "JSON", "/apis/apps/v1/namespaces/leaks/statefulsets/s", r#"[{"op":"add","path":"/spec/template/spec/containers/0/env/-","value":{"name":"TOKEN","value":"§M"}}]"#),
    ("Pod specs and every template", "PodTemplate", "POST", "podtemplates", r#"{"metadata":{"name":"p"},"template":{"spec":{"containers":[{"name":"a","image":"x","env":[{"value":"§M","name":"SSH_PASSPHRASE"}]}]}}}"#),
    ("Pod specs and every template", "ReplicationController", "POST", "replicationcontrollers", r#"{"metadata":{"name":"r"},"spec":{"selector":{"a":"b"},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"a","image":"x","command":["redis-cli","-a","§M"]}]}}}}"#),
    ("Pod specs and every template", "short names and flags", "POST", "pods", r#"{"metadata":{"name":"short"},"spec":{"containers":[{"name":"a","image":"x","env":[{"name":"DB_PASS","value":"§M"}],"command":["sshpass","-p","§M","ssh"],"args":["--pass","§M"]}]}}"#),
    ("responseStatus.message", "invalid label", "POST", "pods", r#"{"metadata":{"name":"l","labels":{"token":"§M !"}},"spec":{"containers":[{"name":"a","image":"x"}]}}"#),
    ("user.extra, impersonatedUser.extra", "Impersonate-Extra", "GET", "pods/nobody", "Impersonate-User: jane; Impersonate-Group: system:masters; Impersonate-Extra-Scopes: §M"),
    ("userAgent, auditID", "User-Agent", "GET", "pods/nobody", "User-Agent: x/1 password=§M §J"),
    ("userAgent, auditID", "Audit-ID", "GET", "pods/nobody", "Audit-ID: §J"),
];

#[rustfmt::skip]
pub(super) const ADDRESSES: &[Request] = &[
    ("exec / attach", "exec", "GET", "pods/web/exec?command=sh&command=-c&command=PGPASSWORD%3D§M+psql&stdout=true", ""),
    ("exec / attach", "exec, flags", "POST", "pods/web/exec?command=x&command=--token&command=§M&command=mysql&command=-p§M&stdout=true", ""),
    ("exec / attach", "attach", "GET", "pods/web/attach?container=a&token=§M&stdout=true", ""),
    ("service/pod/node proxy", "service proxy", "GET", "services/s:80/proxy/login?user=a&x=§M&§M", ""),
    ("service/pod/node proxy", "pod proxy", "POST", "pods/web/proxy/?password=§M", ""),
    ("service/pod/node proxy", "node proxy", "GET", "/api/v1/nodes/n/proxy/run?cmd=§M", ""),
    ("requestURI generally", "names", "GET", "pods?access_token=§M&password=§M&sig=§M&X-Amz-Signature=§M&code=§M", ""),
    ("requestURI generally", "shapes", "GET", "pods?a=§J&b=§L&c=https://u:§M@h", ""),
    ("requestURI generally", "encoded", "GET", "/x?%70assword=§M&a=%70assword%3D§M&b=%2570assword%253D§M", ""),
    ("requestURI generally", "selector", "GET", "pods?labelSelector=token%3D§M", ""),
    ("requestURI generally", "watch", "GET", "secrets?watch=1&timeoutSeconds=1&token=§M", ""),
    ("objectRef.name, URI path", "a JWT for a name", "GET", "pods/§J", ""),
    ("objectRef.name, URI path", "a JWT in a path", "GET", "/login/§J/§L", ""),
];

/// Requests that need the definitions below first.
#[rustfmt::skip]
pub(super) const CUSTOM: &[Request] = &[
    ("custom resources", "names in a custom resource", "POST", "/apis/example.com/v1/namespaces/leaks/databases", r#"{"apiVersion":"example.com/v1","kind":"Database","metadata":{"name":"a"},"spec":{"adminPasswd":"§M","pass_phrase":"§M","API-KEY":"§M","clientSecret":{"value":"§M"},"tokens":["§M",{"x":"§M"}],"privateKey":"§M","credentials":{"user":"u","pass":"§M"},".dockerconfigjson":"§M","X-Auth-Token":"§M"}}"#),
    ("custom resources", "shapes in a custom resource", "POST", "/apis/example.com/v1/namespaces/leaks/databases", r#"{"apiVersion":"example.com/v1","kind":"Database","metadata":{"name":"b"},"spec":{"a":"§J","b":"-----BEGIN EC PRIVATE KEY-----\n§B\n-----END EC PRIVATE KEY-----","d":"§L","e":"Bearer §M","g":"https://u:§M@h/p"}}"#),
    ("custom resources", "a status", "MERGE", "/apis/example.com/v1/namespaces/leaks/databases/a", r#"{"status":{"conditions":[{"message":"login failed: password=§M"}],"secretKey":"§M"}}"#),
    ("responseStatus.message", "refused by a schema", "POST", "/apis/example.com/v1/namespaces/leaks/databases", r#"{"apiVersion":"example.com/v1","kind":"Database","metadata":{"name":"c"},"spec":{"password":"§M"}}"#),
    ("objectRef.name, URI path", "an OAuth token", "POST", "/apis/oauth.openshift.io/v1/oauthaccesstokens", r#"{"apiVersion":"oauth.openshift.io/v1","kind":"OAuthAccessToken","metadata":{"name":"§M"},"clientName":"web","refreshToken":"§M"}"#),
    ("other audit annotations", "a policy's annotation and refusal", "POST", "configmaps", r#"{"metadata":{"name":"judged"},"data":{"password":"§M"}}"#),
];

/// Two custom resource definitions, and an admission policy whose refusals quote what they refuse.
#[rustfmt::skip]
pub(super) const DEFINITIONS: &[(&str, &str)] = &[
    ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", r#"{"metadata":{"name":"databases.example.com"},"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"databases","kind":"Database"},"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true,"properties":{"spec":{"type":"object","x-kubernetes-preserve-unknown-fields":true,"properties":{"password":{"type":"string","pattern":"^never$"}}}}}}}]}}"#),
    ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", r#"{"metadata":{"name":"oauthaccesstokens.oauth.openshift.io"},"spec":{"group":"oauth.openshift.io","scope":"Cluster","names":{"plural":"oauthaccesstokens","kind":"OAuthAccessToken"},"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}"#),
    ("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", r#"{"metadata":{"name":"judge"},"spec":{"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["configmaps"]}]},"matchConditions":[{"name":"one","expression":"object.metadata.name == 'judged'"}],"validations":[{"expression":"false","messageExpression":"'refused: password=' + object.data.password"}],"auditAnnotations":[{"key":"seen","valueExpression":"'token=' + object.data.password"}]}}"#),
    ("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings", r#"{"metadata":{"name":"judge"},"spec":{"policyName":"judge","validationActions":["Deny","Audit"]}}"#),
];

/// Reads, whose responses contain the secrets: `(method, path, Accept)`.
#[rustfmt::skip]
pub(super) const READS: &[(&str, &str, &str)] = &[
    ("GET", "secrets/read", "application/json"),
    ("GET", "secrets", "application/json"),
    ("GET", "secrets?includeObject=Object", "application/json;as=Table;v=v1;g=meta.k8s.io"),
    ("GET", "pods/web", "application/json"),
    ("GET", "/apis/oauth.openshift.io/v1/oauthaccesstokens", "application/json"),
    ("DELETE", "secrets/kept", "application/json"),
    ("DELETE", "secrets?labelSelector=gone%3Dyes", "application/json"),
];

/// Further lines of the log that must contain a marker: how it was planted, and texts of the line.
#[rustfmt::skip]
pub(super) const ALSO_IN: &[(&str, &[&str])] = &[
    ("read", &[r#""verb":"get""#, r#""kind":"Secret""#]),
    ("read", &[r#""verb":"list""#, r#""kind":"SecretList""#]),
    ("read", &[r#""kind":"Table""#, "includeObject=Object"]),
    ("kept by a finalizer", &[r#""verb":"delete""#]),
    ("deleted with others", &[r#""verb":"deletecollection""#]),
    ("kubectl apply of a Secret", &["last-applied-configuration", r#""verb":"patch""#]),
    ("kubectl apply of a Secret", &["last-applied-configuration", r#""kind":"Table""#, "secrets?limit=500"]),
    ("kubectl apply of a Deployment", &["last-applied-configuration", r#""kind":"DeploymentList""#]),
    ("invalid label", &[r#""code":422"#, "Invalid value"]),
    ("unknown field of a Secret", &["unknown field"]),
    ("refused by a schema", &[r#""code":422"#, "Invalid value"]),
    ("a policy's annotation and refusal", &["judge/seen", "validation_failure", "denied request"]),
    ("Impersonate-Extra", &["impersonatedUser"]),
    ("extra of a CSR", &[r#""kind":"CertificateSigningRequest""#, r#""extra":"#]),
    ("an OAuth token", &[r#""kind":"OAuthAccessTokenList""#]),
];
