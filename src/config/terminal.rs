//! What the operator's terminal is like.

use rustix::termios::tcgetwinsize;

/// How many columns the terminal of standard error has; `None` when it is none, or does not say.
pub fn columns() -> Option<usize> {
    let size = tcgetwinsize(std::io::stderr()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
