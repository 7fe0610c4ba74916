//! Which SSH library is really linked.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The linked libssh2's version as it tells every server, e.g. `1.11.2_DEV`.
pub fn linked_libssh2_version() -> String {
    greeting().unwrap_or_else(|| "unknown".to_owned())
}

/// Lets the library greet a socket of our own: its greeting carries its version.
fn greeting() -> Option<String> {
    let (near, mut far) = UnixStream::pair().ok()?;
    far.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let mut session = ssh2::Session::new().ok()?;
    session.set_blocking(false);
    session.set_tcp_stream(near);
    // It cannot succeed, but the greeting is the first thing it sends.
    let _ = session.handshake();
    let mut said = [0; 128];
    let count = far.read(&mut said).ok()?;
    let line = std::str::from_utf8(&said[..count]).ok()?;
    Some(line.trim().strip_prefix("SSH-2.0-libssh2_")?.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_linked_library_names_itself() {
        assert!(super::linked_libssh2_version().starts_with("1.11."), "{}", super::linked_libssh2_version());
    }
}
