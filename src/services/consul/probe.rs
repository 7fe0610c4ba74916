//! Looking at a node: one script, then a few questions to the agent. Reads only.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::api::{Access, Address, Api, is_unknown_token, resolve};
use super::settings::{Settings, is_datacenter, is_plain_path};
use crate::model::exit::{Exit, Result};
use crate::model::facts::{Facts, Identity};
use crate::model::text::CleanText;
use crate::services::Cx;
use crate::services::common::http::Request;
use crate::services::common::{SHOW_FENCE, read_node, text_of, unit_facts};
use crate::transport::Script;

/// The kind of identity a node-id is.
pub(super) const NODE_ID: &str = "consul-node-id";

/// Unit, command line, version, and of every configuration file only the keys named here: its tokens and gossip key
/// never leave the node this way.
pub(super) const LOOK: &str = r#"unit=$1
echo '== unit'
systemctl show --property=LoadState,ActiveState,UnitFileState,InvocationID,MainPID -- "$unit"
show_fence "$unit"
pid=$(systemctl show --property=MainPID --value -- "$unit")
line() {
  if [ "${pid:-0}" -gt 0 ] && [ -r "/proc/$pid/cmdline" ]; then tr '\0' '\n' <"/proc/$pid/cmdline"
  else systemctl show --property=ExecStart --value -- "$unit" | sed -n 's/.*argv\[\]=\(.*\) ; ignore_errors.*/\1/p' | tr ' ' '\n'; fi
}
echo '== flags'
line | grep -E '^--?(config-dir|config-file|data-dir|datacenter|http-port|client|dev|server)(=|$)' -A1
echo '== version'
if [ "${pid:-0}" -gt 0 ]; then
  case $(readlink "/proc/$pid/exe") in */consul*) timeout 5 "/proc/$pid/exe" version 2>/dev/null | head -n 1;; esac
fi
one() {
  echo "file=$1"
  sed -e 's,^[[:space:]]*\(#\|//\).*,,' -- "$1" | grep -oE '"?\b(data_dir|datacenter|node_name|server|client_addr|http|https|encrypt)"?[[:space:]]*[=:][[:space:]]*("[A-Za-z0-9_./:-]{0,200}"|true|false|-?[0-9]+)' | sed '/encrypt/s/[=:].*/=true/'
}
conf() {
  if [ -d "$1" ]; then
    for f in "$1"/*.json "$1"/*.hcl; do [ -f "$f" ] && one "$f"; done
  elif [ -f "$1" ]; then one "$1"; fi
}
echo '== config'
if [ -n "$2" ]; then conf "$2"; fi
take=
line | while IFS= read -r a; do
  if [ -n "$take" ]; then conf "$a"; take=; continue; fi
  case $a in
    -config-dir|--config-dir|-config-file|--config-file) take=1;;
    -config-dir=*|--config-dir=*|-config-file=*|--config-file=*) conf "${a#*=}";;
  esac
done
exit 0
"#;

/// The data directory: the node-id and the names of the keyrings.
const LOOK_DATA: &str = r#"echo '== node-id'
[ -f "$1/node-id" ] && head -c 100 -- "$1/node-id"
echo
echo '== keyrings'
for f in "$1"/serf/*.keyring; do [ -f "$f" ] && echo "${f##*/}"; done
echo '== config'
[ -n "$2" ] && [ -d "$2" ] && echo there
exit 0
"#;

/// What only this driver reads of its facts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Own {
    /// How the API is reached, if it was tried at all.
    pub access: Option<Access>,
    /// Why the API gives no answer; none when it does.
    pub silent: Option<CleanText>,
    /// Whether the agent is a server.
    pub server: Option<bool>,
    /// The agent's datacenter.
    pub datacenter: Option<String>,
    /// The agent's node name.
    pub node_name: Option<CleanText>,
    /// The leader.
    pub leader: Option<CleanText>,
    /// The servers.
    pub peers: Vec<CleanText>,
    /// Whether ACLs are on.
    pub acl: Option<bool>,
    /// Why a snapshot cannot be read or restored with this token; none when nothing speaks against it.
    pub refused: Option<CleanText>,
    /// Whether the right to do so was confirmed.
    pub may_write: Option<bool>,
    /// The directory of the configuration, when it is there.
    pub config_dir: Option<String>,
    /// Configuration files outside of it.
    pub config_files: Vec<CleanText>,
    /// Where the data lies.
    pub data_dir: Option<String>,
    /// The node-id on disk.
    pub node_id: Option<String>,
    /// File names of the gossip keyrings.
    pub keyrings: Vec<String>,
    /// Whether a gossip key stands in the configuration itself.
    pub encrypt: bool,
}

