//! Copying an item off: one stream, hashed, sealed and stored, while the same plain bytes are verified beside it.
//!
//! The reader's chunks go to the vault's writer on this thread and, through a bounded queue, to one verifier thread. So
//! a console that holds only public keys still proves what it stored, and memory does not grow with the item.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::board::{Board, Waits};
use crate::formats::{self, FormatError, Verdict, Verifier};
use crate::model::clock::{Clock, Entropy};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{ConsoleId, ItemRef, RunId, SnapshotId};
use crate::model::item::Item;
use crate::model::manifest::{MANIFEST_VERSION, Manifest, Proof, Rung, Source as Origin};
use crate::model::plan::Step;
use crate::model::text::CleanText;
use crate::services::{self, Cx, SourceFile};
use crate::transport::Script;
use crate::vault::{DOUBT, FileMeta, Holder, Sealing, StageRequest, Staging, Vault, VaultError};

/// Bytes that are read, stored and verified at a time.
const CHUNK: usize = 128 * 1024;
/// Chunks that may wait for the verifier.
const QUEUE: usize = 4;

/// Everything a capture writes with.
pub struct Capture<'e> {
    /// Where to.
    pub vault: &'e Vault,
    /// To whom it is sealed.
    pub sealing: &'e Sealing,
    /// The run.
    pub run: &'e RunId,
    /// This console.
    pub console: &'e ConsoleId,
    /// Time.
    pub clock: &'e dyn Clock,
    /// Randomness.
    pub entropy: &'e dyn Entropy,
    /// The item's place.
    pub place: ItemRef,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// The service's version, for the manifest.
    pub version: Option<CleanText>,
    /// What the preview told that the source tells again beside what it measured.
    pub foretold: Value,
}

/// The failure an operator reads for the vault's error.
pub fn vault_failure(error: &VaultError) -> Failure {
    error.into()
}

impl Capture<'_> {
    /// Copies, verifies and publishes; `counts` is asked last whether the copy counts at all.
    ///
    /// # Errors
    /// Nothing of the snapshot remains in the vault.
    pub fn run(&self, cx: &Cx, step: &Step, board: &Board, counts: &dyn Fn() -> Result<()>) -> Result<Value> {
        let kind = step.args["kind"].as_str().unwrap_or_default().to_owned();
        let item: Item = services::common::args_of(&step.args["item"])?;
        let driver = services::driver(&kind)?;
        let mut verifier = formats::verifier(&item.format).ok_or_else(|| {
            Failure::new(Exit::Failed, format!("This version of Lifeboat cannot verify the format '{}'.", item.format))
        })?;
        if step.args[services::common::KEEPS_DAMAGED] == true {
            verifier.note_damage();
        }
        let clock_skew = clock_skew(cx);
        let holder = Holder::this(self.console.clone());
        let request = StageRequest {
            run: self.run,
            item: &self.place,
            sensitivity: item.sensitivity,
            sealing: self.sealing,
            holder: &holder,
        };
        let staging = self.vault.stage(&request, self.clock, self.entropy).map_err(|e| vault_failure(&e))?;
        let mut args = step.args["source"].clone();
        if !self.foretold.is_null() {
            args["foretold"] = self.foretold.clone();
        }
        let mut source = driver.source(cx, &args)?;
        if let Some(size) = item.size {
            board.expect(size.0);
        }
        let Judged { verdict, damaged } =
            copy(cx, &mut *source, &staging, verifier, board).map_err(|failure| name_the_item(failure, &self.place))?;
        counts()?;
        let conclusion = driver.conclude(&item, &verdict.facts);
        if let Some(why) = conclusion.refused {
            return Err(Failure::new(Exit::Integrity, format!("The copy of {} was not kept: {why}.", self.place)));
        }
        let endpoint = cx.node.endpoint();
        let mut facts = item.facts.clone();
        if !facts.is_object() {
            facts = json!({});
        }
        for (key, value) in source.learned() {
            facts[key] = value;
        }
        facts["verified"] = json!(verdict.facts);
        let (mut marks, doubt) = (source.marks(), source.doubt());
        if let Some(why) = &doubt {
            facts[DOUBT] = json!(why);
            marks.insert(0, CleanText::new(&format!("does not count: {why}")));
        }
        marks.extend(conclusion.marks);
        marks.extend(damaged.iter().map(|what| CleanText::new(&format!("damaged: {what}"))));
        marks.extend(verdict.warnings.iter().map(|warning| CleanText::new(warning)));
        let now = self.clock.now();
        let mut manifest = Manifest {
            version: MANIFEST_VERSION,
            id: SnapshotId::new("described-below").map_err(|e| Failure::new(Exit::Failed, e.to_string()))?,
            item: self.place.clone(),
            kind,
            format: item.format.clone(),
            created: now,
            run: self.run.clone(),
            console: self.console.clone(),
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            reason: self.reason.clone().or_else(|| step.args["reason"].as_str().map(str::to_owned)),
            source: Origin {
                host: cx.host.clone(),
                address: endpoint.address.clone(),
                port: Some(endpoint.port).filter(|port| !matches!(port, 0 | 22)),
                via: endpoint.via.clone(),
                host_key: endpoint.host_key.clone(),
                clock_skew,
                version: self.version.clone(),
            },
            sensitivity: item.sensitivity,
            copying: item.copying,
            identities: conclusion.identities,
            facts,
            marks,
            recipients: Vec::new(),
            files: Vec::new(),
        };
        staging.describe(&mut manifest);
        let proofs = self.proofs(now, &item.format, &verdict, &damaged);
        // Publishing is one moment that nothing interrupts: the last wish to stop counts before it.
        cx.cancel.check().map_err(|error| services::common::as_failure(&error))?;
        let card = super::card::render(&manifest, &driver.recipe(&manifest));
        let published =
            staging.publish(&manifest, &proofs, &card, self.clock, self.entropy).map_err(|e| vault_failure(&e))?;
        Ok(json!({
            "snapshot": published.id, "item": self.place, "path": published.path, "sums_sha256": published.sums_sha256,
            "bytes": manifest.plain_size(), "identities": manifest.identities, "marks": manifest.marks,
            "remarks": source.remarks(), "damaged": damaged, DOUBT: doubt,
        }))
    }
}

