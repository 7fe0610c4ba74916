//! A host or cluster: its health, its services, what was found and where each fact came from.

mod facts;

use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use crate::engine::doctor::Level;
use crate::engine::fleet::twins::Twin;
use crate::engine::fleet::{FoundView, ItemState, OwnerView, Reach, ServiceView};
use crate::engine::scan::Found;
use crate::model::exit::Failure;
use crate::model::ids::{HostId, OwnerId};
use crate::tui::action::{Action, Offer};
use crate::tui::frame::look_of;
use crate::tui::hit::Click;
use crate::tui::message::{Effect, Notice, Order};
use crate::tui::model::Model;
use crate::tui::screen::{Canvas, Screen};
use crate::tui::screens::fleet::{back_up, is_savable};
use crate::tui::screens::host::facts::found_facts;
pub use crate::tui::screens::host::facts::{Fact, flatten};
use crate::tui::theme::{Glyphs, Role};
use crate::tui::when::utc_and_ago;
use crate::tui::widgets::lines::{Line, render_lines};
use crate::tui::widgets::list::Selection;
use crate::tui::widgets::panel::render_panel;
use crate::tui::widgets::panes::Panes;
use crate::tui::widgets::scroll::Scroll;

const HEALTH: u8 = 1;
const SERVICES: u8 = 2;
const FOUND: u8 = 3;

/// From this width on what was found stands on the right.
const WIDE: u16 = 110;

/// Rows a page key moves.
const PAGE: usize = 8;

/// What no entry names: the view of a service, or why its driver could not look.
type Unnamed = (String, Result<(FoundView, Vec<String>), Failure>);

/// The page.
pub struct HostPage {
    id: OwnerId,
    panes: Panes,
    service: Selection,
    health: Scroll,
    found: Scroll,
    /// Services no entry names; `None` until somebody looked.
    unnamed: Option<Result<Vec<Unnamed>, Failure>>,
    /// Whether somebody looks for them now.
    is_asked: bool,
    /// Whether they are to be looked for again once the host was looked at.
    is_old: bool,
}

impl HostPage {
    /// Opens the page and has the host looked at for services no entry names.
    pub fn open(id: OwnerId, model: &Model) -> Vec<Effect> {
        let mut page = Self {
            id,
            panes: Panes::default(),
            service: Selection::default(),
            health: Scroll::default(),
            found: Scroll::default(),
            unnamed: None,
            is_asked: false,
            is_old: false,
        };
        let look = page.discover(model);
        std::iter::once(Effect::Open(Box::new(page))).chain(look).collect()
    }

    /// Has the host looked at for services no entry names, where that can be done and is not under way.
    fn discover(&mut self, model: &Model) -> Vec<Effect> {
        let can_look = |owner: &OwnerView| !owner.is_cluster() && !matches!(owner.reach, Reach::Failed(..));
        if self.is_asked || !self.owner(model).is_some_and(can_look) {
            return Vec::new();
        }
        let host = HostId::new(self.id.as_str()).ok();
        (self.is_asked, self.is_old) = (host.is_some(), false);
        host.map(|host| Effect::Order(Order::Discover(host))).into_iter().collect()
    }

