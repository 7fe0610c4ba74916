//! The inside of a snapshot: its files, and of a file the rows a reader of its format shows, a page at a time.

use unicode_width::UnicodeWidthStr;

use crate::engine::inside::{Page, ROWS};
use crate::formats::Part;
use crate::model::exit::Failure;
use crate::model::ids::{ItemRef, SnapshotId};
use crate::model::text::CleanText;
use crate::model::units::ByteSize;
use crate::transport::Cancel;
use crate::tui::action::{Action, Offer};
use crate::tui::filter::Filter;
use crate::tui::hit::Click;
use crate::tui::message::{Effect, Notice, Order, Peek};
use crate::tui::model::Model;
use crate::tui::palette;
use crate::tui::screen::{Canvas, Screen, cut_middle};
use crate::tui::theme::Role;
use crate::tui::widgets::lines::{Line, height_of, render_lines, render_sentences};
use crate::tui::widgets::list::Selection;
use crate::tui::widgets::panel::render_panel;
use crate::tui::widgets::scroll::Scroll;
use crate::vault::Snapshot;

const PAGE: usize = 15;

/// Columns between two columns of a table.
const GAP: u16 = 2;

/// What is left of a wide column, as long as others are wider.
const LEAST: u16 = 12;

/// The page.
pub struct InsidePage {
    item: ItemRef,
    id: SnapshotId,
    snapshot: Option<Result<Box<Snapshot>, Failure>>,
    file: Selection,
    /// The file that is looked into.
    open: Option<Open>,
}

struct Open {
    /// The rows that were asked for.
    asked: Peek,
    filter: Option<Filter>,
    row: Selection,
    page: Option<Result<Page, Failure>>,
}

/// Rows that nobody waits for are read no further.
impl Drop for Open {
    fn drop(&mut self) {
        self.asked.cancel.cancel();
    }
}

impl Open {
    fn pattern(&self) -> &str {
        self.filter.as_ref().map_or("", Filter::text)
    }

    /// The page of rows that a move from the selected one leads to, and the row of it that is selected then; nothing
    /// when the move stays on this page.
    fn turn(&self, action: Action) -> Option<(Part, usize)> {
        let Some(Ok(page)) = &self.page else { return None };
        let at = self.row.row(page.rows.len()).unwrap_or(0);
        let before = page.from.min(ROWS.into());
        match action {
            Action::Down | Action::PageDown if at + 1 >= page.rows.len() => Some((Part::From(page.next?), 0)),
            Action::Up | Action::PageUp if at == 0 && before > 0 => {
                Some((Part::From(page.from - before), usize::try_from(before - 1).unwrap_or(0)))
            }
            Action::First if before > 0 => Some((Part::From(0), 0)),
            Action::Last if page.next.is_some() => Some((Part::End, usize::MAX)),
            _ => None,
        }
    }
}

impl InsidePage {
    /// Opens the page and has the snapshot read.
    pub fn open(item: ItemRef, id: SnapshotId) -> Vec<Effect> {
        let read = Effect::Order(Order::ReadSnapshot(item.clone(), id.clone()));
        let page = Self { item, id, snapshot: None, file: Selection::default(), open: None };
        vec![Effect::Open(Box::new(page)), read]
    }

    fn files(&self) -> Vec<(String, String, String)> {
        let Some(Ok(snapshot)) = &self.snapshot else { return Vec::new() };
        let clean = |text: &str| CleanText::new(text).one_line().to_string();
        let files = snapshot.manifest().files.iter();
        files
            .map(|file| (clean(&file.name), ByteSize(file.plain_size).to_string(), clean(file.origin.as_str())))
            .collect()
    }

    fn name_at(&self, row: usize) -> Option<String> {
        let Some(Ok(snapshot)) = &self.snapshot else { return None };
        Some(snapshot.manifest().files.get(row)?.name.clone())
    }

    /// Looks into a file; `row` of what comes is selected.
    fn look(&mut self, file: String, part: Part, filter: Option<Filter>, row: usize) -> Vec<Effect> {
        let pattern = filter.as_ref().map_or(String::new(), |filter| filter.text().to_owned());
        let (item, snapshot) = (self.item.clone(), self.id.clone());
        let asked = Peek { item, snapshot, file, part, pattern, cancel: Cancel::new() };
        let order = Order::LookInside(Box::new(asked.clone()));
        let mut selection = Selection::default();
        selection.select(row);
        self.open = Some(Open { asked, filter, row: selection, page: None });
        vec![Effect::Order(order)]
    }

