//! Themes: what a cell means, not how it looks. Widgets name [`Role`]s; a theme file gives each role a look.
//!
//! The themes that come with Lifeboat stand in `themes/`; the operator's own in `themes/` of the configuration
//! directory, and one of the same name wins.

mod depth;
mod file;
mod shelf;

use ratatui::style::{Color, Style};

pub use depth::{Depth, Surroundings};
pub use file::parse_theme;
pub use shelf::{BUILT_IN, Shelf, Shelved};

/// What a piece of the screen means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Ordinary text.
    Text,
    /// What may be overlooked.
    Muted,
    /// Names of panes and pages.
    Title,
    /// Frames.
    Border,
    /// The frame of the pane that takes keys.
    BorderFocus,
    /// The selected row of the pane that takes keys.
    Selection,
    /// The selected row of another pane.
    SelectionIdle,
    /// A marked row.
    Marked,
    /// Column headings.
    Heading,
    /// A key in the footer and in help.
    KeyHint,
    /// What is not possible now.
    Disabled,
    /// All is well.
    StatusOk,
    /// Worth a look.
    StatusWarn,
    /// In the way.
    StatusBad,
    /// Not known.
    StatusUnknown,
    /// Under way.
    StatusRunning,
    /// A step that only reads.
    EffectRead,
    /// A step that adds.
    EffectWrite,
    /// A step that stops something for a while.
    EffectQuiesce,
    /// A step that replaces or stops for good.
    EffectDestroy,
    /// The done part of a bar.
    ProgressBar,
    /// The open part of a bar.
    ProgressTrack,
    /// Lines of a chart.
    Chart,
    /// What the filter matched.
    Match,
    /// A text field.
    Input,
    /// A short word on a ground of its own: "read-only", "prod".
    Badge,
    /// A word that warns on a ground of its own.
    BadgeWarn,
    /// A secret that is not shown.
    Secret,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 28] = [
        Self::Text,
        Self::Muted,
        Self::Title,
        Self::Border,
        Self::BorderFocus,
        Self::Selection,
        Self::SelectionIdle,
        Self::Marked,
        Self::Heading,
        Self::KeyHint,
        Self::Disabled,
        Self::StatusOk,
        Self::StatusWarn,
        Self::StatusBad,
        Self::StatusUnknown,
        Self::StatusRunning,
        Self::EffectRead,
        Self::EffectWrite,
        Self::EffectQuiesce,
        Self::EffectDestroy,
        Self::ProgressBar,
        Self::ProgressTrack,
        Self::Chart,
        Self::Match,
        Self::Input,
        Self::Badge,
        Self::BadgeWarn,
        Self::Secret,
    ];

    /// The role whose look it takes when a theme says nothing of it; every chain ends at [`Role::Text`].
    pub fn fallback(self) -> Option<Self> {
        Some(match self {
            Self::Text => return None,
            Self::Border | Self::Disabled | Self::StatusUnknown | Self::EffectRead | Self::Secret => Self::Muted,
            Self::Heading | Self::Marked | Self::Match | Self::BorderFocus | Self::KeyHint => Self::Title,
            Self::StatusBad | Self::EffectQuiesce => Self::StatusWarn,
            Self::EffectDestroy => Self::StatusBad,
            Self::ProgressBar | Self::Chart => Self::StatusRunning,
            Self::ProgressTrack => Self::Border,
            Self::BadgeWarn => Self::Badge,
            _ => Self::Text,
        })
    }

    /// The role of a name in theme files.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Its name in theme files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Muted => "muted",
            Self::Title => "title",
            Self::Border => "border",
            Self::BorderFocus => "border.focus",
            Self::Selection => "selection",
            Self::SelectionIdle => "selection.idle",
            Self::Marked => "marked",
            Self::Heading => "heading",
            Self::KeyHint => "key.hint",
            Self::Disabled => "disabled",
            Self::StatusOk => "status.ok",
            Self::StatusWarn => "status.warn",
            Self::StatusBad => "status.bad",
            Self::StatusUnknown => "status.unknown",
            Self::StatusRunning => "status.running",
            Self::EffectRead => "effect.read",
            Self::EffectWrite => "effect.write",
            Self::EffectQuiesce => "effect.quiesce",
            Self::EffectDestroy => "effect.destroy",
            Self::ProgressBar => "progress.bar",
            Self::ProgressTrack => "progress.track",
            Self::Chart => "chart",
            Self::Match => "match",
            Self::Input => "input",
            Self::Badge => "badge",
            Self::BadgeWarn => "badge.warn",
            Self::Secret => "secret",
        }
    }
}

