//! Scripts played on real files; see `play.rs` for their words.

mod follow;
mod lines;
mod pins;
mod play;
mod random;
mod rotation;
mod starts;
mod states;

use play::check;
