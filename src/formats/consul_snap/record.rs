//! `state.bin`: a header, then records to the end.

use super::digest::{Ids, KvFold};
use super::types::{MessageType, TypeClass};
use super::{KvDetails, SnapError, SnapMeta, SnapOptions, SnapSummary, SnapVisitor, Tally};
use crate::formats::msgpack_skip::{Cursor, MsgpackError, copy_value};
use crate::formats::text::EntryName;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read};
use zeroize::Zeroizing;

/// One record, without its content.
#[derive(Debug, Clone, Copy)]
pub struct SnapRecord {
    /// Its number, from 1.
    pub number: u64,
    /// Where its type byte stands in `state.bin`.
    pub offset: u64,
    /// Its bytes, the type byte included; the header is not counted here.
    pub size: u64,
    /// Its type.
    pub kind: MessageType,
    /// SHA-256 of its value, when the visitor wanted hashes.
    pub sha256: Option<[u8; 32]>,
}

/// One key with its value, as the server held it.
#[derive(Clone, Copy)]
pub struct KvRecord<'a> {
    /// The key: bytes, not always text.
    pub key: &'a [u8],
    /// The value. May be a secret: it is lent, not given.
    pub value: &'a [u8],
    /// The number an application may attach.
    pub flags: u64,
    /// How often it was locked.
    pub lock_index: u64,
    /// When it was made.
    pub create_index: u64,
    /// When it was last changed.
    pub modify_index: u64,
    /// The session that holds it, or empty.
    pub session: &'a [u8],
}

impl std::fmt::Debug for KvRecord<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KvRecord({}, {} bytes)", EntryName::from(self.key), self.value.len())
    }
}

/// What the records add up to.
pub(super) struct State {
    pub(super) bytes: u64,
    last_index: u64,
    records: u64,
    by_type: BTreeMap<MessageType, Tally>,
    kv: KvFold,
    tokens: Ids,
    legacy_tokens: u64,
    policies: Ids,
    roles: Ids,
    entries: Ids,
    groups: Option<(KvDetails, usize, BTreeMap<EntryName, Tally>)>,
}

impl State {
    fn new(options: &SnapOptions) -> Self {
        let limits = &options.limits;
        Self {
            bytes: 0,
            last_index: 0,
            records: 0,
            by_type: BTreeMap::new(),
            kv: KvFold::new(limits.max_held_keys),
            tokens: Ids::new("ACL tokens", limits.max_ids),
            legacy_tokens: 0,
            policies: Ids::new("ACL policies", limits.max_ids),
            roles: Ids::new("ACL roles", limits.max_ids),
            entries: Ids::new("configuration entries", limits.max_ids),
            groups: options.kv_details.clone().map(|details| (details, limits.max_groups, BTreeMap::new())),
        }
    }

    pub(super) fn into_summary(self, meta: SnapMeta, state_sha256: [u8; 32], file_bytes: u64) -> SnapSummary {
        let of = |class| -> BTreeSet<_> { self.by_type.keys().filter(|kind| kind.class() == class).copied().collect() };
        SnapSummary {
            meta,
            last_index: self.last_index,
            records: self.records,
            state_sha256,
            file_bytes,
            enterprise_types: of(TypeClass::Enterprise),
            unknown_types: of(TypeClass::Unknown),
            by_type: self.by_type,
            kv: self.kv.finish(),
            acl_tokens: self.tokens.finish(),
            legacy_tokens: self.legacy_tokens,
            acl_policies: self.policies.finish(),
            acl_roles: self.roles.finish(),
            config_entries: self.entries.finish(),
            kv_groups: self.groups.map(|(_, _, groups)| groups),
        }
    }
}