/// What was found of the bytes that were stored.
struct Judged {
    verdict: Verdict,
    /// What was damaged on the node already, and was kept because it was asked for.
    damaged: Vec<String>,
}

impl Capture<'_> {
    /// What the copying itself showed: that all of it arrived, and whether it is sound.
    fn proofs(&self, at: jiff::Timestamp, format: &str, verdict: &Verdict, damaged: &[String]) -> [Proof; 2] {
        let proof = |rung, passed, detail| Proof {
            version: 1,
            rung,
            at,
            console: self.console.clone(),
            run: Some(self.run.clone()),
            passed,
            detail,
        };
        let arrived = "the node's own trailer and byte count agree with what arrived";
        let found = json!({
            "format": format, "entries": verdict.entries, "warnings": verdict.warnings, "damaged": damaged,
        });
        [
            proof(Rung::Copied, true, json!({"trailer": arrived, "bytes": verdict.plain_bytes})),
            proof(Rung::Verified, damaged.is_empty(), found),
        ]
    }
}

fn name_the_item(failure: Failure, place: &ItemRef) -> Failure {
    let message = format!("{place} was not copied: {}", failure.message);
    let failure = Failure { message, ..failure };
    if (failure.hints.is_empty() || failure.cut) && failure.exit != Exit::Cancelled {
        return failure.hint("Nothing of it was kept: run the same again once the cause is gone.");
    }
    failure
}

/// The node's clock minus the console's, in seconds; 0 when it does not tell.
fn clock_skew(cx: &Cx) -> i64 {
    let before = cx.clock.now().as_second();
    let told = cx.node.run(&Script::new("date +%s"), &[], 64, cx.cancel);
    let theirs = told.ok().and_then(|output| output.text().as_str().trim().parse::<i64>().ok());
    theirs.map_or(0, |theirs| theirs.saturating_sub(i64::midpoint(before, cx.clock.now().as_second())))
}

/// What travels to the verifier.
enum Piece {
    Start(String),
    Bytes(Chunk),
    End,
    /// Every file has travelled.
    Done,
}

