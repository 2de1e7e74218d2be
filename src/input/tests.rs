//! Scripts that tests play on real files; `play.rs` documents their commands.

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
pub(super) mod server;
mod starts;
mod states;
mod table;
mod unread;
mod wrapped;

use play::check;
