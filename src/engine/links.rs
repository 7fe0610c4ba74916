//! Logins to the nodes a command touches: made when first needed, shared, made again when lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::model::inventory::{Host, Inventory};
use crate::services::common::as_failure;
use crate::transport::{Cancel, Transport, TransportError};

/// Makes logins. The program's own goes over SSH or stays local; tests hand in sandboxes and faults.
pub trait Dialer: Send + Sync {
    /// Logs in to a host of the inventory.
    fn connect(
        &self,
        host: &Host,
        inventory: &Inventory,
        cancel: &Cancel,
    ) -> Result<Arc<dyn Transport>, TransportError>;
}

/// The logins of one command.
pub struct Links<'e> {
    dialer: &'e dyn Dialer,
    inventory: &'e Inventory,
    open: Mutex<BTreeMap<HostId, Slot>>,
}

/// One host's login. Whoever makes it holds the slot, so that others wait for it instead of making one each.
type Slot = Arc<Mutex<Option<Arc<dyn Transport>>>>;

impl std::fmt::Debug for Links<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Links").field("open", &open.keys().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

impl<'e> Links<'e> {
    /// No login yet.
    pub fn new(dialer: &'e dyn Dialer, inventory: &'e Inventory) -> Self {
        Self { dialer, inventory, open: Mutex::default() }
    }

    /// The host's entry in the inventory.
    pub fn host(&self, id: &HostId) -> Result<&'e Host> {
        self.inventory.hosts.get(id).ok_or_else(|| {
            Failure::new(Exit::Nothing, format!("There is no host '{id}' in {}.", self.inventory.path.display()))
        })
    }

    /// The login to a host, made now if there is none.
    pub fn get(&self, id: &HostId, cancel: &Cancel) -> Result<Arc<dyn Transport>> {
        let slot = self.open.lock().unwrap_or_else(PoisonError::into_inner).entry(id.clone()).or_default().clone();
        let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = &*held {
            return Ok(link.clone());
        }
        cancel.check().map_err(|error| as_failure(&error))?;
        let link = self.dialer.connect(self.host(id)?, self.inventory, cancel).map_err(|error| as_failure(&error))?;
        *held = Some(link.clone());
        Ok(link)
    }

    /// Forgets a login that was lost, so that the next [`Links::get`] makes another.
    pub fn forget(&self, id: &HostId) {
        let slot = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(link) = slot.and_then(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).take()) {
            link.hang_up();
        }
    }
}

impl Drop for Links<'_> {
    fn drop(&mut self) {
        for slot in self.open.get_mut().unwrap_or_else(PoisonError::into_inner).values() {
            if let Some(link) = &*slot.lock().unwrap_or_else(PoisonError::into_inner) {
                link.hang_up();
            }
        }
    }
}