/// Bytes on their way, in a buffer that is used again: a fresh one for each would cost more than copying into it.
struct Chunk {
    buffer: Vec<u8>,
    length: usize,
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

/// The writer's end of the queue to the verifier, and the way emptied buffers come back.
struct Tee {
    pieces: SyncSender<Piece>,
    emptied: Receiver<Vec<u8>>,
}

impl Tee {
    fn send(&self, piece: Piece) -> Result<(), Stopped> {
        self.pieces.send(piece).map_err(|_| Stopped::VerifierLeft)
    }

    /// A buffer that came back, or a new one: there are never more of them than the queue is long, and two.
    fn buffer(&self) -> Vec<u8> {
        self.emptied.try_recv().unwrap_or_else(|_| vec![0; CHUNK])
    }
}

fn copy(
    cx: &Cx,
    source: &mut dyn services::Source,
    staging: &Staging,
    verifier: Box<dyn Verifier>,
    board: &Board,
) -> Result<Judged> {
    std::thread::scope(|scope| {
        let (pieces, arriving) = sync_channel(QUEUE);
        let (empty, emptied) = channel();
        let tee = Tee { pieces, emptied };
        let judge = scope.spawn(move || verify(verifier, &arriving, &empty));
        let sent = store_all(cx, source, staging, &tee, board);
        drop(tee);
        let verdict =
            judge.join().unwrap_or_else(|_| Err(FormatError::io("", io::Error::other("the verifier stopped"))));
        match (sent, verdict) {
            (Ok(()), Ok(Some(verdict))) => Ok(Judged { verdict, damaged: Vec::new() }),
            // Only a verifier that was told to go on past damage says so.
            (Ok(()), Err(FormatError::Damaged(damaged))) => {
                Ok(Judged { damaged: damaged.sentences(), verdict: damaged.verdict })
            }
            // A file that arrived whole and is not sound is damage, whatever came after it: how it ends must not depend
            // on which of both was noticed first.
            (Err(Stopped::Between(failure)), Err(error)) if failure.exit == Exit::Failed => {
                Err(unsound(&error).hint(failure.message))
            }
            // When the stream itself broke, what the verifier thinks of the stump is no news.
            (Err(Stopped::By(failure) | Stopped::Between(failure)), _) => Err(failure),
            (Ok(()) | Err(Stopped::VerifierLeft), Err(error)) => Err(unsound(&error)),
            (Ok(()) | Err(Stopped::VerifierLeft), Ok(_)) => {
                Err(Failure::new(Exit::Failed, "the verifier ended before the stream did."))
            }
        }
    })
}

fn unsound(error: &FormatError) -> Failure {
    let failure = Failure::new(Exit::Integrity, format!("what arrived is not sound: {error}"));
    if error.leaves_the_rest_readable() {
        return failure.hint("Save it all the same, with what is damaged named on the snapshot: --set damaged=keep.");
    }
    failure.hint("It was cut short, or altered while it was read: try again, and when it stays so read the service's own log there.")
}

enum Stopped {
    /// The stream itself broke.
    By(Failure),
    /// The source failed when the files before had arrived whole.
    Between(Failure),
    VerifierLeft,
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::By(failure)
    }
}

fn store_all(
    cx: &Cx,
    source: &mut dyn services::Source,
    staging: &Staging,
    tee: &Tee,
    board: &Board,
) -> Result<(), Stopped> {
    while let Some(file) = source.next().map_err(Stopped::Between)? {
        store_one(cx, file, staging, tee, board)?;
        board.file_done();
    }
    tee.send(Piece::Done)
}

fn store_one(cx: &Cx, mut file: SourceFile, staging: &Staging, tee: &Tee, board: &Board) -> Result<(), Stopped> {
    let meta =
        FileMeta { origin: file.origin.clone(), mode: file.mode, owner: file.owner.clone(), group: file.group.clone() };
    let mut writer = staging.file(&file.name, meta).map_err(|e| vault_failure(&e))?;
    tee.send(Piece::Start(file.name.clone()))?;
    let mut spent = Spent::default();
    loop {
        cx.cancel.check().map_err(|error| services::common::as_failure(&error))?;
        let mut buffer = tee.buffer();
        let begun = cx.clock.elapsed();
        let length = fill(&mut *file.body, &mut buffer).map_err(|error| read_failure(cx, &file.name, &error))?;
        if length == 0 {
            break;
        }
        let arrived = cx.clock.elapsed();
        let chunk = Chunk { buffer, length };
        writer.put(chunk.bytes()).map_err(|e| vault_failure(&e))?;
        let stored = cx.clock.elapsed();
        board.moved(length as u64);
        tee.send(Piece::Bytes(chunk))?;
        spent.add(board, [begun, arrived, stored, cx.clock.elapsed()]);
    }
    writer.finish().map_err(|e| vault_failure(&e))?;
    tee.send(Piece::End)
}

