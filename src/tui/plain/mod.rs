//! The console without a screen: pages as lines, actions as numbered menus, for screen readers and `TERM=dumb`.
//!
//! It is the same [`App`] with the same pages, actions and wizards. Nothing moves the cursor and nothing has a colour.
//! One line is read at a time; notes that came in meanwhile are said before the next question, never while one types.

mod stops;

use std::io::{self, Write};
use std::time::Duration;

use crossterm::event::KeyCode;
use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Color;
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, sleep, sleep_until};

pub use self::stops::Stops;
use self::stops::Wishes;
use super::action::{Action, Offer};
use super::app::App;
use super::crew::Crew;
use super::keymap::Key;
use super::message::{Effect, Msg, Notice, Order};
use super::modal::Takes;
use super::model::LogLine;
use super::runtime::{End, Setup};
use super::theme::{Role, Theme};
use crate::model::exit::Exit;
use crate::process::{can_come_back, stop_group};

/// The page lines are taken from. Higher than any terminal, so that little needs to be scrolled.
const PAGE: (u16, u16) = (78, 60);

/// What is drawn in these says nothing aloud.
const FOR_EYES: [Role; 5] = [Role::Border, Role::BorderFocus, Role::ProgressBar, Role::ProgressTrack, Role::Chart];

/// How often time is told while somebody waits.
const TOLD_EVERY: Duration = Duration::from_millis(500);

/// How often the crew is asked whether it rests.
const LOOKED_EVERY: Duration = Duration::from_millis(50);

/// Sits until the operator leaves.
///
/// # Errors
/// When nothing can be read or written any more.
pub async fn sit(
    app: App,
    crew: Option<&Crew>,
    notices: Receiver<Notice>,
    first: Vec<Effect>,
    setup: &Setup,
    stops: &Stops,
) -> io::Result<End> {
    let talk = Talk { app, crew, notices, setup, wishes: stops.take_over(), told: 0, menu: Vec::new() };
    talk.talk(first).await
}

/// Reads a page out once and waits for what it waits for; nothing where a signal ends it.
///
/// # Errors
/// When nothing can be written any more.
pub async fn tell_until<T>(app: &mut App, answer: impl Future<Output = T>) -> io::Result<Option<T>> {
    let mut ends = Ends::listen()?;
    say(&read_out(app).join("\n"))?;
    tokio::select! {
        biased;
        () = ends.any() => Ok(None),
        answer = answer => Ok(Some(answer)),
    }
}

struct Talk<'s> {
    app: App,
    crew: Option<&'s Crew>,
    notices: Receiver<Notice>,
    setup: &'s Setup,
    /// Wishes to stop.
    wishes: Wishes,
    /// How many notes were said.
    told: u64,
    /// The actions by the numbers they were last listed under.
    menu: Vec<Action>,
}

/// Lines of standard input, read one at a time and only when asked for.
struct Lines {
    ask: std::sync::mpsc::Sender<()>,
    lines: Receiver<Option<String>>,
}

impl Lines {
    fn open() -> io::Result<Self> {
        let (ask, asked) = std::sync::mpsc::channel();
        let (send, lines) = channel(1);
        std::thread::Builder::new().name("lines".to_owned()).spawn(move || {
            while asked.recv().is_ok() {
                let mut line = String::new();
                let read = io::stdin().read_line(&mut line).ok().filter(|count| *count > 0);
                if send.blocking_send(read.map(|_| line)).is_err() || read.is_none() {
                    return;
                }
            }
        })?;
        Ok(Self { ask, lines })
    }
}

/// The signals that end it in order.
struct Ends {
    terminate: Signal,
    hang_up: Signal,
    interrupt: Signal,
}

