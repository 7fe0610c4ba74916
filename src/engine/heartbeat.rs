//! Telling a guard that somebody still watches, from a thread and a login of its own.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::node_run::renew_guard;
use crate::model::clock::Clock;
use crate::model::ids::HostId;
use crate::model::secret::Secrets;
use crate::model::units::Seconds;
use crate::services::{Cx, Mark};
use crate::transport::{Cancel, Transport};

/// Whether the heartbeat that beats next is to fail.
#[cfg(debug_assertions)]
static FAILS: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Has the heartbeat that beats next fail inside, on its own thread: tests see what becomes of its node.
#[cfg(debug_assertions)]
pub fn fail_inside() {
    FAILS.store(true, std::sync::atomic::Ordering::Relaxed);
}

/// Renews one node's guard until it is dropped.
///
/// When renewing fails it simply tries again: the node itself decides when it has waited long enough, and every
/// changing script finds out that the guard has acted. One that fails inside beats no more, and the node decides too.
#[derive(Debug)]
pub struct Heartbeat {
    stop: Cancel,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Starts renewing four times a lapse, over a second login if the node gives one.
    ///
    /// Its thread panics only where it was told to, which only debug builds can be.
    pub fn start(
        link: &Arc<dyn Transport>,
        host: HostId,
        mark: Mark,
        lapse: Seconds,
        clock: Arc<dyn Clock>,
        secrets: Arc<dyn Secrets>,
    ) -> Self {
        let stop = Cancel::new();
        let stopped = stop.clone();
        let first = link.clone();
        let turn = Duration::from(lapse) / 4;
        let thread = std::thread::spawn(move || {
            let mut own: Option<Arc<dyn Transport>> = None;
            while !stopped.wait(turn) {
                #[cfg(debug_assertions)]
                assert!(!FAILS.swap(false, std::sync::atomic::Ordering::Relaxed), "a heartbeat was told to fail");
                let limit = stopped.within(turn.max(Duration::from_secs(5)));
                let node = own.take().or_else(|| first.again(&limit).ok()).unwrap_or_else(|| first.clone());
                let limit = stopped.within(turn.max(Duration::from_secs(5)));
                let cx = Cx {
                    host: &host,
                    node: &*node,
                    cancel: &limit,
                    clock: &*clock,
                    secrets: &*secrets,
                    run: Some(&mark),
                };
                if renew_guard(&cx).is_ok() {
                    own = Some(node);
                }
            }
            if let Some(own) = own.filter(|own| !Arc::ptr_eq(own, &first)) {
                own.hang_up();
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::engine::world::SystemClock;
    use crate::model::ids::RunId;
    use crate::model::secret::{SecretRef, SecretString};
    use crate::transport::mute::Mute;

    struct Nothing;
    impl Secrets for Nothing {
        fn resolve(&self, _: &SecretRef, purpose: &str) -> std::result::Result<SecretString, String> {
            Err(format!("no secret for {purpose}"))
        }
    }

    #[test]
    fn it_ends_at_once_also_while_it_logs_in() {
        let link: Arc<dyn Transport> = Arc::new(Mute::default());
        let mark = Mark { run: RunId::new("20261120T184500Z-7f3a9c").unwrap(), owner: "console-1 1".into() };
        let host = HostId::new("n1").unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let heart = Heartbeat::start(&link, host, mark, Seconds(1), clock, Arc::new(Nothing));
        std::thread::sleep(Duration::from_millis(600));
        let began = Instant::now();
        drop(heart);
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}
