//! `RESTORE.md`: what to type when there is nothing but this directory and a key.

use std::fmt::Write;

use crate::model::item::Sensitivity;
use crate::model::manifest::{Manifest, Source};

/// What a driver adds to the card: how the service wants its files back.
#[derive(Debug, Clone, Default)]
pub struct CardRecipe {
    /// What it is, a few words: "staking identity of a validator".
    pub title: String,
    /// How to put it back, after the files lie in clear under `$OUT`.
    pub steps: Vec<CardStep>,
    /// What else may be needed, each a paragraph.
    pub closing: Vec<String>,
}

/// One step of the card.
#[derive(Debug, Clone)]
pub struct CardStep {
    /// What it does and what to know before, each a paragraph.
    pub text: Vec<String>,
    /// Where its commands are typed.
    pub place: Place,
    /// The commands, one a line; here, `$OUT` and `$NODE` are set.
    pub commands: Vec<String>,
}

/// Where commands are typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On the machine that has the vault, in the snapshot's directory.
    Here,
    /// On the node, as root.
    Node,
    /// On the host the snapshot came from, if it still lives, as root.
    Old,
}

/// Quotes a word for a POSIX shell; nothing in it is read by the shell.
pub fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/' | b':' | b'%' | b'@');
    if !word.is_empty() && word.bytes().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Text of a node or an operator inside Markdown: one line, bounded, and unable to end the code span it stands in.
fn code(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    if line.trim().is_empty() { "-".into() } else { format!("`{}`", line.replace('`', "'")) }
}

fn block(card: &mut String, place: Place, commands: &[String]) {
    let info = match place {
        Place::Here => "sh",
        Place::Node => "sh node",
        Place::Old => "sh old",
    };
    let _ = writeln!(card, "```{info}\n{}\n```\n", commands.join("\n"));
}

