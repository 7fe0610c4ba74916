//! The driver on facts alone, and its scripts in a real shell.

mod plans;
mod resolving;
mod shell;
