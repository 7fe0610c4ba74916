//! How root is reached on a node: found out once per session, the password asked for only when it is needed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::script::RootWay;
use super::{End, Finished, Rights, Script, TransportError};
use crate::model::inventory::Become;
use crate::model::secret::{SecretRef, Secrets};
use crate::model::text::clause;

/// What was found of the way to root, shared by all sessions of one login.
#[derive(Debug, Clone)]
pub(super) struct RootPath {
    way: Result<RootWay, String>,
    by_password: bool,
    asked: Arc<Mutex<Asked>>,
    /// For [`super::Endpoint::root`].
    pub(super) told: String,
}

/// What became of the password.
#[derive(Debug, Default)]
enum Asked {
    #[default]
    NotYet,
    /// It is sent when `sudo` asks; with what it is known by.
    Given(RootWay, SecretRef, String),
    /// It was refused, for this reason.
    Refused(String),
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
        match &*asked {
            Asked::Given(way, ..) => return Ok(way.clone()),
            Asked::Refused(why) => return Err(fail(format!("{why}, and over this login it is not tried again"))),
            Asked::NotYet => {}
        }
        let purpose = format!("sudo password of {who}");
        let secret = secrets.resolve(wanted, &purpose).map_err(|why| fail(clause(&why)))?;
        let way = RootWay::SudoPassword(secret);
        *asked = Asked::Given(way.clone(), wanted.clone(), purpose);
        Ok(way)
    }

    /// A password that was not accepted is not sent again: repeated refusals lock accounts. The next login asks anew.
    pub(super) fn refused(&self, error: &TransportError, secrets: &dyn Secrets) {
        let TransportError::Root { why, .. } = error else { return };
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Asked::Given(_, wanted, purpose) = &*asked {
            secrets.forget(wanted, purpose);
            *asked = Asked::Refused(why.clone());
        }
    }
}
