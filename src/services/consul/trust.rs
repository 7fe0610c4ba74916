//! By what an agent whose API speaks TLS is recognised, from its own configuration. Pure.
//!
//! The API is reached on the node itself, so what a certificate must prove is that the agent answers there and nobody
//! else of the same CA: a port above 1024 is anybody's while the agent is down. Acceptable are the names Consul's own
//! tools give a server or a client of this datacenter, the node's own name, and those of the place that was dialled,
//! `localhost` among them. A certificate for another datacenter or another service bears none of them.

use super::api::Address;
use super::probe::Seen;
use super::settings::{Settings, is_datacenter, is_plain_path};
use crate::services::common::{Expects, Pair, Trust};

/// What the agent must show and what it is shown; nothing where it does not speak TLS, a sentence where nobody can tell.
pub(super) fn of(seen: &Seen, settings: &Settings, http: &Address) -> Result<Option<Trust>, String> {
    let Address::Tls(host, _) = http else { return Ok(None) };
    let shows = match &settings.api_pair {
        Some(pair) => Some(pair.clone()),
        None if wants_certificate(seen) => Some(own_pair(seen)?),
        None => None,
    };
    let expects = match &settings.api_ca {
        Some(path) => Expects::SignedBy { authorities: vec![path.clone()], names: names(seen, settings, host) },
        None => expects(seen, settings, host)?,
    };
    Ok(Some(Trust { expects, shows }))
}

/// A setting of the HTTPS listener: its own, the common one, the one of before 1.12.
fn setting<'s>(seen: &'s Seen, key: &str) -> Option<&'s str> {
    seen.setting(&[&format!("tls.https.{key}"), &format!("tls.defaults.{key}"), key])
}

fn path_of(seen: &Seen, key: &str) -> Result<Option<String>, String> {
    match setting(seen, key) {
        None => Ok(None),
        Some(path) if is_plain_path(path) => Ok(Some(path.to_owned())),
        Some(_) => Err(format!(
            "The agent's '{key}' is no absolute path, so which file it means is not known: name it in the inventory (api_ca, api_cert, api_key)."
        )),
    }
}

/// Whether certificates are handed to the agent by its servers and lie only in its memory.
fn is_handed_out(seen: &Seen) -> bool {
    ["auto_encrypt.tls", "auto_config.enabled"].iter().any(|key| seen.setting(&[key]) == Some("true"))
}

fn wants_certificate(seen: &Seen) -> bool {
    match seen.setting(&["tls.https.verify_incoming"]) {
        Some(own) => own == "true",
        None => ["tls.defaults.verify_incoming", "verify_incoming", "verify_incoming_https"]
            .iter()
            .any(|key| seen.setting(&[key]) == Some("true")),
    }
}

fn own_pair(seen: &Seen) -> Result<Pair, String> {
    match (path_of(seen, "cert_file")?, path_of(seen, "key_file")?) {
        (Some(cert), Some(key)) => Ok(Pair { cert, key }),
        _ if is_handed_out(seen) => Err(
            "The agent asks its clients for a certificate, and its own was handed to it by its servers (auto_encrypt, auto_config) and lies only in its memory: name a pair of files on the node in the inventory (api_cert, api_key), or let it also listen on a Unix socket."
                .to_owned(),
        ),
        _ => Err(
            "The agent asks its clients for a certificate (verify_incoming), and its configuration names none to show: name a pair of files on the node in the inventory (api_cert, api_key)."
                .to_owned(),
        ),
    }
}

fn expects(seen: &Seen, settings: &Settings, host: &str) -> Result<Expects, String> {
    let cert = path_of(seen, "cert_file")?;
    if cert.is_none() && is_handed_out(seen) {
        return Err(
            "The agent speaks only TLS, with a certificate that its servers handed to it (auto_encrypt, auto_config) and that lies only in its memory, so nothing on the node says what to expect: name the CA in the inventory (api_ca), or let it also listen on a Unix socket."
                .to_owned(),
        );
    }
    // A directory is told from a file by its last slash.
    let dir = path_of(seen, "ca_path")?.map(|path| format!("{}/", path.trim_end_matches('/')));
    let authorities: Vec<_> = path_of(seen, "ca_file")?.into_iter().chain(dir).collect();
    match cert {
        _ if !authorities.is_empty() => Ok(Expects::SignedBy { authorities, names: names(seen, settings, host) }),
        Some(cert) => Ok(Expects::Exactly(cert)),
        None => Err(
            "The agent speaks only TLS, and its configuration names neither a CA nor a certificate: name the CA in the inventory (api_ca)."
                .to_owned(),
        ),
    }
}

/// The names any of which will do, the one that is most the agent's own first.
fn names(seen: &Seen, settings: &Settings, host: &str) -> Vec<String> {
    if let Some(only) = &settings.api_name {
        return vec![only.clone()];
    }
    let mut names = Vec::new();
    let fits = |name: &str| {
        (1..=253).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    let datacenter =
        settings.datacenter.as_deref().or(seen.datacenter.as_deref()).unwrap_or("dc1").to_ascii_lowercase();
    let domain = seen.setting(&["domain"]).unwrap_or("consul").trim_matches('.');
    if is_datacenter(&datacenter) && fits(domain) {
        let roles: &[&str] = match seen.server {
            Some(true) => &["server"],
            Some(false) => &["client"],
            None => &["server", "client"],
        };
        names.extend(roles.iter().map(|role| format!("{role}.{datacenter}.{domain}")));
    }
    let is_loopback = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    if is_loopback {
        names.push("localhost".to_owned());
    }
    if !names.iter().any(|name| name == host) {
        names.push(host.to_owned());
    }
    names.extend(seen.node_name.clone().filter(|name| fits(name) && !names.contains(name)));
    names
}
