//! What stands around every page: the header with breadcrumbs and counts, and the footer with the keys.

use ratatui::buffer::Buffer;
use unicode_width::UnicodeWidthStr;

use super::action::{Action, Offer};
use super::app::LEAST;
use super::keymap::{Key, Keymap};
use super::message::Tone;
use super::model::Model;
use super::screen::{Canvas, cut};
use super::theme::{Glyphs, Role};
use crate::engine::fleet::{ItemState, Trouble};

/// The role and sign of a state.
pub fn look_of(state: ItemState, glyphs: &Glyphs) -> (Role, &'static str) {
    match state {
        ItemState::Ok => (Role::StatusOk, glyphs.ok),
        ItemState::Absent | ItemState::Uncovered => (Role::StatusUnknown, glyphs.unknown),
        ItemState::Due | ItemState::Unverified | ItemState::Stale | ItemState::Changed => {
            (Role::StatusWarn, glyphs.warn)
        }
        ItemState::Unreachable | ItemState::Never | ItemState::Suspect | ItemState::Twin => {
            (Role::StatusBad, glyphs.bad)
        }
    }
}

/// The role and sign of a host's trouble.
pub fn look_of_trouble(trouble: Trouble, glyphs: &Glyphs) -> (Role, &'static str) {
    match trouble {
        Trouble::NotSeen => (Role::StatusUnknown, glyphs.unknown),
        Trouble::Failed | Trouble::NoLogin | Trouble::HostKey | Trouble::Down => (Role::StatusBad, glyphs.bad),
    }
}

/// How many hosts are in which trouble and how many items stand in which state, the loudest first: a host nobody reached
/// must not be missing among items that are well.
fn counts(model: &Model, glyphs: &Glyphs) -> Vec<(String, Role)> {
    let piece = |(role, sign): (Role, &str), count: usize, word: &str| (format!("{sign} {count} {word}"), role);
    let troubles = model.fleet.troubles();
    let of_hosts = |trouble: Trouble, count: usize| piece(look_of_trouble(trouble, glyphs), count, trouble.word());
    let items = model.fleet.counts();
    let of_items = |loud: bool| {
        let is_told = move |state: &ItemState| *state != ItemState::Absent && (*state > ItemState::Uncovered) == loud;
        let told = items.iter().rev().filter(move |(state, _)| is_told(state));
        told.map(|(state, count)| piece(look_of(*state, glyphs), *count, state.word())).collect::<Vec<_>>()
    };
    let unreached = troubles.iter().rev().filter(|(trouble, _)| **trouble > Trouble::NotSeen);
    let mut pieces: Vec<(String, Role)> = unreached.map(|(trouble, count)| of_hosts(*trouble, *count)).collect();
    pieces.extend(of_items(true));
    pieces.extend(troubles.get(&Trouble::NotSeen).map(|count| of_hosts(Trouble::NotSeen, *count)));
    pieces.extend(of_items(false));
    pieces
}

