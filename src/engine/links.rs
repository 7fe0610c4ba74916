//! Logins to the nodes a command touches: made when first needed, shared, made again when lost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// How many logins are kept for whoever needs them next. One more, and the one that rests longest is given up: each is
/// some memory and a thread here, and a process on its node.
const KEPT: usize = 64;

/// The logins of one command.
pub struct Links<'e> {
    dialer: &'e dyn Dialer,
    inventory: &'e Inventory,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    slots: BTreeMap<HostId, Slot>,
    /// Those that have a slot, the one that was asked for last at the end.
    asked: VecDeque<HostId>,
}

/// One host's login. Whoever makes it holds the slot, so that others wait for it instead of making one each.
type Slot = Arc<Mutex<Option<Arc<dyn Transport>>>>;

impl std::fmt::Debug for Links<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Links").field("open", &open.asked).finish_non_exhaustive()
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
        let slot = self.open().slot(id);
        let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = &*held {
            return Ok(link.clone());
        }
        cancel.check().map_err(|error| as_failure(&error))?;
        let link = self.dialer.connect(self.host(id)?, self.inventory, cancel).map_err(|error| as_failure(&error))?;
        *held = Some(link.clone());
        drop(held);
        let resting = self.open().take_resting();
        for link in resting {
            link.hang_up();
        }
        Ok(link)
    }

    /// Forgets a login that was lost, so that the next [`Links::get`] makes another.
    pub fn forget(&self, id: &HostId) {
        let slot = self.open().remove(id);
        if let Some(link) = slot.and_then(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).take()) {
            link.hang_up();
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn slot(&mut self, id: &HostId) -> Slot {
        self.asked.retain(|known| known != id);
        self.asked.push_back(id.clone());
        self.slots.entry(id.clone()).or_default().clone()
    }

    fn remove(&mut self, id: &HostId) -> Option<Slot> {
        self.asked.retain(|known| known != id);
        self.slots.remove(id)
    }

    /// Takes out the logins that are too many and that nobody has in hand.
    fn take_resting(&mut self) -> Vec<Arc<dyn Transport>> {
        let mut taken = Vec::new();
        let mut at = 0;
        while self.slots.len() > KEPT {
            let Some(id) = self.asked.get(at).cloned() else { break };
            if self.slots.get_mut(&id).is_none_or(is_at_rest) {
                let slot = self.remove(&id);
                taken.extend(slot.and_then(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).take()));
            } else {
                at += 1;
            }
        }
        taken
    }
}

/// Whether nobody has the login in hand, makes it or waits for it: whoever does holds the slot, too.
fn is_at_rest(slot: &mut Slot) -> bool {
    let Some(held) = Arc::get_mut(slot) else { return false };
    let held = held.get_mut().unwrap_or_else(PoisonError::into_inner);
    held.as_ref().is_none_or(|link| Arc::strong_count(link) == 1)
}

impl Drop for Links<'_> {
    fn drop(&mut self) {
        for slot in self.open.get_mut().unwrap_or_else(PoisonError::into_inner).slots.values() {
            if let Some(link) = &*slot.lock().unwrap_or_else(PoisonError::into_inner) {
                link.hang_up();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::config::parse_inventory;
    use crate::transport::mute::Mute;

    /// Logs in to every host but those called `down`, and remembers each login.
    #[derive(Default)]
    struct Logins(Mutex<Vec<(HostId, Arc<AtomicBool>)>>);

    impl Dialer for Logins {
        fn connect(&self, host: &Host, _: &Inventory, _: &Cancel) -> Result<Arc<dyn Transport>, TransportError> {
            if host.id.as_str().starts_with("down") {
                return Err(TransportError::Unreachable { host: host.id.to_string(), why: "it is down".into() });
            }
            let link = Mute::default();
            self.0.lock().unwrap().push((host.id.clone(), link.has_hung_up.clone()));
            Ok(Arc::new(link))
        }
    }

    impl Logins {
        /// The hosts whose logins were given up.
        fn given_up(&self) -> Vec<String> {
            let all = self.0.lock().unwrap();
            all.iter().filter(|(_, over)| over.load(Ordering::SeqCst)).map(|(host, _)| host.to_string()).collect()
        }
    }

    fn inventory(names: &[String]) -> Inventory {
        let host = |text: String, name: &String| text + &format!("[hosts.{name}]\naddress = \"127.0.0.1\"\n");
        let text = names.iter().fold("version = 1\n".to_owned(), host);
        parse_inventory(&text, "/inventory.toml".as_ref(), "/home/ops".as_ref()).unwrap().inventory
    }

    #[test]
    fn the_login_that_rests_longest_is_given_up_and_none_that_somebody_has_in_hand() {
        let names: Vec<String> = (0..80).map(|n| format!("up-{n:02}")).chain(["down-1".to_owned()]).collect();
        let (inventory, logins) = (inventory(&names), Logins::default());
        let links = Links::new(&logins, &inventory);
        let ask = |name: &str| links.get(&HostId::new(name).unwrap(), &Cancel::new());
        let in_hand = ask("up-00").unwrap();
        assert!(ask("down-1").is_err());
        names[1..KEPT - 1].iter().for_each(|name| drop(ask(name).unwrap()));
        // Asked for again, it rests no longer than those that came after it.
        ask("up-01").unwrap();
        assert!(logins.given_up().is_empty());
        // First the place of one that never answered.
        drop(ask("up-63").unwrap());
        assert!(logins.given_up().is_empty());
        drop(ask("up-64").unwrap());
        assert_eq!(logins.given_up(), ["up-02"]);
        names[65..80].iter().for_each(|name| drop(ask(name).unwrap()));
        assert_eq!(logins.given_up().len(), 16);
        assert!(!logins.given_up().contains(&"up-00".to_owned()), "{:?}", logins.given_up());
        let count = || logins.0.lock().unwrap().len();
        let before = count();
        ask("up-00").unwrap();
        assert_eq!(count(), before, "it is there still");
        ask("up-02").unwrap();
        assert_eq!(count(), before + 1, "it is made again");
        drop((in_hand, links));
        assert_eq!(logins.given_up().len(), before + 1);
    }
}
