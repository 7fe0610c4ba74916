//! What could not be read on the way to a login, told wherever it may be the reason for what happens.

use std::sync::Arc;

use super::super::TransportError;
use super::super::known_hosts::KnownHosts;
use super::{Shared, SshSpec};
use crate::model::text::CleanText;

/// Notes kept of one login; a file of rubbish has thousands.
const MOST: usize = 8;

/// Everything worth a sentence of the way to a host, that of its jump hosts included.
pub(super) fn of(spec: &SshSpec, known: &KnownHosts, via: Option<&Arc<Shared>>) -> Vec<String> {
    let hops = via.iter().flat_map(|hop| hop.endpoint.notes.iter().cloned());
    let mut notes: Vec<String> = hops.collect();
    for note in spec.notes.iter().chain(&known.notes).map(|note| CleanText::new(note).one_line().to_string()) {
        // Jump hosts are known from the same files.
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    if let Some(more) = notes.len().checked_sub(MOST).filter(|more| *more > 0) {
        notes.truncate(MOST);
        notes.push(format!("and {more} more like these"));
    }
    notes
}

/// A failure that an unread setting or key may be the reason of, with the notes after it.
pub(super) fn told_with(mut error: TransportError, notes: &[String]) -> TransportError {
    use TransportError as E;
    if !notes.is_empty()
        && let E::Unreachable { why, .. } | E::HostKey { why, .. } | E::Login { why, .. } = &mut error
    {
        *why = format!("{why} (note: {})", notes.join("; "));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_bounded_cleaned_and_told_once() {
        let mut spec = SshSpec::new("n", "n", 22, "ops");
        spec.notes = vec!["ssh -G failed (\u{1b}[2J)".into()];
        let mut known = KnownHosts::default();
        known.add("kh".as_ref(), "@revoked x\n");
        assert_eq!(of(&spec, &known, None), ["ssh -G failed (\\x1b[2J)", "kh:1: the line is too short"]);
        known.add("other".as_ref(), &"rubbish\n".repeat(1000));
        let notes = of(&spec, &known, None);
        assert_eq!((notes.len(), notes[MOST].as_str()), (MOST + 1, "and 994 more like these"));
    }
}
