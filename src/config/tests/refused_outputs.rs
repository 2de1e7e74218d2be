//! Outputs that are refused, with the exact error messages. `refused.rs` explains the blocks. Here a form is the table of
//! an output.

use super::refused::refused;

/// The lines before each form.
const BEFORE: &str = r#"[inputs.a]
type = "file"
path = "/l/audit.log"
[outputs.o]
"#;

const LOKI: &str = r#"type = "loki"
endpoint = "http://h:3100"
@
"#;

const FALCO: &str = r#"type = "falco"
endpoint = "http://h:9765/k8s-audit"
@
"#;

const LOKI_AT: &str = r#"type = "loki"
endpoint = @
"#;

const LOKI_TLS: &str = r#"type = "loki"
endpoint = "https://h:3100"
@
"#;

const ELASTICSEARCH_AT: &str = r#"type = "elasticsearch"
@
"#;

const ELASTICSEARCH: &str = r#"type = "elasticsearch"
endpoints = ["http://h:9200"]
@
"#;

const FILE: &str = r#"type = "file"
@
"#;

#[track_caller]
fn refused_output(form: &str, block: &str) {
    refused(&format!("{BEFORE}{form}"), block);
}

#[test]
fn what_loki_would_refuse_is_told_before_the_first_push() {
    refused_output(
        LOKI,
        r#"
endpont = "x"
> f:7: unknown key `endpont` in [outputs.o]: did you mean `endpoint`?
tenent = "x"
> f:7: unknown key `tenent` in [outputs.o]: did you mean `tenant`?
tenant = "a|b"
> f:7: outputs.o.tenant = ***: a tenant is made of up to 150 letters, digits and `!-_.*'()`, and is not `.` or `..`
inputs = "a"
> f:7: outputs.o.inputs = "a": write a list in brackets, as in `["a", "b"]`
inputs = []
> f:7: outputs.o.inputs = []: name at least one input, or leave `inputs` out to take all
inputs = ["b"]
> f:7: outputs.o.inputs[0] = "b": there is no such input: known are `a`
inputs = ["a", "a"]
> f:7: outputs.o.inputs[1] = "a": named twice: remove one
inputs = ["apiserver"]
> f:7: outputs.o.inputs[0] = "apiserver": there is no such input: known are `a`
batch = { max_bytes = "3MiB" }
> f:7: outputs.o.batch.max_bytes = "3MiB": must stay below "3MiB": Loki never takes a push above 4 MiB once decoded, and metadata needs room beside the lines
batch = { max_bytes = 10 }
> f:7: outputs.o.batch.max_bytes = 10: write a size from "1KiB" to "3MiB"
batch = { max_events = 0 }
> f:7: outputs.o.batch.max_events = 0: write a number from 1 to 100000
batch = { max_evnts = 5 }
> f:7: unknown key `max_evnts` in [outputs.o.batch]: did you mean `max_events`?
batch = { max_age = "2m" }
> f:7: outputs.o.batch.max_age = "2m": write a duration from "1ms" to "1m"
in_flight = 0
> f:7: outputs.o.in_flight = 0: write a number from 1 to 64
in_flight = "4"
> f:7: outputs.o.in_flight = "4": write a number from 1 to 64
retry = { min = "5s", max = "1s" }
> f:7: outputs.o.retry.max = "1s": must not be shorter than `min` beside it
max_bytes_per_second = "fast"
> f:7: outputs.o.max_bytes_per_second = "fast": write a size such as "10MiB", "10MB" or a number of bytes
labels = { node = "x" }
> f:7: outputs.o.labels.node = "x": this label is set by auditrail itself: choose another name
labels = { "a-b" = "x" }
> f:7: outputs.o.labels: a label is named with letters, digits and `_`, and begins with no digit
labels = { 9a = "x" }
> f:7: outputs.o.labels: a label is named with letters, digits and `_`, and begins with no digit
labels = { __a = "x" }
> f:7: outputs.o.labels.__a = "x": a label's name has up to 1024 characters and does not begin with `__`
labels = { a = "" }
> f:7: outputs.o.labels.a = "": must not be empty
labels = { a = 1 }
> f:7: outputs.o.labels.a = 1: write a text in quotes
labels = { l0 = "x", l1 = "x", l2 = "x", l3 = "x", l4 = "x", l5 = "x", l6 = "x", l7 = "x", l8 = "x", l9 = "x", l10 = "x", l11 = "x" }
> f:7: outputs.o.labels: 12 labels: Loki takes 15, of which auditrail needs 5
metadata = ["level"]
> f:7: outputs.o.metadata[0] = "level": Loki would take it for a severity: write "audit_level"
metadata = ["verbs"]
> f:7: outputs.o.metadata[0] = "verbs": no such field: did you mean "verb"?
metadata = ["x"]
> f:7: outputs.o.metadata[0] = "x": no such field: known are `api_group`, `audit_level`, `code`, `decision`, `impersonated_user`, `name`, `namespace`, `request_uri`, `resource`, `source_ip`, `stage`, `subresource`, `user`, `user_agent`, `verb`
metadata = ["verb", "verb"]
> f:7: outputs.o.metadata[1] = "verb": named twice: remove one
stream_per_hour = "yes"
> f:7: outputs.o.stream_per_hour = "yes": write true or false
transform = { redact = { mode = "mask", key_file = "/k" } }
> f:7: outputs.o.transform.redact.key_file = "/k": only `mode = "hash"` has a key
timeout = "1h"
> f:7: outputs.o.timeout = "1h": write a duration from "100ms" to "10m"
proxy = "10.0.0.1:3128"
> f:7: outputs.o.proxy = "10.0.0.1:3128": write the URL of an HTTP proxy, such as "http://10.0.0.1:3128"
proxy = "http://u:s3cret@p"
> f:7: outputs.o.proxy = ***: credentials for a proxy are not supported by this version: remove them
compression = "gzip"
> f:7: unknown key `compression` in [outputs.o]: known are `basic_auth`, `batch`, `bearer_token`, `bearer_token_file`, `endpoint`, `headers`, `in_flight`, `inputs`, `labels`, `max_bytes_per_second`, `metadata`, `proxy`, `retry`, `stream_per_hour`, `tenant`, `timeout`, `tls`, `transform`, `type`
api_key_file = "/k"
> f:7: unknown key `api_key_file` in [outputs.o]: known are `basic_auth`, `batch`, `bearer_token`, `bearer_token_file`, `endpoint`, `headers`, `in_flight`, `inputs`, `labels`, `max_bytes_per_second`, `metadata`, `proxy`, `retry`, `stream_per_hour`, `tenant`, `timeout`, `tls`, `transform`, `type`
tls = { ca_file = "/ca" }
> f:7: outputs.o.tls: has no effect on a http:// URL: write https://, or remove it
"#,
    );
}

