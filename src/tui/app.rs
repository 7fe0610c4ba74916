//! The console as data: pages, what is laid over them, and `update`, which does no I/O.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;

use crossterm::event::{KeyEvent, KeyEventKind};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::action::{Action, Offer};
use super::filter::Filter;
use super::frame;
use super::hit::Spots;
use super::keymap::{Key, Meaning};
use super::message::{Effect, Msg, Notice, Order, Tone};
use super::modal::{Answer, Modal, Takes};
use super::model::{JobId, Model, Stage};
use super::palette;
use super::screen::{Canvas, Screen};
use super::screens;
use super::shell::NodeShell;
use super::theme::{Depth, Glyphs, Shelf, Theme};
use crate::model::exit::{Exit, Failure};
use crate::model::ids::HostId;
use crate::model::secret::SecretString;

/// The smallest terminal the console draws pages on.
pub const LEAST: (u16, u16) = (60, 16);

/// A job that ran longer than this rings when it ends unseen.
const LONG: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);

/// The console.
pub struct App {
    /// What is known.
    pub model: Model,
    /// The look.
    pub theme: Theme,
    /// Open pages, the shown one last.
    pages: Vec<Box<dyn Screen>>,
    /// Pages that were gone back from, the next one last.
    ahead: Vec<Box<dyn Screen>>,
    /// What is laid over the page, the top one last.
    modals: Vec<Box<dyn Modal>>,
    /// Secrets that are asked for after the one that is being asked for.
    secrets: VecDeque<(String, SyncSender<Option<SecretString>>)>,
    /// Keys of a sequence that has begun.
    pressed: Vec<Key>,
    /// What the footer says until the next key.
    said: Option<(Tone, String)>,
    /// Commands typed in the palette, oldest first.
    pub history: Vec<String>,
    mouse: bool,
    /// The node a shell is being got ready on, until a key is pressed: what is typed meanwhile is not meant for it.
    shell: Option<HostId>,
    /// Whether the terminal said that its window was turned away from.
    is_away: bool,
    /// Every theme there is.
    shelf: Shelf,
    /// How many colours the terminal has.
    depth: Depth,
    /// Whether only ASCII is drawn.
    is_ascii: bool,
}

/// Commands that are remembered.
const HISTORY: usize = 100;

/// Rows a turn of the wheel moves.
const WHEEL: usize = 3;

impl App {
    /// The console on its first page.
    pub fn new(model: Model, first: Box<dyn Screen>) -> Self {
        Self {
            model,
            theme: Theme::default(),
            pages: vec![first],
            ahead: Vec::new(),
            modals: Vec::new(),
            secrets: VecDeque::new(),
            pressed: Vec::new(),
            said: None,
            history: Vec::new(),
            mouse: false,
            shell: None,
            is_away: false,
            shelf: Shelf::built_in(),
            depth: Depth::True,
            is_ascii: false,
        }
    }

    /// Gives the console its themes, within what the terminal can show.
    pub fn dress(&mut self, themes: Shelf, depth: Depth, is_ascii: bool) {
        (self.shelf, self.depth, self.is_ascii) = (themes, depth, is_ascii);
        let name = self.theme.name.clone();
        self.wear(&name);
    }

    /// Wears a theme; `false` when there is none of that name.
    pub fn wear(&mut self, name: &str) -> bool {
        let Some(mut theme) = self.shelf.theme(name, self.depth) else { return false };
        if self.is_ascii {
            theme.glyphs = Glyphs::ASCII;
        }
        self.theme = theme;
        true
    }

    /// Says something in the footer until the next key.
    pub fn say(&mut self, tone: Tone, text: impl Into<String>) {
        self.said = Some((tone, text.into()));
    }

    /// What the footer says.
    pub fn said(&self) -> Option<&(Tone, String)> {
        self.said.as_ref()
    }

    /// Whether what is typed next must not be shown anywhere.
    pub fn hides_typing(&self) -> bool {
        self.takes() == Some(Takes::Secret)
    }

