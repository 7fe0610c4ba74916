//! Pictures of drawn pages: an SVG as a terminal would show it, and the plain text of it.
//!
//! `screenshots/` holds the gallery. A picture that differs from its page fails its test; make them anew with
//! `LIFEBOAT_PICTURES=1 cargo test --test suite console::gallery`, and look at them.
//!
//! While a page is being made, `LIFEBOAT_LOOK=DIR cargo test --test suite console::` writes every page that
//! `assert_page!` holds as SVG into DIR, in the themes default, light and mono; `rsvg-convert` makes PNGs of them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

/// The colours of the terminal a picture is taken on.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    ground: &'static str,
    text: &'static str,
    sixteen: [&'static str; 16],
}

/// A dark terminal with quiet colours.
pub const DARK: Terminal = Terminal {
    ground: "#16191d",
    text: "#d3d7de",
    sixteen: [
        "#2b3038", "#e5737a", "#8cbf6a", "#d9ac5b", "#6fa8e0", "#bf8fd6", "#5cb8b8", "#c4c9d1", "#7a828e", "#f08a8f",
        "#a3d684", "#ecc67c", "#8fc1f2", "#d3a8e6", "#7fd3d3", "#f2f4f7",
    ],
};

/// A light terminal.
pub const LIGHT: Terminal = Terminal {
    ground: "#fbfaf7",
    text: "#24282e",
    sixteen: [
        "#24282e", "#b3262f", "#3b7a1e", "#8a5a00", "#1f5fa8", "#83389c", "#0f6f75", "#6a6f78", "#7d828b", "#c9333c",
        "#44861f", "#976400", "#2a6cb8", "#9145aa", "#187c82", "#101215",
    ],
};

const CELL: (f64, f64) = (8.4, 18.0);
const FONT: f64 = 13.95;
const EDGE: f64 = 12.0;
const FAMILY: &str = "DejaVu Sans Mono, Menlo, Consolas, Liberation Mono, monospace";

/// What is written, row by row.
pub fn text(buffer: &Buffer) -> String {
    let area = buffer.area;
    let mut rows = String::new();
    for y in 0..area.height {
        let mut row = String::new();
        let mut x = 0;
        while x < area.width {
            let symbol = buffer[(x, y)].symbol();
            row.push_str(symbol);
            x += u16::try_from(symbol.width().max(1)).unwrap();
        }
        rows.push_str(row.trim_end());
        rows.push('\n');
    }
    rows
}

/// The look of one cell on a terminal: ink, ground, and what is done to the letters.
#[expect(clippy::struct_excessive_bools, reason = "each is one thing done to letters")]
#[derive(Debug, Clone, PartialEq)]
struct Look {
    ink: String,
    ground: String,
    bold: bool,
    italic: bool,
    underlined: bool,
    dim: bool,
}

impl Terminal {
    fn colour(&self, colour: Color, plain: &str) -> String {
        let sixteen = |at: usize| self.sixteen[at].to_owned();
        match colour {
            Color::Reset => plain.to_owned(),
            Color::Black => sixteen(0),
            Color::Red => sixteen(1),
            Color::Green => sixteen(2),
            Color::Yellow => sixteen(3),
            Color::Blue => sixteen(4),
            Color::Magenta => sixteen(5),
            Color::Cyan => sixteen(6),
            Color::Gray => sixteen(7),
            Color::DarkGray => sixteen(8),
            Color::LightRed => sixteen(9),
            Color::LightGreen => sixteen(10),
            Color::LightYellow => sixteen(11),
            Color::LightBlue => sixteen(12),
            Color::LightMagenta => sixteen(13),
            Color::LightCyan => sixteen(14),
            Color::White => sixteen(15),
            Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
            Color::Indexed(at @ 0..=15) => sixteen(usize::from(at)),
            Color::Indexed(at @ 16..=231) => {
                let part = |number: u8| if number == 0 { 0 } else { 55 + 40 * number };
                let at = at - 16;
                format!("#{:02x}{:02x}{:02x}", part(at / 36), part(at / 6 % 6), part(at % 6))
            }
            Color::Indexed(at) => {
                let grey = 8 + 10 * (at - 232);
                format!("#{grey:02x}{grey:02x}{grey:02x}")
            }
        }
    }

    fn look(&self, cell: &Cell) -> Look {
        let mut ink = self.colour(cell.fg, self.text);
        let mut ground = self.colour(cell.bg, self.ground);
        if cell.modifier.contains(Modifier::REVERSED) {
            std::mem::swap(&mut ink, &mut ground);
        }
        Look {
            ink,
            ground,
            bold: cell.modifier.contains(Modifier::BOLD),
            italic: cell.modifier.contains(Modifier::ITALIC),
            underlined: cell.modifier.contains(Modifier::UNDERLINED),
            dim: cell.modifier.contains(Modifier::DIM),
        }
    }
}

