//! The practice fleet's SSH server on this machine itself: plain commands, real ports and sockets.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use lifeboat::rehearsal::server::{Backend, Dialled, KeyPair, Server, Stream, Target};
use lifeboat::transport::known_hosts::{HostKey, append};
use lifeboat::transport::ssh::SshSpec;

use super::sshd::user;

/// A server that ends with the value.
pub struct Embedded {
    folder: tempfile::TempDir,
    server: Server,
    host_key: KeyPair,
    _runtime: tokio::runtime::Runtime,
}

/// This machine as a node.
struct Here;

impl Backend for Here {
    fn login(&self, line: &[u8]) -> io::Result<Vec<OsString>> {
        Ok(vec!["/bin/sh".into(), "-c".into(), OsString::from_vec(line.to_vec())])
    }
    fn dial(&self, target: Target) -> Dialled {
        Box::pin(async move {
            Ok(match target {
                Target::Tcp(host, port) => {
                    Box::new(tokio::net::TcpStream::connect((host.as_str(), port)).await?) as Box<dyn Stream>
                }
                Target::Unix(path) => Box::new(tokio::net::UnixStream::connect(path).await?),
            })
        })
    }
}

impl Embedded {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (host_key, login) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let server = Server::start(runtime.handle(), Arc::new(Here), &host_key, &user(), &login).unwrap();
        let key = folder.path().join("user");
        std::fs::write(&key, login.private_text().unwrap().as_bytes()).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self { folder, server, host_key, _runtime: runtime }
    }

    /// Settings that log in to it, its key known.
    pub fn spec(&self, name: &str) -> SshSpec {
        let known = self.folder.path().join("known_hosts");
        let key = HostKey::from_blob(&self.host_key.public_blob().unwrap()).unwrap();
        append(&known, "127.0.0.1", self.server.port(), &key).unwrap();
        let mut spec = SshSpec::new(name, "127.0.0.1", self.server.port(), &user());
        spec.known_hosts = vec![known];
        spec.identity_files.value = vec![self.folder.path().join("user")];
        spec
    }
}
