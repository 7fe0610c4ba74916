//! Breaking practice nodes, and mending them.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::fleet::{Fleet, Player};
use super::server::{KeyPair, LinkState};
use super::stand_ins::Part;
use crate::engine::capture::vault_failure;
use crate::engine::practice::{Check, Exercise, Fault, Practice, PracticeNode};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::model::manifest::Rung;
use crate::vault::{SnapshotRef, Vault};

/// What the way back of a fault needs.
#[derive(Debug)]
pub enum Damage {
    /// Nothing.
    Plain,
    /// A byte was changed.
    Byte {
        /// In which file.
        file: PathBuf,
        /// Where.
        at: u64,
        /// What stood there.
        was: u8,
    },
    /// Another node was made a twin.
    Twin {
        /// Which.
        host: HostId,
        /// Whether its own service ran before.
        ran: bool,
    },
}

const FILL: &str = "head -c 256m /dev/zero >/var/lib/.practice-full 2>/dev/null; sync -f /var/lib; true\n";
const DRAIN: &str = "rm -f /var/lib/.practice-full\n";

/// Where a twin's own files are kept while it plays another.
const KEPT: &str = "/stub/own-identity.tar";

impl Fleet {
    /// What is already broken when the fleet opens.
    ///
    /// # Errors
    /// When it cannot be broken.
    pub fn open_scene(&self) -> Result<()> {
        let named = |name: &str| HostId::new(name).map_err(|error| Failure::new(Exit::Failed, error.to_string()));
        self.break_it(&named("val-3")?, Fault::CloneIdentity)?;
        self.break_it(&named("cache-1")?, Fault::CutLink).map(|_| ())
    }

    fn offers(player: &Player) -> Vec<Fault> {
        let has_identity = player.role.twin.is_some();
        Fault::ALL.into_iter().filter(|fault| *fault != Fault::CloneIdentity || has_identity).collect()
    }

    fn damage_now(&self, player: &Player, fault: Fault) -> Result<(Damage, String)> {
        let name = player.role.name;
        let unit = player.stand_in.unit();
        let told = |text: String| Ok((Damage::Plain, text));
        match fault {
            Fault::CutLink => {
                player.server.set_link(LinkState::Cut);
                told(format!("The network of {name} is gone; nothing answers there."))
            }
            Fault::Stall => {
                player.server.set_link(LinkState::Stalled);
                told(format!("The network of {name} stands still; no byte moves."))
            }
            Fault::FillDisk => {
                player.node.run(FILL, b"")?;
                told(format!("The disk of {name} is full."))
            }
            Fault::KillService => {
                let text = format!(
                    "p=$(systemctl show --property=MainPID --value {unit}); [ \"$p\" != 0 ] && kill -s KILL -- \"-$p\""
                );
                player.node.run(&text, b"").map_err(|_| {
                    Failure::new(Exit::Failed, format!("{unit} does not run on {name}, so it cannot be killed."))
                })?;
                told(format!("{unit} on {name} was killed."))
            }
            Fault::HangStop => {
                player.node.run(&format!(": >/stub/units/{unit}/hangs\n"), b"")?;
                told(format!("{unit} on {name} does not end any more when it is told to."))
            }
            Fault::ChangeHostKey => {
                let key = KeyPair::generate()
                    .map_err(|error| Failure::new(Exit::Failed, format!("A host key cannot be made: {error}.")))?;
                player.server.set_host_key(&key);
                told(format!("{name} shows another host key from now on."))
            }
            Fault::CorruptArtefact => self.corrupt(player),
            Fault::CloneIdentity => self.clone_identity(player),
            Fault::LoseNode => {
                player.server.set_link(LinkState::Cut);
                player.node.end();
                told(format!("{name} is lost with everything on it."))
            }
        }
    }

    /// Changes one byte in the middle of the largest file of the newest snapshot that was read from a node.
    fn corrupt(&self, player: &Player) -> Result<(Damage, String)> {
        let vault = Vault::open(&self.vault_path(), None).map_err(|error| vault_failure(&error))?;
        let catalogue = vault.catalogue().map_err(|error| vault_failure(&error))?;
        let own = catalogue.snapshots.iter().filter(|snapshot| snapshot.manifest().source.host == player.node.id);
        let Some(newest) = own.max_by_key(|snapshot| snapshot.manifest().created) else {
            return Err(Failure::new(
                Exit::Nothing,
                format!("There is no snapshot of {} to corrupt.", player.role.name),
            ));
        };
        let named = |file: &std::fs::DirEntry| file.path().extension().is_some_and(|end| end == "age");
        let failed =
            |error: std::io::Error| Failure::new(Exit::Failed, format!("A snapshot cannot be changed: {error}."));
        let files = std::fs::read_dir(newest.dir()).map_err(failed)?.filter_map(Result::ok).filter(named);
        let sized = files.filter_map(|file| Some((file.metadata().ok()?.len(), file.path())));
        let Some((size, file)) = sized.max() else {
            return Err(Failure::new(Exit::Nothing, "The newest snapshot has no file to corrupt."));
        };
        let was = flip(&file, size / 2, None)?;
        let told = format!("One byte of {}@{} is another one now.", newest.item(), newest.id());
        Ok((Damage::Byte { file, at: size / 2, was }, told))
    }

