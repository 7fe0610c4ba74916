//! `init`, `keygen`, `completions` and `man`: what is needed before anything else.

use std::path::Path;

use clap::CommandFactory;

use super::app::{App, may_change};
use super::args::{Cli, Global, Init};
use super::output::Out;
use crate::config::paths::Paths;
use crate::config::{load_checked, set_vault_id};
use crate::engine::capture::vault_failure;
use crate::engine::first::{Source, make_inventory};
use crate::engine::scan::check_service;
use crate::model::exit::{Exit, Failure, Result};
use crate::vault::{Vault, make_key};

/// Makes a key pair.
pub fn run_keygen(out: &Out, file: &Path) -> Result<Exit> {
    if file.symlink_metadata().is_ok() {
        return Err(Failure::new(
            Exit::Usage,
            format!("'{}' is there already and is never overwritten.", file.display()),
        )
        .hint("Name another file."));
    }
    let made = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let public = make_key(file, &made).map_err(|e| vault_failure(&e))?;
    out.document("key", &serde_json::json!({"file": file, "recipient": public}));
    out.line(format!("public key  {public}"));
    out.line(format!("private key {}", file.display()));
    out.line("Put the public key into [vault] recipients, and keep the private key where it outlives this machine.");
    Ok(Exit::Done)
}

/// Makes the inventory if there is none, and the vault it names.
pub fn run_init(global: &Global, out: &Out, init: &Init, paths: Paths) -> Result<Exit> {
    may_change(global)?;
    let named = paths.inventory(global.inventory.as_deref())?;
    if !named.path.exists() {
        let source = if init.from_ssh_config { Source::SshConfig } else { Source::Example };
        make_inventory(&paths, &named.path, source)?;
        out.line(format!("inventory {} made; edit it, then run this again to make the vault", named.path.display()));
        return Ok(Exit::Done);
    }
    let loaded =
        load_checked(&named.path, &paths.home, &check_service).map_err(|errors| crate::config::failure(&errors))?;
    let app = App::open(global.clone(), out.clone(), crate::transport::Cancel::new(), paths)?;
    let settings = &app.desk.inventory.vault;
    if settings.path.as_os_str().is_empty() {
        return Err(Failure::new(Exit::Usage, format!("{} names no vault.", named.path.display()))
            .hint("Add [vault] with path = \"…\"."));
    }
    app.desk.sealing()?;
    let vault = match &settings.id {
        Some(id) => Vault::open(&settings.path, Some(id)).map_err(|e| vault_failure(&e))?,
        None => Vault::create(&settings.path, &settings.recipients, &*app.desk.clock, &*app.desk.entropy)
            .map_err(|e| vault_failure(&e))?,
    };
    if settings.id.is_none() && global.vault.is_none() {
        set_vault_id(&named.path, &loaded.digest, vault.id())?;
    }
    out.document("vault", &serde_json::json!({"path": vault.root(), "id": vault.id()}));
    out.line(format!("vault {} ({})", vault.root().display(), vault.id()));
    if vault.recipients().is_empty() {
        out.line("It is not sealed: secret items are refused. Make a key: lifeboat keygen FILE");
    }
    Ok(Exit::Done)
}

/// Prints a completion script.
pub fn run_completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lifeboat", &mut script);
    script
}

/// Prints the manual page, the console's keys at its end.
pub fn run_man(keys: &[[String; 4]]) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut page)
        .map_err(|e| Failure::new(Exit::Failed, format!("The manual page cannot be made: {e}.")))?;
    page.extend(key_section(keys).into_bytes());
    Ok(page)
}

/// The keys as a section of the manual page.
fn key_section(keys: &[[String; 4]]) -> String {
    // A leading dot or quote would be a request, a backslash an escape, and a hyphen is not a minus.
    let plain = |text: &str| text.replace('\\', "\\e").replace('-', "\\-");
    let mut text =
        String::from(".SH KEYS\nIn the console an action works where the page offers it; ? lists what works.\n");
    let mut known = "";
    for [group, keys, name, about] in keys {
        if group != known {
            known = group;
            text.push_str(&format!(".SS {}\n", plain(group)));
        }
        let keys = if keys.is_empty() { String::new() } else { format!(" \\fB{}\\fR", plain(keys)) };
        text.push_str(&format!(".TP\n\\&{}{keys}\n\\&{}\n", plain(name), plain(about)));
    }
    text
}