/// ```text
///  lifeboat › prod › val-1          ✗ 1 down  ✗ 1 never  ▲ 2 stale  ● 12 ok  ~/lifeboat  read-only
/// ```
pub fn render_header(model: &Model, crumbs: &[String], canvas: &mut Canvas) {
    let width = canvas.area.width;
    let glyphs = canvas.theme.glyphs;
    let mut pieces = counts(model, &glyphs);
    let all = pieces.len();
    let vault = model.place.told(&model.place.vault);
    pieces.extend((!vault.is_empty()).then_some((vault, Role::Muted)));
    let mut droppable = pieces.len();
    if model.place.is_practice {
        pieces.push((" practice ".to_owned(), Role::Badge));
    }
    if model.inventory_changed {
        pieces.push((" inventory edited ".to_owned(), Role::BadgeWarn));
    }
    if model.place.read_only {
        pieces.push((" read-only ".to_owned(), Role::BadgeWarn));
    }
    let width_of = |pieces: &[(String, Role)]| pieces.iter().map(|(text, _)| text.width() + 2).sum::<usize>();
    // The vault's path gives way first, then counts, the least urgent first, then breadcrumbs: those only to what the
    // console must not hide.
    let whole = trail(crumbs, glyphs.crumb);
    let room = usize::from(width).saturating_sub(whole.width() + 3);
    // However long names are, the worst count stays.
    let least = pieces.first().filter(|_| all > 0).map_or(0, |(text, _)| text.width() + 2 + glyphs.cut.width() + 2);
    let room = room.max(least.min(usize::from(width / 2)));
    // A count that is left out says so: who sees none must not take it for none.
    let sign = (glyphs.cut.to_owned(), Role::Muted);
    let sign_of = |left: usize| if left < all { sign.0.width() + 2 } else { 0 };
    while droppable > 0 && width_of(&pieces) + sign_of(droppable) > room {
        droppable -= 1;
        pieces.remove(droppable);
    }
    if droppable < all && width_of(&pieces) + sign_of(droppable) <= room {
        pieces.insert(droppable, sign);
    }
    let used = width_of(&pieces);
    let room = usize::from(width).saturating_sub(used + 3);
    let trail = fit_trail(crumbs, glyphs.crumb, glyphs.cut, room);
    let end = canvas.text(1, 0, "lifeboat", Role::Title);
    if let Some(rest) = trail.strip_prefix("lifeboat") {
        canvas.text(end, 0, rest, Role::Text);
    }
    let mut x = width.saturating_sub(u16::try_from(used).unwrap_or(width));
    for (text, role) in pieces {
        x = canvas.text(x, 0, &text, role) + 2;
    }
}

fn trail(crumbs: &[String], sign: &str) -> String {
    let mut trail = "lifeboat".to_owned();
    for crumb in crumbs {
        trail.push_str(&format!(" {sign} {crumb}"));
    }
    trail
}

/// The breadcrumbs within a width: the outer ones give way first, for the page is named by the last.
fn fit_trail(crumbs: &[String], sign: &str, cut_sign: &str, width: usize) -> String {
    let mut shown = crumbs.to_vec();
    let mut dropped = 0;
    while trail(&shown, sign).width() > width && dropped + 1 < crumbs.len() {
        dropped += 1;
        shown = [cut_sign.to_owned()].into_iter().chain(crumbs.iter().skip(dropped).cloned()).collect();
    }
    cut(&trail(&shown, sign), width, cut_sign)
}

/// ```text
///  b back up   v verify   r restore   / filter   : command   ? help   q quit
/// ```
pub fn render_footer(
    offers: &[Offer],
    keymap: &Keymap,
    said: Option<&(Tone, String)>,
    pressed: &[Key],
    canvas: &mut Canvas,
) {
    if let Some((tone, text)) = said {
        let role = match tone {
            Tone::Plain => Role::Text,
            Tone::Warn => Role::StatusWarn,
            Tone::Bad => Role::StatusBad,
        };
        canvas.text(1, 0, text, role);
        return;
    }
    if !pressed.is_empty() {
        let keys: Vec<String> = pressed.iter().map(Key::to_string).collect();
        canvas.text(1, 0, &format!("{} …", keys.join(" ")), Role::KeyHint);
        return;
    }
    let mut hints: Vec<(String, &str, bool)> = offers
        .iter()
        .filter(|offer| !is_motion(offer.action))
        // There is nothing to be reminded of while the order is right.
        .filter(|offer| offer.action != Action::Sort || offer.off.is_none())
        .filter_map(|offer| Some((keymap.label(offer.action)?, offer.action.info().short, offer.off.is_none())))
        .collect();
    // What works comes first; what does not is told by help anyway.
    hints.sort_by_key(|(.., is_on)| !is_on);
    // The way back, command, help and quit always fit; the others as far as there is room.
    let (always, mut others): (Vec<_>, Vec<_>) = hints.into_iter().partition(|(_, short, _)| ALWAYS.contains(short));
    let width_of = |(key, short, _): &(String, &str, bool)| key.width() + 1 + short.width() + 3;
    let room = usize::from(canvas.area.width).saturating_sub(1 + always.iter().map(width_of).sum::<usize>());
    let is_back = |(_, short, is_on): &(String, &str, bool)| *is_on && *short == Action::Back.info().short;
    while others.iter().map(width_of).sum::<usize>() > room {
        let Some(last) = others.iter().rposition(|hint| !is_back(hint)) else { break };
        others.remove(last);
    }
    let mut x = 1;
    for (key, short, is_on) in others.iter().chain(&always) {
        x = canvas.text(x, 0, key, if *is_on { Role::KeyHint } else { Role::Disabled }) + 1;
        x = canvas.text(x, 0, short, if *is_on { Role::Text } else { Role::Disabled }) + 3;
    }
}

