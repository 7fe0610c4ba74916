//! Bytes back onto a node: the snapshot in one request, files beside their place.

use std::io::{self, Read, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::{Api, refusal};
use super::compare;
use super::ops::CompareArgs;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::manifest::StoredFile;
use crate::services::common::http::{HttpError, Payload, Request};
use crate::services::common::{as_failure, run_change};
use crate::services::{Cx, Sink};
use crate::transport::{End, Script, TransportError};

/// A restore blocks until the leader is done.
const RESTORE_SILENCE: Duration = Duration::from_mins(30);

/// What is brought, and where it goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(super) enum Bring {
    /// The datacenter's state.
    Snapshot {
        /// How the result is looked at when the request's own end is lost.
        compare: CompareArgs,
    },
    /// One file.
    File {
        /// Its staged path.
        staged: String,
    },
    /// A directory from a tar.
    Tree {
        /// Its staged path.
        staged: String,
    },
    /// Some files from a tar, each into a directory that holds others too.
    Members {
        /// Where the tar is unpacked.
        unpacked: String,
        /// Each file's name in the tar and its staged path.
        members: Vec<Member>,
    },
}

/// A named value and its path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    /// The name.
    pub name: String,
    /// The path.
    pub path: String,
}

/// Shows the run's mark before anything is written; the bytes come on standard input.
const MARKED: &str = r#"d=/var/lib/lifeboat/runs/$1
if [ ! -d "$d" ] || [ "$(cat "$d/owner")" != "$2" ] || [ -e "$d/fired" ]; then
  echo "the run is no longer valid there" >&2
  exit 97
