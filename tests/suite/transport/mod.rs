//! The transport contract, over the local machine and a real SSH server alike.

mod conform;
mod sshd;