    /// Whether the page has a field that letters go into.
    pub fn has_field(&self) -> bool {
        self.page().is_some_and(|page| page.keys_while_typing().is_some())
    }

    /// What a line is read for that answers what is laid over the page, where something is.
    pub fn takes(&self) -> Option<Takes> {
        self.modals.last().map(|modal| modal.takes())
    }

    /// Takes a message in; what it asks for is the runtime's to do.
    pub fn update(&mut self, msg: Msg) -> Vec<Effect> {
        if let Msg::Tick(now) = msg {
            self.model.now = now;
        }
        // Nobody decides by what was true when the last thing moved.
        self.model.judge_by_clock();
        let mut asked = match msg {
            Msg::Key(key) if key.kind != KeyEventKind::Release => self.take_key(key),
            Msg::Key(_) | Msg::Resize(..) => Vec::new(),
            Msg::Paste(text) => self.take_paste(&text),
            Msg::Wheel(up) => self.take_wheel(up),
            Msg::Click(at, area) => self.take_click(at, area),
            Msg::Focus(here) => {
                self.is_away = !here;
                Vec::new()
            }
            Msg::Asked(action) => self.act(action),
            Msg::Tick(now) => self.take_time(now),
            Msg::Notice(notice) => self.take_notice(notice),
        };
        let mut outside = Vec::new();
        while !asked.is_empty() {
            let effects = std::mem::take(&mut asked);
            for effect in effects {
                match self.settle(effect) {
                    Settled::Inside(more) => asked.extend(more),
                    Settled::Outside(effect) => outside.push(effect),
                }
            }
        }
        outside
    }

    /// Whether something moves by itself, so that time must be told.
    pub fn is_moving(&self) -> bool {
        !self.model.looking.is_empty()
            || self.model.live_jobs().next().is_some()
            || self.page().is_some_and(|page| page.is_moving(&self.model))
    }

    /// The shown page.
    pub fn page(&self) -> Option<&dyn Screen> {
        self.pages.last().map(|page| &**page)
    }

    /// What works now, the page's own first.
    pub fn offers(&self) -> Vec<Offer> {
        self.offers_and_own().0
    }

    /// What works now, and how many of the first are the page's own. A page of a thousand hosts is gone through for
    /// them, so a key asks once.
    fn offers_and_own(&self) -> (Vec<Offer>, usize) {
        let mut offers = self.page().map(|page| page.offers(&self.model)).unwrap_or_default();
        let own = offers.len();
        for offer in &mut offers {
            if self.model.place.read_only && offer.action.info().changes {
                offer.off = Some("the console is read-only".to_owned());
            }
            if self.model.practice.is_some() && offer.action == Action::Shell {
                offer.off = Some("a practice node has no terminals".to_owned());
            }
        }
        let mut add = |offer: Offer| {
            if !offers.iter().any(|known| known.action == offer.action) {
                offers.push(offer);
            }
        };
        let no_page = |missing: bool, why: &'static str| missing.then_some(why);
        let is_last = self.pages.len() < 2 && self.page().is_none_or(|page| page.filter().is_none());
        add(Offer::unless(Action::Back, no_page(is_last, "this is the first page")));
        add(Offer::unless(Action::Forward, no_page(self.ahead.is_empty(), "there is no page ahead")));
        let is_alone = self.page().is_some_and(Screen::is_alone);
        let of_desk = [Action::Fleet, Action::Vault, Action::Runs, Action::Jobs, Action::Reload];
        let always =
            [Action::Palette, Action::Help, Action::Log, Action::Theme, Action::Mouse, Action::Suspend, Action::Quit];
        for action in of_desk.into_iter().filter(|_| !is_alone).chain(always) {
            add(Offer::on(action));
        }
        if self.model.practice.is_some() {
            add(Offer::on(Action::Practice));
            add(Offer::on(Action::Exercise));
        }
        (offers, own)
    }

    /// Draws everything.
    pub fn view(&self, area: Rect, buffer: &mut Buffer) {
        self.draw(area, buffer, None);
    }