fi
shift 2
set -eu
umask 077
p=${1%/*}
[ -d "$p" ] || { echo "the directory $p is not there" >&2; exit 1; }
"#;

const PUT_FILE: &str = r#"cat >"$1"
[ "$(wc -c <"$1")" -eq "$2" ] || { echo "not every byte arrived" >&2; exit 1; }
chown --reference="$p" -- "$1"
chmod 0600 -- "$1"
sync -- "$1"
"#;

/// The tar's own owners and modes are taken; the directory is new, so nothing in it can lead elsewhere.
const PUT_TREE: &str = r#"rm -rf -- "$1"
mkdir -- "$1"
tar --extract --file=- --same-owner --preserve-permissions --directory="$1"
sync -f -- "$1"
"#;

/// After [`PUT_TREE`]: `$3 $4`, `$5 $6` … are names in it and where they go.
const MOVE_MEMBERS: &str = r#"u=$1
shift 2
while [ $# -gt 1 ]; do
  [ -f "$u/$1" ] && [ ! -L "$u/$1" ] || { echo "$1 is not in the archive" >&2; exit 1; }
  mv -T -- "$u/$1" "$2"
  shift 2
done
rm -rf -- "$u"
sync -f -- "$p"
"#;

/// Takes the files of one snapshot.
pub(super) struct Deliver<'a> {
    cx: &'a Cx<'a>,
    bring: Bring,
    learned: Option<Value>,
}

impl<'a> Deliver<'a> {
    pub fn new(cx: &'a Cx<'a>, bring: Bring) -> Self {
        Self { cx, bring, learned: None }
    }

    fn feed(&self, text: &str, args: &[&str], body: &mut dyn Read) -> Result<()> {
        let cx = self.cx;
        let lost = |error: &io::Error| as_failure(&TransportError::from_io(cx.host.as_str(), error));
        let Some(mark) = cx.run else {
            return Err(Failure::new(Exit::Failed, format!("Files for {} were asked for outside a run.", cx.host)));
        };
        let mut script = Script::new(format!("{MARKED}{text}")).arg(mark.run.as_str()).arg(&mark.owner);
        for arg in args {
            script = script.arg(arg);
        }
        let script = script.as_root().with_input().within(Duration::from_hours(1), Duration::from_mins(5));
        let mut running = cx.node.start(&script, cx.cancel).map_err(|error| as_failure(&error))?;
        let copied = pour(body, &mut running);
        if let Err(Poured::Read(error)) = &copied {
            let why = crate::model::text::CleanText::new(&error.to_string());
            return Err(Failure::new(Exit::Integrity, format!("The snapshot could not be read to its end: {why}.")));
        }
        let closed = running.close_input();
        let finished = running.finish().map_err(|error| as_failure(&error))?;
        if finished.end != End::Exited(0) {
            let said = finished.stderr.last_line().trim_end_matches('.');
            let said = if said.is_empty() { "its end is unknown" } else { said };
            return Err(Failure::new(Exit::Failed, format!("Bringing the files to {} failed: {said}.", cx.host)));
        }
        match copied {
            Err(Poured::Write(error)) => Err(lost(&error)),
            _ => closed.map_err(|error| lost(&error)),
        }
    }

    /// One request, sent once. What is not known afterwards is looked at, never tried again.
    fn replace(&self, compare: &CompareArgs, size: u64, body: &mut dyn Read) -> Result<Value> {
        let cx = self.cx;
        let doing = "Restoring the datacenter";
        run_change(cx, ":\n", "Checking the run")?;
        let api = Api::of(cx, &compare.access)?;
        let mut counted = Counted { inner: body, count: 0, failed: None };
        let request = Request::send("PUT", "/v1/snapshot", Payload::Sized(size, &mut counted));
        let answer = api.put(request.asking_first().within(RESTORE_SILENCE))?;
        let whole = counted.count >= size;
        if let Some(error) = counted.failed {
            return Err(Failure::new(Exit::Integrity, format!("The snapshot could not be read to its end: {error}."))
                .state("Consul took nothing: it had not received the whole snapshot."));
        }
        match answer {
            Ok(reply) if reply.is_success() => Ok(json!({"status": reply.status})),
            Ok(reply) if whole && reply.status >= 500 => {
                let failure = refusal(cx, doing, reply.status, &reply.text());
                let refused = [
                    "failed to read snapshot",
                    "failed to decompress",
                    "failed to verify",
                    "cannot restore snapshot now",
                ];
                if refused.iter().any(|words| reply.text().as_str().contains(words)) {
                    return Err(failure.state("Consul refused the snapshot before it changed anything."));
                }
                self.settle(compare, failure)
            }
            Ok(reply) => Err(refusal(cx, doing, reply.status, &reply.text())
                .state("Consul refused the snapshot before it changed anything.")),
            Err(error) if whole && !matches!(error, HttpError::Unsendable(_)) => {
                self.settle(compare, error.failure(cx, doing))
            }
            Err(error) => {
                Err(error.failure(cx, doing).state("Consul took nothing: it had not received the whole snapshot."))
            }
        }
    }

    /// The snapshot arrived whole, but not the answer: what the datacenter holds now decides.
    fn settle(&self, compare: &CompareArgs, failure: Failure) -> Result<Value> {
        match compare::look(self.cx, compare) {
            Ok(differences) if differences.is_empty() => {
                Ok(json!({"status": null, "answer": failure.message, "found": "the datacenter holds the snapshot"}))
            }
            Ok(differences) => Err(Failure { exit: Exit::Changed, ..failure }.state(format!(
                "The datacenter does not hold what the snapshot holds ({}), so the restore did not take place or not whole.",
                differences.join("; ")
            ))),
            Err(look) => Err(Failure { exit: Exit::Changed, ..failure }
                .state(format!("Whether the restore took place is unknown: {}", look.message))
                .hint("Look at the leader's log for 'restored user snapshot'. Do not send the snapshot again before you know.")),
        }
    }
}

impl Sink for Deliver<'_> {
    fn put(&mut self, file: &StoredFile, body: &mut dyn Read) -> Result<()> {
        if self.learned.is_some() {
            return Err(Failure::new(Exit::Integrity, "The snapshot has more files than it should."));
        }
        let learned = match &self.bring {
            Bring::Snapshot { compare } => self.replace(compare, file.plain_size, body)?,
            Bring::File { staged } => {
                self.feed(PUT_FILE, &[staged, &file.plain_size.to_string()], body)?;
                json!({"staged": staged})
            }
            Bring::Tree { staged } => {
                self.feed(PUT_TREE, &[staged], body)?;
                json!({"staged": staged})
            }
            Bring::Members { unpacked, members } => {
                let mut args = vec![unpacked.as_str(), "-"];
                args.extend(members.iter().flat_map(|member| [member.name.as_str(), member.path.as_str()]));
                self.feed(&format!("{PUT_TREE}{MOVE_MEMBERS}"), &args, body)?;
                json!({"staged": members})
            }
        };
        self.learned = Some(learned);
        Ok(())
    }
    fn finish(self: Box<Self>) -> Result<Value> {
        self.learned.ok_or_else(|| Failure::new(Exit::Integrity, "The snapshot has no file, so nothing was brought."))
    }
}

/// Counts what was taken and remembers that its own source failed.
struct Counted<'r> {
    inner: &'r mut dyn Read,
    count: u64,
    failed: Option<String>,
}

impl Read for Counted<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(out) {
            Ok(count) => {
                self.count += count as u64;
                Ok(count)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.failed = Some(error.to_string().trim_end_matches('.').to_owned());
                }
                Err(error)
            }
        }
    }
}

enum Poured {
    Read(io::Error),
    Write(io::Error),
}

fn pour(from: &mut dyn Read, to: &mut dyn Write) -> Result<(), Poured> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return to.flush().map_err(Poured::Write),
            Ok(count) => to.write_all(&buffer[..count]).map_err(Poured::Write)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Poured::Read(error)),
        }
    }
}
