//! The first page of somebody who has no inventory yet: three ways to begin.

use crate::tui::action::{Action, Offer};
use crate::tui::hit::Click;
use crate::tui::message::{Beginning, Effect, Tone};
use crate::tui::model::Model;
use crate::tui::screen::{Canvas, Screen, wrap};
use crate::tui::screens::guide::Guide;
use crate::tui::theme::Role;
use crate::tui::widgets::list::Selection;
use crate::tui::widgets::panel::render_panel;

/// The page.
pub struct FirstPage {
    ways: Vec<Way>,
    selection: Selection,
}

struct Way {
    title: &'static str,
    about: String,
    /// Why it is not possible.
    off: Option<&'static str>,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Begin(Beginning),
    Guide,
}

impl FirstPage {
    /// With what is there to begin with.
    pub fn new(has_ssh_config: bool, has_practice: bool) -> Self {
        let way =
            |title, about: &str, off: Option<&'static str>, kind| Way { title, about: about.to_owned(), off, kind };
        let no_config = (!has_ssh_config).then_some("there is no ~/.ssh/config");
        let no_practice = (!has_practice).then_some("this build has no practice fleet");
        let ways = vec![
            way(
                "Practise on a fleet of its own",
                "Twelve practice nodes on this machine, with backups, losses and faults. Nothing else is touched; nothing is left behind.",
                no_practice,
                Kind::Begin(Beginning::Practice),
            ),
            way(
                "Begin with the hosts of ~/.ssh/config",
                "Writes an inventory with an entry for each host. No node is changed; you add services and a vault.",
                no_config,
                Kind::Begin(Beginning::SshConfig),
            ),
            way(
                "Begin with the example",
                "Writes the example inventory, which explains every key. Edit it, then open the console again.",
                None,
                Kind::Begin(Beginning::Example),
            ),
            way(
                "Read the guide",
                "What Lifeboat saves, how it proves it, and the first five minutes.",
                None,
                Kind::Guide,
            ),
        ];
        Self { ways, selection: Selection::default() }
    }

    fn off(way: &Way, model: &Model) -> Option<&'static str> {
        let writes = matches!(way.kind, Kind::Begin(Beginning::SshConfig | Beginning::Example));
        way.off.or_else(|| (writes && model.place.read_only).then_some("the console is read-only"))
    }
}

impl Screen for FirstPage {
    fn crumbs(&self, _model: &Model) -> Vec<String> {
        vec!["welcome".to_owned()]
    }

    fn offers(&self, _model: &Model) -> Vec<Offer> {
        [Action::Open, Action::Up, Action::Down, Action::First, Action::Last].map(Offer::on).into()
    }

    fn is_alone(&self) -> bool {
        true
    }

    fn act(&mut self, action: Action, model: &Model) -> Vec<Effect> {
        if self.selection.move_by(action, self.ways.len(), 1) {
            return Vec::new();
        }
        let Some(way) = self.selection.row(self.ways.len()).and_then(|row| self.ways.get(row)) else {
            return Vec::new();
        };
        match (Self::off(way, model), way.kind) {
            (Some(why), _) => vec![Effect::Say(Tone::Warn, format!("Not now: {why}."))],
            (None, Kind::Begin(beginning)) => vec![Effect::Begin(beginning)],
            (None, Kind::Guide) => vec![Effect::Open(Box::new(Guide::default()))],
        }
    }

    fn clicked(&mut self, click: Click, _model: &Model) -> Vec<Effect> {
        click.row.into_iter().for_each(|row| self.selection.select(row));
        Vec::new()
    }

    /// ```text
    /// ┌ Welcome ────────────────────────────────────────────────────┐
    /// │  There is no inventory yet at ~/.config/lifeboat/…          │
    /// │                                                             │
    /// │  ▸ Practise on a fleet of its own                           │
    /// │    Twelve practice nodes on this machine, …                 │
    /// └─────────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let mut inner = render_panel("Welcome", true, canvas.area, canvas);
        let width = usize::from(inner.area.width.saturating_sub(8)).min(76);
        inner.text(2, 1, "Lifeboat copies off what cannot be rebuilt, proves it, and brings it back.", Role::Title);
        let place =
            format!("There is no inventory yet at {}. How would you like to begin?", model.place.inventory.display());
        let mut y = 3;
        for line in wrap(&place, width + 2) {
            inner.text(2, y, &line, Role::Text);
            y += 1;
        }
        let selected = self.selection.row(self.ways.len());
        let mark = inner.theme.glyphs.folded;
        for (at, way) in self.ways.iter().enumerate() {
            y += 1;
            inner.mark_row(y, at);
            let off = Self::off(way, model);
            let role = if off.is_some() { Role::Disabled } else { Role::Text };
            let is_selected = Some(at) == selected;
            let title = if is_selected { Role::Marked } else { role };
            inner.text(2, y, if is_selected { mark } else { " " }, Role::Marked);
            inner.text(4, y, way.title, if off.is_some() { Role::Disabled } else { title });
            y += 1;
            let about = off.map_or_else(|| way.about.clone(), |why| format!("Not now: {why}."));
            for line in wrap(&about, width) {
                inner.mark_row(y, at);
                inner.text(4, y, &line, Role::Muted);
                y += 1;
            }
        }
    }
}