    /// Draws what is read out; gives the places of the panes that are seen, in the order of their numbers.
    ///
    /// What lies over the page is answered before anything else, so it is read alone.
    pub(super) fn view_panes(&self, area: Rect, buffer: &mut Buffer) -> Vec<Rect> {
        if let Some(modal) = self.modals.last() {
            let mut canvas = Canvas::over(buffer, &self.theme, area);
            canvas.clear();
            modal.view(&self.model, &mut canvas);
            self.fold(canvas.buffer);
            return vec![area];
        }
        let spots = Spots::default();
        self.draw(area, buffer, Some(&spots));
        spots.panes()
    }

    /// Draws everything, noting what lies where for whoever wants to know.
    fn draw(&self, area: Rect, buffer: &mut Buffer, spots: Option<&Spots>) {
        let area = area.intersection(*buffer.area());
        let mut canvas = Canvas::over(buffer, &self.theme, area).noting(spots);
        canvas.clear();
        if area.width < LEAST.0 || area.height < LEAST.1 {
            frame::render_too_small(&mut canvas);
            return self.fold(canvas.buffer);
        }
        let offers = self.offers();
        let crumbs = self.page().map(|page| page.crumbs(&self.model)).unwrap_or_default();
        frame::render_header(&self.model, &crumbs, &mut canvas);
        let body = Rect { y: area.y + 1, height: area.height.saturating_sub(2), ..area };
        if let Some(page) = self.page() {
            page.view(&self.model, &mut canvas.within(body));
        }
        let footer = Rect { y: area.bottom().saturating_sub(1), height: 1, ..area };
        let typing = self.page().and_then(Screen::keys_while_typing);
        if let Some(keys) = typing.filter(|_| self.said.is_none()) {
            frame::render_keys(keys, &mut canvas.within(footer));
        } else {
            let mut canvas = canvas.within(footer);
            frame::render_footer(&offers, &self.model.keymap, self.said.as_ref(), &self.pressed, &mut canvas);
        }
        for modal in &self.modals {
            // What lies under it cannot be clicked.
            if let Some(spots) = spots {
                spots.forget();
            }
            modal.view(&self.model, &mut canvas.within(area));
        }
        self.fold(canvas.buffer);
    }

    fn fold(&self, buffer: &mut Buffer) {
        if self.is_ascii {
            frame::fold_to_ascii(buffer);
        }
    }

    /// Whether a modal takes the keys.
    pub fn has_modal(&self) -> bool {
        !self.modals.is_empty()
    }

    fn take_key(&mut self, key: KeyEvent) -> Vec<Effect> {
        self.said = None;
        self.shell = None;
        if let Some(modal) = self.modals.last_mut() {
            let answer = modal.key(key, &self.model);
            return self.take_answer(answer);
        }
        if self.pressed.is_empty()
            && let Some(page) = self.pages.last_mut()
            && let Some(effects) = page.typed(key, &self.model)
        {
            return effects;
        }
        self.pressed.push(key.into());
        let (offers, own) = self.offers_and_own();
        match self.model.keymap.meaning(&self.pressed, &offers) {
            Meaning::Begun => Vec::new(),
            Meaning::Nothing => {
                self.pressed.clear();
                Vec::new()
            }
            Meaning::Action(action) => {
                self.pressed.clear();
                self.act_offered(action, &offers, own)
            }
        }
    }

    fn take_answer(&mut self, answer: Answer) -> Vec<Effect> {
        let (text, closes) = match answer {
            Answer::Stay(effects) => return effects,
            Answer::Close(effects) => {
                self.modals.pop();
                self.ask_next_secret();
                return effects;
            }
            Answer::Narrow(text) => (text, true),
            Answer::Narrowing(text) => (text, false),
        };
        if closes {
            self.modals.pop();
        }
        let Some(page) = self.pages.last_mut() else { return Vec::new() };
        page.narrow(Filter::new(&text));
        if closes { page.narrowed(&self.model) } else { Vec::new() }
    }

