//! The one table of actions. Keys, footer, help, palette, docs and manual page are all read from it.

/// What a key, a palette word or a menu number can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Leave the console.
    Quit,
    /// What works here.
    Help,
    /// Type an action's name.
    Palette,
    /// Narrow the list.
    Filter,
    /// The worst first again.
    Sort,
    /// Back to the page before.
    Back,
    /// Forward again.
    Forward,
    /// The next pane.
    NextPane,
    /// The pane before.
    PreviousPane,
    /// A pane by its number, from 1.
    Pane(u8),
    /// Give the pane the whole page, or back.
    Zoom,
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// To the left: fold, or the pane before.
    Left,
    /// To the right: unfold, or the next pane.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// The first row.
    First,
    /// The last row.
    Last,
    /// Go on to the next page.
    Next,
    /// Open what is selected.
    Open,
    /// Fold or unfold.
    Fold,
    /// Mark or unmark.
    Mark,
    /// Mark all that is shown.
    MarkAll,
    /// Forget the marks.
    Unmark,
    /// Back up.
    BackUp,
    /// Verify copies.
    Verify,
    /// Verify everything in the vault.
    VerifyAll,
    /// Restore a copy.
    Restore,
    /// Undo a run.
    RollBack,
    /// Take a run up.
    Resume,
    /// Take over another console's run.
    Adopt,
    /// Leave a run as things are.
    Leave,
    /// Stop a job.
    Cancel,
    /// Try a job again.
    Retry,
    /// Let a page's job run on without it.
    Background,
    /// What restores kept aside.
    Kept,
    /// Remove what restores kept aside.
    Purge,
    /// Look at the selected nodes again.
    Refresh,
    /// Compare two snapshots.
    Diff,
    /// The fleet.
    Fleet,
    /// The vault.
    Vault,
    /// The runs.
    Runs,
    /// The jobs.
    Jobs,
    /// The log.
    Log,
    /// Choose a theme.
    Theme,
    /// Copy what is selected to the clipboard.
    Copy,
    /// A shell on the selected node.
    Shell,
    /// Stop the console and come back with `fg`.
    Suspend,
    /// Read the inventory again.
    Reload,
    /// Turn the mouse on or off.
    Mouse,
    /// Break something on the practice fleet, or mend it.
    Practice,
    /// The guided exercise.
    Exercise,
}

/// What an action is for, as help and docs group them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Work on hosts, items, copies and runs.
    Work,
    /// Rows, panes, marks.
    Moving,
    /// Pages.
    Pages,
    /// The console itself.
    Console,
}

impl Group {
    /// Every group, in the order of help.
    pub const ALL: [Self; 4] = [Self::Work, Self::Moving, Self::Pages, Self::Console];

    /// Its heading.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Work => "Work",
            Self::Moving => "Moving about",
            Self::Pages => "Pages",
            Self::Console => "The console",
        }
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct ActionInfo {
    /// The action.
    pub action: Action,
    /// Its name in the palette and in keymap files.
    pub name: &'static str,
    /// Other names the palette knows.
    pub aliases: &'static [&'static str],
    /// A word or two for the footer.
    pub short: &'static str,
    /// What it does, a sentence.
    pub about: &'static str,
    /// Its keys when no keymap file says otherwise.
    pub keys: &'static [&'static str],
    /// Whether it changes a node or the vault: refused, with the reason, when the console is read-only.
    pub changes: bool,
}

const fn row(
    action: Action,
    name: &'static str,
    keys: &'static [&'static str],
    short: &'static str,
    about: &'static str,
) -> ActionInfo {
    ActionInfo { action, name, aliases: &[], short, about, keys, changes: false }
}

const fn change(info: ActionInfo) -> ActionInfo {
    ActionInfo { changes: true, ..info }
}

const fn also(info: ActionInfo, aliases: &'static [&'static str]) -> ActionInfo {
    ActionInfo { aliases, ..info }
}

