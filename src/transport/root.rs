//! How root is reached on a node: found out once per session, the password asked for only when it is needed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::script::RootWay;
use super::{End, Finished, Rights, Script, TransportError};
use crate::model::inventory::Become;
use crate::model::secret::{SecretRef, Secrets};

/// What was found of the way to root, shared by all sessions of one login.
#[derive(Debug, Clone)]
pub(super) struct RootPath {
    way: Result<RootWay, String>,
    by_password: bool,
    asked: Arc<Mutex<Option<RootWay>>>,
    /// For [`super::Endpoint::root`].
    pub(super) told: String,
}

impl Default for RootPath {
    fn default() -> Self {
        Self::barred("it was not looked for".to_owned())
    }
}

impl RootPath {
    fn barred(why: String) -> Self {
        let told = format!("not reached: {why}");
        Self { way: Err(why), by_password: false, asked: Arc::default(), told }
    }

    fn open(way: RootWay, told: &str) -> Self {
        Self { way: Ok(way), by_password: false, asked: Arc::default(), told: told.to_owned() }
    }

    /// Finds out how root is reached without asking the operator anything; `run` runs a script over the session.
    pub(super) fn find(
        is_root: bool,
        privilege: Become,
        has_password: bool,
        run: impl Fn(&Script, &RootWay) -> Result<Finished, TransportError>,
    ) -> Result<Self, TransportError> {
        if is_root {
            return Ok(Self::open(RootWay::Already, "login is root"));
        }
        let (way, told) = match privilege {
            Become::None => return Ok(Self::barred("the inventory says become = \"none\"".to_owned())),
            Become::Sudo => (RootWay::Sudo, "sudo without password"),
            Become::Doas => (RootWay::Doas, "doas without password"),
        };
        let limit = Duration::from_secs(20);
        let mut probe = Script::new("[ \"$(id -u)\" = 0 ]").within(limit, limit);
        probe.rights = Rights::Root;
        match run(&probe, &way) {
            Ok(finished) if finished.end == End::Exited(0) => Ok(Self::open(way, told)),
            Ok(_) => Ok(Self::barred("the command to become root did not give user id 0".to_owned())),
            Err(TransportError::Root { why, .. }) => {
                let mut path = Self::barred(why);
                if has_password && privilege == Become::Sudo {
                    path.by_password = true;
                    "sudo with password".clone_into(&mut path.told);
                }
                Ok(path)
            }
            Err(error) => Err(error),
        }
    }

    /// The way, resolving the password of `who` the first time.
    pub(super) fn way(
        &self,
        host: &str,
        who: &str,
        password: Option<&SecretRef>,
        secrets: &dyn Secrets,
    ) -> Result<RootWay, TransportError> {
        let fail = |why: String| TransportError::Root { host: host.to_owned(), why };
        let why = match &self.way {
            Ok(way) => return Ok(way.clone()),
            Err(why) => why,
        };
        let Some(wanted) = password.filter(|_| self.by_password) else { return Err(fail(why.clone())) };
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = &*asked {
            return Ok(way.clone());
        }
        let secret = secrets.resolve(wanted, &format!("sudo password of {who}")).map_err(fail)?;
        let way = RootWay::SudoPassword(secret);
        *asked = Some(way.clone());
        Ok(way)
    }

    /// A password that was not accepted is not sent again: repeated refusals lock accounts.
    pub(super) fn refused(&self, error: &TransportError) {
        if matches!(error, TransportError::Root { .. }) {
            *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}