    /// Gives a node's identity to its twin, and starts it there.
    fn clone_identity(&self, player: &Player) -> Result<(Damage, String)> {
        let (files, unit) = (player.stand_in.identity_files(), player.stand_in.unit());
        let twin = player.role.twin.unwrap_or_default();
        let host = HostId::new(twin).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        let other = self.player(&host)?;
        let names: Vec<&str> = files.iter().map(|file| file.trim_start_matches('/')).collect();
        let names = names.join(" ");
        let bytes = player.node.run(&format!("exec tar -C / -cf - {names}"), b"")?;
        let kept = other.node.stub(KEPT.trim_start_matches("/stub/"));
        if kept.exists() {
            return Err(Failure::new(Exit::Failed, format!("{twin} already runs with another node's identity.")));
        }
        let text = format!(
            "set -e\nran=$(systemctl is-active {unit} || :)\nsystemctl stop {unit}\n\
             tar -C / -cf {KEPT} --ignore-failed-read {names} 2>/dev/null || :\n\
             tar -C / -xf -\nsystemctl start {unit}\necho \"$ran\"\n"
        );
        let ran = other.node.run(&text, &bytes)? == b"active\n";
        Ok((Damage::Twin { host, ran }, format!("{twin} runs with the identity of {} now.", player.role.name)))
    }

    /// A lost machine plays nobody's twin any more: what it was given and what it had of its own went with it.
    fn forget_twin(&self, lost: &Player) -> Result<()> {
        // One lock at a time: another fault may be put in force meanwhile.
        let is_on_it = |damage: &Damage| matches!(damage, Damage::Twin { host, .. } if *host == lost.node.id);
        for player in self.players() {
            player.damage().retain(|_, damage| !is_on_it(damage));
        }
        match std::fs::remove_file(lost.node.stub(KEPT.trim_start_matches("/stub/"))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::new(
                Exit::Failed,
                format!("What {} was before it played a twin cannot be removed: {error}.", lost.role.name),
            )),
            _ => Ok(()),
        }
    }

    fn undo(&self, player: &Player, fault: Fault, damage: &Damage) -> Result<String> {
        let name = player.role.name;
        let unit = player.stand_in.unit();
        match (fault, damage) {
            (_, Damage::Byte { file, at, was }) => {
                flip(file, *at, Some(*was))?;
                Ok("The byte is the old one again.".to_owned())
            }
            (_, Damage::Twin { host, ran }) => {
                let other = self.player(host)?;
                let names: Vec<&str> = player.stand_in.identity_files().to_vec();
                let start = if *ran { format!("systemctl start {unit}\n") } else { String::new() };
                let text = format!(
                    "systemctl stop {unit}\nrm -f {}\ntar -C / -xf {KEPT} && rm -f {KEPT}\n{start}",
                    names.join(" ")
                );
                other.node.run(&text, b"")?;
                Ok(format!("{host} has its own identity again."))
            }
            (Fault::CutLink | Fault::Stall, _) => {
                player.server.set_link(LinkState::Up);
                Ok(format!("The network of {name} is as before."))
            }
            (Fault::FillDisk, _) => player.node.run(DRAIN, b"").map(|_| format!("The disk of {name} has room again.")),
            (Fault::KillService, _) => {
                player.node.run(&format!("systemctl reset-failed {unit}; systemctl start {unit}"), b"")?;
                Ok(format!("{unit} on {name} runs again."))
            }
            (Fault::HangStop, _) => {
                player.node.run(&format!("rm -f /stub/units/{unit}/hangs\n"), b"")?;
                Ok(format!("{unit} on {name} ends again when it is told to."))
            }
            (Fault::ChangeHostKey, _) => {
                player.server.set_host_key(&player.host_key);
                Ok(format!("{name} shows the key it is known by again."))
            }
            (Fault::LoseNode, _) => {
                let new = Part { past_ended: None, ..player.part() };
                player.node.renew(|image| player.stand_in.lay(image, &new))?;
                player.node.start()?;
                player.server.set_link(LinkState::Up);
                Ok(format!(
                    "A new machine stands in the place of {name}: the service is installed, and nothing of before is on it."
                ))
            }
            (Fault::CorruptArtefact | Fault::CloneIdentity, Damage::Plain) => {
                Err(Failure::new(Exit::Failed, format!("What {fault} did to {name} is not known any more.")))
            }
        }
    }
}

