//! The transport contract, over the local machine and a real SSH server alike.

mod config;
mod conform;
mod ssh;
mod sshd;
