//! The status page in a real browser: what an operator sees in each state of the agent, on a desk and on a phone, light
//! and dark, with a keyboard, a screen reader, and while it updates itself.
//!
//! These tests need Node.js, Chromium and the two packages of `package-lock.json`; `.ci/run page` installs and runs them.
//! `browser.rs` drives the browser through `look.mjs`, `scene.rs` makes the states with a real agent and a fake store.
//! With `AUDITRAIL_BLESS=1` the tests write the pictures of the documents to `docs/images`.
// clippy.toml allows these in test functions; the helpers that only tests call need the same.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod browser;
mod scene;

mod states;
mod updates;