/// Reads every record. One at a time is in memory, in a buffer that is wiped at the end.
pub(super) fn read_state(
    content: &mut dyn Read,
    options: &SnapOptions,
    visitor: &mut dyn SnapVisitor,
) -> Result<State, SnapError> {
    let limits = &options.limits.record;
    let mut input = BufReader::with_capacity(64 * 1024, content);
    let mut body = Zeroizing::new(Vec::with_capacity(64 * 1024));
    let mut state = State::new(options);
    state.bytes = copy_value(&mut input, &mut body, limits).map_err(SnapError::Header)?;
    state.last_index = last_index(&body)?;
    // The header counts towards the first record.
    let mut since = 0;
    while let Some(kind) = type_byte(&mut input)? {
        body.clear();
        let offset = state.bytes;
        let place = Place { number: state.records + 1, offset, kind };
        let length = copy_value(&mut input, &mut body, limits).map_err(|reason| place.unread(reason))?;
        state.records += 1;
        state.bytes += 1 + length;
        let size = state.bytes - since;
        since = state.bytes;
        state.by_type.entry(kind).or_default().add(size);
        place.take(&mut state, &body, size, visitor)?;
        let sha256 = visitor.wants_hashes().then(|| Sha256::digest(body.as_slice()).into());
        let record = SnapRecord { number: place.number, offset, size: 1 + length, kind, sha256 };
        if visitor.record(&record).is_break() {
            return Err(SnapError::Stopped { number: place.number });
        }
    }
    Ok(state)
}

fn type_byte(input: &mut impl Read) -> Result<Option<MessageType>, SnapError> {
    let mut byte = [0];
    loop {
        match input.read(&mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(MessageType(byte[0]))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The walk below knows what went wrong, and reports that instead.
            Err(error) => return Err(SnapError::Header(MsgpackError::Read(error))),
        }
    }
}

fn last_index(header: &[u8]) -> Result<u64, SnapError> {
    let mut cursor = Cursor::new(header);
    let mut found = None;
    for _ in 0..cursor.map().map_err(SnapError::Header)? {
        if cursor.text().map_err(SnapError::Header)? == b"LastIndex" {
            found = Some(cursor.unsigned().map_err(SnapError::Header)?);
        } else {
            cursor.skip().map_err(SnapError::Header)?;
        }
    }
    found.ok_or(SnapError::NoIndex)
}

/// Where a record stands, for what is said about it.
#[derive(Clone, Copy)]
struct Place {
    number: u64,
    offset: u64,
    kind: MessageType,
}

impl Place {
    const fn unread(self, reason: MsgpackError) -> SnapError {
        SnapError::Record { number: self.number, offset: self.offset, kind: self.kind, reason }
    }

    const fn field(self, field: &'static str) -> SnapError {
        SnapError::Field { number: self.number, offset: self.offset, kind: self.kind, field }
    }

    /// Looks into the records that are more than counted.
    fn take(self, state: &mut State, body: &[u8], size: u64, visitor: &mut dyn SnapVisitor) -> Result<(), SnapError> {
        match self.kind {
            MessageType::KVS => {
                let record = self.kv(body)?;
                state.kv.add(record.key, record.flags, record.value);
                if let Some((details, max, groups)) = &mut state.groups {
                    group(details, *max, groups, record.key, size)?;
                }
                if visitor.kv(&record).is_break() {
                    return Err(SnapError::Stopped { number: self.number });
                }
            }
            MessageType::ACL_TOKEN => match self.id(body, b"AccessorID")? {
                None | Some(b"") => state.legacy_tokens += 1,
                Some(id) => state.tokens.add(&[id])?,
            },
            MessageType::ACL_POLICY => state.policies.add(&[self.needed(body, b"ID", "ID")?])?,
            MessageType::ACL_ROLE => state.roles.add(&[self.needed(body, b"ID", "ID")?])?,
            MessageType::CONFIG_ENTRY => {
                let (kind, name) = self.config_entry(body)?;
                state.entries.add(&[kind, name])?;
            }
            _ => {}
        }
        Ok(())
    }