/// Writes the card. Every block marked `sh` runs as it stands in the snapshot's directory; those marked `sh node` as root on
/// the node, `sh old` as root on the host it came from.
pub fn render_card(manifest: &Manifest, recipe: &CardRecipe) -> String {
    let mut card = String::new();
    let sealed = !manifest.recipients.is_empty();
    let _ = writeln!(card, "# Restore {}\n", code(&manifest.item.to_string()));
    let _ = writeln!(card, "{}\n", one_line(&recipe.title));
    card.push_str(
        "Everything here works without Lifeboat. Type the blocks in order: here means in this directory, all in one shell; \
         on the node means as root on the machine it goes to.\n\n",
    );
    let source = &manifest.source;
    let mut rows = vec![
        ("snapshot", code(manifest.id.as_str())),
        (
            "copied",
            format!(
                "{} from {} at {}",
                code(&manifest.created.to_string()),
                code(source.host.as_str()),
                code(&source.address)
            ),
        ),
        ("service", format!("{} {}", code(&manifest.kind), code(source.version.as_ref().map_or("", |v| v.as_str())))),
        ("format", code(&manifest.format)),
        (
            "made by",
            format!(
                "Lifeboat {} as {}, run {}",
                code(&manifest.made_by),
                code(manifest.console.as_str()),
                code(manifest.run.as_str())
            ),
        ),
    ];
    if let Some(reason) = &manifest.reason {
        rows.push(("reason", code(reason)));
    }
    rows.extend(manifest.identities.iter().map(|i| ("identity", format!("{} {}", code(&i.kind), code(&i.value)))));
    rows.extend(manifest.marks.iter().map(|m| ("note", code(m.as_str()))));
    rows.extend(manifest.recipients.iter().map(|r| ("sealed to", code(r))));
    for (name, value) in rows {
        let _ = writeln!(card, "- {name}: {value}");
    }
    card.push('\n');
    if !manifest.identities.is_empty() {
        card.push_str("**An identity may run on one node only.** Make sure the old node is stopped for good before the new one starts.\n\n");
    }
    card.push_str("## Say where\n\n");
    let mut settings = Vec::new();
    if sealed {
        settings.push(r#": "${KEY:=$HOME/.config/lifeboat/key.txt}"   # the private key, age or ssh"#.to_owned());
    }
    settings
        .push(r#": "${OUT:=$HOME/lifeboat-restore}"            # a new directory for the files in clear"#.to_owned());
    settings.push(format!(": \"${{NODE:={}}}\"", login(source)));
    block(&mut card, Place::Here, &settings);
    card.push_str("## Check the stored bytes\n\n");
    block(&mut card, Place::Here, &["sha256sum -c SHA256SUMS".into()]);
    open_section(&mut card, manifest, sealed);
    files_section(&mut card, manifest, sealed);
    card.push_str("\n## Bring them to the node\n\n");
    // A pipe rather than scp: it takes every kind of address, and no owner of this machine's along.
    let unpack = "umask 077 && mkdir lifeboat-restore lifeboat-restore/plain && tar -xf - --no-same-owner -C lifeboat-restore/plain";
    block(&mut card, Place::Here, &[format!(r#"tar -C "$OUT" -cf - . | ssh "$NODE" '{unpack}'"#)]);
    if !source.via.is_empty() {
        let hops: Vec<String> = source.via.iter().map(|hop| code(hop)).collect();
        let _ = writeln!(
            card,
            "It was reached through {}. Where there is no other way, add `-J ADDRESS` to `ssh`; the addresses are in \
             `about/inventory.toml` of the vault.\n",
            hops.join(", then ")
        );
    }
    card.push_str(
        "If root may not log in there, bring them there another way, to `lifeboat-restore/plain` in root's home.\n\n",
    );
    for (at, step) in recipe.steps.iter().enumerate() {
        let place = match step.place {
            Place::Here => "Here",
            Place::Node => "On the node",
            Place::Old => "On the old host, if it can be reached",
        };
        let _ = writeln!(card, "### {}. {place}\n", at + 1);
        for text in &step.text {
            let _ = writeln!(card, "{}\n", one_line(text));
        }
        block(&mut card, step.place, &step.commands);
    }
    for text in &recipe.closing {
        let _ = writeln!(card, "{}\n", one_line(text));
    }
    card.push_str("## Afterwards\n\nRemove the files in clear from both machines.\n\n");
    block(&mut card, Place::Node, &["rm -r ~/lifeboat-restore".into()]);
    block(&mut card, Place::Here, &[r#"rm -r "$OUT""#.into()]);
    card
}

fn files_section(card: &mut String, manifest: &Manifest, sealed: bool) {
    card.push_str("## The files as they stood on the node\n\n| file | was | mode | owner |\n|---|---|---|---|\n");
    for file in &manifest.files {
        let or = |text: &Option<crate::model::text::CleanText>| {
            text.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string)
        };
        let mode = file.mode.map_or_else(|| "?".to_owned(), |mode| format!("{mode:04o}"));
        let owner = code(&format!("{}:{}", or(&file.owner), or(&file.group)));
        let cell = |text: String| text.replace('|', "\\|");
        let _ = writeln!(
            card,
            "| {} | {} | {mode} | {} |",
            code(clear_name(&file.stored_name, sealed)),
            cell(code(file.origin.as_str())),
            cell(owner)
        );
    }
}

fn open_section(card: &mut String, manifest: &Manifest, sealed: bool) {
    card.push_str(if sealed { "## Open the seal\n\n" } else { "## Copy the files\n\n" });
    let mut commands = vec![r#"umask 077 && mkdir "$OUT""#.to_owned()];
    for file in &manifest.files {
        let (stored, clear) = (quoted(&file.stored_name), quoted(clear_name(&file.stored_name, sealed)));
        commands.push(if sealed {
            // Not `-o`: age makes no file at all for a payload of no bytes.
            format!(r#"age -d -i "$KEY" ./{stored} >"$OUT"/{clear}"#)
        } else {
            format!(r#"cp ./{stored} "$OUT"/"#)
        });
    }
    block(card, Place::Here, &commands);
    card.push_str("## Check the files in clear\n\n");
    if manifest.sensitivity == Sensitivity::Secret && sealed {
        let list = r#"jq -r '.files | to_entries[] | "\(.value)  \(.key)"'"#;
        let line = format!(r#"age -d -i "$KEY" hashes.json.age | {list} | (cd "$OUT" && sha256sum -c -)"#);
        block(card, Place::Here, &[line]);
    } else {
        let mut lines = vec![r#"(cd "$OUT" && sha256sum -c -) <<'END'"#.to_owned()];
        lines.extend(manifest.files.iter().filter_map(|file| {
            file.plain_sha256.as_ref().map(|hash| format!("{hash}  {}", clear_name(&file.stored_name, sealed)))
        }));
        lines.push("END".into());
        block(card, Place::Here, &lines);
    }
}

/// What `ssh` is told to reach the node it came from as root.
fn login(source: &Source) -> String {
    // The machine Lifeboat ran on has no address, only a description.
    let is_here = source.address.is_empty() || source.address.contains(' ');
    let address = if is_here { "localhost".to_owned() } else { shell_in_quotes(&source.address) };
    match source.port {
        None => format!("root@{address}"),
        Some(port) if address.contains(':') => format!("ssh://root@[{address}]:{port}"),
        Some(port) => format!("ssh://root@{address}:{port}"),
    }
}

/// What of an address may stand inside double quotes in a default.
fn shell_in_quotes(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_')).take(255).collect()
}

fn clear_name(stored: &str, sealed: bool) -> &str {
    if sealed { stored.strip_suffix(".age").unwrap_or(stored) } else { stored }
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}