/// A page as a terminal would show it.
pub fn svg(buffer: &Buffer, terminal: &Terminal, title: &str) -> String {
    let (columns, rows) = (f64::from(buffer.area.width), f64::from(buffer.area.height));
    let (width, height) = (columns * CELL.0 + 2.0 * EDGE, rows * CELL.1 + 2.0 * EDGE);
    let mut out = String::new();
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.1} {height:.1}\" \
         font-family=\"{FAMILY}\" font-size=\"{FONT}\" xml:space=\"preserve\">"
    )
    .unwrap();
    writeln!(out, "<title>{}</title>", escape(title)).unwrap();
    // A theme that paints the ground paints the edge too.
    let corner = buffer.cell((0, 0)).map_or(terminal.ground.to_owned(), |cell| terminal.look(cell).ground);
    writeln!(out, "<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{corner}\"/>").unwrap();
    for y in 0..buffer.area.height {
        draw_grounds(buffer, terminal, y, &mut out);
        draw_letters(buffer, terminal, y, &mut out);
    }
    out.push_str("</svg>\n");
    out
}

fn place(x: u16, y: u16) -> (f64, f64) {
    (EDGE + f64::from(x) * CELL.0, EDGE + f64::from(y) * CELL.1)
}

fn draw_grounds(buffer: &Buffer, terminal: &Terminal, y: u16, out: &mut String) {
    let ground = |x: u16| terminal.look(&buffer[(x, y)]).ground;
    let mut x = 0;
    while x < buffer.area.width {
        let (start, colour) = (x, ground(x));
        while x < buffer.area.width && ground(x) == colour {
            x += 1;
        }
        if colour != terminal.ground {
            let (left, top) = place(start, y);
            let width = f64::from(x - start) * CELL.0;
            let height = CELL.1;
            writeln!(
                out,
                "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{colour}\"/>"
            )
            .unwrap();
        }
    }
}

fn draw_letters(buffer: &Buffer, terminal: &Terminal, y: u16, out: &mut String) {
    let mut x = 0;
    while x < buffer.area.width {
        let cell = &buffer[(x, y)];
        let look = terminal.look(cell);
        if cell.symbol() == " " && !look.underlined {
            x += 1;
            continue;
        }
        let shape = shape(cell.symbol());
        if !shape.is_empty() {
            let (left, top) = place(x, y);
            // What reaches from edge to edge goes on over its neighbours in one piece, and blocks end on whole pixels:
            // no seam shows between cells.
            let is_same = |x: u16| buffer[(x, y)].symbol() == cell.symbol() && terminal.look(&buffer[(x, y)]) == look;
            let is_whole =
                matches!(shape.as_slice(), [(sx, _, sw, _)] if *sx == 0.0 && (*sw - 1.0).abs() < f64::EPSILON);
            let end = if is_whole {
                (x..buffer.area.width).find(|x| !is_same(*x)).unwrap_or(buffer.area.width)
            } else {
                x + 1
            };
            let crisp = if cell.symbol().starts_with(|c: char| ('▁'..='█').contains(&c)) {
                " shape-rendering=\"crispEdges\""
            } else {
                ""
            };
            for (sx, sy, sw, sh) in shape {
                writeln!(
                    out,
                    "<rect x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{:.2}\" fill=\"{}\"{crisp}/>",
                    left + sx * CELL.0,
                    top + sy * CELL.1,
                    (f64::from(end - x - 1) + sw) * CELL.0,
                    sh * CELL.1,
                    look.ink
                )
                .unwrap();
            }
            x = end;
            continue;
        }
        let start = x;
        let mut run = cell.symbol().to_owned();
        x += u16::try_from(run.width().max(1)).unwrap();
        // Only ASCII is drawn in runs: a fallback font's other letters may have another width.
        if run.is_ascii() {
            while x < buffer.area.width {
                let next = &buffer[(x, y)];
                if !next.symbol().is_ascii() || terminal.look(next) != look {
                    break;
                }
                run.push_str(next.symbol());
                x += 1;
            }
            if !look.underlined {
                run.truncate(run.trim_end().len());
            }
        }
        draw_run(start, y, &run, &look, out);
    }
}

fn draw_run(x: u16, y: u16, run: &str, look: &Look, out: &mut String) {
    let (left, top) = place(x, y);
    let mut style = String::new();
    for (is_on, words) in [
        (look.bold, " font-weight=\"bold\""),
        (look.italic, " font-style=\"italic\""),
        (look.underlined, " text-decoration=\"underline\""),
        (look.dim, " opacity=\"0.6\""),
    ] {
        if is_on {
            style.push_str(words);
        }
    }
    let long = format!(" textLength=\"{:.1}\"", f64::from(u16::try_from(run.width()).unwrap()) * CELL.0);
    writeln!(
        out,
        "<text x=\"{left:.1}\" y=\"{:.1}\" fill=\"{}\"{style}{long}>{}</text>",
        top + CELL.1 * 0.76,
        look.ink,
        escape(run)
    )
    .unwrap();
}

