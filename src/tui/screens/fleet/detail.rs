//! The detail of what is selected, and the line below the panes that says how fresh all of it is.

use super::FleetPage;
use super::rows::{Row, look_of_owner};
use crate::engine::doctor::Level;
use crate::engine::fleet::{ItemView, OwnerView, Reach};
use crate::engine::holdings::CopyView;
use crate::engine::phrases::{copying_word, count, rung_word};
use crate::model::clock::is_ahead;
use crate::model::item::{Sensitivity, Standing};
use crate::tui::action::Action;
use crate::tui::frame::look_of;
use crate::tui::model::Model;
use crate::tui::screen::Canvas;
use crate::tui::theme::{Glyphs, Role};
use crate::tui::when::{ago, utc_and_ago};
use crate::tui::widgets::lines::{Line, render_lines};
use crate::tui::widgets::panel::render_panel;

impl FleetPage {
    /// What the detail says: of the host while the fleet has the focus, else of the item.
    fn detail_of(&self, model: &Model, glyphs: &Glyphs) -> (String, Vec<Line>) {
        match self.tree.selected(model) {
            Some(Row::Group { name, owners, .. }) => (name, group_lines(&owners, glyphs)),
            Some(Row::Owner(owner)) => match self.item(model).filter(|_| self.focus(model) != super::FLEET) {
                Some(item) => (item.place.to_string(), item_lines(item, model, glyphs)),
                None => (owner.id.to_string(), owner_lines(owner, model, glyphs)),
            },
            None => ("Detail".to_owned(), empty_lines(model)),
        }
    }

    pub(super) fn render_detail(&self, model: &Model, has_focus: bool, canvas: &mut Canvas) {
        let (title, lines) = self.detail_of(model, &canvas.theme.glyphs);
        let mut inner = render_panel(&title, has_focus, canvas.area, canvas);
        render_lines(&lines, &self.detail, &mut inner);
    }
}

fn empty_lines(model: &Model) -> Vec<Line> {
    if !model.fleet.owners.is_empty() {
        return Vec::new();
    }
    vec![
        Line::text(format!("{} names no host.", model.place.inventory.display())),
        Line::Blank,
        Line::muted("Write hosts into it, or make one: lifeboat init --from-ssh-config"),
    ]
}

/// ```text
/// ▲ stale      The newest good copy is older than 24h.
/// last good    2026-11-18 02:50Z, 2d ago
/// shown        verified 2026-11-18 02:51Z, 2d ago
/// ```
pub fn item_lines(item: &ItemView, model: &Model, glyphs: &Glyphs) -> Vec<Line> {
    let now = model.now;
    let (role, sign) = look_of(item.state, glyphs);
    let why = if item.why.is_empty() { "Nothing speaks against it.".to_owned() } else { item.why.clone() };
    let mut lines = vec![Line::Status(sign, item.state.word().to_owned(), why, role)];
    match item.last_good() {
        Some(at) => lines.push(Line::field("last good", utc_and_ago(at, now))),
        None => {
            lines.push(Line::field("last good", if item.copies().is_empty() { "none" } else { "none of its copies" }));
        }
    }
    if let Some((rung, at)) = item.last_proof(now) {
        lines.push(Line::field("shown", format!("{} {}", rung_word(Some(rung)), utc_and_ago(at, now))));
    }
    if let Some(newest) = item.copies().first() {
        lines.push(openable_line(newest, model));
        lines.push(Line::field("copies", format!("{}, the newest {}", item.copies().len(), size_of(newest))));
        lines.extend(newest.marks.iter().map(|mark| Line::Field("mark".into(), mark.to_string(), Role::StatusWarn)));
    }
    if let Some(found) = &item.item {
        let size = found.size.map_or("size not known".to_owned(), |size| size.to_string());
        let secret = if found.sensitivity == Sensitivity::Secret { ", secret" } else { "" };
        match &found.standing {
            Standing::Elsewhere(why) | Standing::Absent(why) => lines.push(Line::field("on the node", why.to_string())),
            _ => lines.push(Line::field(
                "on the node",
                format!("{size}, can be copied {}{secret}", copying_word(found.copying)),
            )),
        }
    }
    lines.extend(item.shelf.identities.iter().map(identity_line));
    lines
}

/// A line for an identity: its kind without the service's name where the value says it anyway.
pub fn identity_line(identity: &crate::model::facts::Identity) -> Line {
    let label = match identity.kind.as_str() {
        "avalanche-node-id" => "node id".to_owned(),
        "avalanche-bls" => "BLS key".to_owned(),
        kind => kind.replace('-', " "),
    };
    Line::field(&label, identity.value.clone())
}

/// Whether a key was shown to open a copy.
pub fn openable_line(copy: &CopyView, model: &Model) -> Line {
    match (copy.sealed, copy.openable_at()) {
        (false, _) => Line::field("openable", "it lies in clear"),
        (true, Some(at)) => Line::field(
            "openable",
            if is_ahead(at, model.now) {
                "a key opened it, dated ahead of this clock".to_owned()
            } else {
                format!("a key opened it {}", ago(at, model.now))
            },
        ),
        (true, None) => {
            let told = "no key was shown to open it yet; verify it where one is at hand";
            Line::Field("openable".to_owned(), told.to_owned(), Role::StatusWarn)
        }
    }
}