/// What the command line and the configuration files say.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub unit: Vec<(String, String)>,
    pub version: String,
    pub config_dirs: Vec<String>,
    pub config_files: Vec<String>,
    pub data_dir: Option<String>,
    pub datacenter: Option<String>,
    pub node_name: Option<String>,
    pub server: Option<bool>,
    pub http: Option<String>,
    pub port: Option<i64>,
    pub https: bool,
    pub encrypt: bool,
}

/// The lines of one `== name` section.
fn section<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = &'t str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        if let Some(title) = line.strip_prefix("== ") {
            inside = title == name;
            return false;
        }
        inside
    })
}

/// Reads what the first script printed.
pub(super) fn read_look(text: &str) -> Seen {
    let mut seen = Seen { version: section(text, "version").next().unwrap_or("").to_owned(), ..Seen::default() };
    seen.unit =
        section(text, "unit").filter_map(|line| line.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
    for line in section(text, "config") {
        let Some((key, value)) = line.split_once(['=', ':']) else { continue };
        let (key, value) = (key.trim().trim_matches('"'), value.trim().trim_matches('"'));
        match key {
            "file" if is_plain_path(value) => seen.config_files.push(value.to_owned()),
            "data_dir" => seen.data_dir = Some(value.to_owned()),
            "datacenter" => seen.datacenter = Some(value.to_owned()),
            "node_name" => seen.node_name = Some(value.to_owned()),
            "server" => seen.server = value.parse().ok().or(seen.server),
            "encrypt" => seen.encrypt = true,
            "https" => seen.https |= value.parse().is_ok_and(|port: i64| port > 0),
            // `http` is a port, an address, or the URL of some service's health check.
            "http" if value.parse::<i64>().is_ok() => seen.port = value.parse().ok(),
            "http" if !value.starts_with("http") => seen.http = Some(value.to_owned()),
            "client_addr" if seen.http.is_none() => seen.http = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut lines = section(text, "flags").peekable();
    while let Some(line) = lines.next() {
        let flag = line.trim_start_matches('-');
        let (flag, value) = match flag.split_once('=') {
            Some((flag, value)) => (flag, value.to_owned()),
            None => (flag, lines.peek().filter(|next| !next.starts_with('-')).map_or("", |next| next).to_owned()),
        };
        match flag {
            "config-dir" if is_plain_path(&value) => seen.config_dirs.push(value.trim_end_matches('/').to_owned()),
            "data-dir" => seen.data_dir = Some(value),
            "datacenter" => seen.datacenter = Some(value),
            "http-port" => seen.port = value.parse().ok().or(seen.port),
            "client" => seen.http = Some(value),
            "server" | "dev" => seen.server = Some(value != "false"),
            _ => {}
        }
    }
    seen
}

impl Seen {
    /// Where the API should be, by what the node says; why it cannot be used otherwise.
    pub fn address(&self) -> Result<Address, String> {
        let host = self.http.as_deref().unwrap_or("127.0.0.1");
        if host.starts_with("unix://") {
            return Address::parse(host);
        }
        match self.port.unwrap_or(8500) {
            port if port > 0 && host.contains(':') => Address::parse(&format!("[{host}]:{port}")),
            port if port > 0 => Address::parse(&format!("{host}:{port}")),
            _ if self.https => Err("The agent speaks only TLS, which is not supported: let it also listen for plain HTTP on its loopback or on a Unix socket.".to_owned()),
            _ => Err("The agent's HTTP API is turned off in its configuration.".to_owned()),
        }
    }

    fn unit(&self, name: &str) -> String {
        self.unit.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }
}

/// Looks at the node and asks the agent.
pub(super) fn probe(cx: &Cx, settings: &Settings) -> Result<Facts> {
    let set = |value: &Option<String>| value.clone().unwrap_or_default();
    let script = Script::new(format!("{SHOW_FENCE}{LOOK}")).arg(settings.unit.as_str()).arg(set(&settings.config_dir));
    let looked = read_node(cx, script, "Looking for Consul")?;
    let seen = read_look(CleanText::from_bytes(&looked.stdout).as_str());
    let unit = unit_facts(&settings.unit, |name| seen.unit(name));
    let mut own = Own {
        server: seen.server,
        datacenter: seen.datacenter.clone().filter(|name| is_datacenter(name)),
        node_name: seen.node_name.as_deref().map(Into::into),
        encrypt: seen.encrypt,
        data_dir: seen.data_dir.clone(),
        ..Own::default()
    };
    let mut notes = Vec::new();
    let mut version = seen.version.trim_start_matches("Consul v").split(' ').next().unwrap_or("").to_owned();
    let running = unit.is_running() || unit.load != "loaded";
    match settings.http.clone().map_or_else(|| seen.address(), Ok) {
        Err(why) => own.silent = Some(why.into()),
        Ok(http) => {
            own.access = Some(Access { http, token: settings.token.clone(), datacenter: settings.datacenter.clone() });
            if running {
                ask_agent(cx, &mut own, &mut version, &mut notes)?;
            } else {
                own.silent = Some(format!("{} is {}.", settings.unit, unit.active).into());
            }
        }
    }
    own.data_dir = settings.data_dir.clone().or(own.data_dir).filter(|path| is_plain_path(path));
    let config_dir = settings.config_dir.clone().or_else(|| seen.config_dirs.first().cloned());
    let inside = |file: &&String| config_dir.as_ref().is_some_and(|dir| file.starts_with(&format!("{dir}/")));
    own.config_files = seen.config_files.iter().filter(|file| !inside(file)).map(|file| file.as_str().into()).collect();
    look_at_data(cx, &mut own, config_dir)?;
    let present = unit.load == "loaded" || own.silent.is_none() || own.node_id.is_some();
    let identity = own.node_id.iter().map(|id| Identity { kind: NODE_ID.to_owned(), value: id.clone() });
    Ok(Facts {
        present,
        version: Some(version).filter(|text| !text.is_empty()).map(Into::into),
        variant: None,
        identities: identity.collect(),
        heard: Vec::new(),
        outside: own.silent.is_none() && !unit.is_running(),
        units: vec![unit],
        notes,
        own: serde_json::to_value(&own).unwrap_or(Value::Null),
    })
}

/// Asks the agent about itself and the token. A silent or refusing agent is a fact, a cancelled probe an error.
fn ask_agent(cx: &Cx, own: &mut Own, version: &mut String, notes: &mut Vec<CleanText>) -> Result<()> {
    let Some(access) = own.access.clone() else { return Ok(()) };
    let open = Api::new(cx, &access.http, None);
    match open.leader() {
        Ok(leader) => own.leader = leader.map(Into::into),
        Err(failure) if failure.exit == Exit::Cancelled => return Err(failure),
        Err(failure) => {
            own.silent = Some(failure.message.into());
            return Ok(());
        }
    }
    if let Ok(Value::Array(peers)) = open.get("/v1/status/peers", "Asking Consul for its servers") {
        own.peers = peers.iter().filter_map(Value::as_str).map(Into::into).collect();
        own.peers.sort();
    }
    if own.leader.is_none() {
        notes.push("The datacenter has no leader; only a stale copy of what this server knows can be taken.".into());
    }
    let token = match resolve(cx, access.token.as_ref()) {
        Ok(token) => token,
        Err(failure) => {
            own.refused = Some(failure.message.into());
            return Ok(());
        }
    };
    let api = Api::new(cx, &access.http, token);
    let doing = "Asking Consul about itself";
    let reply = api.ask(Request::get("/v1/agent/self").within(Duration::from_secs(20)), doing)?;
    match reply.status {
        200 => read_self(own, version, &reply.json().unwrap_or(Value::Null)),
        403 if is_unknown_token(403, reply.text().as_str()) => {
            own.acl = Some(true);
            own.refused = Some("Consul does not know the token.".into());
            return Ok(());
        }
        403 => own.acl = Some(true),
        _ => {}
    }
    if own.acl != Some(false) {
        match api.may_write_acl() {
            Ok(Some(false)) if access.token.is_none() => {
                own.refused =
                    Some("ACLs are on and the inventory names no token; it needs one with acl = \"write\".".into());
            }
            Ok(Some(false)) => own.refused = Some("The token lacks the right acl = \"write\".".into()),
            Ok(may_write) => own.may_write = may_write,
            Err(failure) => own.refused = Some(failure.message.into()),
        }
    }
    if own.datacenter.is_none()
        && let Ok(list) = open.get("/v1/catalog/datacenters", "Asking Consul for its datacenters")
        && let Some([Value::String(name)]) = list.as_array().map(Vec::as_slice)
    {
        own.datacenter = Some(name.clone()).filter(|name| is_datacenter(name));
    }
    if let (Some(wanted), Some(found)) = (&access.datacenter, &own.datacenter)
        && wanted != found
    {
        own.refused = Some(format!("This agent belongs to the datacenter {found}, not to {wanted}.").into());
    }
    Ok(())
}

/// Takes from `/v1/agent/self` what is needed and nothing more.
pub(super) fn read_self(own: &mut Own, version: &mut String, said: &Value) {
    let (config, debug) = (&said["Config"], &said["DebugConfig"]);
    let text = |value, key| Some(text_of(value, key)).filter(|text| !text.is_empty()).map(str::to_owned);
    own.datacenter = text(config, "Datacenter").filter(|name| is_datacenter(name)).or(own.datacenter.take());
    own.node_name = text(config, "NodeName").map(|name| CleanText::new(&name)).or(own.node_name.take());
    own.server = config["Server"].as_bool().or(own.server);
    own.acl = debug["ACLsEnabled"].as_bool().or(own.acl);
    own.data_dir = text(debug, "DataDir").or(own.data_dir.take());
    own.encrypt |= text(debug, "EncryptKey").is_some();
    if let Some(told) = text(config, "Version") {
        // Enterprise says so only in its build metadata.
        let meta = text(config, "VersionMetadata").filter(|_| !told.contains('+'));
        *version =
            CleanText::new(&told).one_line().to_string() + &meta.map_or(String::new(), |meta| format!("+{meta}"));
    }
}

fn look_at_data(cx: &Cx, own: &mut Own, config_dir: Option<String>) -> Result<()> {
    if own.data_dir.is_none() && config_dir.is_none() {
        return Ok(());
    }
    let data_dir = own.data_dir.as_deref().unwrap_or("/nonexistent");
    let script = Script::new(LOOK_DATA).arg(data_dir).arg(config_dir.as_deref().unwrap_or(""));
    let looked = read_node(cx, script, "Looking at Consul's directories")?;
    let text = CleanText::from_bytes(&looked.stdout);
    own.node_id = section(text.as_str(), "node-id").next().map(str::trim).filter(|id| is_uuid(id)).map(str::to_owned);
    own.keyrings = section(text.as_str(), "keyrings").filter(|name| is_keyring(name)).map(str::to_owned).collect();
    own.config_dir = config_dir.filter(|_| section(text.as_str(), "config").next() == Some("there"));
    Ok(())
}

/// Whether a text is a node-id as Consul writes it.
pub(super) fn is_uuid(text: &str) -> bool {
    let dash = |at| matches!(at, 8 | 13 | 18 | 23);
    text.len() == 36 && text.bytes().enumerate().all(|(at, b)| if dash(at) { b == b'-' } else { b.is_ascii_hexdigit() })
}

/// Whether a name is a keyring's: no path, nothing hidden.
pub(super) fn is_keyring(name: &str) -> bool {
    let stem = name.strip_suffix(".keyring").unwrap_or("");
    (1..=64).contains(&stem.len()) && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
