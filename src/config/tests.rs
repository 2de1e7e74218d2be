//! Tests of whole configurations: accepted ones, the ones that ship with the project, and arbitrary text.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

mod print;
mod refused;
mod refused_outputs;
mod schema;
mod secrets;
mod written;

fn parse(text: &str) -> Config {
    Config::parse(text, Path::new("f"), &|name| (name == "NODE_NAME").then(|| "cp-1".into()))
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

const SMALLEST: &str = r#"
[inputs.apiserver]
type = "file"
path = "/var/log/kubernetes/audit/audit.log"
[outputs.loki]
type = "loki"
endpoint = "http://127.0.0.1:3100"
"#;

#[test]
fn what_is_left_out_takes_the_documented_default() {
    let config = parse(SMALLEST);
    assert_eq!((config.node, config.cluster), (None, None));
    assert_eq!(config.state_dir, Path::new("/var/lib/auditrail"));
    assert_eq!((config.disk.max_bytes, config.disk.min_free), (1 << 30, MinFree::Percent(20)));
    assert_eq!(config.checkpoint_interval, Duration::from_secs(1));
    assert_eq!(
        (config.drain_timeout, config.unready_after),
        (Duration::from_secs(10), Duration::from_mins(1))
    );
    assert_eq!(config.server.listen.as_deref(), Some("127.0.0.1:9885"));
    let [InputKind::File(input)] = config.inputs.as_slice() else { panic!("{:?}", config.inputs) };
    assert_eq!((input.start_at, input.max_line_bytes), (StartAt::Beginning, 100 << 20));
    assert_eq!((&*input.name, input.rescan), ("apiserver", Duration::from_secs(5)));
    let [output] = config.outputs.as_slice() else { panic!("one output: {:?}", config.outputs) };
    assert_eq!(output.inputs, vec![input.name.clone()]);
    assert_eq!((output.batch.bytes, output.batch.events), (1 << 20, 5000));
    assert_eq!((output.batch.age, output.in_flight), (Duration::from_millis(200), 4));
    assert_eq!(
        (output.retry.min, output.retry.max),
        (Duration::from_millis(500), Duration::from_mins(1))
    );
    assert_eq!(output.max_bytes_per_second, None);
    let OutputKind::Loki(loki) = &output.kind else { panic!("{:?}", output.kind) };
    assert_eq!(loki.labels, [("job".to_owned(), "kubernetes-audit".to_owned())]);
    assert_eq!((loki.tenant.as_str(), loki.stream_per_hour, loki.metadata.len()), ("", false, 12));
    assert!(!loki.metadata.contains(&MetadataField::Subresource));
    assert_eq!(loki.http.timeout, Duration::from_secs(10));
    assert!(matches!(loki.http.auth, Auth::None));
}

#[test]
fn elasticsearch_has_its_own_defaults() {
    let config = parse(&SMALLEST.replace("loki", "elasticsearch").replace(
        r#"endpoint = "http://127.0.0.1:3100""#,
        r#"endpoints = ["http://127.0.0.1:9200", "https://es/prefix"]"#,
    ));
    let output = &config.outputs[0];
    assert_eq!((output.batch.bytes, output.batch.events), (1 << 20, 5000));
    let OutputKind::Elasticsearch(elastic) = &output.kind else { panic!("{:?}", output.kind) };
    assert_eq!(elastic.endpoints, ["http://127.0.0.1:9200", "https://es/prefix"]);
    assert_eq!(elastic.target, Target::DataStream("logs-kubernetes.audit_logs-default".into()));
    assert_eq!((elastic.layout, elastic.compression), (Layout::Elastic, Compression::Gzip));
    assert_eq!(elastic.setup_template, SetupTemplate::Auto);
}

#[test]
fn what_is_written_is_taken() {
    let config = parse(
        r#"
        node = "${NODE_NAME}"
        cluster = "${CLUSTER:-prod}" # ${NOT_SET} in a comment is nobody's business
        state_dir = "state"
        disk = { max_bytes = 10_000_000, min_free = "5GB" }
        unready_after = "off"
        server.listen = "off"
        inputs.a = { type = "file", path = "/a/audit.log", start_at = "1h30m", rescan = "1s" }
        inputs.b = { type = "file", path = "/b/audit.log", start_at = "end", max_line_bytes = "3MiB" }
        [outputs.search]
        type = "elasticsearch"
        inputs = ["b"]
        endpoints = ["https://es:9200"]
        index = "audit-%Y.%m.%d-%H"
        layout = "flat"
        query = { _msg_field = "event.original" }
        api_key_file = "/keys/es"
        tls = { ca_file = "/ca", cert_file = "/cert", key_file = "/key" }
        headers = { AccountID = "7", X-Token = { file = "/keys/token" } }
        max_bytes_per_second = "5MiB"
        retry = { min = "2m" }
        [outputs.archive]
        type = "file"
        path = "/archive/{input}.ndjson"
        rotate = { max_bytes = "10MiB", max_files = 3 }
        [outputs.other]
        type = "loki"
        endpoint = "http://vl:9428/insert/loki/api/v1/push?disable_message_parsing=1"
        labels = {}
        metadata = ["subresource"]
        basic_auth = { username = "u", password = "${NONE:-s3cret}" }
        "#,
    );
    assert_eq!((config.node.as_deref(), config.cluster.as_deref()), (Some("cp-1"), Some("prod")));
    assert_eq!(config.state_dir, std::path::absolute("state").unwrap());
    assert_eq!(config.disk.min_free, MinFree::Bytes(5_000_000_000));
    assert_eq!((config.unready_after, config.server.listen.as_deref()), (Duration::MAX, None));
    assert_eq!(config.inputs[0].log().start_at, StartAt::Age(Duration::from_mins(90)));
    let names: Vec<_> = config.outputs.iter().map(|output| &*output.name).collect();
    assert_eq!(names, ["archive", "other", "search"]);
    let [archive, other, search] = config.outputs.as_slice() else { panic!("three outputs") };
    assert_eq!((archive.inputs.len(), archive.in_flight), (2, 1));
    let OutputKind::File(file) = &archive.kind else { panic!("{archive:?}") };
    assert_eq!(file.path, Path::new("/archive/{input}.ndjson"));
    assert_eq!(file.rotate.map(|rotate| (rotate.max_bytes, rotate.max_files)), Some((10 << 20, 3)));
    let OutputKind::Loki(loki) = &other.kind else { panic!("{other:?}") };
    assert_eq!(
        (loki.labels.len(), loki.metadata.as_slice()),
        (0, [MetadataField::Subresource].as_slice())
    );
    assert!(!format!("{config:?}").contains("s3cret"));
    let OutputKind::Elasticsearch(elastic) = &search.kind else { panic!("{search:?}") };
    assert_eq!(search.inputs, vec![config.inputs[1].log().name.clone()]);
    assert_eq!(
        (search.retry.min, search.retry.max),
        (Duration::from_mins(2), Duration::from_mins(2))
    );
    assert_eq!(elastic.target, Target::Index("audit-%Y.%m.%d-%H".into()));
    assert_eq!(elastic.query, [("_msg_field".to_owned(), "event.original".to_owned())]);
    assert_eq!(elastic.http.tls.client, Some(("/cert".into(), "/key".into())));
    assert!(
        matches!(&elastic.http.auth, Auth::ApiKey(SecretSource::File(path)) if path == Path::new("/keys/es"))
    );
    assert_eq!(elastic.http.headers.len(), 2);
}

#[test]
fn a_value_from_a_variable_cannot_change_the_structure() {
    let hostile = "x\"\nstate_dir = \"/tmp\"\n[server]\nlisten = \"0.0.0.0:1\"\n#";
    let text = format!("state_dir = \"${{DIR}}\"\n{SMALLEST}");
    let config = Config::parse(&text, Path::new("f"), &|_| Some(hostile.into())).unwrap();
    assert!(config.state_dir.ends_with(hostile));
    assert_eq!(config.server.listen.as_deref(), Some("127.0.0.1:9885"));
}

#[test]
fn a_configuration_that_is_missing_is_named() {
    let error = Config::load(Path::new("/nonexistent/auditrail.toml")).unwrap_err();
    let expected = "cannot read the configuration /nonexistent/auditrail.toml: name a readable file with `-c FILE`";
    assert_eq!(error.to_string(), expected);
}

/// The TOML files below a directory.
fn toml_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let (dirs, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let own = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    own.chain(dirs.iter().flat_map(|dir| toml_files(dir))).collect()
}

#[test]
fn every_configuration_that_ships_is_accepted() {
    let files = toml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("etc"));
    assert!(files.len() >= 10, "found {files:?}");
    // The variable that the manifests set.
    let env = |name: &str| (name == "NODE_NAME").then(|| "cp-1".into());
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        if let Err(error) = Config::parse(&text, &path, &env) {
            panic!("{error}");
        }
    }
}