    fn owner<'m>(&self, model: &'m Model) -> Option<&'m OwnerView> {
        model.fleet.owner(&self.id)
    }

    fn unnamed(&self) -> &[Unnamed] {
        self.unnamed.as_ref().and_then(|found| found.as_deref().ok()).unwrap_or_default()
    }

    fn rows(&self, model: &Model) -> usize {
        self.owner(model).map_or(0, |owner| owner.services.len()) + self.unnamed().len()
    }

    fn chosen<'s>(&'s self, owner: &'s OwnerView, rows: usize) -> Option<Chosen<'s>> {
        let at = self.service.row(rows)?;
        match owner.services.get(at) {
            Some(service) => Some(Chosen::Named(service)),
            None => self.unnamed().get(at - owner.services.len()).map(Chosen::Unnamed),
        }
    }

    fn health_lines(&self, model: &Model, glyphs: &Glyphs) -> Vec<Line> {
        let Some(owner) = self.owner(model) else {
            return vec![
                Line::text(format!("{} is in the inventory no more.", self.id)),
                Line::muted(format!("{} goes back.", model.key(Action::Back))),
            ];
        };
        let mut lines = Vec::new();
        if owner.is_cluster() {
            lines.push(Line::text("A cluster is looked at through its members, the first that answers."));
            for member in &owner.members {
                let view = model.fleet.owner(&member.into());
                let told = view.map_or("in no inventory".to_owned(), |view| reach_told(view, model));
                lines.push(Line::field(member.as_str(), told));
            }
            return lines;
        }
        match &owner.health {
            None if model.looking.contains(&self.id) => lines.push(Line::text("It is being looked at.")),
            None => lines.extend([
                Line::text("Nobody has looked at it yet."),
                Line::muted(format!("{} looks at it now.", model.key(Action::Refresh))),
            ]),
            Some(health) => {
                for aspect in &health.aspects {
                    let (sign, role) = match aspect.level() {
                        Level::Ok => (glyphs.ok, Role::StatusOk),
                        Level::Warning => (glyphs.warn, Role::StatusWarn),
                        Level::Critical => (glyphs.bad, Role::StatusBad),
                    };
                    lines.push(Line::Status(sign, aspect.name.clone(), aspect.found.to_string(), role));
                    lines.extend(aspect.hint().map(|hint| Line::Field(String::new(), hint.to_owned(), Role::Muted)));
                }
            }
        }
        lines.push(Line::Blank);
        let way = format!("{} by the inventory; the rest by ssh -G", owner.way);
        lines.push(Line::field("  reached at", way));
        if let Reach::Answered(at) | Reach::Failed(at, _) = &owner.reach {
            lines.push(Line::field("  looked at", utc_and_ago(*at, model.now)));
        }
        lines
    }

    fn found_lines(&self, model: &Model, glyphs: &Glyphs) -> (String, Vec<Line>) {
        let nothing = || ("Found".to_owned(), vec![Line::muted("No service is selected.")]);
        let Some(owner) = self.owner(model) else { return nothing() };
        match self.chosen(owner, self.rows(model)) {
            None => nothing(),
            Some(Chosen::Named(service)) => (service.name.to_string(), service_lines(owner, service, model, glyphs)),
            Some(Chosen::Unnamed((kind, result))) => (kind.clone(), unnamed_lines(&self.id, kind, result, model)),
        }
    }

    fn render_services(&self, model: &Model, has_focus: bool, canvas: &mut Canvas) {
        let mut inner = render_panel("Services", has_focus, canvas.area, canvas);
        let Some(owner) = self.owner(model) else { return };
        let glyphs = inner.theme.glyphs;
        let rows = self.rows(model);
        let at = self.service.row(rows);
        let height = usize::from(inner.area.height);
        let top = self.service.top(rows, height);
        let named = owner.services.iter().map(|service| service_row(service, &glyphs));
        let unnamed = self.unnamed().iter().map(|(kind, result)| match result {
            Ok(_) => (glyphs.warn, (kind.clone(), String::new()), "in no inventory".to_owned(), Role::StatusWarn),
            Err(_) => (glyphs.unknown, (kind.clone(), String::new()), "not readable".to_owned(), Role::StatusUnknown),
        });
        let mut last = 0;
        for (y, (number, (sign, name, word, role))) in
            (0..inner.area.height).zip(named.chain(unnamed).enumerate().skip(top))
        {
            inner.mark_row(y, number);
            inner.text(1, y, sign, role);
            let (name, version) = name;
            let word_at = inner.area.width.saturating_sub(1 + u16::try_from(word.width()).unwrap_or(0));
            let end = inner.text_within(3, y, word_at.saturating_sub(4), &name, Role::Text) + 1;
            // The version is on the right anyway; it shows here when there is room for all of it.
            if usize::from(word_at.saturating_sub(end)) > version.width() {
                inner.text(end, y, &version, Role::Muted);
            }
            inner.text(word_at, y, &word, role);
            if Some(number) == at {
                inner.paint_row(y, if has_focus { Role::Selection } else { Role::SelectionIdle });
            }
            last = y + 1;
        }
        let told = match &self.unnamed {
            _ if owner.is_cluster() => None,
            Some(Err(failure)) => Some(failure.message.clone()),
            Some(Ok(found)) if found.is_empty() && owner.services.is_empty() => {
                Some("No entry names a service of it, and none was found on it.".to_owned())
            }
            Some(Ok(found)) if found.is_empty() => Some("Nothing else was found on it.".to_owned()),
            Some(Ok(_)) => None,
            None if matches!(owner.reach, Reach::Failed(..)) => {
                Some("It does not answer; nobody can look further.".to_owned())
            }
            None => Some("Looking for services that the inventory does not name.".to_owned()).filter(|_| self.is_asked),
        };
        if let Some(told) = told {
            let skipped = (last + u16::from(last > 0)).min(inner.area.height);
            let area = inner.area;
            let place = Rect { y: area.y + skipped, height: area.height - skipped, ..area };
            render_lines(&[Line::muted(told)], &Scroll::default(), &mut inner.within(place));
        }
    }
}