    fn take_paste(&mut self, text: &str) -> Vec<Effect> {
        self.shell = None;
        match (self.modals.last_mut(), self.pages.last_mut()) {
            (Some(modal), _) => modal.pasted(text, &self.model),
            (None, Some(page)) => page.pasted(text, &self.model),
            (None, None) => {}
        }
        Vec::new()
    }

    fn take_wheel(&mut self, up: bool) -> Vec<Effect> {
        if self.has_modal() {
            return Vec::new();
        }
        let action = if up { Action::Up } else { Action::Down };
        (0..WHEEL).flat_map(|_| self.act(action)).collect()
    }

    /// A click selects what is drawn under it.
    fn take_click(&mut self, at: Position, area: Rect) -> Vec<Effect> {
        let spots = Spots::default();
        self.draw(area, &mut Buffer::empty(area), Some(&spots));
        let click = spots.at(at);
        self.said = None;
        self.shell = None;
        self.pressed.clear();
        if let Some(modal) = self.modals.last_mut() {
            let answer = click.row.map(|row| modal.clicked(row));
            return answer.map(|answer| self.take_answer(answer)).unwrap_or_default();
        }
        self.pages.last_mut().map(|page| page.clicked(click, &self.model)).unwrap_or_default()
    }

    fn take_time(&mut self, now: jiff::Timestamp) -> Vec<Effect> {
        for job in self.model.jobs.iter_mut().filter(|job| job.is_live()) {
            job.pull(now);
        }
        self.pages.last_mut().map(|page| page.timed(&self.model)).unwrap_or_default()
    }

    fn take_notice(&mut self, notice: Notice) -> Vec<Effect> {
        // Looked at before the pages hear of it: one may turn to something else then.
        let ended = match &notice {
            Notice::Ended(job, _) => Some((*job, self.shows_job(*job))),
            _ => None,
        };
        let is_first = matches!(notice, Notice::Practice(_)) && self.model.practice.is_none();
        let mut effects = self.model.take(&notice);
        if is_first && self.said.is_none() {
            self.said = Some((Tone::Plain, self.practice_greeting()));
        }
        if let Notice::Secret(purpose, reply) = &notice {
            self.secrets.push_back((purpose.clone(), reply.clone()));
            self.ask_next_secret();
        }
        // Also pages that were gone back from: they are shown again as they are then.
        for page in self.pages.iter_mut().chain(&mut self.ahead) {
            let asked = page.noticed(&notice, &self.model);
            // At once: the next page that hears of it must not give its jobs the same numbers.
            for effect in &asked {
                if let Effect::Order(order) = effect {
                    self.model.enter(order);
                }
            }
            effects.extend(asked);
        }
        effects.extend(ended.and_then(|(job, is_shown)| self.tell_end(job, is_shown)));
        if let Notice::Shell(host, ready) = notice {
            effects.push(self.take_shell(host, *ready));
        }
        effects
    }

    /// A shell is opened while nobody did anything else since it was asked for: what was typed by then went elsewhere,
    /// and what comes next would go to the node.
    fn take_shell(&mut self, host: HostId, ready: Result<NodeShell, Failure>) -> Effect {
        let is_awaited = self.shell.take_if(|awaited| *awaited == host).is_some();
        match ready {
            Err(failure) => Effect::Say(Tone::Bad, failure.message),
            Ok(shell) if is_awaited && self.modals.is_empty() => Effect::Lend(host, Box::new(shell)),
            Ok(_) => {
                let key = self.model.key(Action::Shell);
                let told = format!("The shell on {host} came too late, so it was not opened. {key} asks for it again.");
                Effect::Say(Tone::Plain, told)
            }
        }
    }

    /// What somebody who has just come to the practice fleet cannot know.
    fn practice_greeting(&self) -> String {
        let (exercise, practice) = (self.model.key(Action::Exercise), self.model.key(Action::Practice));
        format!("Nothing here is real. {exercise} shows the guided exercise, {practice} breaks things.")
    }

    /// Whether the operator sees how a job goes.
    fn shows_job(&self, job: JobId) -> bool {
        self.modals.is_empty() && self.page().is_some_and(|page| page.shows_job(job))
    }

