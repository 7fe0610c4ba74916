//! The console as data: pages, what is laid over them, and `update`, which does no I/O.

use std::sync::Arc;

use crossterm::event::{KeyEvent, KeyEventKind};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::action::{Action, Offer};
use super::filter::Filter;
use super::frame;
use super::keymap::{Key, Keymap, Meaning};
use super::message::{Effect, Msg, Notice, Order, Tone};
use super::modal::{Answer, Modal};
use super::model::{JobId, Model, Stage};
use super::palette;
use super::screen::{Canvas, Screen};
use super::screens;
use super::theme::{Depth, Glyphs, Shelf, Theme};
use crate::model::exit::Failure;

/// The smallest terminal the console draws pages on.
pub const LEAST: (u16, u16) = (60, 16);

/// Seconds between two judgements of the whole fleet while time is told.
const JUDGED_EVERY: i64 = 10;
/// A job that ran longer than this rings when it ends unseen.
const LONG: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);

/// The console.
pub struct App {
    /// What is known.
    pub model: Model,
    /// The look.
    pub theme: Theme,
    /// The keys.
    pub keymap: Keymap,
    /// Open pages, the shown one last.
    pages: Vec<Box<dyn Screen>>,
    /// Pages that were gone back from, the next one last.
    ahead: Vec<Box<dyn Screen>>,
    /// What is laid over the page, the top one last.
    modals: Vec<Box<dyn Modal>>,
    /// Keys of a sequence that has begun.
    pressed: Vec<Key>,
    /// What the footer says until the next key.
    said: Option<(Tone, String)>,
    /// Commands typed in the palette, oldest first.
    pub history: Vec<String>,
    mouse: bool,
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
            keymap: Keymap::default(),
            pages: vec![first],
            ahead: Vec::new(),
            modals: Vec::new(),
            pressed: Vec::new(),
            said: None,
            history: Vec::new(),
            mouse: false,
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
        self.modals.last().is_some_and(|modal| modal.hides_typing())
    }

    /// Takes a message in; what it asks for is the runtime's to do.
    pub fn update(&mut self, msg: Msg) -> Vec<Effect> {
        let mut asked = match msg {
            Msg::Key(key) if key.kind != KeyEventKind::Release => self.take_key(key),
            Msg::Key(_) | Msg::Resize(..) => Vec::new(),
            Msg::Paste(text) => self.take_paste(&text),
            Msg::Wheel(up) => self.take_wheel(up),
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
        let mut offers = self.page().map(|page| page.offers(&self.model)).unwrap_or_default();
        for offer in &mut offers {
            if self.model.place.read_only && offer.action.info().changes {
                offer.off = Some("the console is read-only".to_owned());
            }
        }
        let mut add = |offer: Offer| {
            if !offers.iter().any(|known| known.action == offer.action) {
                offers.push(offer);
            }
        };
        let no_page = |missing: bool, why: &'static str| missing.then_some(why);
        add(Offer::unless(Action::Back, no_page(self.pages.len() < 2, "this is the first page")));
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
        offers
    }

    /// Draws everything.
    pub fn view(&self, area: Rect, buffer: &mut Buffer) {
        let area = area.intersection(*buffer.area());
        let mut canvas = Canvas { buffer, theme: &self.theme, area };
        canvas.clear();
        if area.width < LEAST.0 || area.height < LEAST.1 {
            frame::render_too_small(&mut canvas);
            if self.is_ascii {
                frame::fold_to_ascii(canvas.buffer);
            }
            return;
        }
        let offers = self.offers();
        let crumbs = self.page().map(|page| page.crumbs(&self.model)).unwrap_or_default();
        frame::render_header(&self.model, &crumbs, &mut canvas);
        let body = Rect { y: area.y + 1, height: area.height.saturating_sub(2), ..area };
        if let Some(page) = self.page() {
            page.view(&self.model, &mut canvas.within(body));
        }
        let footer = Rect { y: area.bottom().saturating_sub(1), height: 1, ..area };
        frame::render_footer(&offers, &self.keymap, self.said.as_ref(), &self.pressed, &mut canvas.within(footer));
        for modal in &self.modals {
            modal.view(&self.model, &mut canvas.within(area));
        }
        if self.is_ascii {
            frame::fold_to_ascii(canvas.buffer);
        }
    }

    /// Whether a modal takes the keys.
    pub fn has_modal(&self) -> bool {
        !self.modals.is_empty()
    }

    fn take_key(&mut self, key: KeyEvent) -> Vec<Effect> {
        self.said = None;
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
        let offers = self.offers();
        match self.keymap.meaning(&self.pressed, &offers) {
            Meaning::Begun => Vec::new(),
            Meaning::Nothing => {
                self.pressed.clear();
                Vec::new()
            }
            Meaning::Action(action) => {
                self.pressed.clear();
                self.act(action)
            }
        }
    }

    fn take_answer(&mut self, answer: Answer) -> Vec<Effect> {
        let (text, closes) = match answer {
            Answer::Stay(effects) => return effects,
            Answer::Close(effects) => {
                self.modals.pop();
                return effects;
            }
            Answer::Narrow(text) => (text, true),
            Answer::Narrowing(text) => (text, false),
        };
        if closes {
            self.modals.pop();
        }
        if let Some(page) = self.pages.last_mut() {
            page.narrow(Filter::new(&text));
        }
        Vec::new()
    }

    fn take_paste(&mut self, text: &str) -> Vec<Effect> {
        match (self.modals.last_mut(), self.pages.last_mut()) {
            (Some(modal), _) => modal.pasted(text),
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

    fn take_time(&mut self, now: jiff::Timestamp) -> Vec<Effect> {
        self.model.now = now;
        for job in self.model.jobs.iter_mut().filter(|job| job.is_live()) {
            job.pull(now);
        }
        // Ages show in minutes; nothing is gained by judging five thousand items with every tick.
        if now.duration_since(self.model.judged).as_secs().abs() >= JUDGED_EVERY {
            self.model.judge();
        }
        self.pages.last_mut().map(|page| page.timed(&self.model)).unwrap_or_default()
    }

    fn take_notice(&mut self, notice: Notice) -> Vec<Effect> {
        let mut effects = self.model.take(&notice);
        if let Notice::Secret(purpose, reply) = &notice {
            effects.push(Effect::Ask(palette::secret(purpose, reply.clone())));
        }
        for page in &mut self.pages {
            effects.extend(page.noticed(&notice, &self.model));
        }
        if let Notice::Ended(job, _) = &notice {
            effects.extend(self.ring(*job));
        }
        effects
    }

    /// Rings for a long job that ended while nobody looked at it.
    fn ring(&self, id: JobId) -> Option<Effect> {
        let job = self.model.job(id)?;
        let is_seen = self.page().is_some_and(|page| page.shows_job(id)) && self.modals.is_empty();
        let span = job.ended?.duration_since(job.started?);
        let how = if matches!(job.stage, Stage::Done(_)) { "done" } else { "ended badly" };
        (!is_seen && span > LONG).then(|| Effect::Bell(format!("{}: {how}", job.wish.title())))
    }

    /// Does an action, or says why it is off.
    fn act(&mut self, action: Action) -> Vec<Effect> {
        let offers = self.offers();
        let Some(offer) = offers.iter().find(|offer| offer.action == action) else { return Vec::new() };
        if let Some(why) = &offer.off {
            return vec![Effect::Say(Tone::Warn, format!("{}: not now, {why}.", action.info().name))];
        }
        let is_pages_own = self.page().is_some_and(|p| p.offers(&self.model).iter().any(|o| o.action == action));
        if is_pages_own && let Some(page) = self.pages.last_mut() {
            return page.act(action, &self.model);
        }
        self.act_everywhere(action)
    }

    /// What works on every page.
    fn act_everywhere(&mut self, action: Action) -> Vec<Effect> {
        match action {
            Action::Quit => self.quit(),
            Action::Back => vec![Effect::Back],
            Action::Forward => {
                self.pages.extend(self.ahead.pop());
                Vec::new()
            }
            Action::Help => vec![Effect::Open(Box::new(screens::help::Help::of(self.offers(), &self.keymap)))],
            Action::Palette => vec![Effect::Ask(palette::commands(self.offers(), &self.keymap, &self.history))],
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
    fn suspend(&self) -> Vec<Effect> {
        let is_guarded = |job: &&super::model::Job| job.is_guarded();
        let guarded: Vec<String> = self.model.live_jobs().filter(is_guarded).map(|job| job.wish.title()).collect();
        if guarded.is_empty() { vec![Effect::Suspend] } else { vec![Effect::Ask(palette::suspend(guarded))] }
    }

    /// Leaves at once, or says what still works and asks.
    fn quit(&self) -> Vec<Effect> {
        let live: Vec<String> = self.model.live_jobs().map(|job| job.wish.title()).collect();
        if live.is_empty() { vec![Effect::Quit] } else { vec![Effect::Ask(palette::quit(live))] }
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
                        format!("There is no theme '{name}'. Press T for those there are."),
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
            Effect::Order(order) => return self.settle_order(order),
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

    /// Enters an order into the books before the crew gets it.
    fn settle_order(&mut self, order: Order) -> Settled {
        match &order {
            Order::Plan(job, wish) => {
                match self.model.job_mut(*job) {
                    Some(job) => job.wish = wish.clone(),
                    None => self.model.jobs.push(super::model::Job::new(*job, wish.clone())),
                }
                self.set_stage(*job, Stage::Planning);
            }
            Order::Do(job, wish) => {
                if self.model.job(*job).is_none() {
                    self.model.jobs.push(super::model::Job::new(*job, wish.clone()));
                }
                self.set_stage(*job, Stage::Waiting);
            }
            Order::Run(job, ..) => self.set_stage(*job, Stage::Waiting),
            Order::Cancel(job) => self.set_stage(*job, Stage::Stopping),
            _ => {}
        }
        Settled::Outside(Effect::Order(order))
    }

    fn set_stage(&mut self, job: JobId, stage: Stage) {
        if let Some(job) = self.model.job_mut(job) {
            job.stage = stage;
        }
    }
}

enum Settled {
    Inside(Vec<Effect>),
    Outside(Effect),
}

impl Model {
    /// Takes a report of the crew in.
    fn take(&mut self, notice: &Notice) -> Vec<Effect> {
        match notice {
            Notice::Vault(Ok(holdings)) => {
                self.fleet.take_holdings(holdings, self.now);
                self.judge();
                self.holdings = Some(holdings.clone());
                self.vault_failure = None;
                return self.remember();
            }
            Notice::Vault(Err(failure)) => {
                self.note_failure(failure);
                self.vault_failure = Some(failure.clone());
            }
            Notice::Looking(owner) => self.looking.push(owner.clone()),
            Notice::Health(health, at) => self.take_health(health, *at),
            Notice::Found(wanted, result) => {
                self.fleet.take_found(wanted, result, self.holdings.as_deref(), self.now);
                self.fleet.judge_owner(&wanted.owner, self.now);
            }
            Notice::Looked(owner, _) => {
                self.looking.retain(|known| known != owner);
                return self.remember();
            }
            Notice::Runs(runs) => self.runs = Some(runs.clone()),
            Notice::Receipts(console, receipts) => {
                self.console = Some(console.clone());
                self.receipts = Some(receipts.clone());
            }
            Notice::Planned(job, result) => {
                if let Some(job) = self.job_mut(*job) {
                    match &**result {
                        Ok(planned) => {
                            job.planned = Some(Arc::new(planned.clone()));
                            job.stage = Stage::Ready;
                        }
                        Err(failure) => job.stage = Stage::Failed(failure.clone()),
                    }
                }
            }
            Notice::Started(job) => {
                let now = self.now;
                if let Some(job) = self.job_mut(*job).filter(|job| !matches!(job.stage, Stage::Stopping)) {
                    job.stage = Stage::Running;
                    job.started = Some(now);
                }
            }
            Notice::Moved(job) => {
                let now = self.now;
                if let Some(job) = self.job_mut(*job) {
                    job.pull(now);
                }
            }
            Notice::Checked(job, item, snapshot, result) => {
                if let Some(job) = self.job_mut(*job) {
                    job.checked.push((item.clone(), snapshot.clone(), result.clone()));
                }
            }
            Notice::Ended(job, result) => return self.take_end(*job, result),
            Notice::InventoryChanged => {
                self.inventory_changed = true;
                let text =
                    "The inventory was edited; ctrl-l reads it again. Running jobs keep the one they began with.";
                self.note(Tone::Warn, text);
                return vec![Effect::Say(Tone::Warn, text.to_owned())];
            }
            Notice::Noted(tone, text) => self.note(*tone, text.clone()),
            Notice::Practised(tone, text) => return vec![Effect::Say(*tone, text.clone())],
            Notice::Practice(view) => self.practice = Some((**view).clone()),
            Notice::Reloaded(Err(failure)) => return self.take_refusal(failure),
            Notice::Reloaded(Ok(reread)) => return self.take_reread(reread),
            Notice::RunsOn(..)
            | Notice::Discovered(..)
            | Notice::Snapshot(..)
            | Notice::Inside(..)
            | Notice::Compared(..)
            | Notice::Kept(..)
            | Notice::Secret(..) => {}
        }
        Vec::new()
    }

    fn take_health(&mut self, health: &crate::engine::doctor::Health, at: jiff::Timestamp) {
        use crate::engine::fleet::Reach;
        use crate::model::exit::Exit;
        let id = (&health.host).into();
        if let Some(owner) = self.fleet.owner_mut(&id) {
            owner.reach = match health.exit {
                Exit::Done | Exit::Warning | Exit::Critical => Reach::Answered(at),
                exit => {
                    let why = health.aspects.last().map_or("", |aspect| aspect.found.as_str());
                    Reach::Failed(at, Failure::new(exit, why))
                }
            };
            owner.health = Some(health.clone());
        }
        self.fleet.judge_owner(&id, self.now);
    }

    /// Judges every item by the clock.
    fn judge(&mut self) {
        self.judged = self.now;
        self.fleet.judge(self.now);
    }

    /// Has the fleet remembered for the next sitting, once nobody looks any more and the vault was read.
    fn remember(&self) -> Vec<Effect> {
        if !self.looking.is_empty() || self.fleet.read_at.is_none() {
            return Vec::new();
        }
        vec![Effect::Order(Order::Remember(Box::new(self.fleet.clone())))]
    }

    /// The inventory was read again: hosts and items begin anew and are looked at.
    fn take_reread(&mut self, reread: &super::message::Reread) -> Vec<Effect> {
        self.inventory_changed = false;
        self.fleet = reread.fleet.clone();
        self.place.vault.clone_from(&reread.vault);
        self.looking.clear();
        if let Some(holdings) = self.holdings.clone() {
            self.fleet.take_holdings(&holdings, self.now);
        }
        self.judge();
        for warning in &reread.warnings {
            self.note(Tone::Warn, warning.replace("\n    ", " "));
        }
        let owners = self.fleet.owners.iter().map(|owner| owner.id.clone()).collect();
        vec![
            Effect::Say(Tone::Plain, "The inventory was read again.".to_owned()),
            Effect::Order(Order::ReadVault),
            Effect::Order(Order::Look(owners)),
        ]
    }

    /// The inventory cannot be used as it is now; the one in use stays.
    fn take_refusal(&mut self, failure: &Failure) -> Vec<Effect> {
        let text = format!("{} The one in use stays; the log has the lines (O).", failure.message);
        for hint in &failure.hints {
            self.note(Tone::Bad, hint.replace("\n    ", " "));
        }
        vec![Effect::Say(Tone::Bad, text)]
    }

    fn take_end(&mut self, id: JobId, result: &Result<Option<crate::engine::runs::Report>, Failure>) -> Vec<Effect> {
        let now = self.now;
        let Some(job) = self.job_mut(id) else { return Vec::new() };
        job.pull(now);
        job.ended = Some(now);
        let title = job.wish.title();
        match result {
            Ok(report) => {
                job.stage = Stage::Done(report.clone());
                self.note(Tone::Plain, format!("{title}: done."));
            }
            Err(failure) => {
                job.stage = Stage::Failed(failure.clone());
                self.note(Tone::Bad, format!("{title}: {}", failure.message));
            }
        }
        vec![Effect::Order(Order::ReadVault), Effect::Order(Order::ReadRuns)]
    }

    fn note_failure(&mut self, failure: &Failure) {
        self.note(Tone::Bad, failure.message.clone());
    }
}