#[test]
fn a_url_that_leads_nowhere_is_told_without_its_password() {
    refused_output(
        LOKI_AT,
        r#"
"h:3100"
> f:6: outputs.o.endpoint = ***: write a URL that begins with http:// or https:// and names a host
"ftp://h"
> f:6: outputs.o.endpoint = "ftp://h": write a URL that begins with http:// or https:// and names a host
"http://"
> f:6: outputs.o.endpoint = "http://": write a URL such as "http://127.0.0.1:3100"
"http://u:s3cret@h"
> f:6: outputs.o.endpoint = ***: must hold no user and password: write `basic_auth = { username = "…", password_file = "…" }` beside it
"http://u:s3cret@h:99999"
> f:6: outputs.o.endpoint = ***: write a URL such as "http://127.0.0.1:3100"
"${URL}"
> f:6: outputs.o.endpoint = "${URL}": must hold no user and password: write `basic_auth = { username = "…", password_file = "…" }` beside it
"http://h/#x"
> f:6: outputs.o.endpoint = ***: a URL of a back end holds no white space and no `#`
"http://h/?a=b"
> f:6: outputs.o.endpoint = ***: a query is understood after a full push URL only: write it out, as in `…/loki/api/v1/push?key=value`
""
> f:6: outputs.o.endpoint = "": write a URL such as "http://127.0.0.1:3100"
3100
> f:6: outputs.o.endpoint = 3100: write a text in quotes
"#,
    );
}