/// Every action, in the order help shows them.
pub static ACTIONS: &[ActionInfo] = &[
    change(also(row(Action::BackUp, "backup", &["b"], "back up", "Back up what is marked or selected."), &["save"])),
    also(row(Action::Verify, "verify", &["v"], "verify", "Check stored copies offline."), &["check"]),
    also(
        row(Action::VerifyAll, "verify-all", &["C"], "verify all", "Check everything the vault holds, offline."),
        &["check-all"],
    ),
    change(row(Action::Restore, "restore", &["r"], "restore", "Bring a copy back onto a host.")),
    change(row(Action::RollBack, "rollback", &["u"], "undo", "Undo a run from what it kept aside.")),
    change(row(Action::Resume, "resume", &["e"], "resume", "Take an interrupted run up.")),
    change(row(Action::Adopt, "adopt", &["A"], "adopt", "Take over a run of another console.")),
    change(row(Action::Leave, "leave", &["L"], "leave", "Leave a run as things are now, and give its locks back.")),
    row(Action::Cancel, "cancel", &["x"], "cancel", "Stop a job; what it changed is undone."),
    row(Action::Retry, "retry", &["t"], "retry", "Try a job that ended badly again."),
    row(Action::Background, "background", &["B"], "background", "Leave the page; the job goes on."),
    also(
        row(Action::Refresh, "refresh", &["f5", "ctrl-r"], "look again", "Look at the selected nodes again."),
        &["scan"],
    ),
    row(Action::Diff, "diff", &["d"], "diff", "Compare two snapshots."),
    row(Action::Kept, "kept", &["K"], "kept", "Ask a node what lies on it: runs, and what restores kept aside."),
    change(row(Action::Purge, "purge", &["delete"], "remove", "Remove what restores kept aside.")),
    row(Action::Next, "next", &["enter"], "go on", "Go on to the next page."),
    row(Action::Open, "open", &["enter"], "open", "Open what is selected."),
    row(Action::Back, "back", &["esc", "backspace"], "back", "Show all again, else go back to the page before."),
    row(Action::Forward, "forward", &["alt-right", "]"], "forward", "Go forward again."),
    row(Action::Up, "up", &["up", "k"], "up", "One row up."),
    row(Action::Down, "down", &["down", "j"], "down", "One row down."),
    row(Action::Left, "left", &["left", "h"], "fold", "Fold, or go to the pane on the left."),
    row(Action::Right, "right", &["right", "l"], "unfold", "Unfold, or go to the pane on the right."),
    row(Action::PageUp, "page-up", &["pgup", "ctrl-u"], "page up", "A page up."),
    row(Action::PageDown, "page-down", &["pgdn", "ctrl-d"], "page down", "A page down."),
    row(Action::First, "first", &["home", "g g"], "first", "The first row."),
    row(Action::Last, "last", &["end", "G"], "last", "The last row."),
    row(Action::Fold, "fold", &["z z"], "fold", "Fold or unfold a group."),
    row(Action::Mark, "mark", &["space"], "mark", "Mark or unmark a row for work on several."),
    row(Action::MarkAll, "mark-all", &["a"], "mark all", "Mark every row that is shown."),
    row(Action::Unmark, "unmark", &["U"], "unmark", "Forget the marks."),
    row(Action::NextPane, "next-pane", &["tab"], "next pane", "Go to the next pane."),
    row(Action::PreviousPane, "previous-pane", &["shift-tab"], "pane before", "Go to the pane before."),
    row(Action::Pane(1), "pane-1", &["1"], "pane 1", "Go to the first pane."),
    row(Action::Pane(2), "pane-2", &["2"], "pane 2", "Go to the second pane."),
    row(Action::Pane(3), "pane-3", &["3"], "pane 3", "Go to the third pane."),
    row(Action::Pane(4), "pane-4", &["4"], "pane 4", "Go to the fourth pane."),
    row(Action::Zoom, "zoom", &["w"], "zoom", "Give the pane the whole page, or back."),
    row(Action::Filter, "filter", &["/"], "filter", "Narrow the list: words, !words, or /a pattern/."),
    row(Action::Sort, "sort", &["S"], "sort", "Put the worst first again."),
    row(Action::Palette, "palette", &[":"], "command", "Type an action's name."),
    row(Action::Help, "help", &["?"], "help", "Show what works here."),
    row(Action::Fleet, "fleet", &["F"], "fleet", "Show the fleet."),
    row(Action::Vault, "vault", &["V"], "vault", "Show what the vault holds."),
    row(Action::Runs, "runs", &["R"], "runs", "Show the runs."),
    row(Action::Jobs, "jobs", &["J"], "jobs", "Show the jobs of this sitting."),
    row(Action::Log, "log", &["O"], "log", "Show what the console noted."),
    also(row(Action::Theme, "theme", &["T"], "theme", "Choose a theme."), &["colours", "colors", "skin"]),
    also(row(Action::Copy, "copy", &["y"], "copy", "Copy what is selected to the clipboard."), &["yank"]),
    row(Action::Shell, "shell", &["s"], "shell", "Open a shell on the selected node, and come back."),
    row(Action::Suspend, "suspend", &["ctrl-z"], "suspend", "Stop the console; fg brings it back."),
    row(Action::Reload, "reload", &["ctrl-l"], "reload", "Read the inventory again."),
    row(Action::Mouse, "mouse", &["M"], "mouse", "Turn the mouse on or off."),
    row(Action::Practice, "practice", &["P"], "practice", "Break something on the practice fleet, or mend it."),
    row(Action::Exercise, "exercise", &["X"], "exercise", "Show or hide the guided exercise."),
    also(row(Action::Quit, "quit", &["q", "ctrl-c"], "quit", "Leave the console."), &["exit"]),
];

