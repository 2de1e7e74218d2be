//! Tests of the settings that an operator can change.

use super::*;

fn with(rules: Rules) -> Redaction {
    Redaction::new(rules, Mode::Mask).unwrap()
}

fn rule(change: impl FnOnce(&mut Rule)) -> Redaction {
    let mut rule = Rule { name: "mine".to_owned(), ..Rule::default() };
    change(&mut rule);
    with(Rules { own: vec![rule], ..Rules::default() })
}

#[test]
fn equal_secrets_are_recognised_in_data_and_string_data() {
    let hash = |key| Redaction::new(Rules::default(), Mode::Hash(Key([key; 32]))).unwrap();
    let line = event(
        "secrets",
        r#""requestObject":{"data":{"a":"aHVudGVyMg=="},"stringData":{"b":"hunter2"}}"#,
    );
    let tokens = |redaction: &Redaction| -> Vec<String> {
        let out: serde_json::Value = serde_json::from_str(&text(redaction, &line)).unwrap();
        ["/requestObject/data/a", "/requestObject/stringData/b"]
            .map(|at| out.pointer(at).unwrap().as_str().unwrap().to_owned())
            .to_vec()
    };
    let (one, other) = (tokens(&hash(1)), tokens(&hash(2)));
    assert!(one[0].starts_with("hmac-sha256:") && one[0] == one[1]);
    assert_ne!(one[0], other[0]);
}