#[test]
fn credentials_that_do_not_fit_are_told_and_never_shown() {
    refused_output(
        LOKI,
        r#"
basic_auth = "u:s3cret"
> f:7: outputs.o.basic_auth = ***: write a table, as `[outputs.o.basic_auth]` or in braces
basic_auth = { username = "u" }
> f:7: `password_file` is missing in [outputs.o.basic_auth]: add a line such as `password_file = "/etc/auditrail/password"`
basic_auth = { username = "u", passwrd_file = "/p" }
> f:7: unknown key `passwrd_file` in [outputs.o.basic_auth]: did you mean `password_file`?
basic_auth = { username = "a:b", password = "s3cret" }
> f:7: outputs.o.basic_auth.username = ***: a user name of basic authentication cannot hold a colon
basic_auth = { username = "u", password = "" }
> f:7: outputs.o.basic_auth.password = ***: must not be empty
basic_auth = { username = "u", password = ["s3cret"] }
> f:7: outputs.o.basic_auth.password = ***: write a text in quotes
basic_auth = { username = "u", password = "s3cret", password_file = "/p" }
> f:7: outputs.o.basic_auth.password = ***: `password_file` stands beside it: keep one of the two
basic_auth = { username = "u", password = "s3$cret" }
> f:7: outputs.o.basic_auth.password = ***: a single `$` has no meaning: write `$$` for a dollar sign, `${NAME}` for a variable
basic_auth = { username = "u", password = "s3cret" }
bearer_token = "s3cret"
> f:8: outputs.o.bearer_token = ***: credentials are given twice in this table: keep one of them
bearer_token = "s3cret"
bearer_token_file = "/t"
> f:7: outputs.o.bearer_token = ***: `bearer_token_file` stands beside it: keep one of the two
bearer_token = s3cret
> f:7: not TOML: string values must be quoted, expected literal string
headers = { "a b" = "s3cret" }
> f:7: headers: a name in it is none of an HTTP header: write `headers = { Name = "value" }`
headers = { X-Scope-OrgID = "s3cret" }
> f:7: outputs.o.headers.X-Scope-OrgID = ***: auditrail sets this header itself: set `tenant`
headers = { Host = "s3cret" }
> f:7: outputs.o.headers.Host = ***: auditrail sets this header itself: remove it
headers = { X = "s3\ncret" }
> f:7: outputs.o.headers.X = ***: the value of a header is one line without control characters
headers = { X = 1 }
> f:7: outputs.o.headers.X = ***: write a text in quotes
headers = { X = { path = "/s3cret" } }
> f:7: `file` is missing in [outputs.o.headers.X]: add a line such as `file = "/etc/auditrail/token"`
bearer_token = "s3cret"
headers = { authorization = "s3cret" }
> f:8: outputs.o.headers.authorization = ***: credentials are given twice in this table: keep one of them
"#,
    );
}

#[test]
fn half_a_client_certificate_is_told() {
    refused_output(
        LOKI_TLS,
        r#"
tls = { cert_file = "/c" }
> f:7: outputs.o.tls.cert_file = "/c": `key_file` is missing beside it
tls = { key_file = "/c" }
> f:7: outputs.o.tls.key_file = "/c": `cert_file` is missing beside it
tls = { ca = "/c" }
> f:7: unknown key `ca` in [outputs.o.tls]: did you mean `ca_file`?
tls = { ca_file = "" }
> f:7: outputs.o.tls.ca_file = "": must not be empty
"#,
    );
}

#[test]
fn what_falco_would_refuse_or_drop_is_told_at_the_start() {
    refused_output(
        FALCO,
        r#"
batch = { max_bytes = "11MiB" }
> f:7: outputs.o.batch.max_bytes = "11MiB": must not be above "10MiB": Falco takes no body above 12 MiB, and events need room for what is added
resend_window = "1h"
> f:7: outputs.o.resend_window = "1h": write a duration from "1s" to "10m"
in_flight = 2
> f:7: unknown key `in_flight` in [outputs.o]: known are `basic_auth`, `batch`, `bearer_token`, `bearer_token_file`, `endpoint`, `headers`, `inputs`, `max_bytes_per_second`, `proxy`, `resend_window`, `retry`, `timeout`, `tls`, `transform`, `type`
transform = { omit_stages = ["Received"] }
> f:7: outputs.o.transform.omit_stages[0] = ***: no such stage: known are `Panic`, `RequestReceived`, `ResponseComplete`, `ResponseStarted`
"#,
    );
}