/// "1.17 KiB sealed".
pub fn size_of(copy: &CopyView) -> String {
    format!("{} {}", copy.size, if copy.sealed { "sealed" } else { "in clear" })
}

fn owner_lines(owner: &OwnerView, model: &Model, glyphs: &Glyphs) -> Vec<Line> {
    let now = model.now;
    let (role, sign, word) = look_of_owner(owner, glyphs);
    let mut lines = Vec::new();
    let kept = owner.items().map(|item| item.copies().len()).sum::<usize>();
    let sum = format!(
        "{} of {}, {} kept.",
        count(owner.items().count(), "item"),
        count(owner.services.len(), "service"),
        count(kept, "copy")
    );
    match &owner.reach {
        Reach::Failed(at, failure) => {
            lines.push(Line::Status(sign, word, failure.message.clone(), role));
            lines.extend(failure.hints.iter().map(|hint| Line::Field(String::new(), hint.clone(), Role::Muted)));
            lines.push(Line::field("asked", utc_and_ago(*at, now)));
            lines.push(Line::field("stored", sum));
        }
        Reach::Answered(at) if owner.services.is_empty() => {
            let told = "The inventory names no service of it; a place to restore to.".to_owned();
            lines.push(Line::Status(sign, word, told, role));
            lines.push(Line::field("answered", utc_and_ago(*at, now)));
        }
        Reach::Answered(at) => {
            lines.push(Line::Status(sign, word, sum, role));
            lines.push(Line::field("answered", utc_and_ago(*at, now)));
        }
        Reach::Unknown if owner.services.is_empty() => {
            lines.push(Line::Status(sign, word, "The inventory names no service of it.".to_owned(), role));
        }
        Reach::Unknown if owner.items().next().is_none() => {
            lines.push(Line::Status(
                sign,
                word,
                format!("Nobody has looked at it yet; {} does.", model.key(Action::Refresh)),
                role,
            ));
        }
        Reach::Unknown => lines.push(Line::Status(sign, word, sum, role)),
    }
    if owner.is_cluster() {
        let members: Vec<&str> = owner.members.iter().map(crate::model::ids::HostId::as_str).collect();
        lines.push(Line::field("members", members.join(", ")));
    } else {
        lines.push(Line::field("reached at", owner.way.clone()));
    }
    if !owner.groups.is_empty() {
        lines.push(Line::field("groups", owner.groups.join(", ")));
    }
    let trouble = owner.health.iter().flat_map(|health| &health.aspects).filter(|aspect| aspect.level() != Level::Ok);
    if !matches!(owner.reach, Reach::Failed(..)) {
        lines.extend(trouble.map(|aspect| {
            let role = if aspect.level() == Level::Critical { Role::StatusBad } else { Role::StatusWarn };
            Line::Field(aspect.name.clone(), aspect.found.to_string(), role)
        }));
    }
    // The reasons first: where there is little room, that is what is seen.
    let reasons = owner.items().filter(|item| !item.why.is_empty()).map(|item| {
        let (role, _) = look_of(item.state, glyphs);
        Line::Field(item.state.word().to_owned(), format!("{}: {}", item.title(), item.why), role)
    });
    lines.splice(1..1, reasons);
    lines
}

fn group_lines(owners: &[&OwnerView], glyphs: &Glyphs) -> Vec<Line> {
    let silent = owners.iter().filter(|owner| matches!(owner.reach, Reach::Failed(..)));
    let mut lines: Vec<Line> = silent
        .map(|owner| {
            let (role, sign, _) = look_of_owner(owner, glyphs);
            let Reach::Failed(_, failure) = &owner.reach else { return Line::Blank };
            Line::Status(sign, owner.id.to_string(), failure.message.clone(), role)
        })
        .collect();
    let unseen = owners.iter().filter(|owner| matches!(owner.reach, Reach::Unknown)).count();
    if unseen > 0 {
        lines.push(Line::muted(format!("{} not looked at in this sitting.", count(unseen, "host"))));
    }
    if lines.is_empty() {
        lines.push(Line::muted("Every host of it answered."));
    }
    lines
}

/// What must be known of the page as a whole, when there is something: no vault, an old look, a look under way.
pub(super) fn notice(model: &Model) -> Option<(String, Role)> {
    if let Some(failure) = &model.vault_failure {
        let hint = failure.hints.first().map(|hint| format!(" {hint}")).unwrap_or_default();
        return Some((format!("No vault: {}{hint}", failure.message), Role::StatusBad));
    }
    if let Some(at) = model.fleet.remembered {
        let told = format!("As it was seen {}; the vault is being read.", ago(at, model.now));
        return Some((told, Role::StatusRunning));
    }
    match model.looking.as_slice() {
        [] => None,
        [one] => Some((format!("Looking at {one}."), Role::StatusRunning)),
        [first, ..] => Some((format!("Looking at {first} and {} more.", model.looking.len() - 1), Role::StatusRunning)),
    }
}

/// ```text
///  ◐ Looking at val-1 and 19 more.
/// ```
pub(super) fn render_notice(model: &Model, canvas: &mut Canvas) {
    if let Some((text, role)) = notice(model) {
        let glyphs = canvas.theme.glyphs;
        let sign = if role == Role::StatusBad { glyphs.bad } else { glyphs.running };
        let end = canvas.text(1, 0, sign, role) + 1;
        canvas.text(end, 0, &text, role);
    }
}
