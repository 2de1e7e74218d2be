//! Audit events of the Kubernetes API server: how they are read, and which parts of them leave the node.
//!
//! | room | holds |
//! |---|---|
//! | `json` | one walker, one unescape and one escape for everything that looks into a line |
//! | `event` | an event's line, its fields and its position; words that the agent's rooms share |
//! | `transform` | what leaves the node of an event: policy, redaction, shrinking, filter |
//!
//! This crate is pure: it reads no file, opens no socket and asks no clock. The agent is the crate around it.

pub mod event;
pub mod json;
pub mod transform;
