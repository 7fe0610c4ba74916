//! Bytes off a node: the snapshot over HTTP, files and archives over a script.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::{Access, Api, is_settling, no_leader, refusal};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::text::CleanText;
use crate::model::units::Seconds;
use crate::services::common::http::{BodyReader, Framing, Head, Request};
use crate::services::common::{ScriptReader, as_failure};
use crate::services::{Cx, Source, SourceFile};
use crate::transport::Script;

/// How many seconds a server may take to write its snapshot before the first byte, and its stream may stand still.
pub(super) const SILENCE: Seconds = Seconds(600);

fn silence() -> Seconds {
    SILENCE
}

/// What is copied.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(super) enum Wanted {
    /// The datacenter's state.
    Snapshot {
        /// The agent that serves it.
        access: Access,
        /// Whether any server may answer with what it knows.
        stale: bool,
        /// The version that was seen.
        version: Option<CleanText>,
        /// The datacenter that was seen.
        seen: Option<String>,
        /// How long nothing may be heard of it.
        #[serde(default = "silence")]
        silence: Seconds,
    },
    /// One file.
    File {
        /// Its name in the snapshot.
        name: String,
        /// Where it stands.
        path: String,
    },
    /// A directory, or some files of it, as a tar.
    Tar {
        /// The archive's name in the snapshot.
        name: String,
        /// The directory.
        path: String,
        /// Names inside it; everything when empty.
        files: Vec<String>,
    },
}

/// Copies one file off the node.
pub(super) struct Copy<'a> {
    cx: &'a Cx<'a>,
    wanted: Wanted,
    begun: bool,
    /// Who led when a consistent copy began.
    leader: Option<String>,
    marks: Vec<CleanText>,
    learned: BTreeMap<String, Value>,
}

impl<'a> Copy<'a> {
    pub fn new(cx: &'a Cx<'a>, wanted: Wanted) -> Self {
        Self { cx, wanted, begun: false, leader: None, marks: Vec::new(), learned: BTreeMap::new() }
    }

    fn script(&self, script: Script, what: &str) -> Result<ScriptReader> {
        let hours = Duration::from_hours(1);
        let script = script.as_root().within(hours, Duration::from_mins(2));
        let running = self.cx.node.start(&script, self.cx.cancel).map_err(|error| as_failure(&error))?;
        Ok(ScriptReader::new(running, format!("{what} on {}", self.cx.host)))
    }
}

/// How long a datacenter whose servers changed is asked again; Raft settles with the next entry, which comes within seconds.
const SETTLING: Duration = Duration::from_mins(1);

/// Opens a snapshot's stream; the reply's head has said yes.
///
/// After a server joined, left or got its vote back, Raft takes no snapshot until that entry of its configuration is
/// applied, and answers so at once. Nothing was begun then, so it is asked again for up to a minute.
pub(super) fn open_snapshot(cx: &Cx, api: &Api, stale: bool, silence: Seconds) -> Result<(Head, BodyReader)> {
    let doing = "Taking a Consul snapshot";
    let target = if stale { "/v1/snapshot?stale" } else { "/v1/snapshot" };
    let started = cx.clock.elapsed();
    let (head, body) = loop {
        let (head, mut body) = api.open(Request::get(target).within(silence.into()), doing)?;
        if head.status == 200 {
            break (head, body);
        }
        let mut said = Vec::new();
        let _ = body.by_ref().take(4096).read_to_end(&mut said);
        let said = CleanText::from_bytes(&said).one_line();
        if !is_settling(head.status, said.as_str()) || cx.clock.elapsed().saturating_sub(started) >= SETTLING {
            return Err(refusal(cx, doing, head.status, &said));
        }
        cx.pause(Duration::from_secs(1))?;
    };
    if head.framing == Framing::UntilClose {
        let why = "its reply does not declare an end, so a cut one could not be told from a whole one";
        return Err(Failure::new(Exit::Failed, format!("{doing} on {} failed: {why}.", cx.host))
            .hint("Something between the tunnel and Consul rewrites its replies; point 'http' at the agent itself."));
    }
    Ok((head, body))
}

/// What a snapshot's reply says of it.
fn read_head(head: &Head, stale: bool, marks: &mut Vec<CleanText>, learned: &mut BTreeMap<String, Value>) {
    let number = |name| head.header(name).and_then(|text| text.parse::<u64>().ok());
    let known = head.header("x-consul-knownleader").map(|text| text.eq_ignore_ascii_case("true"));
    let contact = number("x-consul-lastcontact");
    learned.insert("mode".to_owned(), json!(if stale { "stale" } else { "consistent" }));
    learned.insert("index".to_owned(), json!(number("x-consul-index")));
    learned.insert("last_contact_ms".to_owned(), json!(contact));
    learned.insert("known_leader".to_owned(), json!(known));
    if stale {
        let contact = contact.map_or("unknown".to_owned(), |ms| format!("{ms} ms ago"));
        let leader = match known {
            Some(true) => "it knew a leader",
            Some(false) => "it knew no leader",
            None => "whether it knew a leader is unknown",
        };
        marks.push(format!("stale read: last contact with the leader {contact}, {leader}").into());
    } else if known == Some(false) {
        marks.push("the server that answered knew no leader".into());
    }
}

impl Source for Copy<'_> {
    fn next(&mut self) -> Result<Option<SourceFile<'_>>> {
        if std::mem::replace(&mut self.begun, true) {
            // A leader that moved meanwhile is a datacenter in trouble: what it gave is not kept as good.
            if let (Wanted::Snapshot { access, .. }, Some(leader)) = (&self.wanted, &self.leader) {
                Api::of(self.cx, access)?.still_led_by(leader)?;
            }
            return Ok(None);
        }
        let file = |name: &str, origin: &str, body: Box<dyn Read + Send>| SourceFile {
            name: name.to_owned(),
            origin: origin.into(),
            mode: Some(0o600),
            owner: None,
            group: None,
            expected: None,
            body,
        };
        match &self.wanted {
            Wanted::Snapshot { access, stale, version, seen, silence } => {
                let api = Api::of(self.cx, access)?;
                if !stale {
                    let leader = api.leader()?.ok_or_else(|| no_leader(self.cx))?;
                    self.learned.insert("leader".to_owned(), json!(leader));
                    self.leader = Some(leader);
                }
                let (head, body) = open_snapshot(self.cx, &api, *stale, *silence)?;
                read_head(&head, *stale, &mut self.marks, &mut self.learned);
                self.learned.insert("version".to_owned(), json!(version));
                self.learned.insert("datacenter".to_owned(), json!(seen));
                let origin = format!("{}/v1/snapshot", access.http.for_cli());
                Ok(Some(file("state.snap", &origin, Box::new(body))))
            }
            Wanted::File { name, path } => {
                let reader = self.script(Script::new("exec cat -- \"$1\"\n").arg(path), "cat")?;
                Ok(Some(file(name, path, Box::new(reader))))
            }
            Wanted::Tar { name, path, files } => {
                let mut script = Script::new(
                    "d=$1\nshift\n[ $# -gt 0 ] || set -- .\nexec tar --create --file=- --format=gnu -C \"$d\" -- \"$@\"\n",
                )
                .arg(path);
                for inside in files {
                    script = script.arg(inside);
                }
                let reader = self.script(script, "tar")?;
                Ok(Some(file(name, path, Box::new(reader))))
            }
        }
    }
    fn marks(&self) -> Vec<CleanText> {
        self.marks.clone()
    }
    fn learned(&self) -> BTreeMap<String, Value> {
        self.learned.clone()
    }
}
