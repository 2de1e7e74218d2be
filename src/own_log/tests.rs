//! Tests of the own log.