    /// Moves in the rows; what does not lie on this page is read.
    fn move_in_rows(&mut self, action: Action) -> Option<Vec<Effect>> {
        let open = self.open.as_mut()?;
        if let Some((part, row)) = open.turn(action) {
            let (file, filter) = (open.asked.file.clone(), open.filter.clone());
            return Some(self.look(file, part, filter, row));
        }
        let Some(Ok(page)) = &open.page else { return None };
        open.row.move_by(action, page.rows.len(), PAGE).then(Vec::new)
    }

    fn render_files(&self, model: &Model, canvas: &mut Canvas) {
        let title = format!("{}@{}", self.item, self.id);
        let mut inner = render_panel(&title, true, canvas.area, canvas);
        match &self.snapshot {
            None => render_sentences(&[("The snapshot is being read.", Role::Text)], &mut inner),
            Some(Err(failure)) => render_failure(failure, model, &mut inner),
            Some(Ok(_)) => {
                let files = self.files();
                let at = self.file.row(files.len());
                let size = inner.area.width / 3;
                let widths = [size.saturating_sub(2), 10, inner.area.width.saturating_sub(size + 13)];
                let names = ["file", "size", "on the node"].map(str::to_owned);
                // What has no room in the selected row stands whole below the list.
                let row = at
                    .and_then(|at| files.get(at))
                    .map(|(name, bytes, origin)| [name, bytes, origin].map(Clone::clone));
                let whole = row.map(|row| cut_cells(&names, &row, &widths)).unwrap_or_default();
                let height = inner.area.height.saturating_sub(1);
                let height = height - render_below(&whole, height, &mut inner);
                for (x, name) in [(1, "FILE"), (size + 12, "ON THE NODE")] {
                    inner.text(x, 0, name, Role::Heading);
                }
                inner.right(size, 0, 10, "SIZE", Role::Heading);
                let top = self.file.top(files.len(), usize::from(height));
                for (y, (number, (name, bytes, origin))) in (1..=height).zip(files.iter().enumerate().skip(top)) {
                    inner.mark_row(y, number);
                    put(1, y, widths[0], false, (name, Role::Text), &mut inner);
                    put(size, y, widths[1], true, (bytes, Role::Text), &mut inner);
                    put(size + 12, y, widths[2], false, (origin, Role::Muted), &mut inner);
                    if Some(number) == at {
                        inner.paint_row(y, Role::Selection);
                    }
                }
            }
        }
    }
}

/// A failure in the middle of a place, and what to do next.
pub fn render_failure(failure: &Failure, model: &Model, canvas: &mut Canvas) {
    let hint = failure.hints.first().cloned().unwrap_or_else(|| format!("{} goes back.", model.key(Action::Back)));
    render_sentences(&[(&failure.message, Role::StatusBad), ("", Role::Text), (&hint, Role::Muted)], canvas);
}

/// ```text
/// ┌ config.tar.zst, rows 1 to 500, more follow ──────────────┐
/// │ NAME            KIND  SIZE  MODE  OWNER                  │
/// │ etc/consul.d/   dir   0     0750  consul:consul          │
/// └──────────────────────────────────────────────────────────┘
/// ```
fn render_rows(open: &Open, model: &Model, canvas: &mut Canvas) {
    let mut inner = render_panel(&title_of(open), true, canvas.area, canvas);
    let is_narrowed = !open.asked.pattern.is_empty();
    let page = match &open.page {
        None if is_narrowed => {
            let again = model.shows_all_again();
            let told = [("It is searched to its end.", Role::Text), (again.as_str(), Role::Muted)];
            return render_sentences(&told, &mut inner);
        }
        None => return render_sentences(&[("It is being opened and read.", Role::Text)], &mut inner),
        Some(Err(failure)) => return render_failure(failure, model, &mut inner),
        Some(Ok(page)) if page.rows.is_empty() && is_narrowed => {
            let again = model.shows_all_again();
            let told = [("Nothing in it matches.", Role::Text), (again.as_str(), Role::Muted)];
            return render_sentences(&told, &mut inner);
        }
        Some(Ok(page)) if page.rows.is_empty() => {
            return render_sentences(&[("There is nothing in it.", Role::Text)], &mut inner);
        }
        Some(Ok(page)) => page,
    };
    let at = open.row.row(page.rows.len());
    let room = inner.area.width.saturating_sub(2);
    let rows_within = |height: u16| {
        let top = open.row.top(page.rows.len(), usize::from(height));
        let shown = page.rows.get(top..).unwrap_or_default();
        (top, shown.get(..usize::from(height).min(shown.len())).unwrap_or_default())
    };
    let height = inner.area.height.saturating_sub(1);
    // What has no room in the selected row stands whole below the list.
    let widths = column_widths(&page.columns, rows_within(height).1, room);
    let whole =
        at.and_then(|at| page.rows.get(at)).map(|row| cut_cells(&page.columns, row, &widths)).unwrap_or_default();
    let height = height - render_below(&whole, height, &mut inner);
    let (top, shown) = rows_within(height);
    let widths = column_widths(&page.columns, shown, room);
    let is_number: Vec<bool> = (0..page.columns.len()).map(|column| is_number(column, shown)).collect();
    let mut x = 1;
    for ((name, width), is_number) in page.columns.iter().zip(&widths).zip(&is_number).filter(|((_, w), _)| **w > 0) {
        put(x, 0, *width, *is_number, (name.to_uppercase().as_str(), Role::Heading), &mut inner);
        x += width + GAP;
    }
    for (y, (number, row)) in (1..=height).zip(shown.iter().enumerate()) {
        inner.mark_row(y, number + top);
        let mut x = 1;
        let cells = row.iter().zip(&widths).zip(&is_number).enumerate();
        for (column, ((cell, width), is_number)) in cells.filter(|(_, ((_, width), _))| **width > 0) {
            let role = if column == 0 { Role::Text } else { Role::Muted };
            put(x, y, *width, *is_number, (cell.as_str(), role), &mut inner);
            x += width + GAP;
        }
        inner.mark_matches(y, open.filter.as_ref());
        if Some(number + top) == at {
            inner.paint_row(y, Role::Selection);
        }
    }
}

