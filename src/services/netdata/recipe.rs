//! How a person restores a snapshot by hand.

use super::facts::Api;
use super::items::{CONFIG, METRICS};
use super::restore::{INSTALL_FILES, verified_guid};
use crate::model::manifest::Manifest;
use crate::services::common::text_of;
use crate::services::{Recipe, RecipePart};
use crate::transport::quote::quote;

/// One question to the agent, put until it answers where its API listens.
pub fn ask_command(api: &Api, target: &str) -> String {
    let retry = "curl -sS --retry 120 --retry-delay 1 --retry-connrefused";
    let Api { host, port, socket, .. } = api;
    match socket {
        Some(path) => format!("{retry} --unix-socket {} {}", word(path), word(&format!("http://localhost{target}"))),
        None if host.contains(':') => format!("{retry} {}", word(&format!("http://[{host}]:{port}{target}"))),
        None => format!("{retry} {}", word(&format!("http://{host}:{port}{target}"))),
    }
}

fn word(text: &str) -> String {
    quote(text.as_bytes())
}

/// The recipe of a snapshot.
pub fn recipe(manifest: &Manifest) -> Recipe {
    let or = |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
    let path = or(text_of(&manifest.facts, "path"), "/var/lib/netdata");
    let unit = or(text_of(&manifest.facts, "unit"), "netdata.service");
    let id = manifest.item.item.as_str();
    let guid = verified_guid(manifest).unwrap_or_default();
    let api = manifest.facts.get("api").and_then(|api| serde_json::from_value::<Api>(api.clone()).ok());
    let api =
        api.unwrap_or_else(|| Api { host: "127.0.0.1".to_owned(), port: super::conf::DEFAULT_PORT, ..Api::default() });
    let archive = manifest.files.first().map_or_else(|| format!("{id}.tar"), |file| file.name.clone());
    let first = match id {
        METRICS => format!(
            "The archive holds the samples of the agent {guid} with names relative to the root: sudo tar -xvpf {archive} -C / puts them at {path}, and so do the commands below. The agent must be the same version or a newer one, have that identity (restore it first), and room enough in its settings: with a smaller limit it deletes what was restored."
        ),
        CONFIG => format!(
            "The archive holds {path} with names relative to the root: sudo tar -xvpf {archive} -C / puts it there. Compare before you replace: netdata.conf may name addresses and directories of the old host, stream.conf says where it streams."
        ),
        _ => format!(
            "The archive holds {path} with names relative to the root: sudo tar -xvpf {archive} -C / puts it there. First make sure that no other agent runs as {guid}: two agents with one GUID push each other off their parent and off Netdata Cloud."
        ),
    };
    let kept = word(&format!("{path}.before"));
    let mut commands = vec![
        format!("systemctl stop {}", word(&unit)),
        // Whole, never merged: an old pair of files or an old -wal beside new ones is deleted or mixed in.
        format!("[ ! -e {0} ] || mv -T {0} {kept}", word(&path)),
        format!("tar -xpf plain/{} -C /", word(&archive)),
    ];
    if id == CONFIG {
        for name in INSTALL_FILES {
            let (new, old) = (word(&format!("{path}/{name}")), word(&format!("{path}.before/{name}")));
            commands.push(format!("rm -rf {new}; [ ! -e {old} ] || cp -a {old} {new}"));
        }
    }
    commands.push(format!("systemctl start {}", word(&unit)));
    let answer = if id == CONFIG || guid.is_empty() {
        "The agent must answer:".to_owned()
    } else {
        format!("The agent must answer with uid {guid}:")
    };
    let mut parts = vec![
        RecipePart::Say(first),
        RecipePart::Node(commands.join("\n")),
        RecipePart::Say(answer),
        RecipePart::Node(ask_command(&api, "/api/v1/info") + " | grep uid"),
    ];
    let plain = |chart: &str| chart.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let sample = manifest.facts.pointer("/figures/samples/0").filter(|sample| plain(text_of(sample, "chart")));
    if let Some(sample) = sample.filter(|_| id == METRICS) {
        let number = |key: &str| sample.get(key).and_then(serde_json::Value::as_u64).unwrap_or(0);
        parts.push(RecipePart::Say(format!(
            "Samples of before, which must be there with these values: {}.",
            sample.get("values").map(ToString::to_string).unwrap_or_default()
        )));
        parts.push(RecipePart::Node(ask_command(
            &api,
            &format!(
                "/api/v1/data?chart={}&after={}&before={}&points=1&group=average&tier={}&format=json&options=jsonwrap%2Cselected-tier",
                text_of(sample, "chart"), number("after"), number("before"), number("tier"),
            ),
        )));
    }
    parts.push(RecipePart::Say(format!("What was there before is at {path}.before; remove it once all is well.")));
    Recipe { parts }
}
