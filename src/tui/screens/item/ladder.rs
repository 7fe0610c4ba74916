//! The ladder of proofs over time, and the trend of sizes below it.

use jiff::Timestamp;

use crate::engine::holdings::{CopyView, ProofView, newest};
use crate::engine::phrases::rung_word;
use crate::model::manifest::Rung;
use crate::model::units::ByteSize;
use crate::tui::screen::{Canvas, wrap};
use crate::tui::theme::Role;
use crate::tui::when::{age, ago};
use crate::tui::widgets::chart::render_columns;
use crate::tui::widgets::lines::render_sentences;
use crate::tui::widgets::panel::render_panel;

/// The rungs that are drawn, the highest on top.
const DRAWN: [Rung; 5] = [Rung::Proven, Rung::Drilled, Rung::Verified, Rung::Openable, Rung::Copied];

/// Columns of the names on the left and of the ages on the right.
const NAMES: u16 = 10;
const AGES: u16 = 5;

/// ```text
/// ┌ Ladder ─────────────────────────┐
/// │ drilled            ◆          9d│
/// │ verified   ●       ●  ✗   ●   2h│
/// │ copied     ●       ●  ●   ●   2h│
/// │            90d ago           now│
/// │ size       ▂▂▂▂▂▂▂▂▃▃▃▅▅▅▅█     │
/// │            900 B to 1.17 KiB    │
/// └─────────────────────────────────┘
/// ```
pub fn render_ladder(
    copies: &[CopyView],
    selected: Option<&CopyView>,
    now: Timestamp,
    has_focus: bool,
    canvas: &mut Canvas,
) {
    let mut inner = render_panel("Ladder", has_focus, canvas.area, canvas);
    let oldest = copies.iter().flat_map(|copy| &*copy.proofs).map(|proof| proof.at).min();
    let Some(oldest) = oldest else {
        render_sentences(&[("Nothing was proven yet.", Role::Muted)], &mut inner);
        return;
    };
    if inner.theme.is_read_out {
        tell_ladder(copies, now, &mut inner);
        return;
    }
    let width = inner.area.width.saturating_sub(NAMES + AGES + 2);
    // An hour at least, so that the first proofs do not all stand at the edge.
    let span = Span { from: oldest.as_second().min(now.as_second() - 3600), to: now.as_second(), width };
    for (y, rung) in (0..inner.area.height).zip(DRAWN) {
        inner.text(1, y, rung_word(Some(rung)), Role::Muted);
        let track = if inner.theme.glyphs == crate::tui::theme::Glyphs::ASCII { "." } else { "·" };
        inner.text_within(1 + NAMES, y, width, &track.repeat(usize::from(width)), Role::Border);
        render_rung(rung, copies, selected, &span, y, &mut inner);
        let newest = newest(copies.iter().filter_map(|copy| copy.holds(rung)), now);
        let told = newest.map_or("-".to_owned(), |at| age(at, now));
        inner.right(1 + NAMES + width, y, AGES, &told, if newest.is_some() { Role::Text } else { Role::Muted });
    }
    let axis = u16::try_from(DRAWN.len()).unwrap_or(0);
    let from = Timestamp::from_second(span.from).unwrap_or(oldest);
    inner.text_within(1 + NAMES, axis, width / 2, &ago(from, now), Role::Muted);
    inner.right(1 + NAMES, axis, width, "now", Role::Muted);
    render_trend(copies, axis + 1, &span, &mut inner);
}

/// A stretch of time over columns.
struct Span {
    from: i64,
    to: i64,
    width: u16,
}

impl Span {
    fn column(&self, at: Timestamp) -> u16 {
        let last = i128::from(self.width.saturating_sub(1));
        let passed = i128::from(at.as_second()) - i128::from(self.from);
        let whole = (i128::from(self.to) - i128::from(self.from)).max(1);
        u16::try_from((passed * last / whole).clamp(0, last)).unwrap_or(0)
    }
}

