//! What an operator's terminal sends, as events.
//!
//! The bytes are read and decoded here and not by crossterm's own reader: that one spins for ever at a terminal that
//! is gone, and cannot be told to leave the keyboard to a program the terminal is lent to.

mod decode;
mod reader;

pub use decode::Decoder;
pub use reader::{Input, Keyboard};
