//! What the SSH library's numbers mean to an operator.

use ssh2::{Error, ErrorCode};

use super::super::TransportError;
use crate::model::text::CleanText;

pub(super) const AGAIN: i32 = -37;
/// What a refused command is called.
pub(super) const COMMAND: &str = "a command";

/// The library's number.
pub(super) fn code_of(error: &Error) -> i32 {
    match error.code() {
        ErrorCode::Session(code) | ErrorCode::SFTP(code) => code,
    }
}

/// Whether the whole session is gone, not only one channel.
pub(super) fn is_fatal(code: i32) -> bool {
    !matches!(code, AGAIN | -1 | -29..=-21 | -34 | -39)
}

/// A clause without a full stop.
pub(super) fn ssh_why(error: &Error) -> String {
    let said = CleanText::new(error.message()).one_line();
    let plain = match code_of(error) {
        // The library has one number for both.
        -5 | -8 => {
            "no keys were exchanged: the connection was cut meanwhile, or it shares no algorithm with us (SHA-1 signatures, DSA and 3DES are switched off, so a very old SSH server is out of reach)"
        }
        -13 | -43 => "it hung up (often a limit on new connections, a ban, or a network cut)",
        -7 => "the connection was cut while sending",
        -9 => "it did not answer in time",
        -16 => "the key file is unreadable or its passphrase is wrong",
        -18 => "it was not accepted",
        -19 => "the key's signature was not accepted",
        -42 => "the agent did not answer as it should",
        -2 => "it did not greet as an SSH server does",
        _ => return format!("{said} ({})", code_of(error)),
    };
    plain.to_owned()
}

/// Why a channel was not opened.
pub(super) fn refused(host: &str, what: &str, error: &Error) -> TransportError {
    let said = error.message();
    let why = if said.contains("administratively prohibited") {
        "forwarding is switched off in its SSH server (AllowTcpForwarding, PermitOpen)".to_owned()
    } else if code_of(error) == -21 && (what == COMMAND || said.contains("resource shortage")) {
        "its SSH server allows no further channel (MaxSessions)".to_owned()
    } else if said.contains("connect failed") {
        "nothing listens there".to_owned()
    } else {
        ssh_why(error)
    };
    TransportError::Refused { host: host.to_owned(), what: what.to_owned(), why }
}
