//! TEMP
use crate::config::paths::Paths;
use crate::engine::links::Dialer;
use crate::model::inventory::{Host, Inventory};
use crate::model::secret::Secrets;
use crate::model::text::CleanText;
use crate::transport::*;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
/// x
pub struct NodeDialer;
impl NodeDialer {
    /// x
    pub fn new(_: &Paths, _: Arc<dyn Secrets>) -> Self {
        Self
    }
}
#[derive(Debug, Clone)]
struct Ssh {
    endpoint: Endpoint,
    args: Vec<OsString>,
}
impl Dialer for NodeDialer {
    fn connect(&self, host: &Host, _: &Inventory, _: &Cancel) -> Result<Arc<dyn Transport>, TransportError> {
        let a = &host.access;
        let addr = a.address.clone().unwrap_or(host.id.to_string());
        let user = a.user.clone().unwrap_or("root".into());
        let mut args: Vec<OsString> = [
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
            "-o",
            "ControlMaster=auto",
            "-o",
            "ControlPath=/tmp/cm-%C",
            "-o",
            "ControlPersist=60",
        ]
        .iter()
        .map(OsString::from)
        .collect();
        for f in &a.identity_files {
            args.push("-i".into());
            args.push(f.into());
        }
        args.push(format!("{user}@{addr}").into());
        Ok(Arc::new(Ssh {
            endpoint: Endpoint {
                name: host.id.to_string(),
                address: addr,
                port: 22,
                user,
                login: "temp".into(),
                ..Endpoint::default()
            },
            args,
        }))
    }
}
struct P {
    child: Child,
    bytes: u64,
}
impl Transport for Ssh {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
    fn start(&self, script: &Script, _: &Cancel) -> Result<Box<dyn Running>, TransportError> {
        let mut line = String::new();
        if script.rights == Rights::Root {
            line += "sudo -n -- ";
        }
        line += "/bin/sh -c ";
        line += &quote::quote(script.text.as_bytes());
        line += " lifeboat";
        for arg in &script.args {
            line += " ";
            line += &quote::quote(arg);
        }
        let mut c = Command::new("ssh");
        c.args(&self.args).arg(line);
        c.stdin(if script.input { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child =
            c.spawn().map_err(|e| TransportError::Lost { host: self.endpoint.name.clone(), why: e.to_string() })?;
        Ok(Box::new(P { child, bytes: 0 }))
    }
    fn dial(&self, t: &Dial, _: &Cancel) -> Result<Box<dyn Duplex>, TransportError> {
        let Dial::Tcp(h, p) = t else { return Err(TransportError::Cancelled) };
        let mut c = Command::new("ssh");
        c.args(["-W".to_string(), format!("{h}:{p}")]).args(&self.args);
        let child = c
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|_| TransportError::Cancelled)?;
        Ok(Box::new(P { child, bytes: 0 }))
    }
    fn again(&self) -> Result<Arc<dyn Transport>, TransportError> {
        Ok(Arc::new(self.clone()))
    }
    fn hang_up(&self) {}
}
impl Read for P {
    fn read(&mut self, b: &mut [u8]) -> io::Result<usize> {
        let n = self.child.stdout.as_mut().map_or(Ok(0), |o| o.read(b))?;
        self.bytes += n as u64;
        Ok(n)
    }
}
impl Write for P {
    fn write(&mut self, b: &[u8]) -> io::Result<usize> {
        self.child.stdin.as_mut().map_or(Ok(0), |o| o.write(b))
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
impl Duplex for P {
    fn close_write(&mut self) -> io::Result<()> {
        self.child.stdin = None;
        Ok(())
    }
    fn set_timeout(&mut self, _: std::time::Duration) -> io::Result<()> {
        Ok(())
    }
}
impl Running for P {
    fn close_input(&mut self) -> io::Result<()> {
        self.child.stdin = None;
        Ok(())
    }
    fn finish(mut self: Box<Self>) -> Result<Finished, TransportError> {
        let mut e = Vec::new();
        if let Some(mut s) = self.child.stderr.take() {
            let _ = s.read_to_end(&mut e);
        }
        let st = self.child.wait().map_err(|_| TransportError::Cancelled)?;
        Ok(Finished {
            end: st.code().map_or(End::Unknown, End::Exited),
            stderr: CleanText::from_bytes(&e),
            stdout_bytes: self.bytes,
        })
    }
}
