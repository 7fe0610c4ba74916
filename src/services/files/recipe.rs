//! How a person restores a tree by hand with `tar` alone. Pure.

use super::plan::entries_of;
use super::settings::{Compress, split};
use super::sink::compression_of;
use crate::model::manifest::Manifest;
use crate::services::{Recipe, RecipePart};
use crate::transport::quote::quote;

const TAR: &str = "--preserve-permissions --same-owner --delay-directory-restore --xattrs --xattrs-include='*' --acls";

/// The recipe of a snapshot.
pub fn recipe(manifest: &Manifest) -> Recipe {
    let entries = entries_of(&manifest.facts).unwrap_or_default();
    let mut parts = vec![RecipePart::Say(
        "Every archive holds one tree, its names relative to the directory it stood in. Owners are kept by name; add \
         --numeric-owner where the accounts are missing. Stop what uses the files first."
            .to_owned(),
    )];
    let mut commands = String::new();
    for file in &manifest.files {
        let Some((archive, compress)) = compression_of(&file.name) else { continue };
        let Some(entry) = entries.iter().find(|entry| entry.archive == archive) else { continue };
        let (parent, name) = split(&entry.path);
        let word = |text: &str| quote(text.as_bytes());
        let (path, parent) = (word(&entry.path), word(parent));
        let staged = word(&format!("{}/.{name}.by-hand", split(&entry.path).0.trim_end_matches('/')));
        let kept = word(&format!("{}.before-restore", entry.path));
        let plain = word(&format!("./plain/{}", file.name));
        let (open, list) = match compress {
            Compress::Zstd => {
                (format!("zstd -d -c {plain} | tar --extract --file=-"), format!("zstd -d -c {plain} | tar -tvf -"))
            }
            Compress::Gzip => {
                (format!("gzip -d -c {plain} | tar --extract --file=-"), format!("gzip -d -c {plain} | tar -tvf -"))
            }
            Compress::None | Compress::Auto => (format!("tar --extract --file={plain}"), format!("tar -tvf {plain}")),
        };
        let root = word(&format!("{}/.{name}.by-hand/{name}", split(&entry.path).0.trim_end_matches('/')));
        commands += &format!(
            "# {}\n{list}\nmkdir -p {parent}\nmkdir -m 700 {staged}\n{open} --directory={staged} {TAR}\n\
             [ ! -e {path} ] || mv -T {path} {kept}\nmv -T {root} {path}\nrmdir {staged}\n",
            entry.path.escape_debug(),
        );
    }
    parts.push(RecipePart::Node(commands));
    parts.push(RecipePart::Say(
        "A mount point cannot be moved aside: unpack with --directory set to its parent, straight over what is there. \
         Start what uses the files, and remove the *.before-restore copies once all is well."
            .to_owned(),
    ));
    Recipe { parts }
}
