//! Configurations that are refused, with the exact error messages, which operators see.
//!
//! A block contains pieces of TOML. After each piece, a line with `> ` has its expected error. A form is the rest of
//! the configuration, into which each piece is inserted.

use std::path::Path;

use super::super::Config;

const TOP: &str = r#"@
[inputs.a]
type = "file"
path = "/l/audit.log"
[outputs.o]
type = "loki"
endpoint = "http://h:3100"
"#;

const SECOND_INPUT: &str = r#"[inputs.a]
type = "file"
path = "/l/audit.log"
[inputs.b]
@
[outputs.o]
type = "loki"
endpoint = "http://h:3100"
"#;

/// Asserts that each piece of the block, inserted at the form's `@`, gets exactly the error after it, and that no error
/// shows `s3cret`.
#[track_caller]
pub(super) fn refused(form: &str, block: &str) {
    let env = |name: &str| match name {
        "PASSWORD" => Some("s3cret".to_owned()),
        "URL" => Some("http://u:s3cret@h".to_owned()),
        _ => None,
    };
    let mut piece = String::new();
    for line in block.trim_start().lines() {
        let Some(expected) = line.strip_prefix("> ") else {
            piece += line;
            piece += "\n";
            continue;
        };
        let text = form.replace('@', piece.trim_end_matches('\n'));
        match Config::parse(&text, Path::new("f"), &env) {
            Ok(config) => panic!("accepted:\n{text}\nas {config:?}"),
            Err(error) => assert_eq!(error.to_string(), expected, "for\n{text}"),
        }
        assert!(!expected.contains("s3cret"), "{expected}");
        piece.clear();
    }
    assert!(piece.is_empty(), "without an error: {piece}");
}

#[test]
fn a_file_that_is_no_configuration_says_what_to_add() {
    refused(
        "@",
        r#"

> f:1: `inputs` is missing at the top of the file: add a line such as `[inputs.apiserver]`
node = "a
> f:1: not TOML: invalid basic string, expected `"`
node = "a"
node = "b"
> f:2: not TOML: duplicate key
listen = "x"
> f:1: `inputs` is missing at the top of the file: add a line such as `[inputs.apiserver]`
nodes = "x"
[inputs.a]
type = "file"
path = "/l/audit.log"
[outputs.o]
type = "loki"
endpoint = "http://h:3100"
> f:1: unknown key `nodes` at the top of the file: did you mean `node`?
input.a.type = "file"
> f:1: unknown key `input` at the top of the file: did you mean `inputs`?
[inputs.a]
type = "file"
path = "/l/audit.log"
> f:1: `outputs` is missing at the top of the file: add a line such as `[outputs.loki]`
[inputs]
> f:1: inputs: nothing to follow: add `[inputs.apiserver]` with `type` and `path`
[inputs.a]
type = "file"
path = "/l/audit.log"
[outputs]
> f:4: outputs: nowhere to deliver to: add `[outputs.loki]` with `type` and `endpoint`
[transform]
redact = "of"
[inputs.a]
type = "file"
path = "/l/audit.log"
[outputs.o]
type = "loki"
endpoint = "http://h:3100"
> f:2: transform.redact = "of": write "default" or "off"; did you mean "off"?
[inputs.a]
type = "file"
path = "/l/audit.log"
[outputs.o]
type = "loki"
endpoint = "http://h:3100"
[detect]
> f:7: `detect` at the top of the file is not supported by this version: remove it
zebra = 1
quokka = 2
[inputs.a]
type = "file"
path = "/l/audit.log"
[outputs.o]
type = "loki"
endpoint = "http://h:3100"
> f:1: unknown key `zebra` at the top of the file: known are `checkpoint_interval`, `cluster`, `confine`, `disk`, `drain_timeout`, `heartbeat`, `inputs`, `node`, `outputs`, `server`, `state_dir`, `transform`, `unready_after`
"#,
    );
}

