//! Looking at a node: one script, then a few questions to the agent. Reads only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::api::{Access, Address, Api, Valid, forget, is_unknown_token, resolve};
use super::settings::{Settings, is_datacenter, is_plain_path};
use super::trust;
use crate::model::exit::{Exit, Result};
use crate::model::facts::{Facts, Identity};
use crate::model::text::CleanText;
use crate::services::Cx;
use crate::services::common::http::Request;
use crate::services::common::{SHOW_FENCE, own_value, read_node, text_of, unit_facts};
use crate::transport::Script;

/// The kind of identity a node-id is.
pub(super) const NODE_ID: &str = "consul-node-id";

/// Unit, command line, version, and of every configuration file only the keys named here: its tokens and gossip key
/// never leave the node this way.
///
/// What a process runs is its own user's choice, and this is run as root: the version is asked of the program that the
/// unit starts.
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
line | grep -E '^--?(config-dir|config-file|data-dir|datacenter|domain|node|http-port|https-port|client|dev|server)(=|$)' -A1
echo '== version'
started=$(systemctl show --property=ExecStart --value -- "$unit" | sed -n 's/^{ path=\(.*\) ; argv\[\]=.*/\1/p' | head -n 1)
case $started in */consul) if [ -x "$started" ]; then timeout 5 "$started" version 2>/dev/null | head -n 1; fi;; esac
one() {
  echo "file=$1"
  sed -e 's,^[[:space:]]*\(#\|//\).*,,' -- "$1" | grep -oE '"?\b(data_dir|datacenter|node_name|server|client_addr|http|encrypt)"?[[:space:]]*[=:][[:space:]]*("[A-Za-z0-9_./:-]{0,200}"|true|false|-?[0-9]+)' | sed '/encrypt/s/[=:].*/=true/'
  awk "$settings" "$1"
}
conf() {
  if [ -d "$1" ]; then
    for f in "$1"/*; do case $f in *.json|*.hcl) [ -f "$f" ] && one "$f";; esac; done
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

/// Of a configuration file in HCL or JSON, what it says of TLS, by each setting's whole path: `@tls.https.ca_file=/x`.
///
/// The same key means another thing elsewhere, a health check's or a CA provider's, so what surrounds it counts. Only the
/// settings named here are printed, whatever else stands in the file.
pub(super) const SETTINGS: &str = r##"settings='
function path(key,   i, text) { for (i = 1; i <= depth; i++) if (at[i] != "") text = text at[i] "."; return text key }
function word(text) {
  if (! given) { if (key == "") key = text; return }
  if (path(key) in wanted) print "@" path(key) "=" text
  key = ""; given = 0
}
BEGIN {
  n = split("domain ports.https addresses.https ca_file ca_path cert_file key_file verify_incoming verify_incoming_https auto_encrypt.tls auto_config.enabled", list, " ")
  for (i = 1; i <= n; i++) wanted[list[i]] = 1
  n = split("ca_file ca_path cert_file key_file verify_incoming", list, " ")
  for (i = 1; i <= n; i++) wanted["tls.defaults." list[i]] = wanted["tls.https." list[i]] = 1
}
{
  s = $0
  if (until != "") { t = s; gsub(/[ \t\r]/, "", t); if (t == until) until = ""; next }
  while (s != "") {
    if (comment) { i = index(s, "*/"); if (! i) next; s = substr(s, i + 2); comment = 0; continue }
    c = substr(s, 1, 1); two = substr(s, 1, 2)
    if (c == "#" || two == "//") next
    if (two == "/*") { comment = 1; s = substr(s, 3); continue }
    if (match(s, /^"([^"\\]|\\.)*"/)) { t = substr(s, 2, RLENGTH - 2); s = substr(s, RLENGTH + 1); word(t); continue }
    if (c == "\"") { key = ""; given = 0; next }
    if (match(s, /^<<-?[A-Za-z0-9_]+/)) { until = substr(s, 3, RLENGTH - 2); sub(/^-/, "", until); key = ""; given = 0; next }
    if (match(s, /^[A-Za-z0-9_.+-]+/)) { t = substr(s, 1, RLENGTH); s = substr(s, RLENGTH + 1); word(t); continue }
    if (c == "=" || c == ":") given = 1
    else if (c == "{" || c == "[") { at[++depth] = key; key = ""; given = 0 }
    else if (c == "}" || c == "]") { if (depth) depth--; key = ""; given = 0 }
    else if (c == ",") { key = ""; given = 0 }
    s = substr(s, 2)
  }
}'
"##;

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
    /// The name by which the agent's certificate was recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_name: Option<String>,
    /// Why the API gives no answer; none when it does.
    pub silent: Option<CleanText>,
    /// How a command ends that needs it then, where it is no plain failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_exit: Option<Exit>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent_hints: Vec<String>,
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
    /// How a restore ends for that reason, where it is no plain failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_exit: Option<Exit>,
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
    /// Where facts come from that have several places to come from, by their dotted names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub from: BTreeMap<String, String>,
}

