//! A bar of how much is done.

use crate::tui::screen::Canvas;
use crate::tui::theme::Role;

/// Draws `permille` of `width` columns as done. Nothing is drawn as whole before it is.
///
/// ```text
/// ━━━━━━━━──────
/// ```
pub fn render_bar(x: u16, y: u16, width: u16, permille: u64, canvas: &mut Canvas) {
    let (bar, track) = (canvas.theme.glyphs.bar, canvas.theme.glyphs.track);
    let full = u64::from(width) * permille.min(1000) / 1000;
    let done = usize::try_from(full).unwrap_or(0);
    let end = canvas.text_within(x, y, width, &bar.repeat(done), Role::ProgressBar);
    canvas.text_within(
        end,
        y,
        width.saturating_sub(end.saturating_sub(x)),
        &track.repeat(usize::from(width) - done),
        Role::ProgressTrack,
    );
}