#[test]
fn a_wrong_value_is_told_with_what_would_do() {
    refused(
        TOP,
        r#"
node = 1
> f:1: node = 1: write a text in quotes
node = ""
> f:1: node = "": must not be empty
cluster = "a\nb"
> f:1: cluster = "a\nb": write up to 253 bytes without control characters
state_dir = ""
> f:1: state_dir = "": must not be empty
checkpoint_interval = 1
> f:1: checkpoint_interval = 1: write a duration such as "200ms", "5s" or "1h30m"
checkpoint_interval = "off"
> f:1: checkpoint_interval = "off": write a duration such as "200ms", "5s" or "1h30m"
drain_timeout = "1 hour"
> f:1: drain_timeout = "1 hour": write a duration such as "200ms", "5s" or "1h30m"
drain_timeout = "1h"
> f:1: drain_timeout = "1h": write a duration from "0s" to "10m"
unready_after = "0s"
> f:1: unready_after = "0s": write a duration from "1s" to "7d"
heartbeat = "2h"
> f:1: heartbeat = "2h": write a duration from "1s" to "1h"
heartbeat = "1500ms"
> f:1: heartbeat = "1500ms": write whole seconds
disk = "1GiB"
> f:1: disk = "1GiB": write a table, as `[disk]` or in braces
disk = { max_bytes = "ten" }
> f:1: disk.max_bytes = "ten": write a size such as "10MiB", "10MB" or a number of bytes
disk = { max_bytes = "10 KiB" }
> f:1: disk.max_bytes = "10 KiB": write a size from "1MiB" to "1024TiB"
disk = { max_bytes = -1 }
> f:1: disk.max_bytes = -1: write a size such as "10MiB", "10MB" or a number of bytes
disk = { min_free = "120%" }
> f:1: disk.min_free = "120%": write a share from "0%" to "100%"
disk = { min_free = 0.2 }
> f:1: disk.min_free = 0.2: write a size such as "10MiB", "10MB" or a number of bytes
disk = { max_size = "1GiB" }
> f:1: unknown key `max_size` in [disk]: did you mean `max_bytes`?
server = { listen = "9885" }
> f:1: server.listen = "9885": write a host and a port, such as "127.0.0.1:9885", "0.0.0.0:9885" for every address, or "[::1]:9885"; "off" for no server
server = { listen = "::1:9885" }
> f:1: server.listen = "::1:9885": write a host and a port, such as "127.0.0.1:9885", "0.0.0.0:9885" for every address, or "[::1]:9885"; "off" for no server
server = { listen = ":9885" }
> f:1: server.listen = ":9885": write a host and a port, such as "127.0.0.1:9885", "0.0.0.0:9885" for every address, or "[::1]:9885"; "off" for no server
server = { listen = "a:99999" }
> f:1: server.listen = ***: write a host and a port, such as "127.0.0.1:9885", "0.0.0.0:9885" for every address, or "[::1]:9885"; "off" for no server
server = { allowed_hosts = "a" }
> f:1: server.allowed_hosts = "a": write a list in brackets, as in `["a", "b"]`
server = { allowed_hosts = ["a.example.org:9885"] }
> f:1: server.allowed_hosts[0] = ***: write a name without a port, such as "audit.example.org", or ".example.org" for all names below it
server = { allowed_hosts = ["*"] }
> f:1: server.allowed_hosts[0] = "*": write a name without a port, such as "audit.example.org", or ".example.org" for all names below it
server = { listen_address = "a:1" }
> f:1: unknown key `listen_address` in [server]: did you mean `listen`?
"#,
    );
}

#[test]
fn a_variable_that_cannot_be_filled_in_is_named() {
    refused(
        TOP,
        r#"
node = "${NODE}"
> f:1: node = "${NODE}": the variable NODE is not set: set it, or write `${NODE:-default}`
node = "${NODE"
> f:1: node = ***: `${` is never closed: write `${NAME}`, or `$${` for the characters themselves
node = "$NODE"
> f:1: node = ***: a single `$` has no meaning: write `$$` for a dollar sign, `${NAME}` for a variable
node = "${NO DE}"
> f:1: node = ***: a variable is named with letters, digits and `_`, as in `${NODE_NAME}`: write `$${` for the characters themselves
disk = { max_bytes = "${PASSWORD}" }
> f:1: disk.max_bytes = "${PASSWORD}": write a size such as "10MiB", "10MB" or a number of bytes
"#,
    );
}

