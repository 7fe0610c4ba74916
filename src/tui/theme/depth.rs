//! How many colours a terminal has, and what becomes of a theme that has more.

use ratatui::style::{Color, Modifier, Style};

use super::Role;

/// How many colours may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// None: `NO_COLOR` is set, or the terminal has none.
    None,
    /// The terminal's own sixteen.
    Sixteen,
    /// The 256 of xterm.
    Many,
    /// Any.
    True,
}

/// What the environment says of the terminal.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the terminal")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surroundings {
    /// How many colours may be used.
    pub depth: Depth,
    /// Whether only ASCII may be written: the locale is not UTF-8.
    pub is_ascii: bool,
    /// Whether the cursor cannot be moved: `TERM` is `dumb` or not set.
    pub is_dumb: bool,
    /// Whether the terminal knows colours and cursor but no sequences of a system, such as the clipboard's.
    pub is_bare: bool,
    /// Whether tmux stands between: what is for the terminal itself must be passed through.
    pub in_tmux: bool,
    /// Whether the terminal is one that is known to show a notice on the desktop: OSC 9, which iTerm2 began.
    pub shows_notices: bool,
}

impl Surroundings {
    /// Reads them by `lookup`, which gives a variable of the environment.
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let depth = if set("NO_COLOR").is_some() || is_mono(&term) {
            Depth::None
        } else if set("COLORTERM").is_some_and(|value| value == "truecolor" || value == "24bit")
            || term.ends_with("-direct")
        {
            Depth::True
        } else if term.contains("256color") {
            Depth::Many
        } else {
            Depth::Sixteen
        };
        // The first of these that is set decides, as for every program.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_lowercase();
        Self {
            depth,
            is_ascii: !(locale.contains("utf-8") || locale.contains("utf8")),
            is_dumb: term.is_empty() || term == "dumb",
            is_bare: term == "linux" || term.starts_with("vt"),
            in_tmux: set("TMUX").is_some(),
            // Nobody knows whether tmux passes it on, and screen writes it where the window's name stands.
            shows_notices: set("TMUX").is_none() && set("STY").is_none() && shows_notices(&term, set("TERM_PROGRAM")),
        }
    }
}

/// The terminals whose manuals describe OSC 9 as a notice; others take it for something else or write it out.
fn shows_notices(term: &str, program: Option<String>) -> bool {
    let terms = ["xterm-kitty", "xterm-ghostty", "wezterm", "foot", "foot-extra"];
    terms.contains(&term)
        || program.is_some_and(|program| ["iTerm.app", "WezTerm", "ghostty", "kitty"].contains(&program.as_str()))
}

fn is_mono(term: &str) -> bool {
    term.ends_with("-m") || term.ends_with("-mono") || ["dumb", "vt100", "vt102", "vt220"].contains(&term)
}

/// The xterm defaults of the sixteen, for choosing the nearest.
const SIXTEEN: [(Color, (u8, u8, u8)); 16] = [
    (Color::Black, (0, 0, 0)),
    (Color::Red, (205, 0, 0)),
    (Color::Green, (0, 205, 0)),
    (Color::Yellow, (205, 205, 0)),
    (Color::Blue, (0, 0, 238)),
    (Color::Magenta, (205, 0, 205)),
    (Color::Cyan, (0, 205, 205)),
    (Color::Gray, (229, 229, 229)),
    (Color::DarkGray, (127, 127, 127)),
    (Color::LightRed, (255, 0, 0)),
    (Color::LightGreen, (0, 255, 0)),
    (Color::LightYellow, (255, 255, 0)),
    (Color::LightBlue, (92, 92, 255)),
    (Color::LightMagenta, (255, 0, 255)),
    (Color::LightCyan, (0, 255, 255)),
    (Color::White, (255, 255, 255)),
];

impl Depth {
    /// A theme's looks within these colours. A ground that can no longer be told from the text's becomes reversed.
    pub(super) fn fit(self, styles: &[Style]) -> Vec<Style> {
        let ground = |styles: &[Style]| styles.first().and_then(|style| style.bg);
        let before = ground(styles);
        let mut fitted: Vec<Style> = styles
            .iter()
            .map(|style| {
                let mut fitted = *style;
                fitted.fg = style.fg.and_then(|colour| self.nearest(colour));
                fitted.bg = style.bg.and_then(|colour| self.nearest(colour));
                fitted
            })
            .collect();
        let after = ground(&fitted);
        for (style, fitted) in styles.iter().zip(&mut fitted) {
            let was_apart = style.bg.is_some() && style.bg != before;
            if was_apart && (fitted.bg == after || fitted.bg == fitted.fg) {
                fitted.bg = None;
                *fitted = fitted.add_modifier(Modifier::REVERSED);
                fitted.fg = fitted.fg.filter(|_| style.fg != before);
            }
        }
        fitted
    }

    fn nearest(self, colour: Color) -> Option<Color> {
        match (self, colour) {
            (Self::None, _) => None,
            (Self::Many, Color::Rgb(r, g, b)) => Some(Color::Indexed(nearest_of_256((r, g, b)))),
            (Self::Sixteen, Color::Rgb(r, g, b)) => Some(nearest_of_16((r, g, b))),
            (Self::Sixteen, Color::Indexed(at @ 16..)) => Some(nearest_of_16(rgb_of(at))),
            (_, colour) => Some(colour),
        }
    }
}

