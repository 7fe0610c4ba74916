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

/// Renews one node's guard until it is dropped.
///
/// When renewing fails it simply tries again: the node itself decides when it has waited long enough, and every
/// changing script finds out that the guard has acted.
#[derive(Debug)]
pub struct Heartbeat {
    stop: Cancel,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Starts renewing four times a lapse, over a second login if the node gives one.
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
                let node = own.take().or_else(|| first.again().ok()).unwrap_or_else(|| first.clone());
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