impl Action {
    /// What it is for.
    pub fn group(self) -> Group {
        match self {
            Self::Fleet
            | Self::Vault
            | Self::Runs
            | Self::Jobs
            | Self::Log
            | Self::Open
            | Self::Back
            | Self::Forward => Group::Pages,
            Self::Quit | Self::Help | Self::Palette | Self::Theme | Self::Suspend | Self::Reload | Self::Mouse => {
                Group::Console
            }
            Self::Mark | Self::MarkAll | Self::Unmark | Self::Filter | Self::Sort | Self::Zoom => Group::Moving,
            action if action.is_motion() => Group::Moving,
            _ => Group::Work,
        }
    }

    /// Whether it only moves about, of which nobody needs to be reminded.
    pub fn is_motion(self) -> bool {
        matches!(
            self,
            Self::Up
                | Self::Down
                | Self::Left
                | Self::Right
                | Self::PageUp
                | Self::PageDown
                | Self::First
                | Self::Last
                | Self::Pane(_)
                | Self::NextPane
                | Self::PreviousPane
                | Self::Fold
        )
    }

    /// Its row in the table.
    pub fn info(self) -> &'static ActionInfo {
        static LOST: ActionInfo = row(Action::Help, "help", &[], "help", "Show what works here.");
        // A test holds that every action has its row.
        ACTIONS.iter().find(|info| info.action == self).unwrap_or(&LOST)
    }

    /// The action of a name or alias.
    pub fn named(name: &str) -> Option<Self> {
        ACTIONS.iter().find(|info| info.name == name || info.aliases.contains(&name)).map(|info| info.action)
    }
}

/// An action a page has at this moment; one that is off stays visible with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The action.
    pub action: Action,
    /// Why it is not possible now.
    pub off: Option<String>,
}

impl Offer {
    /// Possible now.
    pub fn on(action: Action) -> Self {
        Self { action, off: None }
    }

    /// Not possible now, and why, as a short clause: "nothing is selected".
    pub fn off(action: Action, why: impl Into<String>) -> Self {
        Self { action, off: Some(why.into()) }
    }

    /// Possible when nothing speaks against it.
    pub fn unless(action: Action, why_not: Option<&str>) -> Self {
        Self { action, off: why_not.map(str::to_owned) }
    }
}
