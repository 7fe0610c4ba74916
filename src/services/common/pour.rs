//! A file's bytes on their way into a script that runs on the node.

use std::io::{self, ErrorKind, Read, Write};

use zeroize::Zeroizing;

use super::node::{as_failure, finish_change, start_change};
use crate::model::exit::{Exit, Failure, Result};
use crate::services::Cx;
use crate::transport::TransportError;

/// What is held of a body at once. It may be a secret, so it is wiped.
const PIECE: usize = 256 * 1024;

/// Pours `body` into `to`, showing each piece to `seen` before it goes.
///
/// A pipe that broke is given back and no failure yet: the node's own words, told when its script is finished, say more.
///
/// # Errors
/// The operator's cancel, and [`Exit::Integrity`] with the vault's own sentence when the bytes are not what they must be.
pub fn pour(
    cx: &Cx,
    name: &str,
    body: &mut dyn Read,
    to: &mut dyn Write,
    mut seen: impl FnMut(&[u8]),
) -> Result<Option<io::Error>> {
    let mut buffer = Zeroizing::new(vec![0; PIECE]);
    loop {
        cx.cancel.check().map_err(|error| as_failure(&error))?;
        let count = match body.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(name, &error)),
        };
        let piece = buffer.get(..count).unwrap_or_default();
        seen(piece);
        if let Err(error) = to.write_all(piece) {
            return Ok(Some(error));
        }
    }
}

/// The longest word a script may say of what it took in: a sum and a little more.
const SAID: u64 = 4096;

/// Starts a changing script, pours `body` into it and gives back what it said once it has ended well; each piece is
/// shown to `seen` before it goes. `name` and `doing` are for messages.
///
/// # Errors
/// As [`start_change`] and [`pour`]; the script's own words first, for they say more than the pipe it left.
/// [`Exit::NoSpace`] when there was no room for it.
pub fn feed(
    cx: &Cx,
    (script, args): (&str, &[&str]),
    name: &str,
    body: &mut dyn Read,
    doing: &str,
    seen: impl FnMut(&[u8]),
) -> Result<Vec<u8>> {
    let mut running = start_change(cx, script, args)?;
    let mut broken = pour(cx, name, body, &mut running, seen)?;
    if broken.is_none() {
        broken = running.close_input().err();
    }
    let mut said = Vec::new();
    if let Err(error) = Read::by_ref(&mut running).take(SAID).read_to_end(&mut said) {
        broken.get_or_insert(error);
    }
    finish_change(cx, running, doing).map_err(no_room)?;
    match broken {
        Some(error) => Err(as_failure(&TransportError::from_io(cx.host.as_str(), &error))),
        None => Ok(said),
    }
}

/// A full disk has an end of its own, and only the tools' own words tell of it.
pub(super) fn no_room(failure: Failure) -> Failure {
    let exit = if failure.message.contains("No space left") { Exit::NoSpace } else { failure.exit };
    Failure { exit, ..failure }
}

/// Why a body ended: a wish to stop comes through it as the transport's own error, and is no damage.
fn unreadable(name: &str, error: &io::Error) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<TransportError>()) {
        Some(inner) => as_failure(inner),
        None => Failure::new(Exit::Integrity, format!("Reading {name} failed: {error}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_to_stop_is_told_from_damage() {
        let exit = |error: io::Error| unreadable("x", &error).exit;
        assert_eq!(exit(io::Error::other(TransportError::Cancelled)), Exit::Cancelled);
        assert_eq!(exit(io::Error::other("its seal does not hold")), Exit::Integrity);
    }
}
