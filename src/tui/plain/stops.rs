//! Ctrl-z in menus: they are asked before the program stops.

use std::io;
use std::thread::Builder;

use signal_hook::consts::SIGTSTP;
use signal_hook::iterator::Signals;
use tokio::sync::broadcast::{Receiver, Sender, channel};

use crate::process::{can_come_back, go_on, stop_group};

/// Hears ctrl-z for as long as the program lives.
///
/// The terminal tells the whole group at once. A child that it meets before it runs as such would wait there, and this
/// program for it ([`go_on`]): so all that was met goes on first. Then whoever sits is asked; where nobody does, the group
/// is stopped.
pub struct Stops(Sender<()>);

impl Stops {
    /// Begins to hear. Once in a program: each hearer would stop it.
    ///
    /// # Errors
    /// The signal cannot be taken, or its thread cannot be started.
    pub fn hear() -> io::Result<Self> {
        let mut signals = Signals::new([SIGTSTP])?;
        // A second wish before the first was looked at adds nothing.
        let (asks, _) = channel(1);
        let asked = asks.clone();
        Builder::new().name("stops".to_owned()).spawn(move || {
            for _ in signals.forever() {
                let stopped = go_on().and_then(|()| {
                    let is_taken = asked.send(()).is_ok();
                    if is_taken || !can_come_back() { Ok(()) } else { stop_group() }
                });
                if let Err(error) = stopped {
                    tracing::warn!("The menus cannot be stopped: {error}.");
                }
            }
        })?;
        Ok(Self(asks))
    }

    /// Takes over what ctrl-z does, until it is dropped.
    pub fn take_over(&self) -> Wishes {
        Wishes(self.0.subscribe())
    }
}

/// Wishes to stop, for whoever sits to ask about and to carry out.
pub struct Wishes(Receiver<()>);

impl Wishes {
    /// Waits for the next one.
    pub async fn next(&mut self) {
        // What lies too far back was one as well; its end never comes while the program hears.
        let _ = self.0.recv().await;
    }
}
