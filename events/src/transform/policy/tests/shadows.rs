//! Tests of the check for rules that no request can reach.

use super::parse;
use super::traps::{refused, warned};

#[test]
fn a_rule_behind_one_that_takes_all_it_could_match_is_refused() {
    let by = |line: u32| format!("in line {line} takes all that it could match");
    let never = |rule: u32, earlier: u32, line: u32| {
        let end = "move it up, or remove it";
        format!(
            "{}: rules[{rule}]: can never match, since rules[{earlier}] {}: {end}",
            rule + 4,
            by(line)
        )
    };
    let shadowed = |earlier: &str, later: &str, is: bool| {
        let body = format!(
            "rules:\n- {{level: None, {earlier}}}\n- {{level: Request, {later}}}\n- level: Metadata\n"
        );
        if is { refused(&body, &[&never(1, 0, 4)]) } else { drop(parse(&body)) }
    };
    refused(
        "rules:\n- {level: None, users: [a]}\n- level: None\n- {level: Metadata, verbs: [get]}\n- level: Metadata\n",
        &[&never(2, 1, 5), &never(3, 1, 5)],
    );
    shadowed("users: [a, b]", "users: [b], verbs: [get]", true);
    shadowed("users: [a, b]", "users: [b, c]", false);
    shadowed("users: [a]", "userGroups: [a]", false);
    shadowed("verbs: [get, list]", "verbs: [list], nonResourceURLs: [/x]", true);
    shadowed("nonResourceURLs: ['/a*', /b]", "nonResourceURLs: ['/ab*', /a, /b]", true);
    shadowed("nonResourceURLs: ['/a/*']", "nonResourceURLs: ['/a*']", false);
    shadowed("nonResourceURLs: ['*']", "namespaces: [a]", false);
    shadowed("namespaces: [a]", "namespaces: [a], resources: [{group: apps}]", true);
    shadowed(
        "resources: [{group: apps}]",
        "namespaces: [a], resources: [{group: apps, resources: [deployments]}]",
        true,
    );
    shadowed("resources: [{resources: ['*']}]", "resources: [{group: ''}]", true);
    shadowed("resources: [{group: '*'}]", "resources: [{group: apps}, {group: ''}]", true);
    shadowed("resources: [{group: '*', resources: ['*']}]", "resources: [{group: '*'}]", true);
    shadowed(
        "resources: [{group: '*', resources: [pods]}]",
        "resources: [{resources: [pods], resourceNames: [x]}]",
        true,
    );
    shadowed("resources: [{group: apps}, {group: ''}]", "resources: [{group: '*'}]", false);
    shadowed(
        "resources: [{group: '*', resources: [pods]}]",
        "resources: [{group: apps, resources: [deployments]}]",
        false,
    );
    shadowed(
        "resources: [{resources: ['pods/*', '*/log']}]",
        "resources: [{resources: [pods, pods/exec, services/log]}]",
        true,
    );
    shadowed("resources: [{resources: [pods]}]", "resources: [{resources: [pods/log]}]", false);
    shadowed(
        "resources: [{resources: [pods], resourceNames: [x]}]",
        "resources: [{resources: [pods]}]",
        false,
    );
    shadowed(
        "resources: [{resources: [pods]}]",
        "resources: [{resources: [pods], resourceNames: [x]}]",
        true,
    );
    shadowed(
        "resources: [{resources: ['*'], resourceNames: [x]}]",
        "resources: [{group: ''}]",
        false,
    );
    warned(
        "rules:\n- {level: None, resources: [{resources: [pods]}], verbs: [get]}\n- level: Request\n  verbs: [get]\n  resources:\n  - resources:\n    - secrets\n    - pods\n",
        &[&format!(
            "10: rules[1].resources[0].resources[1]: is never reached, since rules[0] {}",
            by(4)
        )],
    );
}
