//! Scripts played on real files; see `play.rs` for their words.

mod cut;
mod cuts;
mod follow;
mod gone;
mod lines;
mod pins;
pub(super) mod play;
mod random;
mod renamed;
mod rotation;
mod starts;
mod states;
mod table;
mod unread;
mod wrapped;

use play::check;