/// The signs that go with words, so that colour is never alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyphs {
    /// All is well.
    pub ok: &'static str,
    /// Worth a look.
    pub warn: &'static str,
    /// In the way.
    pub bad: &'static str,
    /// Not known, or not there.
    pub unknown: &'static str,
    /// Under way.
    pub running: &'static str,
    /// A folded group.
    pub folded: &'static str,
    /// An open group.
    pub unfolded: &'static str,
    /// Something done, or taken in.
    pub mark: &'static str,
    /// At the edge of a marked row: no sign of a state, which stands right beside it.
    pub flag: &'static str,
    /// The done part of a bar.
    pub bar: &'static str,
    /// The open part of a bar.
    pub track: &'static str,
    /// Between breadcrumbs.
    pub crumb: &'static str,
    /// Where text was cut.
    pub cut: &'static str,
}

impl Glyphs {
    /// For terminals that draw Unicode. None is wide or of ambiguous width in the usual fonts.
    pub const UNICODE: Self = Self {
        ok: "●",
        warn: "▲",
        bad: "✗",
        unknown: "○",
        running: "◐",
        folded: "▸",
        unfolded: "▾",
        mark: "✓",
        flag: "▌",
        bar: "━",
        track: "─",
        crumb: "›",
        cut: "…",
    };
    /// For terminals that do not.
    pub const ASCII: Self = Self {
        ok: "*",
        warn: "!",
        bad: "x",
        unknown: "-",
        running: "~",
        folded: "+",
        unfolded: "-",
        mark: "v",
        flag: "*",
        bar: "#",
        track: "-",
        crumb: ">",
        cut: "~",
    };
}

/// The look of every role.
#[derive(Debug, Clone, PartialEq)]
pub struct Theme {
    /// Its name.
    pub name: String,
    styles: Vec<Style>,
    /// Its signs.
    pub glyphs: Glyphs,
    /// Whether a voice reads what is drawn: charts give way to words.
    pub is_read_out: bool,
}

impl Default for Theme {
    /// The sixteen colours of the terminal, its own ground.
    fn default() -> Self {
        Shelf::built_in().theme("default", Depth::Sixteen).unwrap_or_else(Self::role_grid)
    }
}

impl Theme {
    /// A theme of these looks, in the order of [`Role::ALL`].
    pub(super) fn of_styles(name: &str, styles: Vec<Style>) -> Self {
        Self { name: name.to_owned(), styles, glyphs: Glyphs::UNICODE, is_read_out: false }
    }

    /// How a role looks.
    pub fn style(&self, role: Role) -> Style {
        let at = Role::ALL.iter().position(|known| *known == role);
        at.and_then(|at| self.styles.get(at)).copied().unwrap_or_default()
    }

    /// A theme in which every role has a colour of its own, so that a drawn page can be read back role by role.
    pub fn role_grid() -> Self {
        let styles = (0..Role::ALL.len()).map(|at| Style::new().fg(Color::Indexed(u8::try_from(at).unwrap_or(255))));
        Self::of_styles("roles", styles.collect())
    }

    /// For a voice: roles only, told apart by colour like [`Theme::role_grid`].
    pub fn read_out(glyphs: Glyphs) -> Self {
        Self { glyphs, is_read_out: true, ..Self::role_grid() }
    }
}