#[test]
fn what_elasticsearch_would_refuse_is_told_before_the_first_bulk() {
    refused_output(
        ELASTICSEARCH_AT,
        r#"
endpoint = "http://h"
> f:6: unknown key `endpoint` in [outputs.o]: did you mean `endpoints`?
endpoints = []
> f:6: outputs.o.endpoints = []: name at least one URL, as in `["http://127.0.0.1:9200"]`
endpoints = "http://h"
> f:6: outputs.o.endpoints = "http://h": write a list in brackets, as in `["a", "b"]`
endpoints = ["http://h", "http://h/"]
> f:6: outputs.o.endpoints[1] = "http://h/": named twice: remove one
endpoints = ["http://h/?a=b"]
> f:6: outputs.o.endpoints[0] = ***: must hold no query: write `query = { key = "value" }` beside it
"#,
    );
    refused_output(
        ELASTICSEARCH,
        r#"
data_stream = "audit"
> f:7: outputs.o.data_stream = "audit": must be type-dataset-namespace, as in "logs-kubernetes.audit_logs-default", or write `layout = "flat"` for another name
data_stream = "logs-Audit-x"
> f:7: outputs.o.data_stream = ***: a name is lower case, up to 255 bytes, without white space or any of \/*?"<>|,#:, and does not begin with - _ + or .
data_stream = "audit"
layout = "flatt"
> f:8: outputs.o.layout = "flatt": write "elastic" or "flat"; did you mean "flat"?
index = "a"
data_stream = "b"
> f:7: outputs.o.index = "a": `data_stream` stands beside it: keep one of the two
index = "audit-%y"
> f:7: outputs.o.index = ***: `%` is followed by `Y`, `m`, `d` or `H`, as in "kubernetes-audit-%Y.%m.%d"
index = "_audit"
> f:7: outputs.o.index = "_audit": a name is lower case, up to 255 bytes, without white space or any of \/*?"<>|,#:, and does not begin with - _ + or .
compression = "zstd"
> f:7: outputs.o.compression = "zstd": write "gzip" or "none"
query = { filter_path = "took" }
> f:7: outputs.o.query.filter_path = ***: must stay out: auditrail needs an answer for every event
query = { a = 1 }
> f:7: outputs.o.query.a = ***: write a text in quotes
setup_template = "always"
> f:7: outputs.o.setup_template = "always": write "auto" or "never"
batch = { max_bytes = "1GiB" }
> f:7: outputs.o.batch.max_bytes = "1GiB": write a size from "1KiB" to "64MiB"
"#,
    );
}

#[test]
fn a_file_output_that_would_be_in_the_way_is_told() {
    refused_output(
        FILE,
        r#"

> f:4: `path` is missing in [outputs.o]: add a line such as `path = "/var/lib/auditrail/archive.ndjson"`
path = "/o/"
> f:6: outputs.o.path = "/o/": must name a file, not a directory
path = ""
> f:6: outputs.o.path = "": must not be empty
path = "/o/{date}"
> f:6: outputs.o.path = "/o/{date}": `{input}` is the only thing in braces that is filled in
path = "-"
rotate = {}
> f:7: outputs.o.rotate: standard output cannot be rotated: remove it
path = "/o/x"
rotate = { max_files = 0 }
> f:7: outputs.o.rotate.max_files = 0: write a number from 1 to 10000
path = "/o/x"
rotate = { max_size = 1 }
> f:7: unknown key `max_size` in [outputs.o.rotate]: did you mean `max_files`?
path = "/l/audit.log"
> f:6: outputs.o.path = "/l/audit.log": the input `a` would take it for a backup of /l/audit.log: write to another directory
path = "/l/audit-archive.ndjson"
> f:6: outputs.o.path = "/l/audit-archive.ndjson": the input `a` would take it for a backup of /l/audit.log: write to another directory
path = "/l/{input}udit.log.1"
> f:6: outputs.o.path = "/l/{input}udit.log.1": the input `a` would take it for a backup of /l/audit.log: write to another directory
path = "/o/x"
timeout = "5s"
> f:7: unknown key `timeout` in [outputs.o]: known are `batch`, `inputs`, `max_bytes_per_second`, `path`, `retry`, `rotate`, `transform`, `type`
"#,
    );
}
