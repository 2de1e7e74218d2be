//! Random policies with one change that may make them invalid: everything that the API server refuses is refused
//! here.

use serde_json::{Value, json};

use super::evaluator::Evaluator;
use super::random::{Dice, policy};
use crate::transform::policy::Policy;

const POLICIES: usize = 4000;

const TOP: &[&str] =
    &["apiVersion", "kind", "metadata", "rules", "omitStages", "omitManagedFields", "Rules"];
const RULE: &[&str] = &[
    "level",
    "users",
    "userGroups",
    "verbs",
    "resources",
    "namespaces",
    "nonResourceURLs",
    "omitStages",
    "omitManagedFields",
    "user",
];
const KINDS: &[&str] = &["group", "resources", "resourceNames", "name"];

#[test]
fn what_the_api_server_refuses_is_refused_here() {
    let Some(mut evaluator) = Evaluator::start() else { return };
    let mut dice = Dice(7);
    let texts: Vec<String> = (0..POLICIES).map(|_| changed(&mut dice)).collect();
    let (mut refused, mut warned, mut stricter) = (0, 0, 0);
    for (text, said) in texts.iter().zip(evaluator.try_load(&texts)) {
        let (policy, findings) = Policy::read(text);
        // A warning of the server is an error here, except for warnings about the metadata of the file.
        let warning = said.starts_with('W');
        let harmless = said.contains("\"metadata.level\"");
        assert!(!warning || harmless || !findings.errors.is_empty(), "{said}\n{text}");
        assert!(said.is_empty() || warning || policy.is_none(), "{said}\n{text}");
        refused += usize::from(!said.is_empty() && !warning);
        warned += usize::from(warning);
        stricter += usize::from(said.is_empty() && policy.is_none());
    }
    println!("{refused} refused, {warned} with a warning, {stricter} refused here alone");
    assert!(refused > POLICIES / 5 && warned > POLICIES / 50, "{refused} refused, {warned} warned");
}

fn changed(dice: &mut Dice) -> String {
    let mut policy: Value = serde_json::from_str(&policy(dice)).unwrap();
    let value = odd(dice);
    let rules = policy["rules"].as_array().unwrap().len();
    let rule = dice.roll(rules);
    let place = match dice.roll(4) {
        0 => &mut policy[dice.pick(TOP)],
        1 if policy["rules"][rule]["resources"].is_array() => {
            &mut policy["rules"][rule]["resources"][0][dice.pick(KINDS)]
        }
        2 => &mut policy["rules"][rule],
        _ => &mut policy["rules"][rule][dice.pick(RULE)],
    };
    *place = value;
    policy.to_string()
}

fn odd(dice: &mut Dice) -> Value {
    let texts = [
        "",
        " ",
        "*",
        "x",
        "none",
        "Panic",
        "Metadata",
        "audit.k8s.io/v1",
        "audit.k8s.io/v1beta1",
        "Policy",
        "apps",
        "apps/v1",
        "Apps",
        "-a",
        "a.",
        "a..b",
        "a-",
        "a_b",
        "a.b-c.d",
        "0",
        "/x",
        "/x*",
        "/*x",
        "x*",
        "/",
        "é",
        "/é",
        "/é*",
        "true",
    ];
    match dice.roll(8) {
        0 => Value::Null,
        1 => json!(7),
        2 => json!(dice.once_in(2)),
        3 => json!({ "level": "None" }),
        4 => json!([]),
        5 => json!(dice.pick(&texts)),
        _ => (0..=dice.roll(2)).map(|_| json!(dice.pick(&texts))).collect(),
    }
}