/// Draws lines at the bottom of a list that has so many rows, and gives how many of them they take: a third at most.
fn render_below(whole: &[Line], height: u16, inner: &mut Canvas) -> u16 {
    let area = inner.area;
    let rows = u16::try_from(height_of(whole, area.width.saturating_sub(2))).unwrap_or(height).min(height / 3);
    if rows == 0 {
        return 0;
    }
    let place = ratatui::layout::Rect { y: area.bottom() - rows, height: rows, ..area };
    render_lines(whole, &Scroll::default(), &mut inner.within(place));
    rows + 1
}

/// The cells of a row that have no room in their columns, each whole.
fn cut_cells(names: &[String], row: &[String], widths: &[u16]) -> Vec<Line> {
    let cells = names.iter().zip(row).zip(widths);
    let cut = cells.filter(|((_, cell), width)| cell.width() > usize::from(**width));
    cut.map(|((name, cell), _)| Line::field(name, cell.clone())).collect()
}

/// The file, what narrows it, and which of its rows are shown.
fn title_of(open: &Open) -> String {
    let name = CleanText::new(&open.asked.file).one_line();
    let (pattern, what) = match open.asked.pattern.as_str() {
        "" => (String::new(), ""),
        pattern => (format!(" /{pattern}"), " that match"),
    };
    match &open.page {
        Some(Ok(page)) if !page.rows.is_empty() => {
            let last = page.from.saturating_add(page.rows.len() as u64);
            let more = match page.total {
                Some(total) => format!(" of {total}{what}"),
                None if page.next.is_some() => ", more follow".to_owned(),
                None => String::new(),
            };
            format!("{name}{pattern}, rows {} to {last}{more}", page.from.saturating_add(1))
        }
        _ => format!("{name}{pattern}"),
    }
}

/// Whether a column holds numbers, by what is shown of it: those stand under each other by their last digit. A leading
/// zero is a mode, and modes stand like words.
fn is_number(column: usize, rows: &[Vec<String>]) -> bool {
    let is_digits = |cell: &String| cell.bytes().all(|byte| byte.is_ascii_digit());
    let mut cells = rows.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty()).peekable();
    column > 0 && cells.peek().is_some() && cells.all(|cell| is_digits(cell) && (cell == "0" || !cell.starts_with('0')))
}

/// A cell of a table, numbers to the right. Of what has no room the middle gives way.
fn put(x: u16, y: u16, width: u16, is_number: bool, (text, role): (&str, Role), canvas: &mut Canvas) {
    if is_number {
        canvas.right(x, y, width, text, role);
    } else {
        let shown = cut_middle(text, usize::from(width), canvas.theme.glyphs.cut);
        canvas.text_within(x, y, width, &shown, role);
    }
}

/// As wide as what is shown in each column, and a column with nothing in it not at all. Until all fit the widest ones
/// give way: the first one, which tells a row from others, after the rest of them.
fn column_widths(names: &[String], rows: &[Vec<String>], room: u16) -> Vec<u16> {
    let widest = |column: usize, name: &String| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width());
        let most = cells.max().filter(|most| *most > 0).map_or(0, |most| most.max(name.width()));
        u16::try_from(most).unwrap_or(u16::MAX).min(room)
    };
    let mut widths: Vec<u16> = names.iter().enumerate().map(|(column, name)| widest(column, name)).collect();
    let gaps = GAP * u16::try_from(widths.iter().filter(|width| **width > 0).count().saturating_sub(1)).unwrap_or(0);
    for (from, least) in [(1, LEAST), (0, LEAST), (0, 1)] {
        while widths.iter().map(|width| u32::from(*width)).sum::<u32>() + u32::from(gaps) > u32::from(room) {
            match widths.iter_mut().skip(from).max() {
                Some(width) if *width > least => *width -= 1,
                _ => break,
            }
        }
    }
    widths
}

