//! Tests of `config print`: what it prints reads back as the same configuration, and shows no secret.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::super::{Config, SecretDisplay};
use super::written::{configuration, shown_url, toml, with_output};
use super::{SMALLEST, parse, toml_files};

/// All that a configuration says, without the places in its file.
fn meaning(config: &Config) -> String {
    let mut config = config.clone();
    config.secret_lines.clear();
    for output in &mut config.outputs {
        let transform = &mut output.transform;
        transform.filter.iter_mut().for_each(|filter| filter.place.clear());
        let rules = transform.redact.iter_mut().flat_map(|redact| &mut redact.rules);
        rules.for_each(|rule| rule.name.clear());
    }
    // `Debug` shows everything but secrets, and `to_toml` shows those.
    format!("{config:#?}\n{}", config.to_toml(SecretDisplay::Whole))
}

fn same_after_printing(config: &Config) {
    let printed = config.to_toml(SecretDisplay::Whole);
    let read = Config::parse(&printed, Path::new("printed"), &|_| None);
    let read = read.unwrap_or_else(|error| panic!("{error}\n{printed}"));
    pretty_assertions(&meaning(&read), &meaning(config));
    // With hidden secrets it is a configuration too.
    let hidden = config.to_toml(SecretDisplay::Hidden(shown_url));
    Config::parse(&hidden, Path::new("hidden"), &|_| None)
        .unwrap_or_else(|error| panic!("{error}\n{hidden}"));
}

/// Shows the first line that differs.
fn pretty_assertions(found: &str, wanted: &str) {
    for (found, wanted) in found.lines().zip(wanted.lines()) {
        assert_eq!(found, wanted);
    }
    assert_eq!(found, wanted);
}

#[test]
fn what_is_printed_of_each_shipped_configuration_reads_back_the_same() {
    for path in toml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("etc")) {
        same_after_printing(&parse(&fs::read_to_string(path).unwrap()));
    }
}

#[test]
fn the_smallest_configuration_is_printed_with_every_default() {
    let printed = parse(SMALLEST).to_toml(SecretDisplay::Hidden(shown_url));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/tests/printed.toml");
    if std::env::var_os("AUDITRAIL_BLESS").is_some() {
        fs::write(path, &printed).unwrap();
    }
    assert_eq!(printed, fs::read_to_string(path).unwrap());
}

#[test]
fn what_is_printed_shows_no_secret_unless_that_is_asked_for() {
    let outputs = [
        json!({"type": "loki", "endpoint": "https://h/S3CRET/loki/api/v1/push?token=S3CRET",
            "basic_auth": {"username": "u", "password": "S3CRET"},
            "headers": {"X-Key": "S3CRET", "AccountID": "S3CRET"}}),
        json!({"type": "loki", "endpoint": "https://h", "bearer_token": "S3CRET"}),
        json!({"type": "elasticsearch", "endpoints": ["https://h/S3CRET"], "api_key": "S3CRET",
            "query": {"key": "S3CRET", "_msg_field": "S3CRET"}, "proxy": "http://p/S3CRET"}),
    ];
    for output in outputs {
        let secrets = output.to_string().matches("S3CRET").count();
        let config = parse(&toml(&with_output(output)));
        let printed = config.to_toml(SecretDisplay::Hidden(shown_url));
        assert!(!printed.contains("S3CRET"), "{printed}");
        let printed = config.to_toml(SecretDisplay::Whole);
        assert_eq!(printed.matches("S3CRET").count(), secrets, "{printed}");
    }
    let files = json!({"type": "loki", "endpoint": "https://h", "headers": {"X": {"file": "/t"}},
        "basic_auth": {"username": "u", "password_file": "/etc/auditrail/password"}});
    let printed = parse(&toml(&with_output(files))).to_toml(SecretDisplay::Hidden(shown_url));
    for shown in
        ["password_file = \"/etc/auditrail/password\"", "X = { file = \"/t\" }", "\"https://h\""]
    {
        assert!(printed.contains(shown), "{printed}");
    }
}

proptest! {
    #[test]
    fn what_is_printed_of_any_configuration_reads_back_the_same(document in configuration()) {
        same_after_printing(&parse(&toml(&document)));
    }
}