/// The configuration in the manifest's config map, without its indentation.
#[test]
fn the_configuration_in_the_daemon_set_is_accepted() {
    let manifest =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/etc/kubernetes/daemonset.yaml"))
            .unwrap();
    let (_, after) = manifest.split_once("  auditrail.toml: |\n").unwrap();
    let lines = after.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    let config = parse(&lines.map(str::trim_start).collect::<Vec<_>>().join("\n"));
    assert_eq!(config.node.as_deref(), Some("cp-1"));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = Config::parse(&text, Path::new("f"), &|_| None);
    }

    /// Unlike arbitrary text, many of these are valid TOML.
    #[test]
    fn no_change_to_a_configuration_makes_the_reader_panic(
        at in 0..SMALLEST.len(),
        cut in 0_usize..20,
        insert in r#"[a-z\n"'.=\[\]{}$:/@%0-9é ,-]{0,12}"#,
    ) {
        let text = format!("{}{insert}{}", &SMALLEST[..at], &SMALLEST[(at + cut).min(SMALLEST.len())..]);
        let _ = Config::parse(&text, Path::new("f"), &|name| Some(name.to_owned()));
    }

    #[test]
    fn no_value_makes_the_reader_panic(value in r#"("[^"\\\n]{0,30}"|-?[0-9]{1,25}|\[.{0,5}\]|\{.{0,9}\})"#, key in 0..16_usize) {
        const KEYS: [&str; 16] = [
            "endpoint", "tenant", "labels", "metadata", "batch", "retry", "timeout", "proxy", "headers", "tls",
            "basic_auth", "bearer_token", "inputs", "in_flight", "max_bytes_per_second", "type",
        ];
        let mut text = format!("[inputs.a]\ntype = \"file\"\npath = \"/a\"\n[outputs.o]\n{} = {value}\n", KEYS[key]);
        for (name, line) in [("type", "type = \"loki\"\n"), ("endpoint", "endpoint = \"http://h\"\n")] {
            if name != KEYS[key] {
                text += line;
            }
        }
        let _ = Config::parse(&text, Path::new("f"), &|_| None);
    }
}