/// The proofs of one rung; those of the selected copy and those that failed stand out, and lie on top.
fn render_rung(rung: Rung, copies: &[CopyView], selected: Option<&CopyView>, span: &Span, y: u16, canvas: &mut Canvas) {
    let glyphs = canvas.theme.glyphs;
    let mut draw = |proof: &ProofView, is_selected: bool| {
        let (sign, role) = match (proof.passed, is_selected) {
            (false, _) => (glyphs.bad, Role::StatusBad),
            (true, true) => (glyphs.ok, Role::StatusOk),
            (true, false) => (glyphs.unknown, Role::Chart),
        };
        canvas.text_within(1 + NAMES + span.column(proof.at), y, 1, sign, role);
    };
    let is_here = |proof: &&ProofView| proof.rung == rung;
    let all = || copies.iter().flat_map(|copy| &*copy.proofs).filter(is_here);
    all().filter(|proof| proof.passed).for_each(|proof| draw(proof, false));
    selected.iter().flat_map(|copy| &*copy.proofs).filter(is_here).for_each(|proof| draw(proof, true));
    all().filter(|proof| !proof.passed).for_each(|proof| draw(proof, false));
}

/// Every rung and the sizes in words, for whom a chart says nothing.
fn tell_ladder(copies: &[CopyView], now: Timestamp, canvas: &mut Canvas) {
    let told = DRAWN.map(|rung| tell_rung(rung, copies, now)).into_iter();
    let told = told.chain([format!("size  {}", tell_sizes(copies))]);
    let width = usize::from(canvas.area.width.saturating_sub(1));
    for (y, line) in (0..canvas.area.height).zip(told.flat_map(|line| wrap(&line, width))) {
        canvas.text(1, y, &line, Role::Text);
    }
}

/// A rung in words: how often it was reached, how often a check of it failed, and when it was last reached.
fn tell_rung(rung: Rung, copies: &[CopyView], now: Timestamp) -> String {
    let proofs = || copies.iter().flat_map(|copy| &*copy.proofs).filter(|proof| proof.rung == rung);
    let failed = proofs().filter(|proof| !proof.passed).count();
    let times = match proofs().count() - failed {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        times => format!("{times} times"),
    };
    let mut told = format!("{}  {times}", rung_word(Some(rung)));
    if failed > 0 {
        told.push_str(&format!(", {failed} failed"));
    }
    if let Some(at) = newest(copies.iter().filter_map(|copy| copy.holds(rung)), now) {
        told.push_str(&format!(", last {}", ago(at, now)));
    }
    told
}

/// Sizes by column, the oldest first: each holds until the next, from the first copy to the last. Where several share a
/// column the newest of them stands there.
fn columns_of(dated: &[(u16, u64)], width: u16) -> Vec<u64> {
    let (first, last) = (dated.first().map_or(0, |(at, _)| *at), dated.last().map_or(0, |(at, _)| *at));
    let size_at = |column: u16| {
        let known = dated.iter().rev().find(|(at, _)| *at <= column);
        known.filter(|_| (first..=last).contains(&column)).map_or(0, |(_, size)| *size)
    };
    (0..width).map(size_at).collect()
}

/// How large the smallest and the largest copy are.
fn tell_sizes(copies: &[CopyView]) -> String {
    let sizes = || copies.iter().map(|copy| copy.size.0);
    let told = |size: Option<u64>| ByteSize(size.unwrap_or(0)).to_string();
    let (least, most) = (told(sizes().min()), told(sizes().max()));
    match copies.len() {
        0 | 1 => most,
        _ if least == most => format!("{most} each time"),
        _ => format!("{least} to {most}"),
    }
}

/// The size of each copy from the mark of its copying on, in what is left below.
fn render_trend(copies: &[CopyView], y: u16, span: &Span, canvas: &mut Canvas) {
    let height = canvas.area.height.saturating_sub(y + 1).min(4);
    if height == 0 {
        return;
    }
    let dated: Vec<(u16, u64)> = copies.iter().rev().map(|copy| (span.column(copy.created), copy.size.0)).collect();
    let columns = columns_of(&dated, span.width);
    let place = ratatui::layout::Rect { x: canvas.area.x + 1 + NAMES, y: canvas.area.y + y, width: span.width, height };
    canvas.text(1, y, "size", Role::Muted);
    render_columns(&columns, Role::Chart, &mut canvas.within(place));
    canvas.text(1 + NAMES, y + height, &tell_sizes(copies), Role::Muted);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_holds_until_the_next_copy_and_none_after_the_last() {
        assert_eq!(columns_of(&[(1, 5), (4, 9), (4, 7), (6, 0)], 9), [0, 5, 5, 5, 7, 7, 0, 0, 0]);
        assert_eq!(columns_of(&[(2, 5)], 5), [0, 0, 5, 0, 0]);
        assert_eq!(columns_of(&[], 3), [0, 0, 0]);
    }
}