/// The footer while a field takes every other key.
///
/// ```text
///  enter give it   esc go back
/// ```
pub fn render_keys(keys: &[(&str, &str)], canvas: &mut Canvas) {
    let mut x = 1;
    for (key, does) in keys {
        x = canvas.text(x, 0, key, Role::KeyHint) + 1;
        x = canvas.text(x, 0, does, Role::Text) + 3;
    }
}

const ALWAYS: [&str; 3] = ["command", "help", "quit"];

/// Moving about needs no reminder, nor does what is always there.
fn is_motion(action: Action) -> bool {
    (action.is_motion() && action != Action::NextPane)
        || matches!(action, Action::Forward | Action::Fleet | Action::Mouse | Action::Suspend)
}

/// Every sign past ASCII as the nearest there is: the last step before a terminal that shows no other.
pub fn fold_to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let symbol = cell.symbol();
        if symbol.is_ascii() {
            continue;
        }
        let sign = match symbol {
            "─" | "━" | "╌" | "┄" | "–" | "—" | "▃" | "▂" => "-",
            "│" | "┃" => "|",
            "┌" | "┐" | "└" | "┘" | "├" | "┤" | "┬" | "┴" | "┼" | "╭" | "╮" | "╰" | "╯" => {
                "+"
            }
            "…" => "~",
            "×" => "x",
            "·" | "•" | "▁" | "░" => ".",
            "›" | "→" | "▸" | "▶" => ">",
            "‹" | "←" | "◂" => "<",
            "↑" | "▴" => "^",
            "↓" | "▾" => "v",
            "‘" | "’" => "'",
            "“" | "”" => "\"",
            "█" | "▓" | "▇" | "▆" => "#",
            "▅" | "▄" | "▒" => "=",
            _ => "?",
        };
        cell.set_symbol(sign);
    }
}

/// In the middle, what it needs; who says so only where there is room for that, too.
pub fn render_too_small(canvas: &mut Canvas) {
    let needs = format!("{}×{}", LEAST.0, LEAST.1);
    let whole = format!("Lifeboat needs {needs}.");
    let lines =
        if whole.width() <= usize::from(canvas.area.width) { vec![whole] } else { vec!["needs".to_owned(), needs] };
    let top = canvas.area.height.saturating_sub(u16::try_from(lines.len()).unwrap_or(1)) / 2;
    for (y, line) in (top..).zip(&lines) {
        let x = canvas.area.width.saturating_sub(u16::try_from(line.width()).unwrap_or(0)) / 2;
        canvas.text(x, y, line, Role::Text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_worse_never_looks_calmer() {
        let calm_to_loud = [Role::StatusUnknown, Role::StatusWarn, Role::StatusBad];
        let loudness = |state: &ItemState| {
            let (role, _) = look_of(*state, &Glyphs::UNICODE);
            calm_to_loud.iter().position(|known| *known == role)
        };
        // What is well and what is not there are both calm; the first is the only one with a colour of its own.
        let shown: Vec<Option<usize>> =
            ItemState::ALL.iter().filter(|state| **state != ItemState::Ok).map(loudness).collect();
        assert!(shown.iter().all(Option::is_some), "{shown:?}");
        assert!(shown.is_sorted(), "{shown:?}");
        assert!(ItemState::ALL.is_sorted());
    }
}
