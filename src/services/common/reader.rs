//! A script's standard output as a stream that cannot end well unless the script did.

use std::io::{self, Read};

use crate::transport::{End, Finished, Running};

/// Reads a script's output; at its end the script's own trailer is judged before end-of-file is given.
///
/// So a consumer that reads to the end, and only to the end, holds bytes the node itself vouched for. Statuses that
/// are no failure (GNU tar's 1, "file changed as we read it") are named by the maker and reported afterwards.
pub struct ScriptReader {
    what: String,
    tolerated: &'static [i32],
    state: State,
}

enum State {
    Running(Box<dyn Running>),
    Finished(Finished),
    Failed,
}

impl std::fmt::Debug for ScriptReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScriptReader").field("what", &self.what).finish_non_exhaustive()
    }
}

impl ScriptReader {
    /// Reads `running`; `what` names it in errors: "tar on val-1".
    pub fn new(running: Box<dyn Running>, what: impl Into<String>) -> Self {
        Self { what: what.into(), tolerated: &[], state: State::Running(running) }
    }
    /// Also takes these statuses for an end; see [`ScriptReader::finished`].
    #[must_use]
    pub fn tolerating(mut self, statuses: &'static [i32]) -> Self {
        self.tolerated = statuses;
        self
    }
    /// How it ended, once it was read to its end.
    pub fn finished(&self) -> Option<&Finished> {
        match &self.state {
            State::Finished(finished) => Some(finished),
            State::Running(_) | State::Failed => None,
        }
    }

    fn end(&mut self) -> io::Result<usize> {
        let State::Running(running) = std::mem::replace(&mut self.state, State::Failed) else {
            return Err(io::Error::other(format!("{} has already failed.", self.what)));
        };
        let finished = running.finish().map_err(io::Error::other)?;
        let ended_well = match finished.end {
            End::Exited(0) => true,
            End::Exited(status) => self.tolerated.contains(&status),
            End::Killed(_) | End::Unknown => false,
        };
        if !ended_well {
            let said = finished.stderr.last_line().trim_end_matches('.').to_owned();
            let end = match finished.end {
                End::Exited(status) => format!("ended with status {status}"),
                End::Killed(signal) => format!("was killed by signal {signal}"),
                End::Unknown => "was cut off: its own trailer never arrived".to_owned(),
            };
            let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
            return Err(io::Error::other(format!("{} {end}{said}.", self.what)));
        }
        self.state = State::Finished(finished);
        Ok(0)
    }
}

impl Read for ScriptReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Running(running) => match running.read(buffer)? {
                0 if !buffer.is_empty() => self.end(),
                count => Ok(count),
            },
            State::Finished(_) => Ok(0),
            State::Failed => Err(io::Error::other(format!("{} has already failed.", self.what))),
        }
    }
}