impl Own {
    /// Notes where a fact comes from.
    fn note(&mut self, fact: &str, origin: &str) {
        self.from.insert(fact.to_owned(), origin.to_owned());
    }

    /// Notes why the snapshot can neither be read nor restored.
    fn refuse(&mut self, why: &str, exit: Exit) {
        self.refused = Some(why.into());
        self.refused_exit = Some(exit).filter(|exit| *exit != Exit::Failed);
    }
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
    pub encrypt: bool,
    /// What is said of TLS, by each setting's whole path.
    pub settings: BTreeMap<String, String>,
    /// What of all that the command line says.
    pub flags: BTreeSet<&'static str>,
}

/// Where what the node says by itself comes from.
const API: &str = "its API";
const CONFIGURATION: &str = "its configuration";
const INVENTORY: &str = "the inventory";

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
            _ if let Some(path) = key.strip_prefix('@') => {
                seen.settings.insert(path.to_owned(), value.to_owned());
            }
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
            "https-port" => drop(seen.settings.insert("ports.https".to_owned(), value)),
            "domain" => drop(seen.settings.insert("domain".to_owned(), value)),
            "node" => seen.node_name = Some(value),
            "client" => seen.http = Some(value),
            "server" | "dev" => seen.server = Some(value != "false"),
            _ => continue,
        }
        seen.flags.extend(match flag {
            "data-dir" => Some("data_dir"),
            "datacenter" => Some("datacenter"),
            "node" => Some("node_name"),
            "server" | "dev" => Some("server"),
            "http-port" | "https-port" | "client" => Some("access.http"),
            _ => None,
        });
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
            _ => {
                match self.setting(&["ports.https"]).and_then(|port| port.parse::<u16>().ok()).filter(|&port| port > 0)
                {
                    Some(port) => {
                        let host = self.setting(&["addresses.https"]).unwrap_or(host);
                        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
                        Address::parse(&format!("https://{host}:{port}"))
                    }
                    None => Err("The agent's HTTP API is turned off in its configuration.".to_owned()),
                }
            }
        }
    }

    /// The first of some settings that says something.
    pub(super) fn setting(&self, paths: &[&str]) -> Option<&str> {
        paths.iter().find_map(|path| self.settings.get(*path)).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Where a fact comes from that the agent was told: its command line counts before its files, and an address that
    /// neither says is the default.
    fn origin_of(&self, fact: &str) -> &'static str {
        let is_told = fact != "access.http" || self.http.is_some() || self.port.is_some();
        match self.flags.contains(fact) {
            true => "its command line",
            false if is_told || self.setting(&["ports.https"]).is_some() => CONFIGURATION,
            false => "default",
        }
    }

    fn unit(&self, name: &str) -> String {
        self.unit.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }
}

/// Looks at the node and asks the agent.
pub(super) fn probe(cx: &Cx, settings: &Settings) -> Result<Facts> {
    let set = |value: &Option<String>| value.clone().unwrap_or_default();
    let script =
        Script::new(format!("{SHOW_FENCE}{SETTINGS}{LOOK}")).arg(settings.unit.as_str()).arg(set(&settings.config_dir));
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
    for fact in ["server", "datacenter", "node_name", "data_dir"] {
        own.note(fact, seen.origin_of(fact));
    }
    own.note("encrypt", CONFIGURATION);
    own.note("version", "its program");
    own.note("access.http", if settings.http.is_some() { INVENTORY } else { seen.origin_of("access.http") });
    own.note("access.tls", if settings.api_ca.is_some() { INVENTORY } else { CONFIGURATION });
    let mut notes = Vec::new();
    let mut version = seen.version.trim_start_matches("Consul v").split(' ').next().unwrap_or("").to_owned();
    let running = unit.is_running() || unit.load != "loaded";
    match settings.http.clone().map_or_else(|| seen.address(), Ok) {
        Err(why) => own.silent = Some(why.into()),
        Ok(http) => {
            let (token, datacenter) = (settings.token.clone(), settings.datacenter.clone());
            match trust::of(&seen, settings, &http) {
                Err(why) => own.silent = Some(why.into()),
                Ok(tls) => own.access = Some(Access { http, tls, token, datacenter }),
            }
        }
    }
    if own.access.is_some() && running {
        ask_agent(cx, &mut own, &mut version, &mut notes)?;
    } else if own.access.is_some() {
        own.silent = Some(format!("{} is {}.", settings.unit, unit.active).into());
    }
    own.data_dir = settings.data_dir.clone().or(own.data_dir).filter(|path| is_plain_path(path));
    if settings.data_dir.is_some() {
        own.note("data_dir", INVENTORY);
    }
    own.note("config_dir", if settings.config_dir.is_some() { INVENTORY } else { "its command line" });
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
        own: own_value(&own),
    })
}