    /// Asks for one secret at a time: what is typed for one must not become part of the next.
    fn ask_next_secret(&mut self) {
        if self.modals.iter().any(|modal| modal.takes() == Takes::Secret) {
            return;
        }
        if let Some((purpose, reply)) = self.secrets.pop_front() {
            self.modals.push(palette::secret(&purpose, reply, self.model.now));
        }
    }

    /// Says how a job ended whose page is not shown, and rings when it was a long one that nobody looked at.
    fn tell_end(&mut self, id: JobId, is_shown: bool) -> Option<Effect> {
        let job = self.model.job(id)?;
        let (tone, how) = match &job.stage {
            Stage::Done(_) => (Tone::Plain, "done"),
            Stage::Failed(failure) if failure.exit == Exit::Cancelled => (Tone::Warn, "cancelled"),
            _ => (Tone::Bad, "ended badly"),
        };
        let told = format!("{}: {how}.", job.wish.title());
        let is_long = job.started.zip(job.ended).is_some_and(|(from, to)| to.duration_since(from) > LONG);
        if !is_shown {
            // The log has a line of its own.
            self.said = Some((tone, format!("{told} {} shows it.", self.model.key(Action::Jobs))));
        }
        (is_long && (self.is_away || !is_shown)).then_some(Effect::Bell(told))
    }

    /// Does an action, or says why it is off.
    fn act(&mut self, action: Action) -> Vec<Effect> {
        let (offers, own) = self.offers_and_own();
        self.act_offered(action, &offers, own)
    }

    /// The same where the offers are known, the first `own` of them the page's.
    fn act_offered(&mut self, action: Action, offers: &[Offer], own: usize) -> Vec<Effect> {
        let Some(at) = offers.iter().position(|offer| offer.action == action) else { return Vec::new() };
        if let Some(why) = offers.get(at).and_then(|offer| offer.off.as_ref()) {
            return vec![Effect::Say(Tone::Warn, format!("{}: not now, {why}.", action.info().name))];
        }
        if at < own
            && let Some(page) = self.pages.last_mut()
        {
            return page.act(action, &self.model);
        }
        self.act_everywhere(action)
    }

    /// What works on every page.
    fn act_everywhere(&mut self, action: Action) -> Vec<Effect> {
        if self.page().and_then(Screen::opened_by) == Some(action) {
            // The exercise is hidden by the key that shows it; any other page is there already.
            return if action == Action::Exercise { vec![Effect::Back] } else { Vec::new() };
        }
        match action {
            Action::Quit => self.quit(),
            Action::Back => match self.pages.last_mut().filter(|page| page.filter().is_some()) {
                Some(page) => {
                    page.narrow(Filter::new(""));
                    page.narrowed(&self.model)
                }
                None => vec![Effect::Back],
            },
            Action::Forward => {
                self.pages.extend(self.ahead.pop());
                Vec::new()
            }
            Action::Help => {
                let page = screens::help::Help::of(self.offers(), &self.model.keymap, &self.model.place);
                vec![Effect::Open(Box::new(page))]
            }
            Action::Palette => vec![Effect::Ask(palette::commands(self.offers(), &self.model.keymap, &self.history))],
            Action::Theme => vec![Effect::Ask(self.choose_theme())],
            Action::Fleet => {
                // The first page is the fleet; everything above it is closed.
                self.pages.truncate(1);
                self.ahead.clear();
                Vec::new()
            }
            Action::Vault => vec![Effect::Open(screens::vault(&self.model))],
            Action::Runs => vec![Effect::Open(screens::runs()), Effect::Order(Order::ReadRuns)],
            Action::Jobs => vec![Effect::Open(screens::jobs())],
            Action::Log => vec![Effect::Open(screens::log())],
            Action::Reload => vec![Effect::Order(Order::Reload)],
            Action::Practice => self.practise(),
            Action::Exercise => vec![
                Effect::Open(Box::new(screens::exercise::ExercisePage::default())),
                Effect::Order(Order::ReadPractice),
            ],
            Action::Suspend => self.suspend(),
            Action::Mouse => {
                self.mouse = !self.mouse;
                vec![Effect::Mouse(self.mouse)]
            }
            _ => Vec::new(),
        }
    }

