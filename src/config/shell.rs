//! Running the command that prints a secret.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

use super::secrets::{LONGEST, first_line};
use crate::model::secret::SecretString;
use crate::model::text::CleanText;
use crate::process;

/// The first line `command` prints, run by `/bin/sh -c` without input and without the variables in `hidden`.
///
/// It runs in a process group of its own, which is ended whole when `timeout` has passed; it can therefore not ask
/// at our terminal. What it prints is never logged; of what it complains about, the last line is told.
pub(crate) fn first_line_of(command: &str, hidden: &[String], timeout: Duration) -> Result<SecretString, String> {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    for name in hidden {
        shell.env_remove(name);
    }
    let mut child = process::spawn(&mut shell).map_err(|error| format!("its command cannot be run: {error}."))?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let printed = drain(child.stdout.take(), LONGEST + 1);
    let complained = drain(child.stderr.take(), 16 * 1024);
    let (told, ended) = channel();
    thread::spawn(move || {
        let _ = told.send(child.wait());
    });
    let status = match ended.recv_timeout(timeout) {
        Ok(status) => status.map_err(|error| format!("its command cannot be waited for: {error}."))?,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            if let Some(group) = group {
                let _ = kill_process_group(group, Signal::KILL);
            }
            return Err(format!("its command gave nothing within {} s.", timeout.as_secs_f32()));
        }
    };
    // A daemon it left behind may hold the pipes open; what the command itself printed is there by now.
    let patience = Duration::from_secs(2);
    if !status.success() {
        let complaint = complained.recv_timeout(patience).unwrap_or_default();
        let complaint = CleanText::from_bytes(&complaint);
        let said = complaint.last_line();
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        return Err(format!("its command {}{said}", end(status)));
    }
    match printed.recv_timeout(patience) {
        Ok(bytes) => first_line(&bytes).map_err(|why| format!("what its command printed {why}.")),
        Err(_) => Err("its command ended, but something it started keeps its output open.".to_owned()),
    }
}

fn end(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "failed".to_owned(),
    }
}

/// Reads a pipe to its end on a thread of its own, keeping the first `keep` bytes.
fn drain(pipe: Option<impl Read + Send + 'static>, keep: usize) -> Receiver<Zeroizing<Vec<u8>>> {
    let (give, take) = channel();
    thread::spawn(move || {
        let mut bytes = Zeroizing::new(Vec::with_capacity(keep));
        if let Some(mut pipe) = pipe {
            let _ = pipe.by_ref().take(keep as u64).read_to_end(&mut bytes);
            let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        }
        let _ = give.send(bytes);
    });
    take
}
