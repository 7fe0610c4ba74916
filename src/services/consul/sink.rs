//! Bytes back onto a node: the snapshot in one request, files beside their place.

use std::io::{self, Read};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::{Api, refusal};
use super::compare;
use super::ops::CompareArgs;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::manifest::StoredFile;
use crate::services::common::http::{HttpError, Payload, Request};
use crate::services::common::{feed, run_change};
use crate::services::{Cx, Sink};

/// A restore blocks until the leader is done.
const RESTORE_SILENCE: Duration = Duration::from_mins(30);

/// What to do when the request did not get through.
const NEXT: &str =
    "See that the servers are well (consul operator raft list-peers, and their logs), then restore it again.";

/// What is brought, and where it goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(super) enum Bring {
    /// The datacenter's state.
    Snapshot {
        /// How the result is looked at when the request's own end is lost.
        compare: Box<CompareArgs>,
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

/// The directory it goes into must be there: it is the agent's own.
const PLACE: &str = r#"umask 077
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

    fn bring(&self, text: &str, args: &[&str], name: &str, body: &mut dyn Read) -> Result<()> {
        feed(self.cx, (&format!("{PLACE}{text}"), args), name, body, &format!("Bringing {name}"), |_| ()).map(|_| ())
    }

    /// One request, sent once. What is not known afterwards is looked at, never tried again.
    fn replace(&self, compare: &CompareArgs, size: u64, body: &mut dyn Read) -> Result<Value> {
        let cx = self.cx;
        let doing = "Restoring the datacenter";
        run_change(cx, ":\n", "Checking the run").map_err(Failure::untouched)?;
        let api = Api::of(cx, &compare.access).map_err(Failure::untouched)?;
        let mut counted = Counted { inner: body, count: 0, failed: None };
        let request = Request::send("PUT", "/v1/snapshot", Payload::Sized(size, &mut counted));
        let answer = api.put(request.asking_first().within(RESTORE_SILENCE), doing).map_err(Failure::untouched)?;
        let whole = counted.count >= size;
        if let Some(error) = counted.failed {
            return Err(Failure::new(Exit::Integrity, format!("The snapshot could not be read to its end: {error}."))
                .state("Consul took nothing: it had not received the whole snapshot.")
                .untouched());
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
                    return Err(failure.state("Consul refused the snapshot before it changed anything.").untouched());
                }
                self.settle(compare, failure)
            }
            Ok(reply) => {
                let failure = refusal(cx, doing, reply.status, &reply.text());
                let failure = if failure.hints.is_empty() { failure.hint(NEXT) } else { failure };
                Err(failure.state("Consul refused the snapshot before it changed anything.").untouched())
            }
            Err(error) if whole && !matches!(error, HttpError::Unsendable(_)) => {
                self.settle(compare, error.failure(cx, doing))
            }
            Err(error) => Err(error
                .failure(cx, doing)
                .state("Consul took nothing: it had not received the whole snapshot.")
                .hint(NEXT)
                .untouched()),
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
            Err(look) => Err(look.hints.into_iter().fold(Failure { exit: Exit::Changed, ..failure }, Failure::hint)
                .state(format!("Whether the restore took place is unknown: {}", look.message))
                .hint("Look at the leader's log for 'restored user snapshot'. Do not send the snapshot again before you know.")
                .hint("A server that finds no leader and logs 'non-monotonic log entries' ended in the very middle and does not come back by itself: stop it, move the directory raft in its data directory aside, start it, and restore once more.")),
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
                self.bring(PUT_FILE, &[staged, &file.plain_size.to_string()], &file.name, body)?;
                json!({"staged": staged})
            }
            Bring::Tree { staged } => {
                self.bring(PUT_TREE, &[staged], &file.name, body)?;
                json!({"staged": staged})
            }
            Bring::Members { unpacked, members } => {
                let mut args = vec![unpacked.as_str(), "-"];
                args.extend(members.iter().flat_map(|member| [member.name.as_str(), member.path.as_str()]));
                self.bring(&format!("{PUT_TREE}{MOVE_MEMBERS}"), &args, &file.name, body)?;
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
