//! How a command ends: the exit codes are an interface.

use serde::{Deserialize, Serialize};

/// The documented end of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// Everything asked for was done and proven as far as stated.
    Done,
    /// It failed, and everything is as it was.
    Failed,
    /// The command line, the inventory or another setting is wrong; nothing was run.
    Usage,
    /// Of several targets some were done and some failed.
    Partly,
    /// Findings of level warning.
    Warning,
    /// Findings of level critical.
    Critical,
    /// It failed and something is not as it was; the message says what.
    Changed,
    /// The selector matched nothing.
    Nothing,
    /// A host key is unknown, changed, revoked or of a kind that is refused.
    HostKey,
    /// Login or becoming root was refused.
    Authentication,
    /// The host could not be reached, or the connection to it was lost; everything is as it was.
    Unreachable,
    /// The vault is missing, another one, locked, or no key opens it.
    Vault,
    /// Bytes are not what they must be.
    Integrity,
    /// A gate is open: a confirmation is needed that was not given.
    Confirmation,
    /// A fact the plan rests on has changed.
    Stale,
    /// The identity is alive elsewhere.
    AliveElsewhere,
    /// Not enough space, here or on the node.
    NoSpace,
    /// Cancelled by the operator; everything was brought back.
    Cancelled,
}

impl Exit {
    /// The process exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Partly => 3,
            Self::Warning => 4,
            Self::Critical => 5,
            Self::Changed => 6,
            Self::Nothing => 7,
            Self::HostKey => 10,
            Self::Authentication => 11,
            Self::Unreachable => 12,
            Self::Vault => 13,
            Self::Integrity => 14,
            Self::Confirmation => 15,
            Self::Stale => 16,
            Self::AliveElsewhere => 17,
            Self::NoSpace => 18,
            Self::Cancelled => 130,
        }
    }

    /// The one end of several targets: all alike, that one; `Changed` always wins; otherwise `Partly`.
    pub fn of_all(ends: impl IntoIterator<Item = Self>) -> Self {
        let mut all: Option<Self> = None;
        let mut mixed = false;
        for end in ends {
            if end == Self::Changed {
                return Self::Changed;
            }
            mixed |= all.is_some_and(|first| first != end);
            all.get_or_insert(end);
        }
        if mixed { Self::Partly } else { all.unwrap_or(Self::Nothing) }
    }
}

/// What is said of how things stand after a failure before the first change.
pub const NOTHING_CHANGED: &str = "Nothing was changed.";

/// A failure as an operator reads it: what failed, what state things are in now, what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The documented end it maps to.
    pub exit: Exit,
    /// One sentence: what failed, and on which node.
    pub message: String,
    /// What state things are in now. A run that failed always says so; whatever fails before one begins says that nothing
    /// was changed; what only reads says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Whether the connection went away under it, so that whether it acted is unknown until somebody looks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Whether it is known that nothing on the node was changed, although the step had begun.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untouched: bool,
    /// What to do next, each a sentence or a command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure with its sentence.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), state: None, cut: false, untouched: false, hints: Vec::new() }
    }
    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
    /// Says that nothing on the node was changed, and that this is known.
    #[must_use]
    pub fn untouched(mut self) -> Self {
        self.untouched = true;
        self
    }
    /// Says that nothing was changed, unless it says already how things stand: for whoever knows that nothing was begun.
    #[must_use]
    pub fn unchanged(mut self) -> Self {
        self.state.get_or_insert_with(|| NOTHING_CHANGED.to_owned());
        self
    }
    /// Says what state things are in now.
    #[must_use]
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.state = Some(state.into());
        self
    }
}

/// Every attempt in Lifeboat's upper layers ends in a value or a sentence for the operator.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_targets_fold_into_one_code() {
        assert_eq!(Exit::of_all([Exit::Done, Exit::Done]), Exit::Done);
        assert_eq!(Exit::of_all([Exit::Done, Exit::Unreachable]), Exit::Partly);
        assert_eq!(Exit::of_all([Exit::Done, Exit::Changed, Exit::Failed]), Exit::Changed);
        assert_eq!(Exit::of_all([]), Exit::Nothing);
    }
}