/// Lines and blocks as rectangles in parts of a cell, so that they join from cell to cell.
fn shape(symbol: &str) -> Vec<(f64, f64, f64, f64)> {
    let (thin, thick) = (1.0 / CELL.1, 2.4 / CELL.1);
    let across = |from: f64, to: f64, t: f64| (from, 0.5 - t / 2.0, to - from, t);
    let w = 1.0 / CELL.0;
    let down = |from: f64, to: f64| (0.5 - w / 2.0, from, w, to - from);
    let reach = 0.5 + thin / 2.0;
    match symbol {
        "─" => vec![across(0.0, 1.0, thin)],
        "━" => vec![across(0.0, 1.0, thick)],
        "╸" => vec![across(0.0, 0.5, thick)],
        "╺" => vec![across(0.5, 1.0, thick)],
        "│" => vec![down(0.0, 1.0)],
        "┌" | "╭" => vec![across(0.5, 1.0, thin), down(1.0 - reach, 1.0)],
        "┐" | "╮" => vec![across(0.0, 0.5, thin), down(1.0 - reach, 1.0)],
        "└" | "╰" => vec![across(0.5, 1.0, thin), down(0.0, reach)],
        "┘" | "╯" => vec![across(0.0, 0.5, thin), down(0.0, reach)],
        "├" => vec![across(0.5, 1.0, thin), down(0.0, 1.0)],
        "┤" => vec![across(0.0, 0.5, thin), down(0.0, 1.0)],
        "┬" => vec![across(0.0, 1.0, thin), down(0.5, 1.0)],
        "┴" => vec![across(0.0, 1.0, thin), down(0.0, 0.5)],
        "┼" => vec![across(0.0, 1.0, thin), down(0.0, 1.0)],
        "█" => vec![(0.0, 0.0, 1.0, 1.0)],
        _ => match symbol.chars().next() {
            Some(c @ '▁'..='▇') => {
                let eighths = f64::from(u32::from(c) - u32::from('▁') + 1) / 8.0;
                vec![(0.0, 1.0 - eighths, 1.0, eighths)]
            }
            Some(c @ '▉'..='▏') => {
                let eighths = f64::from(u32::from('▏') - u32::from(c) + 1) / 8.0;
                vec![(0.0, 0.0, eighths, 1.0)]
            }
            _ => Vec::new(),
        },
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Holds a picture of the gallery as SVG and text.
#[track_caller]
pub fn hold(name: &str, buffer: &Buffer, terminal: &Terminal) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots");
    for (ending, now) in [("svg", svg(buffer, terminal, &format!("Lifeboat: {name}"))), ("txt", text(buffer))] {
        let path = dir.join(format!("{name}.{ending}"));
        if std::env::var_os("LIFEBOAT_PICTURES").is_some() {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(&path, &now).unwrap();
            continue;
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            stored == now,
            "screenshots/{name}.{ending} does not show the page any more; make it anew and look at it: \
             LIFEBOAT_PICTURES=1 cargo test --test suite console::gallery\n{}",
            text(buffer)
        );
    }
}

/// Where pages under work are written, when somebody asked to look at them.
pub fn looking_dir() -> Option<PathBuf> {
    let dir = PathBuf::from(std::env::var_os("LIFEBOAT_LOOK")?);
    std::fs::create_dir_all(&dir).unwrap();
    Some(dir)
}

#[test]
fn a_picture_joins_lines_and_escapes_markup() {
    let mut buffer = Buffer::empty(ratatui::layout::Rect::new(0, 0, 8, 2));
    buffer.set_string(0, 0, "┌─<&日x", ratatui::style::Style::new().fg(Color::Red));
    let drawn = svg(&buffer, &DARK, "a");
    assert!(drawn.contains(">&lt;&amp;</text>"), "{drawn}");
    assert!(drawn.contains(DARK.sixteen[1]), "{drawn}");
    assert!(!drawn.contains('─'), "{drawn}");
    // The letter after a wide one stands two columns further.
    assert!(
        drawn.contains(&format!(
            "<text x=\"{:.1}\" y=\"25.7\" fill=\"#e5737a\" textLength=\"8.4\">x<",
            EDGE + 6.0 * CELL.0
        )),
        "{drawn}"
    );
    assert_eq!(text(&buffer), "┌─<&日x\n\n");
}