    fn kv(self, body: &[u8]) -> Result<KvRecord<'_>, SnapError> {
        let mut cursor = Cursor::new(body);
        let mut key = None;
        let mut value = None;
        let mut record =
            KvRecord { key: &[], value: &[], flags: 0, lock_index: 0, create_index: 0, modify_index: 0, session: &[] };
        let unread = |reason| self.unread(reason);
        for _ in 0..cursor.map().map_err(unread)? {
            match cursor.text().map_err(unread)? {
                b"Key" => once(&mut key, cursor.text().map_err(unread)?, || self.field("Key"))?,
                b"Value" => once(&mut value, cursor.text().map_err(unread)?, || self.field("Value"))?,
                b"Session" => record.session = cursor.text().map_err(unread)?,
                b"Flags" => record.flags = cursor.unsigned().map_err(unread)?,
                b"LockIndex" => record.lock_index = cursor.unsigned().map_err(unread)?,
                b"CreateIndex" => record.create_index = cursor.unsigned().map_err(unread)?,
                b"ModifyIndex" => record.modify_index = cursor.unsigned().map_err(unread)?,
                _ => {
                    cursor.skip().map_err(unread)?;
                }
            }
        }
        record.key = key.ok_or_else(|| self.field("Key"))?;
        record.value = value.unwrap_or_default();
        Ok(record)
    }

    /// One text field of a map, when it is there.
    fn id<'a>(self, body: &'a [u8], wanted: &[u8]) -> Result<Option<&'a [u8]>, SnapError> {
        let mut cursor = Cursor::new(body);
        let mut found = None;
        for _ in 0..cursor.map().map_err(|reason| self.unread(reason))? {
            if cursor.text().map_err(|reason| self.unread(reason))? == wanted {
                found = Some(cursor.text().map_err(|reason| self.unread(reason))?);
            } else {
                cursor.skip().map_err(|reason| self.unread(reason))?;
            }
        }
        Ok(found)
    }

    fn needed<'a>(self, body: &'a [u8], wanted: &[u8], field: &'static str) -> Result<&'a [u8], SnapError> {
        self.id(body, wanted)?.ok_or_else(|| self.field(field))
    }

    /// A configuration entry is one byte string that holds its kind, then the request with the entry in it.
    fn config_entry(self, body: &[u8]) -> Result<(&[u8], &[u8]), SnapError> {
        let inner = Cursor::new(body).text().map_err(|reason| self.unread(reason))?;
        let mut cursor = Cursor::new(inner);
        let kind = cursor.text().map_err(|reason| self.unread(reason))?;
        let mut name = None;
        for _ in 0..cursor.map().map_err(|reason| self.unread(reason))? {
            let field = cursor.text().map_err(|reason| self.unread(reason))?;
            let value = cursor.skip().map_err(|reason| self.unread(reason))?;
            if field == b"Entry" {
                name = self.id(value, b"Name")?;
            }
        }
        // Some kinds exist once in a datacenter and have no name.
        Ok((kind, name.unwrap_or_default()))
    }
}

fn once<T>(slot: &mut Option<T>, value: T, twice: impl FnOnce() -> SnapError) -> Result<(), SnapError> {
    if slot.replace(value).is_some() { Err(twice()) } else { Ok(()) }
}

fn group(
    details: &KvDetails,
    max: usize,
    groups: &mut BTreeMap<EntryName, Tally>,
    key: &[u8],
    size: u64,
) -> Result<(), SnapError> {
    if !key.starts_with(&details.filter) {
        return Ok(());
    }
    let parts: Vec<&[u8]> = key.split(|byte| *byte == b'/').take(details.depth).collect();
    let name = EntryName::new(parts.join(b"/".as_slice()));
    if groups.len() >= max && !groups.contains_key(&name) {
        return Err(SnapError::TooMany { what: "groups of keys", limit: max });
    }
    groups.entry(name).or_default().add(size);
    Ok(())
}
