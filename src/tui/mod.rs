//! The console: the face on a terminal.
//!
//! It follows the Elm pattern: [`app::App`] is the state, `update` takes a message and gives effects without doing
//! any I/O, `view` draws. The runtime is the only place with a clock, a terminal and threads. Pages are
//! [`screen::Screen`]s, a file each; what they draw from is the one [`model::Model`].

pub mod action;
pub mod app;
mod books;
pub mod clipboard;
pub mod crew;
pub mod deed;
pub mod filter;
pub mod frame;
pub mod hit;
pub mod input;
pub mod keymap;
pub mod message;
pub mod modal;
pub mod model;
pub mod palette;
mod plain;
mod quiet;
mod runtime;
pub mod screen;
pub mod screens;
pub mod shell;
mod terminal;
pub mod theme;
pub mod when;
pub mod widgets;
pub mod wizard;

pub use keymap::{KeyRow, describe_keys, document_keys};
pub use runtime::run;
