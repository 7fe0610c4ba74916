//! The plainest login there is: a child process whose exit status is its end.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use lifeboat::model::text::CleanText;
use lifeboat::transport::{Cancel, Dial, Duplex, End, Endpoint, Finished, Running, Script, Transport, TransportError};

use super::agents::{Asked, Talk};
use super::fixtures::Fixture;

#[derive(Clone)]
pub struct Shell {
    pub endpoint: Endpoint,
    pub prefix: Vec<OsString>,
    /// What answers on the node's loopback, and the node's root as this process sees it.
    pub service: Option<(&'static dyn Fixture, PathBuf)>,
}

impl std::fmt::Debug for Shell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Shell").field(&self.endpoint.name).finish()
    }
}

struct Process {
    child: Child,
    bytes: u64,
}

impl Transport for Shell {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
    fn start(&self, script: &Script, _cancel: &Cancel) -> Result<Box<dyn Running>, TransportError> {
        let mut command = Command::new(&self.prefix[0]);
        command.env("PATH", super::PATH);
        command.args(&self.prefix[1..]).args(["/bin/sh", "-c", &script.text, "lifeboat"]);
        command.args(script.args.iter().map(|arg| OsString::from_vec(arg.clone())));
        command
            .stdin(if script.input { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command
            .spawn()
            .map_err(|e| TransportError::Lost { host: self.endpoint.name.clone(), why: e.to_string() })?;
        Ok(Box::new(Process { child, bytes: 0 }))
    }
    fn dial(&self, _: &Dial, _: &Cancel) -> Result<Box<dyn Duplex>, TransportError> {
        if let Some((fixture, root)) = self.service.clone().filter(|(fixture, root)| fixture.listens(root)) {
            return Ok(Box::new(Talk::with(move |asked: &Asked| fixture.answer(&root, asked))));
        }
        Err(TransportError::Refused {
            host: self.endpoint.name.clone(),
            what: "a port".into(),
            why: "nobody listens".into(),
        })
    }
    fn again(&self, _: &Cancel) -> Result<Arc<dyn Transport>, TransportError> {
        Ok(Arc::new(self.clone()))
    }
    fn hang_up(&self) {}
}

impl Read for Process {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.child.stdout.as_mut().unwrap().read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}
impl Write for Process {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.child.stdin.as_mut().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
impl Running for Process {
    fn close_input(&mut self) -> io::Result<()> {
        self.child.stdin = None;
        Ok(())
    }
    fn finish(mut self: Box<Self>) -> Result<Finished, TransportError> {
        let mut stderr = Vec::new();
        self.child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
        let status = self.child.wait().unwrap();
        let end = match status.code() {
            Some(code) => End::Exited(code),
            None => End::Killed(format!("{:?}", status.signal()).as_str().into()),
        };
        Ok(Finished { end, stderr: CleanText::from_bytes(&stderr), stdout_bytes: self.bytes })
    }
}