#[test]
fn an_input_that_cannot_be_followed_says_why() {
    refused(
        SECOND_INPUT,
        r#"

> f:4: `type` is missing in [inputs.b]: add a line such as `type = "file"`
type = "files"
> f:5: inputs.b.type = "files": write "file" or "webhook"; did you mean "file"?
type = "webhook"
path = "/var/log/audit.log"
> f:6: unknown key `path` in [inputs.b]: known are `basic_auth`, `bearer_token`, `bearer_token_file`, `insecure_listen`, `listen`, `max_line_bytes`, `spool`, `tls`, `type`
type = "webhook"
listen = "0.0.0.0:9886"
> f:6: inputs.b.listen = "0.0.0.0:9886": without TLS, whoever reaches this address can read and forge events: set `tls`, listen on 127.0.0.1, or set `insecure_listen = true` if only the API server reaches it
type = "webhook"
listen = "0.0.0.0:9886"
tls = { cert_file = "/c", key_file = "/k" }
> f:6: inputs.b.listen = "0.0.0.0:9886": whoever reaches this address can forge events: set `tls.client_ca_file`, `bearer_token_file` or `basic_auth`, or set `insecure_listen = true` if only the API server reaches it
type = "webhook"
tls = { cert_file = "/c" }
> f:6: `key_file` is missing in [inputs.b.tls]: add a line such as `key_file = "/etc/auditrail/webhook.key"`
type = "webhook"
bearer_token_file = "/t"
> f:5: [inputs.b] asks for credentials, which the API server never sends over plain HTTP: set `tls`, or remove them
type = "webhook"
listen = "9886"
> f:6: inputs.b.listen = "9886": write a host and a port, such as "127.0.0.1:9886" or "[::1]:9886"
type = "webhook"
spool = { max_bytes = "1KiB" }
> f:6: inputs.b.spool.max_bytes = "1KiB": write a size from "1MiB" to "1024TiB"
type = "file"
> f:4: `path` is missing in [inputs.b]: add a line such as `path = "/var/log/kubernetes/audit/audit.log"`
type = "file"
path = ""
> f:6: inputs.b.path = "": must not be empty
type = "file"
paths = "/l/audit.log"
> f:6: unknown key `paths` in [inputs.b]: did you mean `path`?
type = "file"
path = "/l/b.log"
start_at = "start"
> f:7: inputs.b.start_at = "start": write "beginning", "current_file", "end" or an age such as "24h"
type = "file"
path = "/l/b.log"
hold = { max_byte = 0 }
> f:7: unknown key `max_byte` in [inputs.b.hold]: did you mean `max_bytes`?
type = "file"
path = "/l/b.log"
max_line_bytes = "1B"
> f:7: inputs.b.max_line_bytes = "1B": write a size from "4KiB" to "1GiB"
type = "file"
path = "/l/b.log"
max_line = "1MiB"
> f:7: unknown key `max_line` in [inputs.b]: did you mean `max_line_bytes`?
type = "file"
path = "/l/b.log"
rescan = "1ms"
> f:7: inputs.b.rescan = "1ms": write a duration from "100ms" to "10m"
type = "file"
path = "/l/b.log"
backups = "audit.log-[1"
> f:7: inputs.b.backups = ***: invalid range pattern: write it as for a shell
type = "file"
path = "/l/b.log"
backups = ["ok-*", "*/audit.log-*"]
> f:7: inputs.b.backups[1] = "*/audit.log-*": only the last part may have `*`, `?` or `[`: name each directory
type = "file"
path = "/l/b.log"
backups = "old/"
> f:7: inputs.b.backups = "old/": ends in `/`: write the names of files, as in "old/audit.log-*"
type = "file"
path = "/l/../l/./audit.log"
> f:6: inputs.b.path = "/l/../l/./audit.log": the input `a` follows it already: remove one of the two
"#,
    );
}

#[test]
fn two_tables_that_do_not_go_together_are_told() {
    refused(
        "@",
        r#"
[inputs.a]
type = "file"
path = "/l/audit.log"
[inputs.b]
type = "file"
path = "/l/audit.log"
[outputs.o]
type = "loki"
endpoint = "http://h:3100"
> f:6: inputs.b.path = "/l/audit.log": the input `a` follows it already: remove one of the two
[inputs.a]
type = "file"
path = "/l/audit.log"
[inputs.b]
type = "file"
path = "/l/b.log"
[outputs.o]
type = "file"
path = "/o/e.ndjson"
> f:9: outputs.o.path = "/o/e.ndjson": 2 inputs cannot share a file: put `{input}` into the path, or name one input in `inputs`
[inputs.a]
type = "file"
path = "/l/audit.log"
[outputs.o]
type = "file"
path = "/o/e.ndjson"
[outputs.p]
type = "file"
path = "/o/e.ndjson"
> f:9: outputs.p.path = "/o/e.ndjson": another output writes it: choose another path
[inputs.a]
type = "file"
path = "/l/audit.log"
[outputs.o]
type = "file"
path = "-"
[outputs.p]
type = "file"
path = "-"
> f:9: outputs.p.path = "-": another output writes it: choose another path
[inputs.a]
type = "file"
path = "/l/audit.log"
[outputs.o]
type = "alertmanager"
> f:5: outputs.o.type = "alertmanager": not supported by this version: remove this table
[inputs.a]
type = "file"
path = "/l/audit.log"
[outputs.o]
type = "lokki"
> f:5: outputs.o.type = "lokki": write "loki", "elasticsearch", "falco" or "file"; did you mean "loki"?
[inputs.a]
type = "file"
path = "/l/audit.log"
[outputs."a b"]
type = "loki"
endpoint = "http://h"
> f:4: `a b`: a name is made of up to 63 letters, digits, `-` and `_`
[inputs.a]
type = "file"
path = "/l/audit.log"
xoutputs = 5
> f:4: unknown key `xoutputs` in [inputs.a]: known are `backups`, `hold`, `max_line_bytes`, `path`, `rescan`, `start_at`, `type`
outputs = []
[inputs.a]
type = "file"
path = "/l/audit.log"
> f:1: outputs = []: write a table, as `[outputs]` or in braces
[[inputs]]
type = "file"
> f:1: inputs = [[inputs]]: write a table, as `[inputs]` or in braces
"#,
    );
}
