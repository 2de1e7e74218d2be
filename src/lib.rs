//! (skeleton)
#![allow(dead_code)]
mod checkpoint;
mod config;
mod event;
mod input;
mod output;
mod pipeline;
mod server;
mod telemetry;
