//! Objects that only their `kind` calls a Secret.

use super::leaks::check_bodies;

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
