//! An inventory to begin with, from what the operator has for `ssh` already.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use toml_edit::Value;

use super::selector::Pattern;
use super::values;
use crate::model::ids::HostId;
use crate::model::text::CleanText;

/// One `Host` block.
struct Block {
    patterns: Vec<String>,
    options: Vec<(String, String)>,
}

/// The text of an inventory with an entry for each host that `config` names without wildcards.
///
/// Values are copied as `ssh` itself would find them: the first block that matches and sets a keyword wins, wildcard
/// blocks included. With `Match` or `Include` in the file that cannot be known from it alone; then only the names are
/// written, and each connection asks `ssh -G`.
pub fn inventory_from_ssh_config(config: &str) -> String {
    let (blocks, opaque) = read_blocks(config);
    let mut names: Vec<&str> = Vec::new();
    let mut odd: BTreeSet<&str> = BTreeSet::new();
    for name in blocks.iter().flat_map(|block| &block.patterns).map(String::as_str) {
        if name.contains(['*', '?', '!']) || names.contains(&name) {
            continue;
        }
        match HostId::new(name) {
            Ok(_) => names.push(name),
            Err(_) => _ = odd.insert(name),
        }
    }
    let mut text = String::from(
        "# Made from an OpenSSH client configuration. `inventory.example.toml` explains every key.\nversion = 1\n",
    );
    if opaque {
        text.push_str(
            "\n# That file has Match or Include: addresses, ports and users come from `ssh -G` at each connection.\n",
        );
    }
    for name in odd {
        let _ = writeln!(text, "\n# Left out, not a usable name: {}", CleanText::new(name).one_line());
    }
    for name in &names {
        let key = if name.contains('.') { format!("\"{name}\"") } else { (*name).to_owned() };
        let _ = writeln!(text, "\n[hosts.{key}]");
        if !opaque {
            write_host(&mut text, name, &blocks, &names);
        }
    }
    text
}

fn read_blocks(config: &str) -> (Vec<Block>, bool) {
    // What stands above the first Host line holds for every host.
    let mut blocks = vec![Block { patterns: vec!["*".into()], options: Vec::new() }];
    let mut opaque = false;
    for line in config.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
        let (keyword, rest) = line.split_at(end);
        let keyword = keyword.to_ascii_lowercase();
        let rest = rest.trim_start();
        let rest = rest.strip_prefix('=').unwrap_or(rest).trim();
        match keyword.as_str() {
            "match" | "include" => opaque = true,
            "host" => {
                let patterns = rest.split_whitespace().map(|name| name.trim_matches('"').to_owned());
                let patterns = patterns.take_while(|name| !name.starts_with('#')).collect();
                blocks.push(Block { patterns, options: Vec::new() });
            }
            _ => {
                if let Some(block) = blocks.last_mut() {
                    block.options.push((keyword, unquoted(rest).to_owned()));
                }
            }
        }
    }
    (blocks, opaque)
}

fn unquoted(value: &str) -> &str {
    match value.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        Some((inside, _)) => inside,
        None => value,
    }
}

fn applies(block: &Block, name: &str) -> bool {
    let hit = |pattern: &str| Pattern::literal(pattern).matches(name);
    let mut any = false;
    for pattern in &block.patterns {
        match pattern.strip_prefix('!') {
            Some(not) if hit(not) => return false,
            Some(_) => {}
            None => any |= hit(pattern),
        }
    }
    any
}

fn write_host(text: &mut String, name: &str, blocks: &[Block], names: &[&str]) {
    let all = |keyword: &'static str| {
        let options = blocks.iter().filter(|block| applies(block, name)).flat_map(|block| &block.options);
        options.filter(move |(key, _)| key == keyword).map(|(_, value)| value.as_str())
    };
    let mut put = |key: &str, value: Value| {
        let _ = writeln!(text, "{key} = {}", value.decorated("", ""));
    };
    // `%h` is the name as typed; other tokens are left to `ssh -G`.
    let address = all("hostname").next().map(|value| value.replace("%h", name));
    if let Some(address) = address.and_then(|value| values::address(&value).ok()) {
        put("address", address.into());
    }
    if let Some(port) = all("port").next().and_then(|value| values::port(value).ok()) {
        put("port", i64::from(port).into());
    }
    if let Some(user) = all("user").next().and_then(|value| values::user(value).ok()) {
        put("user", user.into());
    }
    let plain = |file: &str| {
        let readable = values::path(file, Path::new("/"), Path::new("/")).is_ok();
        readable && file != "none" && !file.contains('%') && !file.contains("${")
    };
    let files: Vec<&str> = all("identityfile").filter(|file| plain(file)).collect();
    if !files.is_empty() {
        put("identity_file", files.into_iter().collect());
    }
    if let Some(jump) = all("proxyjump").next() {
        let known = |hop: &str| if hop.contains('@') { values::endpoint(hop).is_ok() } else { names.contains(&hop) };
        if jump.eq_ignore_ascii_case("none") {
            put("jump", "none".into());
        } else if jump.split(',').map(str::trim).all(|hop| known(hop) && hop != name) {
            put("jump", jump.into());
        } else {
            let _ = writeln!(text, "# ProxyJump {} comes from `ssh -G`.", CleanText::new(jump).one_line());
        }
    }
}