impl Ends {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for any of them.
    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Talk<'_> {
    async fn talk(mut self, first: Vec<Effect>) -> io::Result<End> {
        let mut lines = Lines::open()?;
        let mut ends = Ends::listen()?;
        let mut asked = first;
        let mut is_new = true;
        loop {
            if let Some(end) = self.carry_out(asked)? {
                return Ok(end);
            }
            if is_new {
                // A page may wait for the time to be told: a question that was left alone, a job's pace.
                let effects = self.update(Msg::Tick(Timestamp::now()));
                if let Some(end) = self.carry_out(effects)? {
                    return Ok(end);
                }
                self.show_page()?;
            }
            self.say_notes()?;
            let mut hidden = self.prompt()?;
            let _ = lines.ask.send(());
            let line = loop {
                tokio::select! {
                    biased;
                    () = ends.any() => return Ok(End::Exit(Exit::Cancelled)),
                    () = self.wishes.next() => {
                        // The terminal goes to a shell as it was; the page stands far above what is typed there.
                        drop(hidden.take());
                        let effects = self.update(Msg::Asked(Action::Suspend));
                        self.carry_out(effects)?;
                        self.show_page()?;
                        hidden = self.prompt()?;
                    }
                    line = lines.lines.recv() => break line.flatten(),
                    Some(notice) = self.notices.recv(), if !self.notices.is_closed() => {
                        let was_hidden = self.app.hides_typing();
                        let effects = self.update(Msg::Notice(notice));
                        self.carry_out(effects)?;
                        if self.app.hides_typing() && !was_hidden {
                            // What was typed so far was meant for something else.
                            let _ = tcflush(rustix::stdio::stdin(), QueueSelector::IFlush);
                            say("\nA secret is needed.")?;
                            self.show_page()?;
                            hidden = self.prompt()?;
                        }
                    }
                }
            };
            drop(hidden);
            show_typing(true);
            let Some(line) = line else {
                // Leaving cancels what still runs.
                let is_live = self.app.model.live_jobs().next().is_some();
                return Ok(End::Exit(if is_live { Exit::Cancelled } else { Exit::Done }));
            };
            let line = line.trim_end_matches(['\r', '\n']);
            if line == "wait" && !matches!(self.app.takes(), Some(Takes::Text | Takes::Secret)) {
                if !self.wait(&mut ends).await? {
                    return Ok(End::Exit(Exit::Cancelled));
                }
                (asked, is_new) = (Vec::new(), true);
                continue;
            }
            (asked, is_new) = self.take(line)?;
        }
    }

    /// Takes reports in until nothing that was ordered is under way, saying notes as they come; `false` when a signal
    /// ends it.
    async fn wait(&mut self, ends: &mut Ends) -> io::Result<bool> {
        let mut told = Instant::now();
        while self.crew.is_some_and(|crew| !crew.is_idle()) || !self.notices.is_empty() {
            let msg = tokio::select! {
                biased;
                () = ends.any() => return Ok(false),
                () = self.wishes.next() => Msg::Asked(Action::Suspend),
                () = sleep_until(told + TOLD_EVERY) => {
                    told = Instant::now();
                    Msg::Tick(Timestamp::now())
                }
                // The last of the crew rests without a word.
                () = sleep(LOOKED_EVERY) => continue,
                notice = self.notices.recv() => match notice {
                    Some(notice) => Msg::Notice(notice),
                    None => break,
                },
            };
            let effects = self.update(msg);
            self.carry_out(effects)?;
            self.say_notes()?;
            if self.app.has_modal() {
                break;
            }
        }
        Ok(true)
    }

    fn update(&mut self, msg: Msg) -> Vec<Effect> {
        self.app.model.now = Timestamp::now();
        if let (Msg::Notice(Notice::Ended(job, _)), Some(crew)) = (&msg, self.crew) {
            crew.heard(*job);
        }
        self.app.update(msg)
    }

