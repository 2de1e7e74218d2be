//! One document on its way into an index: routing, write blocks, validation, and the wording of refusals.

use super::error::Error;
use super::indices::{Index, Indices};
use super::json::{at, check, scalar};
use super::mapping;

/// The action of a bulk item.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operation {
    Create,
    Index,
    Delete,
}

/// Where a document would be written.
pub(super) enum Place {
    Index(String),
    /// A target that has to be created first; `stream`: as a data stream.
    New {
        stream: bool,
    },
}

/// Routes a write: the index for a write to this name. Errors are those of `action.auto_create_index` and of data
/// streams.
pub(super) fn place(
    indices: &Indices,
    name: &str,
    operation: Operation,
    auto: bool,
) -> Result<Place, Error> {
    if let Some(stream) = indices.streams.get(name) {
        if operation != Operation::Create {
            return Err(Error::illegal(
                "only write ops with an op_type of create are allowed in data streams",
            ));
        }
        return Ok(Place::Index(stream.indices.last().expect("a stream has an index").clone()));
    }
    if indices.all.contains_key(name) {
        let of = |(_, stream): &(&String, &super::indices::Stream)| {
            stream.indices.iter().any(|index| index == name)
        };
        if let Some((stream, _)) =
            indices.streams.iter().find(of).filter(|_| operation == Operation::Create)
        {
            return Err(Error::illegal(format!(
                "index request with op_type=create targeting backing indices is disallowed, target corresponding data stream [{stream}] instead"
            )));
        }
        return Ok(Place::Index(name.to_owned()));
    }
    if name.to_lowercase() != name {
        return Err(Error::whole(
            400,
            "invalid_index_name_exception",
            format!("Invalid index name [{name}], must be lowercase"),
        ));
    }
    if !auto {
        let reason = format!(
            "no such index [{name}] and [action.auto_create_index] ([false]) doesn't match"
        );
        return Err(Error::whole(404, "index_not_found_exception", reason));
    }
    let stream =
        indices.template(name).is_some_and(|template| template.get("data_stream").is_some());
    if stream && operation != Operation::Create {
        return Err(Error::illegal(
            "only write ops with an op_type of create are allowed in data streams",
        ));
    }
    Ok(Place::New { stream })
}

/// The error of a closed or write-blocked index, if it is one.
pub(super) fn blocked(index: &Index, name: &str) -> Result<(), Error> {
    if index.closed {
        return Err(Error::whole(400, "index_closed_exception", "closed"));
    }
    let texts = [
        ("write", 403, "FORBIDDEN/8/index write (api)"),
        ("read_only", 403, "FORBIDDEN/5/index read-only (api)"),
        (
            "read_only_allow_delete",
            429,
            "TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block; for more information, see https://www.elastic.co/docs/troubleshoot/elasticsearch/fix-watermark-errors",
        ),
    ];
    for (block, status, text) in texts {
        if index.blocks.contains(block) {
            let reason = format!("index [{name}] blocked by: [{text}];");
            return Err(Error::whole(status, "cluster_block_exception", reason));
        }
    }
    Ok(())
}

/// Validates a document and returns its source as text.
pub(super) fn parse<'a>(
    index: &Index,
    stream: bool,
    id: &str,
    bytes: &'a [u8],
) -> Result<&'a str, Error> {
    let text = check(bytes).map_err(Error::parsing)?;
    if stream && at(text, "@timestamp").is_empty() {
        let reason = "[1:2] data stream timestamp field [@timestamp] is missing";
        return Err(Error::parsing(reason));
    }
    let settings = &index.template["template"]["settings"];
    let malformed = settings["index.mapping.ignore_malformed"] == true;
    mapping::check(index.mappings(), malformed, id, text)?;
    Ok(text)
}

/// The `@timestamp` of a document in milliseconds since 1970.
pub(super) fn millis(source: &str) -> Option<i64> {
    let text = scalar(at(source, "@timestamp").first()?)?;
    let stamp = text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
    stamp.ok().or_else(|| text.parse().ok())
}
