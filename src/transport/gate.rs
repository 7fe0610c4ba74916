//! What is seen of a script's streams before they are its own: a login shell's noise, and `sudo`'s question.

use secrecy::SecretString;

use super::{Rights, script::Wrapped};

/// How much noise is kept to explain why a script never began.
const MOST: usize = 64 * 1024;

/// What must be seen before a script's streams are its own.
pub(super) struct Gate {
    mark: Vec<u8>,
    prompt: Vec<u8>,
    pub(super) password: Option<SecretString>,
    pub(super) rights: Rights,
    pub(super) output: Option<Vec<u8>>,
    pub(super) errors: Option<Vec<u8>>,
}

impl Gate {
    pub(super) fn new(wrapped: &Wrapped, rights: Rights) -> Self {
        Self {
            mark: format!("{}+\n", wrapped.nonce).into_bytes(),
            prompt: format!("{}?", wrapped.nonce).into_bytes(),
            password: wrapped.password.clone(),
            rights,
            output: Some(Vec::new()),
            errors: Some(Vec::new()),
        }
    }

    /// What of `bytes` belongs to the script's output.
    pub(super) fn output(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        pass(&mut self.output, &self.mark, bytes)
    }

    /// What of `bytes` belongs to the script's errors.
    pub(super) fn errors(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        pass(&mut self.errors, &self.mark, bytes)
    }

    /// Whether both marks were seen.
    pub(super) fn is_open(&self) -> bool {
        self.output.is_none() && self.errors.is_none()
    }

    /// Whether a password prompt came; it is taken out of what was seen.
    pub(super) fn asked(&mut self) -> bool {
        let Some(seen) = self.errors.as_mut() else { return false };
        let Some(at) = seen.windows(self.prompt.len()).position(|w| w == self.prompt) else { return false };
        seen.drain(at..at + self.prompt.len());
        true
    }
}

/// Collects in `seen` until `mark` was found, then gives what follows it; start files may print 64 KiB before it.
fn pass(seen: &mut Option<Vec<u8>>, mark: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    let Some(held) = seen.as_mut() else { return Some(bytes.to_vec()) };
    held.extend_from_slice(bytes);
    if let Some(at) = held.windows(mark.len()).position(|w| w == mark) {
        let rest = held.split_off(at + mark.len());
        *seen = None;
        return Some(rest);
    }
    if held.len() > MOST {
        let cut = held.len() - MOST / 2;
        held.drain(..cut);
    }
    None
}