#[test]
fn config_maps_can_be_blanked_whole_or_left_alone() {
    let line = event("configmaps", r#""requestObject":{"data":{"a":"plain","password":"x"}}"#);
    let check = |config_maps| text(&with(Rules { config_maps, ..Rules::default() }), &line);
    assert!(check(ConfigMaps::Pattern).contains(r#"{"a":"plain","password":"***"}"#));
    assert!(check(ConfigMaps::All).contains(r#"{"a":"***","password":"***"}"#));
    assert_eq!(check(ConfigMaps::Off), line);
    let quiet = event("configmaps", r#""requestObject":{"data":{"a":"plain"}}"#);
    let all = with(Rules { config_maps: ConfigMaps::All, ..Rules::default() });
    assert!(text(&all, &quiet).contains(r#"{"a":"***"}"#));
}

#[test]
fn a_path_is_blanked_in_bodies_and_items() {
    let redaction = rule(|rule| {
        rule.resource = Some("users".into());
        rule.path = Some("spec.people[].mail".into());
    });
    let body = r#"{"spec":{"people":[{"mail":"a@b","name":"n"},{"mail":{"x":1}}],"mail":"c"}}"#;
    let line =
        event("users", &format!(r#""requestObject":{body},"responseObject":{{"items":[{body}]}}"#));
    let blanked = r#"{"spec":{"people":[{"mail":"***","name":"n"},{"mail":"***"}],"mail":"c"}}"#;
    assert_eq!(text(&redaction, &line), line.replace(body, blanked));
    let other = line.replace(r#""resource":"users""#, r#""resource":"things""#);
    assert_eq!(text(&redaction, &other), other);
}

#[test]
fn a_key_or_a_pattern_is_blanked_wherever_it_stands() {
    let redaction = rule(|rule| rule.key = Some("account-number".into()));
    let line = event("things", r#""requestObject":{"a":[{"accountNumber":17,"b":"x"}]}"#);
    assert!(text(&redaction, &line).contains(r#"[{"accountNumber":"***","b":"x"}]"#));
    let redaction = rule(|rule| rule.pattern = Some(r"\bACC-(\d+)".into()));
    let line = event("things", r#""requestObject":{"a":"see ACC-1234, ACC-5"}"#);
    assert!(text(&redaction, &line).contains(r#""see ACC-***, ACC-***""#));
    let redaction = rule(|rule| {
        rule.path = Some("spec.*".into());
        rule.pattern = Some("[0-9]+".into());
    });
    let line = event("things", r#""requestObject":{"spec":{"a":"x12y"},"b":"34"}"#);
    assert!(text(&redaction, &line).contains(r#"{"spec":{"a":"x***y"},"b":"34"}"#));
}

/// `docs/guarantees-and-limits.md` and SECURITY.md describe this limit.
#[test]
fn a_short_secret_with_a_neutral_name_is_missed_until_a_rule_names_it() {
    let names = ["COMBINATION", "SHIBBOLETH", "WIFI", "RABBIT"];
    let variables: Vec<_> =
        names.iter().map(|name| format!(r#"{{"name":"{name}","value":"x7rabbit"}}"#)).collect();
    let line = event(
        "pods",
        &format!(
            r#""requestObject":{{"spec":{{"containers":[{{"env":[{}]}}]}},"note":"the password of the day is x7rabbit"}}"#,
            variables.join(",")
        ),
    );
    assert_eq!(text(&masking(), &line), line);
    let redaction = rule(|rule| rule.path = Some("spec.containers[].env[].value".into()));
    assert!(text(&redaction, &line).contains(r#"{"name":"WIFI","value":"***"}"#));
    let redaction = rule(|rule| rule.pattern = Some("x7rabbit".into()));
    assert!(!text(&redaction, &line).contains("x7rabbit"));
}

#[test]
fn an_exception_keeps_what_is_no_secret_but_never_a_secrets_data() {
    let redaction = rule(|rule| {
        rule.key = Some("tokenColour".into());
        rule.keep = true;
    });
    let line = event("things", r#""requestObject":{"tokenColour":"red"}"#);
    assert_eq!(text(&redaction, &line), line);
    assert_ne!(text(&masking(), &line), line);
    let redaction = rule(|rule| {
        rule.path = Some("data.a".into());
        rule.keep = true;
    });
    let line = event("secrets", r#""requestObject":{"data":{"a":"eA=="}}"#);
    assert!(text(&redaction, &line).contains(r#"{"a":"***"}"#));
}

#[test]
fn users_can_be_made_unknown() {
    let line = event("pods", "").replace(r#""system:masters""#, r#""system:masters","admins""#);
    let rules =
        Rules { pseudonymise_users: true, user_extra: vec!["x".to_owned()], ..Rules::default() };
    let out = text(&with(rules.clone()), &line);
    assert!(out.contains(r#""username":"***","groups":["system:masters","***"]"#), "{out}");
    let line = line
        .replace(r#""username":"admin""#, r#""username":"admin","extra":{"x":["y"],"z":["y"]}"#);
    let out = text(&with(rules), &line);
    assert!(out.contains(r#""extra":{"x":["y"],"z":["***"]}"#), "{out}");
}

#[test]
fn a_proxied_path_can_be_blanked_too() {
    let line = event("pods", "")
        .replace("/api/v1/namespaces/ns/pods/x", "/api/v1/nodes/n/proxy/a/b?c=d&e=f7Qx");
    assert!(text(&masking(), &line).contains(r"/proxy/a/b?c=d\u0026e=***"));
    let all = with(Rules { proxy_paths: true, ..Rules::default() });
    assert!(text(&all, &line).contains(r"/proxy/***/***?c=***\u0026e=***"));
}

#[test]
fn a_rule_that_cannot_be_used_is_named() {
    let error = |rule| {
        let rules = Rules { own: vec![rule], ..Rules::default() };
        Redaction::new(rules, Mode::Mask).unwrap_err().to_string()
    };
    let named = || Rule { name: "mine".to_owned(), ..Rule::default() };
    assert!(
        error(Rule { pattern: Some("(".into()), ..named() }).contains("rule `mine`: pattern `(`")
    );
    assert!(
        error(Rule { path: Some("a..b".into()), ..named() }).contains("rule `mine`: path `a..b`")
    );
    assert!(error(named()).contains("rule `mine` says not what to blank"));
}
