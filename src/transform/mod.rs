//! What leaves the node of an event: policy, redaction, shrinking, filter, in that order.
//!
//! Works on the bytes: what is not touched stays as the server wrote it. The result is deterministic: the same event
//! always becomes the same bytes, so that one sent twice is recognised.

#[expect(dead_code, reason = "its users are being written")]
mod edit;
#[cfg_attr(not(test), expect(dead_code, reason = "its users are being written"))]
mod redact;
