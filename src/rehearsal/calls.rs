//! Calls of programs on a practice node to the fleet: a line into a pipe, an answer in a file.
//!
//! A shell can play a service's life, but not write its formats. So a stand-in's program calls its other half, here, by
//! a line of `WORD TIME` into `/stub/call`, and waits for `told` in its memory: `done`, or why not.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::runtime::Handle;

use super::node::Node;
use super::stand_ins::StandIn;

/// Listens to a node's calls as long as the runtime lives.
///
/// # Errors
/// When the node's pipe cannot be opened.
pub fn listen(on: &Handle, node: &Node, stand_in: Arc<dyn StandIn>) -> io::Result<()> {
    let _inside = on.enter();
    // Opened for both, it neither waits for a first caller nor ends with the last.
    let pipe = pipe::OpenOptions::new().read_write(true).open_receiver(node.calls())?;
    let memory = node.stub("memory").join(stand_in.unit());
    on.spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        loop {
            let line = match lines.next_line().await {
                Ok(Some(line)) => line,
                // What is no text is no call; whoever comes next may be meant.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => continue,
                Ok(None) | Err(_) => return,
            };
            let (stand_in, memory) = (Arc::clone(&stand_in), memory.clone());
            let answered = tokio::task::spawn_blocking(move || {
                let said = match stand_in.call(&memory, &line) {
                    Ok(()) => "done".to_owned(),
                    Err(why) => why.replace('\n', " "),
                };
                tell(&memory, &said)
            });
            // Whoever called and is gone does not read it.
            let _ = answered.await;
        }
    });
    Ok(())
}

/// Answers in one piece: a reader sees all of it or nothing.
fn tell(memory: &Path, said: &str) -> io::Result<()> {
    let new: PathBuf = memory.join("told.new");
    std::fs::write(&new, format!("{said}\n"))?;
    std::fs::rename(new, memory.join("told"))
}