/// Where the time of a copy goes: whole milliseconds go to the board, the rest waits for the next chunk.
#[derive(Default)]
struct Spent([Duration; 3]);

impl Spent {
    /// Adds the spans between four moments: for the node's bytes, the vault and the verifier.
    fn add(&mut self, board: &Board, moments: [Duration; 4]) {
        let spans = moments.iter().zip(moments.iter().skip(1)).map(|(from, to)| to.saturating_sub(*from));
        let mut millis = [0_u64; 3];
        for ((sum, span), whole) in self.0.iter_mut().zip(spans).zip(&mut millis) {
            *sum += span;
            *whole = u64::try_from(sum.as_millis()).unwrap_or(0);
            *sum -= Duration::from_millis(*whole);
        }
        let [link, vault, check] = millis;
        board.waited(Waits { link, vault, check });
    }
}

/// Reads until the buffer is full or the stream ends, so that small packets do not become small chunks.
fn fill(body: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match body.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn read_failure(cx: &Cx, name: &str, error: &io::Error) -> Failure {
    if let Some(inner) = error.get_ref().and_then(|e| e.downcast_ref::<crate::transport::TransportError>()) {
        return services::common::as_failure(inner);
    }
    if let Some(inner) = error.get_ref().and_then(|e| e.downcast_ref::<Failure>()) {
        return inner.clone();
    }
    let why = CleanText::new(&error.to_string());
    Failure::new(
        Exit::Failed,
        format!(
            "{} on {} could not be read to its end: {}.",
            CleanText::new(name),
            cx.host,
            why.as_str().trim_end_matches('.')
        ),
    )
}

/// Judges what arrives; nothing when files were still to come.
fn verify(
    mut verifier: Box<dyn Verifier>,
    pieces: &Receiver<Piece>,
    emptied: &Sender<Vec<u8>>,
) -> Result<Option<Verdict>, FormatError> {
    while let Ok(piece) = pieces.recv() {
        match piece {
            Piece::Start(name) => {
                let chunk = Chunk { buffer: Vec::new(), length: 0 };
                let mut file = PieceReader { pieces, emptied, chunk, at: 0, over: false };
                verifier.file(&name, &mut file)?;
                io::copy(&mut file, &mut io::sink()).map_err(|error| FormatError::io(&name, error))?;
            }
            Piece::Done => return verifier.finish().map(Some),
            Piece::Bytes(_) | Piece::End => {}
        }
    }
    Ok(None)
}

/// One file out of the queue, as a stream.
struct PieceReader<'q> {
    pieces: &'q Receiver<Piece>,
    emptied: &'q Sender<Vec<u8>>,
    chunk: Chunk,
    at: usize,
    over: bool,
}

impl Read for PieceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.length && !self.over {
            match self.pieces.recv() {
                Ok(Piece::Bytes(chunk)) => {
                    let read = std::mem::replace(&mut self.chunk, chunk);
                    self.at = 0;
                    if !read.buffer.is_empty() {
                        // The writer may be gone already; then nobody needs the buffer.
                        let _ = self.emptied.send(read.buffer);
                    }
                }
                Ok(Piece::End) => self.over = true,
                Ok(Piece::Start(_) | Piece::Done) | Err(_) => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream was cut"));
                }
            }
        }
        let rest = self.chunk.bytes().get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        Ok(count)
    }
}

/// What is known of a run's snapshots, for its receipt.
pub fn captured(outs: &BTreeMap<crate::model::ids::StepId, Value>) -> Vec<Value> {
    outs.values().filter(|out| out.get("sums_sha256").is_some()).cloned().collect()
}