impl Screen for InsidePage {
    fn crumbs(&self, _model: &Model) -> Vec<String> {
        let file = self.open.as_ref().map(|open| CleanText::new(&open.asked.file).one_line().to_string());
        let names = [self.item.owner.to_string(), self.item.service.to_string(), self.item.item.to_string()];
        names.into_iter().chain(file).collect()
    }

    fn offers(&self, _model: &Model) -> Vec<Offer> {
        let mut offers = Vec::new();
        if self.open.is_none() {
            let none = self.files().is_empty().then_some("it has no file to look into");
            offers.push(Offer::unless(Action::Open, none));
        } else if self.files().len() > 1 && self.filter().is_none() {
            offers.push(Offer::on(Action::Back));
        }
        let row = self.open.as_ref().is_some_and(|open| matches!(&open.page, Some(Ok(page)) if !page.rows.is_empty()));
        offers.push(Offer::unless(Action::Copy, (!row).then_some("no row is selected")));
        if self.open.is_some() {
            offers.push(Offer::on(Action::Filter));
        }
        let moves = [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last];
        offers.extend(moves.map(Offer::on));
        offers
    }

    fn act(&mut self, action: Action, _model: &Model) -> Vec<Effect> {
        if let Some(effects) = self.move_in_rows(action) {
            return effects;
        }
        if self.open.is_none() {
            let count = self.files().len();
            if self.file.move_by(action, count, PAGE) {
                return Vec::new();
            }
            if action == Action::Open
                && let Some(name) = self.file.row(count).and_then(|row| self.name_at(row))
            {
                return self.look(name, Part::From(0), None, 0);
            }
            return Vec::new();
        }
        match (action, &self.open) {
            (Action::Back, _) => {
                self.open = None;
                Vec::new()
            }
            (Action::Filter, Some(open)) => vec![Effect::Ask(palette::filter(open.pattern()))],
            (Action::Copy, Some(Open { row, page: Some(Ok(page)), .. })) => {
                let cells = row.row(page.rows.len()).and_then(|at| page.rows.get(at));
                cells.map(|cells| Effect::Copy(cells.join("\t"))).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn clicked(&mut self, click: Click, _model: &Model) -> Vec<Effect> {
        if let Some(row) = click.row {
            self.open.as_mut().map_or(&mut self.file, |open| &mut open.row).select(row);
        }
        Vec::new()
    }

    fn noticed(&mut self, notice: &Notice, _model: &Model) -> Vec<Effect> {
        match notice {
            Notice::Snapshot(item, id, read) if *item == self.item && *id == self.id => {
                self.snapshot = Some(read.clone());
                // One file needs no choosing.
                match (self.name_at(0), self.name_at(1), &self.open) {
                    (Some(name), None, None) => self.look(name, Part::From(0), None, 0),
                    _ => Vec::new(),
                }
            }
            Notice::Inside(asked, page) => {
                // Rows that were asked for before somebody went elsewhere come too late.
                if let Some(open) = self.open.as_mut().filter(|open| open.asked.is_like(asked)) {
                    open.page = Some(page.clone());
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn filter(&self) -> Option<&Filter> {
        self.open.as_ref()?.filter.as_ref()
    }

    fn narrow(&mut self, filter: Filter) {
        if let Some(open) = &mut self.open {
            open.filter = (!filter.is_empty()).then_some(filter);
        }
    }

    /// Has the whole file searched.
    fn narrowed(&mut self, _model: &Model) -> Vec<Effect> {
        let Some(open) = self.open.as_ref().filter(|open| open.pattern() != open.asked.pattern) else {
            return Vec::new();
        };
        let (file, filter) = (open.asked.file.clone(), open.filter.clone());
        self.look(file, Part::From(0), filter, 0)
    }

    /// ```text
    /// ┌ val-1/avalanchego/staking-identity@20261120T… ──────────┐
    /// │ FILE              SIZE  ON THE NODE                     │
    /// │ staker.crt    1.17 KiB  /var/lib/…/staking/staker.crt   │
    /// └─────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        match &self.open {
            Some(open) => render_rows(open, model, canvas),
            None => self.render_files(model, canvas),
        }
    }
}