    fn practise(&self) -> Vec<Effect> {
        let at = self.page().and_then(|page| page.host(&self.model));
        let nodes = self.model.practice.as_ref().map(|practice| practice.nodes.clone());
        nodes.map(|nodes| Effect::Ask(palette::practice(nodes, at.as_ref()))).into_iter().collect()
    }

    fn choose_theme(&self) -> Box<dyn Modal> {
        let themes = self.shelf.themes().iter().map(|theme| (theme.name.clone(), theme.about().to_owned()));
        palette::themes(themes.collect(), &self.theme.name, self.depth != Depth::None)
    }

    /// Stops at once, or says which nodes count on being heard and asks.
    fn suspend(&mut self) -> Vec<Effect> {
        // By what is so now and not when the page was last told: a guard may have been armed since.
        let now = self.model.now;
        self.model.jobs.iter_mut().filter(|job| job.is_live()).for_each(|job| job.pull(now));
        let is_guarded = |job: &&super::model::Job| job.is_guarded();
        let guarded: Vec<String> = self.model.live_jobs().filter(is_guarded).map(|job| job.wish.title()).collect();
        if guarded.is_empty() {
            vec![Effect::Suspend]
        } else if self.modals.last().is_some_and(|modal| modal.asks_before_stopping()) {
            Vec::new()
        } else {
            vec![Effect::Ask(palette::suspend(guarded, self.model.now))]
        }
    }

    /// Leaves at once, or says what still works and asks.
    fn quit(&self) -> Vec<Effect> {
        let live: Vec<String> = self.model.live_jobs().map(|job| job.wish.title()).collect();
        if live.is_empty() { vec![Effect::Quit] } else { vec![Effect::Ask(palette::quit(live, self.model.now))] }
    }

    /// Does what an effect asks of the console itself; gives back what the runtime must do.
    fn settle(&mut self, effect: Effect) -> Settled {
        let mut inside = Vec::new();
        match effect {
            Effect::Open(page) => {
                self.ahead.clear();
                inside = self.push(page);
            }
            Effect::Replace(page) => {
                self.pages.pop();
                inside = self.push(page);
            }
            Effect::Back if self.pages.len() > 1 => self.ahead.extend(self.pages.pop()),
            Effect::Back => {}
            Effect::Ask(modal) => self.modals.push(modal),
            Effect::Act(action) => inside = self.act(action),
            Effect::Say(tone, text) => {
                self.model.note(tone, text.clone());
                self.said = Some((tone, text));
            }
            Effect::Theme(name) => {
                if !self.wear(&name) {
                    inside.push(Effect::Say(
                        Tone::Warn,
                        format!("There is no theme '{name}'. {} shows those there are.", self.model.key(Action::Theme)),
                    ));
                }
            }
            Effect::Typed(text) => {
                self.history.retain(|known| *known != text);
                self.history.push(text);
                let surplus = self.history.len().saturating_sub(HISTORY);
                self.history.drain(..surplus);
                return Settled::Outside(Effect::Remember);
            }
            Effect::Order(order) => {
                self.model.enter(&order);
                return Settled::Outside(Effect::Order(order));
            }
            Effect::Shell(host) => {
                self.say(Tone::Plain, format!("Getting a shell on {host} ready."));
                self.shell = Some(host.clone());
                return Settled::Outside(Effect::Shell(host));
            }
            outside => return Settled::Outside(outside),
        }
        Settled::Inside(inside)
    }

    /// Opens a page and tells it the time.
    fn push(&mut self, mut page: Box<dyn Screen>) -> Vec<Effect> {
        let asked = page.timed(&self.model);
        self.pages.push(page);
        asked
    }
}

enum Settled {
    Inside(Vec<Effect>),
    Outside(Effect),
}
