//! An API that speaks only TLS: by what its certificate is recognised, and what it is shown when it asks who we are.
//!
//! Both stand in files of the node and are read there as root each time a conversation begins, so that a certificate
//! which was renewed, or restored, is the one that counts. A plan holds their paths and nothing of their contents.

use std::io::Read as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::node::{as_failure, read_node};
use super::reader::ScriptReader;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::text::CleanText;
use crate::services::Cx;
use crate::transport::tls::{Expected, Secured, Shown, Terms, TlsError};
use crate::transport::{Dial, Script, TransportError};

/// By which papers two sides know each other; every path is one of the node's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// What the server must show.
    pub expects: Expects,
    /// What it is shown, where it wants something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shows: Option<Pair>,
}

/// What a server must show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expects {
    /// A certificate of a CA, for one of these names.
    SignedBy {
        /// Files, or directories of files, with the CA's certificates.
        authorities: Vec<String>,
        /// DNS names and addresses, the one that is most its own first.
        names: Vec<String>,
    },
    /// The certificate in this file, and no other.
    Exactly(String),
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The certificate's file.
    pub cert: String,
    /// The key's file.
    pub key: String,
}

/// The most bytes of certificates that are read; a system's whole bundle has some 250 KiB.
const PAPERS: usize = 2 << 20;
/// The longest key: one of RSA with 16,384 bits takes 13 KiB.
const KEY: usize = 64 << 10;
/// How long one read or write of a handshake may stand still.
const SILENCE: Duration = Duration::from_secs(15);

/// Files, and what lies in directories, one after the other. One that is not there fails it.
const READ: &str = r#"for p in "$@"; do
  if [ -d "$p" ]; then
    for f in "$p"/*; do if [ -f "$f" ]; then head -c 1048576 -- "$f" || exit 1; echo; fi; done
  else head -c 1048576 -- "$p" || exit 1; echo; fi
done
"#;

const READ_KEY: &str = "exec head -c 65536 -- \"$1\"\n";

impl Trust {
    /// Reads everyone's papers on the node.
    pub fn read(&self, cx: &Cx) -> Result<Terms> {
        let expected = match &self.expects {
            Expects::SignedBy { authorities, names } => {
                Expected::SignedBy { authorities: read(cx, authorities)?, names: names.clone() }
            }
            Expects::Exactly(path) => Expected::Exactly(read(cx, std::slice::from_ref(path))?),
        };
        let shown = match &self.shows {
            Some(pair) => {
                let certificate = read(cx, std::slice::from_ref(&pair.cert))?;
                Some(Shown { certificate, key: read_key(cx, &pair.key)? })
            }
            None => None,
        };
        Terms::new(&expected, shown.as_ref(), cx.clock.now().as_second()).map_err(|error| match &error {
            TlsError::Certificate { why, seen } => {
                let told = format!("{} cannot be accepted from the API on {}: {why} ({seen}).", self.told(), cx.host);
                Failure::new(Exit::HostKey, capitalised(&told)).hint("Renew it, and restart the service.")
            }
            error => self.failure(cx, "Reading the certificates for the API", error),
        })
    }

    /// What is expected, inside a sentence.
    fn told(&self) -> String {
        match &self.expects {
            Expects::SignedBy { authorities, .. } => format!("a certificate that {} signed", authorities.join(" or ")),
            Expects::Exactly(path) => format!("the certificate in {path}"),
        }
    }

    /// The failure an operator reads; `doing` is the start of the sentence.
    fn failure(&self, cx: &Cx, doing: &str, error: &TlsError) -> Failure {
        let fail = |exit, why: &str| Failure::new(exit, format!("{doing} on {} failed: {why}.", cx.host));
        let why = CleanText::new(&error.to_string()).one_line();
        let why = why.as_str().trim_end_matches('.');
        match error {
            TlsError::Io(error) => as_failure(&TransportError::from_io(cx.host.as_str(), error)),
            TlsError::Certificate { why, seen } => {
                fail(Exit::HostKey, &format!("it must show {}, and shows {seen}: {why}", self.told()))
                    .hint("Nothing was sent to it. If its certificate was renewed since the service started, restart the service; else find out who answers there.")
            }
            error if error.is_of_us() => fail(Exit::Authentication, why),
            TlsError::Plain { .. } => fail(Exit::Failed, why)
                .hint("The configuration that was read says that it speaks TLS; was the service started with another one?"),
            _ => fail(Exit::Failed, why),
        }
    }

    /// Connects, and makes sure who is at the other end.
    pub fn connect(&self, cx: &Cx, terms: &Terms, target: &Dial, doing: &str) -> Result<Secured> {
        let duplex = cx.node.dial(target, cx.cancel).map_err(|error| as_failure(&error))?;
        terms.secure(duplex, SILENCE).map_err(|error| self.failure(cx, doing, &error))
    }
}

fn capitalised(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or(String::new(), |first| first.to_uppercase().chain(rest).collect())
}

fn read(cx: &Cx, paths: &[String]) -> Result<Vec<u8>> {
    let script = paths.iter().fold(Script::new(READ), Script::arg);
    let output = read_node(cx, script, "Reading a certificate's file")?;
    if output.stdout.len() > PAPERS {
        return Err(Failure::new(
            Exit::Failed,
            format!("{} on {} holds more than certificates.", paths.join(" and "), cx.host),
        ));
    }
    Ok(output.stdout)
}

/// A key, in memory that is wiped and was allocated once, so that growing left no copies.
fn read_key(cx: &Cx, path: &str) -> Result<Zeroizing<Vec<u8>>> {
    let running =
        cx.node.start(&Script::new(READ_KEY).arg(path).as_root(), cx.cancel).map_err(|error| as_failure(&error))?;
    let mut reader = ScriptReader::new(running, format!("Reading {path} on {}", cx.host));
    let mut bytes = Zeroizing::new(vec![0; KEY + 1]);
    let mut used = 0;
    while let Some(room) = bytes.get_mut(used..).filter(|room| !room.is_empty()) {
        match reader.read(room) {
            Ok(0) => break,
            Ok(count) => used += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) if error.get_ref().and_then(|inner| inner.downcast_ref::<TransportError>()).is_some() => {
                return Err(as_failure(&TransportError::from_io(cx.host.as_str(), &error)));
            }
            Err(error) => {
                let why = CleanText::new(&error.to_string()).one_line();
                return Err(Failure::new(Exit::Failed, format!("{}.", why.as_str().trim_end_matches('.'))));
            }
        }
    }
    bytes.truncate(used);
    Ok(bytes)
}