/// Asks the agent about itself and the token. A silent or refusing agent is a fact, a cancelled probe an error.
fn ask_agent(cx: &Cx, own: &mut Own, version: &mut String, notes: &mut Vec<CleanText>) -> Result<()> {
    let Some(access) = own.access.clone() else { return Ok(()) };
    let open = Api::new(cx, &access.http, access.tls.as_ref(), None);
    match open.leader() {
        Ok(leader) => own.leader = leader.map(Into::into),
        Err(failure) if failure.exit == Exit::Cancelled => return Err(failure),
        Err(failure) => {
            own.silent = Some(failure.message.into());
            if matches!(failure.exit, Exit::HostKey | Exit::Authentication) {
                (own.silent_exit, own.silent_hints) = (Some(failure.exit), failure.hints);
            }
            return Ok(());
        }
    }
    own.api_name = open.recognised_by();
    if let Ok(Value::Array(peers)) = open.get("/v1/status/peers", "Asking Consul for its servers") {
        own.peers = peers.iter().filter_map(Value::as_str).map(Into::into).collect();
        own.peers.sort();
    }
    if own.leader.is_none() {
        notes.push("The datacenter has no leader; only a stale copy of what this server knows can be taken.".into());
    }
    let token = match resolve(cx, access.token.as_ref(), Valid::Now) {
        Ok(token) => token,
        Err(failure) => {
            own.refuse(&failure.message, failure.exit);
            return Ok(());
        }
    };
    let has_token = token.is_some();
    let api = Api::new(cx, &access.http, access.tls.as_ref(), token);
    let doing = "Asking Consul about itself";
    let reply = api.ask(Request::get("/v1/agent/self").within(Duration::from_secs(20)), doing)?;
    match reply.status {
        200 => read_self(own, version, &reply.json().unwrap_or(Value::Null)),
        403 if is_unknown_token(403, reply.text().as_str()) => {
            own.acl = Some(true);
            forget(cx, access.token.as_ref(), Valid::Now);
            own.refuse("Consul does not know the token.", Exit::Authentication);
            return Ok(());
        }
        403 => own.acl = Some(true),
        _ => {}
    }
    if own.acl != Some(false) {
        match api.may_write_acl() {
            Ok(Some(false)) if has_token => {
                own.refuse("The token lacks the right acl = \"write\".", Exit::Authentication);
            }
            Ok(Some(false)) => {
                let there = if access.token.is_some() {
                    "the token the inventory names is empty"
                } else {
                    "the inventory names no token"
                };
                own.refuse(
                    &format!("ACLs are on and {there}; it needs one with acl = \"write\"."),
                    Exit::Authentication,
                );
            }
            Ok(may_write) => own.may_write = may_write,
            Err(failure) => own.refuse(&failure.message, failure.exit),
        }
    }
    if own.datacenter.is_none()
        && let Ok(list) = open.get("/v1/catalog/datacenters", "Asking Consul for its datacenters")
        && let Some([Value::String(name)]) = list.as_array().map(Vec::as_slice)
    {
        own.datacenter = Some(name.clone()).filter(|name| is_datacenter(name));
        own.note("datacenter", API);
    }
    if let (Some(wanted), Some(found)) = (&access.datacenter, &own.datacenter)
        && wanted != found
    {
        let why = format!("This agent belongs to the datacenter {found}, not to {wanted}.");
        own.refuse(&why, Exit::Failed);
    }
    Ok(())
}

/// Takes from `/v1/agent/self` what is needed and nothing more.
pub(super) fn read_self(own: &mut Own, version: &mut String, said: &Value) {
    let (config, debug) = (&said["Config"], &said["DebugConfig"]);
    let text = |value, key| Some(text_of(value, key)).filter(|text| !text.is_empty()).map(str::to_owned);
    let datacenter = text(config, "Datacenter").filter(|name| is_datacenter(name));
    let node_name = text(config, "NodeName").map(|name| CleanText::new(&name));
    let (server, data_dir, told) = (config["Server"].as_bool(), text(debug, "DataDir"), text(config, "Version"));
    let encrypts = text(debug, "EncryptKey").is_some() && !own.encrypt;
    for (fact, is_told) in [
        ("datacenter", datacenter.is_some()),
        ("node_name", node_name.is_some()),
        ("server", server.is_some()),
        ("data_dir", data_dir.is_some()),
        ("version", told.is_some()),
        ("encrypt", encrypts),
    ] {
        if is_told {
            own.note(fact, API);
        }
    }
    own.datacenter = datacenter.or(own.datacenter.take());
    own.node_name = node_name.or(own.node_name.take());
    own.server = server.or(own.server);
    own.acl = debug["ACLsEnabled"].as_bool().or(own.acl);
    own.data_dir = data_dir.or(own.data_dir.take());
    own.encrypt |= encrypts;
    if let Some(told) = told {
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
