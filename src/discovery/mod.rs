//! Finds the audit log of the API server that runs on this node: from static pods, from the configuration of RKE2 and
//! K3s, from running processes, and from the usual paths. It only reads, and believes nothing that it cannot parse.
//!
//! Sources of the facts: for RKE2 `pkg/podexecutor/staticpod.go` of rancher/rke2, for K3s its hardening guide, for kubeadm
//! the page "Auditing" of the Kubernetes documentation.

mod advice;
mod files;
mod flags;
mod known_paths;
mod node;
mod rancher;
mod static_pod;
mod webhook;

pub(crate) use advice::advice;
pub(crate) use known_paths::hint;
pub(crate) use node::{AuditLog, look};
pub(crate) use webhook::webhook_steps;