/// Puts `byte` at a place of a file, or another than stands there; gives what stood there.
fn flip(file: &std::path::Path, at: u64, byte: Option<u8>) -> Result<u8> {
    let failed =
        |error: std::io::Error| Failure::new(Exit::Failed, format!("{} cannot be changed: {error}.", file.display()));
    let open = OpenOptions::new().read(true).write(true).open(file).map_err(failed)?;
    let mut was = [0];
    open.read_exact_at(&mut was, at).map_err(failed)?;
    open.write_all_at(&[byte.unwrap_or(was[0] ^ 1)], at).map_err(failed)?;
    Ok(was[0])
}

/// A fault that rests on another one: a lost node has no disk to fill.
fn needs_the_node(fault: Fault) -> bool {
    matches!(fault, Fault::FillDisk | Fault::KillService | Fault::HangStop | Fault::CloneIdentity)
}

impl Practice for Fleet {
    fn nodes(&self) -> Vec<PracticeNode> {
        let told = |player: &Player| PracticeNode {
            host: player.node.id.clone(),
            story: player.role.story.to_owned(),
            offers: Self::offers(player),
            in_force: player.damage().keys().copied().collect(),
        };
        self.players().iter().map(told).collect()
    }

    fn break_it(&self, host: &HostId, fault: Fault) -> Result<String> {
        let player = self.player(host)?;
        let mut damage = player.damage();
        if damage.contains_key(&fault) {
            return Err(Failure::new(Exit::Failed, format!("The fault '{fault}' is in force on {host} already.")));
        }
        if !Self::offers(player).contains(&fault) {
            return Err(Failure::new(Exit::Failed, format!("{host} has no identity that could be cloned.")));
        }
        let excludes = |other: &Fault| matches!(other, Fault::CutLink | Fault::Stall | Fault::LoseNode);
        if let Some(other) = damage.keys().find(|other| excludes(other) && excludes(&fault)) {
            return Err(Failure::new(
                Exit::Failed,
                format!("The fault '{other}' is in force on {host}; take it back first."),
            ));
        }
        if needs_the_node(fault) && !player.node.is_up() {
            return Err(Failure::new(Exit::Failed, format!("{host} is lost; there is nothing to break on it.")));
        }
        let (way_back, told) = self.damage_now(player, fault)?;
        if fault == Fault::LoseNode {
            // Gone with the machine.
            damage.retain(|fault, _| !matches!(fault, Fault::FillDisk | Fault::KillService | Fault::HangStop));
        }
        damage.insert(fault, way_back);
        drop(damage);
        if fault == Fault::LoseNode {
            self.forget_twin(player)?;
        }
        Ok(told)
    }

    fn mend(&self, host: &HostId, fault: Fault) -> Result<String> {
        let player = self.player(host)?;
        let mut damage = player.damage();
        let Some(way_back) = damage.get(&fault) else {
            return Err(Failure::new(Exit::Nothing, format!("The fault '{fault}' is not in force on {host}.")));
        };
        // One that could not be taken back is in force still, and can be tried again.
        let told = self.undo(player, fault, way_back)?;
        damage.remove(&fault);
        Ok(told)
    }

    fn exercise(&self) -> &Exercise {
        Fleet::exercise(self)
    }

    fn newest_run(&self) -> Result<Option<String>> {
        let vault = Vault::open(&self.vault_path(), None).map_err(|error| vault_failure(&error))?;
        let runs = vault.runs().map_err(|error| vault_failure(&error))?;
        Ok(runs.iter().filter_map(|run| Some(run.file_name()?.to_string_lossy().into_owned())).max())
    }

    fn is_done(&self, check: &Check) -> Result<bool> {
        let vault = || Vault::open(&self.vault_path(), None).map_err(|error| vault_failure(&error));
        Ok(match check {
            Check::Ended => true,
            Check::InForce(host, fault) => self.player(host)?.damage().contains_key(fault),
            Check::Reached(item, rung) => {
                let item = item.parse::<SnapshotRef>().map_err(|error| vault_failure(&error))?.item;
                let catalogue = vault()?.catalogue().map_err(|error| vault_failure(&error))?;
                let reached = |rung: Rung| catalogue.of(&item).any(|snapshot| snapshot.holds(rung).is_some());
                reached(*rung)
            }
            Check::Runs(host, unit) => {
                let player = self.player(host)?;
                let text = format!("systemctl is-active {} || :", crate::transport::quote::quote(unit.as_bytes()));
                player.node.is_up() && player.node.run(&text, b"")? == b"active\n"
            }
            Check::Receipt(host) => {
                let chain = vault()?.verify_receipts().map_err(|error| vault_failure(&error))?;
                chain
                    .receipts
                    .iter()
                    .any(|receipt| receipt.body["exit"] == "done" && receipt.body["command"]["to"] == host.as_str())
            }
        })
    }
}
