//! The table of answers to a bulk request that are nearly valid.

use super::rows::json;
use super::{Row, row};

/// The ids of the documents in a bulk request.
fn ids(body: &str) -> Vec<String> {
    let actions =
        body.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    actions
        .filter_map(|action| Some(action.get("create")?.get("_id")?.as_str()?.to_owned()))
        .collect()
}

/// An answer to a bulk request, with one item per id.
fn items(
    name: &'static str,
    elastic: &'static str,
    make: impl Fn(Vec<String>) -> String + Send + Sync + 'static,
) -> Row {
    row(name, "Stranger", elastic, move |peer, body| {
        // The ids in a push cannot be read, and a query has none.
        let ids = ids(body);
        let answer = if ids.is_empty() { "{}".to_owned() } else { make(ids) };
        peer.put(&json(answer));
    })
}

fn stored(ids: &[String]) -> String {
    let items: Vec<_> =
        ids.iter().map(|id| format!(r#"{{"create":{{"_id":"{id}","status":201}}}}"#)).collect();
    items.join(",")
}

/// Nearly valid answers to a bulk request.
pub(super) fn nearly() -> Vec<Row> {
    let doubt = "Doubt(BadAnswer)";
    vec![
        items("an item for each", "Delivered", |ids| {
            format!(r#"{{"errors":false,"items":[{}]}}"#, stored(&ids))
        }),
        items("no item", doubt, |_| r#"{"errors":false,"items":[]}"#.to_owned()),
        items("no items at all", "Stranger", |_| r#"{"errors":false}"#.to_owned()),
        items("one too few", doubt, |ids| {
            format!(r#"{{"errors":false,"items":[{}]}}"#, stored(&ids[1..]))
        }),
        items("one too many", doubt, |ids| {
            format!(r#"{{"errors":false,"items":[{},{}]}}"#, stored(&ids), stored(&ids[..1]))
        }),
        items("ids of others", doubt, |ids| {
            format!(
                r#"{{"errors":false,"items":[{}]}}"#,
                stored(&vec!["evil".to_owned(); ids.len()])
            )
        }),
        items("in another order", doubt, |mut ids| {
            ids.reverse();
            format!(r#"{{"errors":false,"items":[{}]}}"#, stored(&ids))
        }),
        items("one of them twice", doubt, |ids| {
            format!(r#"{{"errors":false,"items":[{}]}}"#, stored(&vec![ids[0].clone(); ids.len()]))
        }),
        items("another operation", "Stranger", |ids| {
            format!(r#"{{"errors":false,"items":[{}]}}"#, stored(&ids).replace("create", "index"))
        }),
        items("a key twice", "Stranger", |ids| {
            format!(r#"{{"errors":true,"errors":false,"items":[],"items":[{}]}}"#, stored(&ids))
        }),
        items("a status twice", "Stranger", |ids| {
            format!(
                r#"{{"errors":false,"items":[{}]}}"#,
                stored(&ids).replace(r#""status":201"#, r#""status":400,"status":201"#)
            )
        }),
        items("a status as text", "Stranger", |ids| {
            format!(r#"{{"errors":false,"items":[{}]}}"#, stored(&ids).replace("201", "\"201\""))
        }),
        items("a status below zero", "Stranger", |ids| {
            format!(r#"{{"errors":false,"items":[{}]}}"#, stored(&ids).replace("201", "-201"))
        }),
        items("a status that wraps around", "Stranger", |ids| {
            format!(r#"{{"errors":false,"items":[{}]}}"#, stored(&ids).replace("201", "65737"))
        }),
        items("garbage behind", "Stranger", |ids| {
            format!(r#"{{"errors":false,"items":[{}]}} x"#, stored(&ids))
        }),
        items("cut", doubt, |ids| format!(r#"{{"errors":false,"items":[{}"#, stored(&ids))),
        items("longer than is read", "Split(false)", |ids| {
            format!(
                r#"{{"errors":false,"x":"{}","items":[{}]}}"#,
                "x".repeat(2 << 20),
                stored(&ids)
            )
        }),
        items("put aside", "UseFallbackForm", |ids| {
            format!(
                r#"{{"errors":false,"items":[{}]}}"#,
                stored(&ids).replace("201", r#"201,"failure_store":"used""#)
            )
        }),
        items("a status unheard of", "UseFallbackForm", |ids| {
            format!(r#"{{"errors":true,"items":[{}]}}"#, stored(&ids).replace("201", "418"))
        }),
        items("a redirect for each", "UseFallbackForm", |ids| {
            format!(r#"{{"errors":true,"items":[{}]}}"#, stored(&ids).replace("201", "302"))
        }),
    ]
}