enum Chosen<'s> {
    Named(&'s ServiceView),
    Unnamed(&'s Unnamed),
}

fn reach_told(owner: &OwnerView, model: &Model) -> String {
    match &owner.reach {
        Reach::Unknown => "not looked at yet".to_owned(),
        Reach::Answered(at) => format!("answered {}", utc_and_ago(*at, model.now)),
        Reach::Failed(_, failure) => failure.message.clone(),
    }
}

/// Sign, name with version, word and role of a service.
type ServiceRow = (&'static str, (String, String), String, Role);

fn service_row(service: &ServiceView, glyphs: &Glyphs) -> ServiceRow {
    let version = service.found.as_ref().and_then(|found| found.version.as_ref());
    let name = (service.name.to_string(), version.map(|v| v.one_line().to_string()).unwrap_or_default());
    let worst = service.items.iter().max_by_key(|item| item.state);
    match (service.failure_word(), &service.found, worst) {
        (Some(word), _, _) => (glyphs.bad, name, word.to_owned(), Role::StatusBad),
        (None, Some(found), None) if !found.present => {
            (glyphs.unknown, name, "not there".to_owned(), Role::StatusUnknown)
        }
        (None, _, Some(item)) => {
            let (role, sign) = look_of(item.state, glyphs);
            let count = service.items.iter().filter(|other| other.state == item.state).count();
            (sign, name, format!("{count} of {} {}", service.items.len(), item.state.word()), role)
        }
        (None, None, None) => (glyphs.unknown, name, "not seen yet".to_owned(), Role::StatusUnknown),
        (None, Some(_), None) => (glyphs.unknown, name, "no items".to_owned(), Role::StatusUnknown),
    }
}

fn service_lines(owner: &OwnerView, service: &ServiceView, model: &Model, glyphs: &Glyphs) -> Vec<Line> {
    let mut lines = Vec::new();
    if let (Some(failure), Some(word)) = (&service.failure, service.failure_word()) {
        lines.push(Line::Status(glyphs.bad, word.to_owned(), failure.message.clone(), Role::StatusBad));
        lines.extend(failure.hints.iter().map(|hint| Line::Field(String::new(), hint.clone(), Role::Muted)));
    }
    let twins = |found: &FoundView| {
        let is_here = |twin: &&Twin| twin.is_at(&found.host, &found.identities);
        let told = |twin: &Twin| format!("{} {}", twin.beside(&found.host, model.now), twin.advice());
        model.fleet.twins().iter().filter(is_here).map(told).collect::<Vec<_>>()
    };
    for told in service.found.iter().flat_map(twins) {
        lines.push(Line::Status(glyphs.bad, ItemState::Twin.word().to_owned(), told, Role::StatusBad));
    }
    match &service.found {
        Some(found) => lines.extend(found_facts(&service.kind, found, model)),
        None if service.failure.is_none() => lines.push(Line::muted(match &owner.reach {
            _ if model.looking.contains(&owner.id) => "It is being looked at.".to_owned(),
            Reach::Failed(..) => format!("{} does not answer, so it was not looked at.", owner.id),
            _ => format!("Nobody has looked at it yet. {} looks now.", model.key(Action::Refresh)),
        })),
        None => {}
    }
    lines.push(Line::Blank);
    lines.push(Line::Heading("Policy, from the inventory".to_owned()));
    let policy = &service.policy;
    let told = |value: Option<String>, default: &str| value.unwrap_or_else(|| format!("{default}, by default"));
    lines.push(Line::field("greatest age", told(policy.max_age.map(|age| age.to_string()), "1d")));
    lines.push(Line::field("verify", told(policy.verify_every.map(|age| format!("every {age}")), "not by itself")));
    lines
}

fn unnamed_lines(
    id: &OwnerId,
    kind: &str,
    result: &Result<(FoundView, Vec<String>), Failure>,
    model: &Model,
) -> Vec<Line> {
    match result {
        Err(failure) => vec![Line::text(failure.message.clone())],
        Ok((found, items)) => {
            let mut lines = vec![
                Line::Text("It runs here and nothing backs it up.".to_owned(), Role::StatusWarn),
                Line::muted(format!("Add [hosts.{id}.services.{kind}] to the inventory.")),
                Line::field("could save", items.join(", ")),
            ];
            lines.extend(found_facts(kind, found, model));
            lines
        }
    }
}

fn unnamed_of(found: &[(String, Result<Found, Failure>)], model: &Model) -> Vec<Unnamed> {
    let view = |found: &Found| {
        let titles = found.items.iter().map(|item| crate::model::text::CleanText::new(&item.title).to_string());
        (FoundView::new(found, model.now), titles.collect())
    };
    found.iter().map(|(kind, result)| (kind.clone(), result.as_ref().map(view).map_err(Clone::clone))).collect()
}

impl Screen for HostPage {
    fn crumbs(&self, model: &Model) -> Vec<String> {
        let group = self.owner(model).and_then(|owner| owner.groups.first().cloned());
        group.into_iter().chain([self.id.to_string()]).collect()
    }

    fn offers(&self, model: &Model) -> Vec<Offer> {
        let owner = self.owner(model);
        let gone = owner.is_none().then_some("it is in the inventory no more");
        let cluster = owner.is_some_and(OwnerView::is_cluster).then_some("a cluster is no node; choose a member");
        let nothing = owner.is_none_or(|owner| owner.items().next().is_none()).then_some("no item is known here yet");
        let no_way = owner.is_some_and(|owner| !owner.items().any(is_savable)).then_some("nothing of it can be saved");
        let mut offers = vec![
            Offer::unless(Action::Refresh, gone),
            Offer::unless(Action::BackUp, gone.or(nothing).or(no_way)),
            Offer::unless(Action::Shell, gone.or(cluster)),
            Offer::on(Action::Copy),
        ];
        let moves = [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last];
        offers.extend(moves.map(Offer::on));
        offers.extend(Panes::offers(FOUND));
        offers
    }

    fn act(&mut self, action: Action, model: &Model) -> Vec<Effect> {
        if self.panes.act(action, FOUND) {
            return Vec::new();
        }
        let moved = match self.panes.focus(FOUND) {
            SERVICES => {
                let moved = self.service.move_by(action, self.rows(model), PAGE);
                if moved {
                    self.found.reset();
                }
                moved
            }
            FOUND => self.found.move_by(action),
            _ => self.health.move_by(action),
        };
        if moved {
            return Vec::new();
        }
        let host = HostId::new(self.id.as_str()).ok();
        match action {
            Action::Refresh => {
                // Whether it answers is known after the look; then it is looked at further.
                self.is_old = true;
                vec![Effect::Order(Order::Look(vec![self.id.clone()]))]
            }
            Action::BackUp => {
                let items: Vec<_> = self.owner(model).into_iter().flat_map(OwnerView::items).collect();
                back_up(&items)
            }
            Action::Shell => host.map(Effect::Shell).into_iter().collect(),
            Action::Copy => vec![Effect::Copy(self.id.to_string())],
            _ => Vec::new(),
        }
    }

    fn clicked(&mut self, click: Click, _model: &Model) -> Vec<Effect> {
        click.pane.into_iter().for_each(|pane| self.panes.go(pane));
        if let Some(row) = click.row {
            self.service.select(row);
            self.found.reset();
        }
        Vec::new()
    }

    fn noticed(&mut self, notice: &Notice, model: &Model) -> Vec<Effect> {
        match notice {
            Notice::Discovered(host, found) if host.as_str() == self.id.as_str() => {
                self.is_asked = false;
                self.unnamed = Some(found.as_ref().map(|found| unnamed_of(found, model)).map_err(Clone::clone));
            }
            Notice::Looked(owner, _) if *owner == self.id && (self.is_old || !matches!(self.unnamed, Some(Ok(_)))) => {
                return self.discover(model);
            }
            // It may name other services now, or mean another machine.
            Notice::Reloaded(Ok(_)) => (self.unnamed, self.is_asked, self.is_old) = (None, false, true),
            _ => {}
        }
        Vec::new()
    }

    /// ```text
    /// ┌ Health ──────────────────────────────────────────────────────┐
    /// │ ● reachable   10.0.0.11:22, round trip 3 ms                  │
    /// └──────────────────────────────────────────────────────────────┘
    /// ┌ Services ─────────────────┐┌ avalanchego ────────────────────┐
    /// │ ● avalanchego   7 of 7 ok ││ seen        on val-1, 2m ago    │
    /// │ ▲ netdata in no inventory ││ version     1.13.5              │
    /// └───────────────────────────┘└─────────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let area = canvas.area;
        let focus = self.panes.focus(FOUND);
        let glyphs = canvas.theme.glyphs;
        let is_wide = area.width >= WIDE;
        let left = if is_wide { area.width * 9 / 20 } else { area.width * 2 / 5 };
        let top = if is_wide { area.height * 3 / 5 } else { (area.height / 2).min(11) };
        let mut places = [
            Rect { width: if is_wide { left } else { area.width }, height: top, ..area },
            Rect { y: area.y + top, width: left, height: area.height - top, ..area },
            if is_wide {
                Rect { x: area.x + left, width: area.width - left, ..area }
            } else {
                Rect { x: area.x + left, y: area.y + top, width: area.width - left, height: area.height - top }
            },
        ];
        if self.panes.is_zoomed() {
            places = [HEALTH, SERVICES, FOUND].map(|pane| if pane == focus { area } else { Rect::default() });
        }
        let title = format!("{}, health", self.id);
        let mut pane = canvas.within(places[0]).as_pane(HEALTH);
        let mut inner = render_panel(&title, focus == HEALTH, places[0], &mut pane);
        render_lines(&self.health_lines(model, &glyphs), &self.health, &mut inner);
        self.render_services(model, focus == SERVICES, &mut canvas.within(places[1]).as_pane(SERVICES));
        let (title, lines) = self.found_lines(model, &glyphs);
        let mut pane = canvas.within(places[2]).as_pane(FOUND);
        let mut inner = render_panel(&title, focus == FOUND, places[2], &mut pane);
        render_lines(&lines, &self.found, &mut inner);
    }
}
