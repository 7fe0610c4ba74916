//! `enroll`: a host key is looked at once, by a person or against what is given, and then trusted.

use std::path::Path;

use serde_json::json;

use super::app::App;
use super::args::Enroll;
use super::question::ask_yes;
use crate::engine::desk::hosts_of;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::model::inventory::TransportKind;
use crate::services::common::as_failure;
use crate::transport::known_hosts::{HostKey, KnownHosts, Verdict, append};

/// Shows each host's key and stores it after a typed yes, or when it matches what is given.
pub fn run_enroll(app: &mut App, enroll: &Enroll) -> Result<Exit> {
    let hosts = hosts_of(&app.desk.select(&enroll.selectors)?);
    if enroll.fingerprint.is_some() && hosts.len() > 1 {
        return Err(Failure::new(Exit::Usage, "One fingerprint cannot be that of several hosts."));
    }
    let mut exits = Vec::new();
    for host in hosts {
        let exit = one(app, enroll, &host).unwrap_or_else(|failure| {
            app.out.failure(&failure);
            failure.exit
        });
        exits.push(exit);
    }
    Ok(Exit::of_all(exits))
}

fn one(app: &App, enroll: &Enroll, id: &HostId) -> Result<Exit> {
    let host = app.desk.inventory.hosts.get(id).ok_or_else(|| crate::engine::doctor::unknown_host(id.as_str()))?;
    if host.access.transport == TransportKind::Local {
        app.out.line(format!("{id}  is this machine; there is no key to store"));
        return Ok(Exit::Done);
    }
    let spec = app.desk.dialer.spec(host, &app.desk.inventory).map_err(|error| as_failure(&error))?;
    let key = app.desk.dialer.scan_host_key(&spec, &app.desk.cancel).map_err(|error| as_failure(&error))?;
    let (name, port) = spec.key_name();
    let print = key.fingerprint();
    app.out.line(format!("{id}  {} {print}", key.kind));
    let file = app.desk.paths.known_hosts();
    let mut known = KnownHosts::read(&spec.known_hosts);
    known.revoke(&spec.revoked_keys);
    if let Some(why) = known.no_revocations() {
        return Err(Failure::new(
            Exit::HostKey,
            format!("No key of {id} can be stored, because it cannot be told which ones are revoked ({why})."),
        )
        .hint("Name a file there with one public key a line, or 'none'."));
    }
    if !spec.host_keys.is_empty() && !spec.host_keys.contains(&print) {
        let pinned = spec.host_keys.join(", ");
        return Err(Failure::new(
            Exit::HostKey,
            format!("{id} shows {print}, but the inventory pins {pinned}. Nothing was stored."),
        )
        .hint("If the machine was installed anew, pin the new key; otherwise somebody stands in between."));
    }
    match known.judge(name, port, &key) {
        Verdict::Known(place) => {
            app.out.document("host-key", &json!({"host": id, "fingerprint": print, "standing": "known"}));
            app.out.line(format!("{id}  known already: {}:{}", place.file.display(), place.line));
            return Ok(Exit::Done);
        }
        Verdict::Revoked(place) => {
            return Err(Failure::new(
                Exit::HostKey,
                format!("{id} shows a key that {}:{} revokes.", place.file.display(), place.line),
            ));
        }
        Verdict::Changed(place) => {
            return Err(Failure::new(Exit::HostKey, format!("{id} shows {print}, but {}:{} has {}.", place.file.display(), place.line, place.fingerprint))
                .hint("If the machine was installed anew, remove that line, then enroll it again; otherwise somebody stands in between."));
        }
        Verdict::NewType(types) => {
            app.out.line(format!("{id}  known already by a key of another type: {}", types.join(", ")));
        }
        Verdict::Authority(place) => {
            app.out
                .line(format!("{id}  known only through a certificate authority ({place}), which does not count here"));
        }
        Verdict::New => {}
    }
    app.may_change()?;
    let is_pinned = spec.host_keys.contains(&print);
    if !is_given(enroll, name, port, &key)? && !is_pinned {
        let question = format!(
            "Is {print} the key of {id}? Compare it with what the machine itself prints: ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub."
        );
        if !ask_yes(app, &question)? {
            return Err(Failure::new(Exit::Confirmation, format!("The key of {id} was not stored."))
                .hint(format!("--fingerprint {print}, once you compared it with the machine's own")));
        }
    }
    store(&file, name, port, &key)?;
    app.out.document("host-key", &json!({"host": id, "fingerprint": print, "standing": "stored"}));
    app.out.line(format!("{id}  stored in {}", file.display()));
    Ok(Exit::Done)
}

/// Whether the key is the one given on the command line; another one is a hard stop.
fn is_given(enroll: &Enroll, name: &str, port: u16, key: &HostKey) -> Result<bool> {
    let print = key.fingerprint();
    if let Some(wanted) = &enroll.fingerprint {
        if *wanted == print {
            return Ok(true);
        }
        return Err(Failure::new(Exit::HostKey, format!("The host shows {print}, not {wanted}. Nothing was stored."))
            .hint("Make sure you reach the right machine, and read its fingerprint there once more."));
    }
    if let Some(file) = &enroll.known_hosts {
        return match KnownHosts::read(std::slice::from_ref(file)).judge(name, port, key) {
            Verdict::Known(_) => Ok(true),
            _ => Err(Failure::new(
                Exit::HostKey,
                format!("{} does not vouch for {print}. Nothing was stored.", file.display()),
            )),
        };
    }
    Ok(false)
}

fn store(file: &Path, name: &str, port: u16, key: &HostKey) -> Result<()> {
    append(file, name, port, key)
        .map_err(|error| Failure::new(Exit::Failed, format!("{} cannot be written: {error}.", file.display())))
}
