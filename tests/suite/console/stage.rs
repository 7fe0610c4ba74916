//! A stage: the console's state, keys typed by name, and what stands on the screen as text and as roles.

use std::sync::Arc;

use lifeboat::engine::fleet::Fleet;
use lifeboat::engine::runs::Told;
use lifeboat::model::exit::Failure;
use lifeboat::tui::app::App;
use lifeboat::tui::message::{Effect, Msg, Notice, Order};
use lifeboat::tui::model::{Model, Place};
use lifeboat::tui::screens::fleet::FleetPage;
use lifeboat::tui::theme::{Depth, Role, Shelf, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;

use super::picture;

/// The sizes every page is shown at.
pub const SIZES: [(u16, u16); 2] = [(80, 24), (120, 40)];

/// The moment every picture is taken at.
pub const NOW: &str = "2026-11-20T02:50:00Z";

/// The console on a stage.
pub struct Stage {
    pub app: App,
    /// What it asked its surroundings for, oldest first.
    pub asked: Vec<Effect>,
    /// The vault's runs.
    runs: Vec<(String, Result<Told, Failure>)>,
}

impl Stage {
    /// The console on the fleet of an inventory.
    pub fn of_inventory(text: &str) -> Self {
        let path = std::path::Path::new("/inventory.toml");
        let loaded = lifeboat::config::parse_inventory(text, path, std::path::Path::new("/home/ops")).unwrap();
        let place = Place { inventory: path.into(), vault: "/vault".into(), ..Place::default() };
        let model = Model::new(place, Fleet::of_inventory(&loaded.inventory), NOW.parse().unwrap());
        Self::of(App::new(model, Box::new(FleetPage::default())))
    }

    /// A console that has asked for nothing yet.
    pub fn of(app: App) -> Self {
        Self { app, asked: Vec::new(), runs: Vec::new() }
    }

    /// Types keys by their names: "down", "ctrl-r", "b".
    pub fn keys(&mut self, names: &str) -> &mut Self {
        for name in names.split_whitespace() {
            let key: lifeboat::tui::keymap::Key = name.parse().unwrap();
            self.update(Msg::Key(key.event()));
        }
        self
    }

    /// Types text letter by letter.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for letter in text.chars() {
            let code = crossterm::event::KeyCode::Char(letter);
            self.update(Msg::Key(code.into()));
        }
        self
    }

    /// Has the crew report something.
    pub fn notice(&mut self, notice: Notice) -> &mut Self {
        self.update(Msg::Notice(notice));
        self
    }

    /// Has the crew report the vault's runs; each is read by whoever asks for it.
    pub fn runs(&mut self, runs: Vec<(String, Result<Told, Failure>)>) -> &mut Self {
        self.runs = runs;
        let brief = |(name, told): &(String, Result<Told, Failure>)| {
            (name.clone(), told.as_ref().map(Told::brief).map_err(Clone::clone))
        };
        let list: Vec<_> = self.runs.iter().map(brief).collect();
        self.notice(Notice::Runs(Ok(Arc::new(list))))
    }

    /// The same with one more.
    pub fn run_more(&mut self, told: Told) -> &mut Self {
        let mut runs = std::mem::take(&mut self.runs);
        runs.push((told.run.to_string(), Ok(told)));
        self.runs(runs)
    }

    /// From now on nobody answers who asks for a run.
    pub fn runs_alone(&mut self) -> &mut Self {
        self.runs.clear();
        self
    }

    fn update(&mut self, msg: Msg) {
        let effects = self.app.update(msg);
        let read = effects.iter().find_map(|effect| match effect {
            Effect::Order(Order::ReadRun(run)) => self.runs.iter().find(|(name, _)| *name == run.as_str()).cloned(),
            _ => None,
        });
        self.asked.extend(effects);
        if let Some((name, told)) = read {
            self.update(Msg::Notice(Notice::Run(name.parse().unwrap(), Box::new(told))));
        }
    }

    /// The drawn cells.
    pub fn draw(&self, (width, height): (u16, u16)) -> Buffer {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        self.app.view(area, &mut buffer);
        buffer
    }

    /// Wears a theme.
    pub fn wear(&mut self, name: &str) {
        self.app.theme = Shelf::built_in().theme(name, Depth::True).unwrap();
    }

    /// Writes the page as it looks into the directory somebody asked for (see `picture`); the default theme stays on.
    pub fn look(&mut self, name: &str, size: (u16, u16)) {
        let Some(dir) = picture::looking_dir() else { return };
        let worn = self.app.theme.clone();
        for (theme, terminal) in [("default", picture::DARK), ("light", picture::LIGHT), ("mono", picture::DARK)] {
            self.wear(theme);
            let drawn = picture::svg(&self.draw(size), &terminal, name);
            std::fs::write(dir.join(format!("{name}_{}x{}_{theme}.svg", size.0, size.1)), drawn).unwrap();
        }
        self.app.theme = worn;
    }

    /// What is written.
    pub fn grid(&self, size: (u16, u16)) -> String {
        self.check_keys();
        rows(&self.draw(size), |cell| cell.symbol().to_owned())
    }

    /// No key means two things that the page offers at once.
    fn check_keys(&self) {
        let offers = self.app.offers();
        let offered = |action| offers.iter().any(|offer| offer.action == action);
        let here: Vec<_> = self.app.model.keymap.bindings().iter().filter(|binding| offered(binding.action)).collect();
        for (at, one) in here.iter().enumerate() {
            assert!(!here[at + 1..].iter().any(|other| other.on == one.on), "two meanings: {one:?}");
        }
    }

    /// What each cell means, a letter a role, `.` for plain text.
    pub fn roles(&mut self, size: (u16, u16)) -> String {
        let theme = std::mem::replace(&mut self.app.theme, Theme::role_grid());
        let buffer = self.draw(size);
        self.app.theme = theme;
        rows(&buffer, |cell| match cell.fg {
            _ if cell.symbol() == " " && cell.fg == Color::Indexed(0) => " ".to_owned(),
            Color::Indexed(0) => ".".to_owned(),
            Color::Indexed(role) => char::from(b'@' + role).to_string(),
            _ => "?".to_owned(),
        })
    }

    /// Which letter stands for which role, for the head of a snapshot.
    pub fn legend() -> String {
        let letter = |at: usize| char::from(b'@' + u8::try_from(at).unwrap());
        let roles = Role::ALL.iter().enumerate().skip(1);
        roles.map(|(at, role)| format!("{} {}", letter(at), role.name())).collect::<Vec<_>>().join(", ")
    }
}

fn rows(buffer: &Buffer, show: impl Fn(&ratatui::buffer::Cell) -> String) -> String {
    let area = buffer.area;
    let row = |y: u16| (0..area.width).map(|x| show(&buffer[(x, y)])).collect::<String>().trim_end().to_owned();
    (0..area.height).map(row).collect::<Vec<_>>().join("\n")
}

/// Holds a page, as text and as roles, at every size.
#[macro_export]
macro_rules! assert_page {
    ($name:expr, $stage:expr) => {
        for size in $crate::console::stage::SIZES {
            $stage.look($name, size);
            let page = format!("{}\n\n{}", $stage.grid(size), $stage.roles(size));
            insta::assert_snapshot!(format!("{}_{}x{}", $name, size.0, size.1), page);
        }
    };
}