    /// Understands a line; gives what it asks for, and whether the page is to be read out again.
    fn take(&mut self, line: &str) -> io::Result<(Vec<Effect>, bool)> {
        if let Some(takes) = self.app.takes() {
            return self.answer(line, &takes);
        }
        let line = line.trim();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word.is_empty() {
            return Ok((Vec::new(), true));
        }
        if word == "?" || word == "menu" {
            self.show_menu()?;
            return Ok((Vec::new(), false));
        }
        if word == "type" {
            return Ok((self.letters(rest), true));
        }
        if let Some(pattern) = line.strip_prefix('/') {
            let mut effects = self.update(Msg::Asked(Action::Filter));
            if self.app.has_modal() {
                // Letters even where they are the name of a key: '/b' looks for a b.
                effects.extend(self.press("ctrl-u"));
                effects.extend(self.letters(pattern));
                effects.extend(self.press("enter"));
            }
            return Ok((effects, true));
        }
        let numbered = word.parse::<usize>().ok().and_then(|number| self.menu.get(number.checked_sub(1)?)).copied();
        if let Some(action) = numbered.or_else(|| Action::named(word)) {
            if action == Action::Palette {
                self.show_menu()?;
                return Ok((Vec::new(), false));
            }
            let times = if action.is_motion() { rest.trim().parse().unwrap_or(1).clamp(1, 10_000) } else { 1 };
            let effects = (0..times).flat_map(|_| self.update(Msg::Asked(action))).collect();
            return Ok((effects, true));
        }
        if word.parse::<Key>().is_ok() {
            return Ok((self.press(word), true));
        }
        say(&format!("'{word}' is neither a number of the menu, nor an action, nor a key. Enter ? for the menu."))?;
        Ok((Vec::new(), false))
    }

    /// Answers what is laid over the page: nothing at all is escape.
    fn answer(&mut self, line: &str, takes: &Takes) -> io::Result<(Vec<Effect>, bool)> {
        let rows: &[String] = if let Takes::Row(rows) = takes { rows } else { &[] };
        let row = line.parse::<usize>().ok().and_then(|number| number.checked_sub(1)).filter(|row| *row < rows.len());
        let effects = if line.is_empty() {
            self.press("esc")
        } else if *takes != Takes::Secret && line.parse::<Key>().is_ok() && line != " " && row.is_none() {
            self.press(line)
        } else if matches!(takes, Takes::Text | Takes::Secret) {
            let mut effects = self.letters(line);
            effects.extend(self.press("enter"));
            effects
        } else if let Some(row) = row.or_else(|| rows.iter().position(|name| name == line)) {
            let keys = std::iter::once("home").chain(std::iter::repeat_n("down", row)).chain(["enter"]);
            keys.flat_map(|key| self.press(key)).collect()
        } else {
            let rows = if rows.is_empty() { "" } else { " a row's name, nor its number, nor" };
            say(&format!("'{line}' is not{rows} a key. An empty line is escape."))?;
            return Ok((Vec::new(), false));
        };
        Ok((effects, true))
    }

    fn letters(&mut self, text: &str) -> Vec<Effect> {
        text.chars().flat_map(|letter| self.update(Msg::Key(KeyCode::Char(letter).into()))).collect()
    }