/// Weighted by how strongly the eye sees each part.
fn distance(a: (u8, u8, u8), b: (u8, u8, u8)) -> u32 {
    let square = |x: u8, y: u8| u32::from(x.abs_diff(y)).pow(2);
    3 * square(a.0, b.0) + 6 * square(a.1, b.1) + square(a.2, b.2)
}

/// The nearest of the sixteen: greys by lightness alone, the others by hue, for the sixteen are far more saturated.
fn nearest_of_16(colour: (u8, u8, u8)) -> Color {
    let (r, g, b) = colour;
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    let is_grey = most - least < 40 || most < 70;
    let (low, span) = (u32::from(least), u32::from(most - least).max(1));
    let stretch = |part: u8| u8::try_from((u32::from(part) - low) * 255 / span).unwrap_or(u8::MAX);
    let wanted = if is_grey { colour } else { (stretch(r), stretch(g), stretch(b)) };
    let of_kind = SIXTEEN.iter().filter(|(_, (r, g, b))| (r == g && g == b) == is_grey);
    let full = |(r, g, b): (u8, u8, u8)| {
        let most = u32::from(r.max(g).max(b)).max(1);
        let up = |part: u8| u8::try_from(u32::from(part) * 255 / most).unwrap_or(u8::MAX);
        if is_grey { (r, g, b) } else { (up(r), up(g), up(b)) }
    };
    let nearest = of_kind.min_by_key(|(_, known)| {
        let lightness = u32::from(most.abs_diff(known.0.max(known.1).max(known.2)));
        (distance(wanted, full(*known)), lightness)
    });
    nearest.map_or(Color::Reset, |(colour, _)| *colour)
}

/// A colour of the cube or the greys of the 256.
fn rgb_of(at: u8) -> (u8, u8, u8) {
    if at >= 232 {
        let grey = 8 + 10 * (at - 232);
        return (grey, grey, grey);
    }
    let part = |number: u8| if number == 0 { 0 } else { 55 + 40 * number };
    let at = at.saturating_sub(16);
    (part(at / 36), part(at / 6 % 6), part(at % 6))
}

fn nearest_of_256(colour: (u8, u8, u8)) -> u8 {
    (16..=u8::MAX).min_by_key(|at| distance(colour, rgb_of(*at))).unwrap_or(16)
}

impl Role {
    /// Roles whose words must be read, for checks of contrast.
    pub fn is_text(self) -> bool {
        !matches!(self, Self::Border | Self::ProgressTrack | Self::BorderFocus | Self::ProgressBar | Self::Chart)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Surroundings {
        Surroundings::read(&|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_says_how_many_colours_there_are() {
        assert_eq!(read(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]).depth, Depth::True);
        assert_eq!(read(&[("TERM", "tmux-256color")]).depth, Depth::Many);
        assert_eq!(read(&[("TERM", "linux")]).depth, Depth::Sixteen);
        assert_eq!(read(&[("TERM", "vt100")]).depth, Depth::None);
        assert_eq!(
            read(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("NO_COLOR", "1")]).depth,
            Depth::None
        );
        // An empty NO_COLOR is none.
        assert_eq!(read(&[("TERM", "xterm"), ("NO_COLOR", "")]).depth, Depth::Sixteen);
    }

    #[test]
    fn the_first_locale_that_is_set_decides() {
        assert!(!read(&[("LANG", "de_DE.UTF-8")]).is_ascii);
        assert!(read(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")]).is_ascii);
        assert!(!read(&[("LC_ALL", ""), ("LANG", "C.utf8")]).is_ascii);
        assert!(read(&[]).is_ascii);
        assert!(read(&[]).is_dumb);
    }

    #[test]
    fn colours_become_their_nearest() {
        assert_eq!(Depth::Sixteen.nearest(Color::Rgb(0x93, 0xc9, 0x7a)), Some(Color::Green));
        assert_eq!(Depth::Sixteen.nearest(Color::Rgb(0xb0, 0x1f, 0x2a)), Some(Color::Red));
        assert_eq!(Depth::Sixteen.nearest(Color::Rgb(0xd5, 0xda, 0xe2)), Some(Color::Gray));
        assert_eq!(Depth::Sixteen.nearest(Color::Rgb(0x17, 0x1b, 0x21)), Some(Color::Black));
        assert_eq!(Depth::Many.nearest(Color::Rgb(255, 0, 0)), Some(Color::Indexed(196)));
        assert_eq!(Depth::None.nearest(Color::Red), None);
    }

    #[test]
    fn a_selection_stays_visible_when_its_ground_is_lost() {
        let text = Style::new().fg(Color::Rgb(213, 218, 226)).bg(Color::Rgb(23, 27, 33));
        let selected = Style::new().bg(Color::Rgb(42, 52, 65));
        let fitted = Depth::Sixteen.fit(&[text, selected]);
        assert!(fitted[1].add_modifier.contains(Modifier::REVERSED), "{fitted:?}");
    }
}
