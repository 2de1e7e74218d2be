//! Values that another part of the object makes secret: its `kind`, a name, a column.

use super::leaks::check_bodies;
use super::{event, masking, text};

#[test]
fn what_only_its_kind_calls_a_secret_does_not_leave() {
    check_bodies(&[
        (
            "Secret of which only the kind says so",
            "applications",
            r#""requestObject":{"kind":"List","items":[{"data":{"a":"§B"},"kind":"Secret"},{"kind":"ConfigMap","data":{"b":"1"}}]}"#,
        ),
        (
            "Secret inside of something else",
            "applications",
            r#""requestObject":{"spec":{"manifests":[{"stringData":{"a":"§M"},"apiVersion":"v1","kind":"Secret"}]}}"#,
        ),
        (
            "Secrets in a list of which only the list says so",
            "things",
            r#""requestObject":{"items":[{"data":{"a":"§B"}}],"kind":"SecretList"}"#,
        ),
        (
            "Secrets in a list with more objects than a walk skips",
            "things",
            r#""requestObject":{"items":[{"a":[{},[0],{},[0],{},[0]]},{"data":{"a":"§B"}},[{"stringData":{"b":"§M"}}]],"kind":"SecretList"}"#,
        ),
        (
            "Secrets below an object that turns out to be one",
            "things",
            r#""requestObject":{"a":{"a":{"a":[0,1,2,3,4,5,6,7,8,9],"data":{"a":"§B"}}},"b":[[{"stringData":{"b":"§M"}}]],"kind":"Secret"}"#,
        ),
    ]);
}

#[test]
fn a_secret_behind_the_last_hit_does_not_leave() {
    for body in [
        r#"{"columnDefinitions":[{"name":"Password"},{"name":"x"}],"metadata":{},"rows":[{"cells":["hunter2",1]}]}"#,
        r#"{"columnDefinitions":[{"name":"a"}],"rows":[{"cells":[{"password":"hunter2"}]}]}"#,
        r#"{"columnDefinitions":{"password":"hunter2"},"rows":[]}"#,
        r#"{"env":[{"name":"DB_PASSWORD","from":{"a":[1]},"value":"hunter2"}]}"#,
        r#"[{"path":"/spec/password","from":{"a":[1]},"value":"hunter2","op":"add"}]"#,
        r#"{"args":["--password",["a"],"hunter2"]}"#,
        r#"{"password":{"a":{},"b":[[],"hunter2"]}}"#,
    ] {
        let line = event("things", &format!(r#""responseObject":{body}"#));
        let out = text(&masking(), &line);
        assert!(!out.contains("hunter2"), "{out}");
    }
}