    fn press(&mut self, name: &str) -> Vec<Effect> {
        match name.parse::<Key>() {
            Ok(key) => self.update(Msg::Key(key.event())),
            Err(_) => Vec::new(),
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> io::Result<Option<End>> {
        for effect in effects {
            match effect {
                Effect::Quit => return Ok(Some(End::Exit(Exit::Done))),
                Effect::Begin(beginning) => return Ok(Some(End::Begin(beginning))),
                Effect::Order(order) => {
                    let job = match &order {
                        Order::Run(job, ..) | Order::Do(job, ..) => Some(*job),
                        _ => None,
                    };
                    let board = job.and_then(|job| self.app.model.job(job)).map(|job| job.board.clone());
                    if let Some(crew) = self.crew {
                        crew.take(order, board, self.app.model.edition);
                    }
                }
                Effect::Bell(text) => say(&format!("\x07{text}"))?,
                Effect::Copy(text) => say(&text)?,
                Effect::Shell(host) => say(&format!("Open a shell yourself: ssh {host}"))?,
                Effect::Suspend => suspend()?,
                Effect::Mouse(_) => say("This has no meaning in menus.")?,
                Effect::Remember => {
                    if let Err(error) = self.setup.keep(&self.app) {
                        say(&format!("The choice cannot be remembered: {error}."))?;
                    }
                }
                // The rest is settled inside the console.
                _ => {}
            }
        }
        Ok(None)
    }

    fn show_page(&mut self) -> io::Result<()> {
        let mut text = String::from("\n");
        for line in read_out(&mut self.app) {
            text.push_str(&line);
            text.push('\n');
        }
        if let Some((_, said)) = self.app.said().filter(|(_, said)| !self.untold().any(|line| line.text == *said)) {
            text.push_str(&format!("Note: {said}\n"));
        }
        say(text.trim_end())
    }

    fn show_menu(&mut self) -> io::Result<()> {
        let offers = self.app.offers();
        // The menu is the palette; what only a screen has, says so when it is asked for by name.
        let of_screens = [Action::Palette, Action::Mouse];
        let is_listed = |offer: &&Offer| !offer.action.is_motion() && !of_screens.contains(&offer.action);
        let listed: Vec<&Offer> = offers.iter().filter(is_listed).collect();
        let mut text = String::from("Enter a number or a name:\n");
        self.menu = listed.iter().filter(|offer| offer.off.is_none()).map(|offer| offer.action).collect();
        for (number, action) in (1..).zip(&self.menu) {
            let info = action.info();
            text.push_str(&format!("{number:>3}. {}: {}\n", info.name, info.about));
        }
        for offer in listed.iter().filter(|offer| offer.off.is_some()) {
            let why = offer.off.as_deref().unwrap_or_default();
            text.push_str(&format!("     {}: not now, {why}.\n", offer.action.info().name));
        }
        let moves: Vec<&str> =
            offers.iter().filter(|offer| offer.action.is_motion()).map(|offer| offer.action.info().name).collect();
        text.push_str(&format!("To move: {}; with a number, so many times.\n", moves.join(", ")));
        text.push_str("Also: /words narrows the list, type TEXT fills a field, wait stays until all is done,\n");
        text.push_str("a key by its name presses it, and an empty line reads the page again.");
        say(&text)
    }

    /// What was noted and not said yet.
    fn untold(&self) -> impl Iterator<Item = &LogLine> {
        let new = usize::try_from(self.app.model.noted - self.told).unwrap_or(usize::MAX);
        let old = self.app.model.log.len().saturating_sub(new);
        self.app.model.log.range(old..)
    }

    fn say_notes(&mut self) -> io::Result<()> {
        for line in self.untold() {
            say(&format!("Note: {}", line.text))?;
        }
        self.told = self.app.model.noted;
        Ok(())
    }

    /// Asks; while a secret is typed the terminal shows nothing of it.
    fn prompt(&self) -> io::Result<Option<Hidden>> {
        let hidden = self.app.hides_typing().then(Hidden::begin);
        let text = match self.app.takes() {
            Some(Takes::Secret) => "secret (nothing is shown, empty declines)> ",
            Some(Takes::Text) => "answer (empty is escape)> ",
            Some(Takes::Row(_)) => "row by name or number, or a key (empty is escape)> ",
            Some(Takes::Key) => "key (empty is escape)> ",
            None if self.app.has_field() => "lifeboat (type TEXT fills the field, ? for the menu)> ",
            None => "lifeboat (? for the menu)> ",
        };
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(hidden)
    }
}

/// Stops like any program does at ctrl-z; comes back with `fg`.
fn suspend() -> io::Result<()> {
    if !can_come_back() {
        return say("There is no shell below to come back from; leave with quit.");
    }
    stop_group().or_else(|error| say(&format!("The menus cannot be stopped: {error}.")))
}

/// While it lives the terminal shows nothing of what is typed.
struct Hidden;

impl Hidden {
    fn begin() -> Self {
        show_typing(false);
        Self
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        show_typing(true);
    }
}

/// Has the terminal show what is typed, or not. Input that is no terminal shows nothing anyway.
fn show_typing(shown: bool) {
    let input = rustix::stdio::stdin();
    let Ok(mut modes) = tcgetattr(input) else { return };
    if modes.local_modes.contains(LocalModes::ECHO) != shown {
        modes.local_modes.set(LocalModes::ECHO, shown);
        modes.local_modes.set(LocalModes::ECHONL, !shown);
        let _ = tcsetattr(input, OptionalActions::Now, &modes);
    }
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// The page as lines: one pane after the other, frames and blanks left out, the selected row marked.
fn read_out(app: &mut App) -> Vec<String> {
    let glyphs = app.theme.glyphs;
    let roles = Theme::read_out(glyphs);
    let worn = std::mem::replace(&mut app.theme, roles);
    let area = Rect::new(0, 0, PAGE.0, PAGE.1);
    let mut buffer = Buffer::empty(area);
    let panes = app.view_panes(area, &mut buffer);
    app.theme = worn;
    let is_outside = |x: u16, y: u16| !panes.iter().any(|pane| pane.contains(Position::new(x, y)));
    let row_outside = |y: u16| line_of(&buffer, y, (0..PAGE.0).filter(move |x| is_outside(*x, y)));
    // The last row is the footer, which the menu stands for.
    let last = PAGE.1 - 1;
    let first = panes.iter().map(|pane| pane.y).min().unwrap_or(last).min(last);
    let above = (0..first).filter_map(row_outside);
    let in_panes = panes
        .iter()
        .flat_map(|pane| (pane.top()..pane.bottom()).filter_map(|y| line_of(&buffer, y, pane.left()..pane.right())));
    above.chain(in_panes).chain((first..last).filter_map(row_outside)).collect()
}

/// A row of cells as a line; nothing when only blanks, frames and bars stand there.
fn line_of(buffer: &Buffer, y: u16, columns: impl Iterator<Item = u16>) -> Option<String> {
    let mut line = String::new();
    let mut is_selected = false;
    for cell in columns.filter_map(|x| buffer.cell((x, y))) {
        let role = match cell.fg {
            Color::Indexed(at) => Role::ALL.get(usize::from(at)),
            _ => None,
        };
        line.push_str(if role.is_some_and(|role| FOR_EYES.contains(role)) { " " } else { cell.symbol() });
        is_selected |= cell.symbol() != " " && role == Some(&Role::Selection);
    }
    // Runs of blanks as two.
    let words: Vec<&str> = line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
    let line = words.join("  ");
    (!line.is_empty()).then(|| if is_selected { format!("selected: {line}") } else { line })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fleet::Fleet;
    use crate::tui::model::{Model, Place};
    use crate::tui::screens::fleet::FleetPage;

    /// Who hears a page hears one pane after the other, never the rows of two as one.
    #[test]
    fn panes_that_stand_side_by_side_are_read_one_after_the_other() {
        let text =
            "version = 1\n[vault]\npath = \"/vault\"\n[hosts.val-1]\n[hosts.val-2]\n[hosts.val-3]\n[hosts.val-4]\n";
        let path = std::path::Path::new("/inventory.toml");
        let loaded = crate::config::parse_inventory(text, path, std::path::Path::new("/home/ops")).unwrap();
        let now = "2026-11-20T02:50:00Z".parse().unwrap();
        let model = Model::new(Place::default(), Fleet::of_inventory(&loaded.inventory), now);
        let page = FleetPage::over(&model);
        let lines = read_out(&mut App::new(model, Box::new(page)));
        let at =
            |text: &str| lines.iter().position(|line| line == text).unwrap_or_else(|| panic!("{text}: {lines:#?}"));
        let read =
            ["selected: ○ val-1  empty", "○ val-2  empty", "○ val-4  empty", "The inventory names no service of it."]
                .map(at);
        assert!(read.is_sorted(), "{lines:#?}");
    }
}
