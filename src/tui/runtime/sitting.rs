//! The loop of a sitting on pages: signals, keys, reports, time, frames, in this order.

use std::io;
use std::time::Duration;

use crossterm::event::{Event, MouseButton, MouseEventKind};
use jiff::Timestamp;
use ratatui::layout::Position;
use signal_hook::consts::{SIGCONT, SIGTSTP};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, sleep_until};

use super::beat::Beat;
use super::lookout::Lookout;
use super::setup::Setup;
use crate::model::exit::Exit;
use crate::model::ids::HostId;
use crate::process::{can_come_back, stop_group};
use crate::tui::action::Action;
use crate::tui::app::App;
use crate::tui::clipboard::{Clip, clip, ring};
use crate::tui::crew::Crew;
use crate::tui::input::{Input, Keyboard};
use crate::tui::message::{Beginning, Effect, Msg, Notice, Order, Tone};
use crate::tui::shell::NodeShell;
use crate::tui::terminal::{Screenful, print};
use crate::tui::theme::Depth;

/// Reports and keys taken in between two frames.
const TURN: usize = 64;

/// The shortest time between two frames that no key asked for.
const FRAME: Duration = Duration::from_millis(33);

/// When a terminal that took nothing, or less than a frame, is asked again.
const HELD: Duration = Duration::from_millis(40);

/// The longest sleep: a machine that slept meanwhile did not count its own time.
const LONGEST: Duration = Duration::from_hours(1);

/// How a sitting ends.
pub enum End {
    /// For good.
    Exit(Exit),
    /// With something a first sitting needs.
    Begin(Beginning),
}

/// One sitting on pages.
#[cfg_attr(debug_assertions, expect(clippy::struct_excessive_bools, reason = "each is a fact of its own"))]
pub struct Sitting<'s> {
    app: App,
    setup: &'s Setup,
    crew: Option<&'s Crew>,
    notices: Receiver<Notice>,
    lookout: Option<Lookout>,
    screen: Screenful,
    keyboard: Keyboard,
    signals: Signals,
    /// When time is told next while something moves.
    beat: Beat,
    /// When the last frame was drawn.
    drawn: Instant,
    /// Whether something is to be drawn.
    is_dirty: bool,
    /// Whether a key waits for its frame.
    is_urgent: bool,
    /// The next SIGCONT is the answer to our own stop.
    expects_continue: bool,
    #[cfg(debug_assertions)]
    was_tried: bool,
}

/// The terminal, taken, and the signals that reach it: from here on no signal ends the program behind the back of who
/// gives it back.
pub struct Taken {
    signals: Signals,
    screen: Screenful,
}

impl Taken {
    /// Takes the terminal.
    pub fn new(setup: &Setup) -> io::Result<Self> {
        let log = setup.log.as_ref().map(std::fs::File::try_clone).transpose()?;
        let is_basic = setup.surroundings.depth == Depth::Sixteen;
        Ok(Self { signals: Signals::listen()?, screen: Screenful::enter(log, is_basic)? })
    }

    /// Takes it and shows a page, as far as it is taken at once; the first frame of the sitting completes it.
    pub fn showing(app: &App, setup: &Setup) -> io::Result<Self> {
        let mut taken = Self::new(setup)?;
        taken.screen.draw(|area, buffer| app.view(area, buffer))?;
        Ok(taken)
    }
}

struct Signals {
    terminate: Signal,
    hang_up: Signal,
    interrupt: Signal,
    quit: Signal,
    stop: Signal,
    go_on: Signal,
    resize: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            stop: signal(SignalKind::from_raw(SIGTSTP))?,
            go_on: signal(SignalKind::from_raw(SIGCONT))?,
            resize: signal(SignalKind::window_change())?,
        })
    }

    /// Forgets what was typed at a program the terminal was lent to: until that program takes the keyboard for itself,
    /// the terminal sends ctrl-c, `ctrl-\` and ctrl-z to everything in front of it, and so to this console too.
    async fn forget_typed(&mut self) {
        // What was caught meanwhile is handed on only while the loop waits for something.
        sleep(Duration::from_millis(1)).await;
        for typed in [&mut self.interrupt, &mut self.quit, &mut self.stop] {
            while tokio::time::timeout(Duration::ZERO, typed.recv()).await.is_ok_and(|caught| caught.is_some()) {}
        }
    }
}

/// What woke the loop.
enum Woke {
    End,
    Stop,
    GoOn,
    Resize,
    Event(Event),
    Gone,
    Notice(Notice),
    Touched,
    Frame,
    Tick,
    /// Nothing moves, but the clock alone changes what is shown.
    Turn,
}

impl<'s> Sitting<'s> {
    /// A sitting at a terminal that was taken.
    pub fn new(
        taken: Taken,
        app: App,
        setup: &'s Setup,
        crew: Option<&'s Crew>,
        notices: Receiver<Notice>,
        lookout: Option<Lookout>,
    ) -> io::Result<Self> {
        let watch = lookout.as_ref().and_then(Lookout::watch);
        Ok(Self {
            app,
            setup,
            crew,
            notices,
            lookout,
            signals: taken.signals,
            screen: taken.screen,
            keyboard: Keyboard::open(watch)?,
            beat: Beat::from(Instant::now()),
            drawn: Instant::now(),
            is_dirty: true,
            is_urgent: true,
            expects_continue: false,
            #[cfg(debug_assertions)]
            was_tried: false,
        })
    }

    /// Sits until the operator leaves or the terminal is gone.
    pub async fn sit(mut self, first: Vec<Effect>) -> io::Result<End> {
        let mut asked = first;
        loop {
            self.draw()?;
            #[cfg(debug_assertions)]
            self.fail_inside();
            for effect in std::mem::take(&mut asked) {
                if let Some(end) = self.carry_out(effect).await? {
                    return Ok(end);
                }
            }
            self.is_dirty |= self.screen.is_behind();
            let woke = self.wait().await;
            self.app.model.now = Timestamp::now();
            match woke {
                Woke::End | Woke::Gone => return Ok(End::Exit(Exit::Cancelled)),
                Woke::Stop => asked = self.update(Msg::Asked(Action::Suspend)),
                Woke::GoOn if std::mem::take(&mut self.expects_continue) => {}
                // Somebody stopped the process without asking; the terminal may be in any state.
                Woke::GoOn => {
                    self.screen.lend(|| ())?;
                    self.is_dirty = true;
                }
                Woke::Resize => {
                    self.screen.was_resized();
                    self.is_dirty = true;
                }
                Woke::Event(event) => {
                    asked = self.take_event(event);
                    self.is_urgent = true;
                }
                Woke::Notice(notice) => {
                    asked = self.update(Msg::Notice(notice));
                    for _ in 1..TURN {
                        let Ok(notice) = self.notices.try_recv() else { break };
                        asked.extend(self.update(Msg::Notice(notice)));
                    }
                }
                Woke::Touched => self.look_at_inventory(),
                Woke::Frame | Woke::Tick => {}
                Woke::Turn => asked = self.update(Msg::Tick(Timestamp::now())),
            }
            if self.app.is_moving() && self.beat.is_due(Instant::now()) {
                asked.extend(self.update(Msg::Tick(Timestamp::now())));
            }
        }
    }

    /// In debug builds `LIFEBOAT_FAIL_INSIDE` has the console fail, what reads its keyboard, a worker, its jobs or what
    /// tells a node that somebody watches, and `LIFEBOAT_FAIL_WHEN` names a file that it waits for: tests see what is
    /// left of the terminal, and of what was being done.
    #[cfg(debug_assertions)]
    #[expect(clippy::panic, reason = "this is what is tried")]
    fn fail_inside(&mut self) {
        let waits = std::env::var_os("LIFEBOAT_FAIL_WHEN").is_some_and(|file| !std::path::Path::new(&file).exists());
        if waits || std::mem::replace(&mut self.was_tried, true) {
            return;
        }
        match (std::env::var("LIFEBOAT_FAIL_INSIDE").as_deref(), self.crew) {
            (Ok("console"), _) => panic!("the console was told to fail"),
            (Ok("keyboard"), _) => self.keyboard.fail_inside(),
            (Ok("heartbeat"), _) => crate::engine::fail_a_heartbeat(),
            (Ok("worker"), Some(crew)) => crew.fail_inside(&Order::ReadVault),
            (Ok("job"), _) => self.app.model.live_jobs().for_each(|job| job.board.fail_inside()),
            _ => {}
        }
    }

    /// Waits for whatever comes first. Nothing wakes it while nothing happens, nothing moves and nothing shown gets
    /// older.
    async fn wait(&mut self) -> Woke {
        let is_moving = self.app.is_moving();
        let turn = self.app.model.turns.filter(|_| !is_moving).map(|at| {
            let left = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
            Instant::now() + left.min(LONGEST)
        });
        let next_frame = self.drawn + if self.is_urgent { HELD } else { FRAME };
        let signals = &mut self.signals;
        let is_open = !self.notices.is_closed();
        tokio::select! {
            biased;
            _ = signals.terminate.recv() => Woke::End,
            _ = signals.hang_up.recv() => Woke::End,
            _ = signals.interrupt.recv() => Woke::End,
            _ = signals.quit.recv() => Woke::End,
            _ = signals.stop.recv() => Woke::Stop,
            _ = signals.go_on.recv() => Woke::GoOn,
            _ = signals.resize.recv() => Woke::Resize,
            input = self.keyboard.next() => match input {
                Some(Input::Event(event)) => Woke::Event(event),
                Some(Input::Touched) => Woke::Touched,
                None => Woke::Gone,
            },
            Some(notice) = self.notices.recv(), if is_open => Woke::Notice(notice),
            () = sleep_until(next_frame), if self.is_dirty => Woke::Frame,
            () = sleep_until(self.beat.next()), if is_moving => Woke::Tick,
            () = sleep_until(turn.unwrap_or(next_frame)), if turn.is_some() => Woke::Turn,
        }
    }

    /// Draws when there is something new, at once after a key and else at most once a [`FRAME`].
    fn draw(&mut self) -> io::Result<()> {
        if !self.is_dirty || !(self.is_urgent || self.drawn.elapsed() >= FRAME) {
            return Ok(());
        }
        let app = &self.app;
        // What the terminal has not taken yet comes first; a page is whole on it before the next one is begun.
        let is_drawn = self.screen.draw(|area, buffer| app.view(area, buffer))?;
        self.drawn = Instant::now();
        self.is_dirty = !is_drawn;
        self.is_urgent = !is_drawn;
        Ok(())
    }

    fn update(&mut self, msg: Msg) -> Vec<Effect> {
        self.is_dirty = true;
        if let (Msg::Notice(Notice::Ended(job, _)), Some(crew)) = (&msg, self.crew) {
            crew.heard(*job);
        }
        let known = self.app.model.noted;
        let asked = self.app.update(msg);
        let new = usize::try_from(self.app.model.noted - known).unwrap_or(usize::MAX);
        let old = self.app.model.log.len().saturating_sub(new);
        for line in self.app.model.log.range(old..) {
            match line.tone {
                Tone::Plain => tracing::info!("{}", line.text),
                Tone::Warn => tracing::warn!("{}", line.text),
                Tone::Bad => tracing::error!("{}", line.text),
            }
        }
        asked
    }

    fn take_event(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Key(key) => self.update(Msg::Key(key)),
            Event::Paste(text) => self.update(Msg::Paste(text)),
            Event::Resize(width, height) => self.update(Msg::Resize(width, height)),
            Event::Mouse(mouse) if mouse.kind == MouseEventKind::ScrollUp => self.update(Msg::Wheel(true)),
            Event::Mouse(mouse) if mouse.kind == MouseEventKind::ScrollDown => self.update(Msg::Wheel(false)),
            Event::Mouse(mouse) if mouse.kind == MouseEventKind::Down(MouseButton::Left) => {
                // What was clicked is what was seen.
                let area = self.screen.area();
                self.update(Msg::Click(Position::new(mouse.column, mouse.row), area))
            }
            // Where files cannot be watched, coming back to the console is when their change is seen.
            Event::FocusGained => {
                self.look_at_inventory();
                self.update(Msg::Focus(true))
            }
            Event::FocusLost => self.update(Msg::Focus(false)),
            Event::Mouse(_) => Vec::new(),
        }
    }

    fn look_at_inventory(&self) {
        if let Some(lookout) = &self.lookout {
            lookout.look();
        }
    }

    /// Does what only the runtime can.
    async fn carry_out(&mut self, effect: Effect) -> io::Result<Option<End>> {
        match effect {
            Effect::Quit => return Ok(Some(End::Exit(Exit::Done))),
            Effect::Begin(beginning) => return Ok(Some(End::Begin(beginning))),
            Effect::Order(order) => self.give_order(order),
            Effect::Shell(host) => self.give_order(Order::Shell(host)),
            Effect::Lend(host, shell) => self.lend_to(&host, *shell).await?,
            Effect::Suspend => self.suspend().await?,
            Effect::Mouse(on) => {
                self.screen.set_mouse(on)?;
                // From then on the terminal's own selecting is in the way.
                let key = self.app.model.key(Action::Mouse);
                let told = format!("The mouse is on: a click selects. {key} turns it off, to select text again.");
                self.say(Tone::Plain, if on { &told } else { "The mouse is off." });
            }
            Effect::Bell(text) => self.screen.tell(&ring(&text, self.setup.surroundings))?,
            Effect::Copy(text) => match clip(&text, self.setup.surroundings) {
                Clip::Write(bytes) => {
                    self.screen.tell(&bytes)?;
                    self.say(Tone::Plain, "Copied, if your terminal lets programs copy.");
                }
                Clip::Refuse(why) => self.say(Tone::Warn, why),
            },
            Effect::Remember => {
                if let Err(error) = self.setup.keep(&self.app) {
                    self.say(Tone::Warn, &format!("The choice cannot be remembered: {error}."));
                }
            }
            // The rest is settled inside the console.
            _ => {}
        }
        Ok(None)
    }

    fn give_order(&self, order: Order) {
        let Some(crew) = self.crew else { return };
        let job = match &order {
            Order::Run(job, ..) | Order::Do(job, ..) => Some(*job),
            _ => None,
        };
        let board = job.and_then(|job| self.app.model.job(job)).map(|job| job.board.clone());
        crew.take(order, board, self.app.model.edition);
    }

    fn say(&mut self, tone: Tone, text: &str) {
        self.app.say(tone, text);
        self.is_dirty = true;
    }

    /// Stops like any program does at ctrl-z; comes back with `fg`.
    async fn suspend(&mut self) -> io::Result<()> {
        if !can_come_back() {
            self.say(Tone::Warn, "There is no shell below to come back from; leave with q.");
            return Ok(());
        }
        if !self.keyboard.pause().await {
            return Ok(());
        }
        self.expects_continue = true;
        let stopped = self.screen.lend(stop_group)?;
        self.keyboard.go_on();
        self.is_dirty = true;
        self.is_urgent = true;
        if let Err(error) = stopped {
            self.expects_continue = false;
            self.say(Tone::Warn, &format!("The console cannot be stopped: {error}."));
        }
        Ok(())
    }

    /// Lends the terminal to a shell on a node.
    async fn lend_to(&mut self, host: &HostId, shell: NodeShell) -> io::Result<()> {
        if !self.keyboard.pause().await {
            return Ok(());
        }
        let greeting = format!("{}\r\n", shell.greeting);
        let ended = self.screen.lend(|| {
            print(greeting.as_bytes())?;
            shell.run()
        })?;
        self.signals.forget_typed().await;
        self.keyboard.go_on();
        self.is_dirty = true;
        self.is_urgent = true;
        match ended {
            // The shell's own last status says nothing about the connection; 255 is ssh's.
            Ok(Some(255)) => {
                self.say(
                    Tone::Bad,
                    &format!("ssh could not connect to {host}, or lost it. Check the node: lifeboat doctor {host}"),
                );
            }
            Ok(_) => self.say(
                Tone::Plain,
                &format!("Back from {host}. {} looks at it again.", self.app.model.key(Action::Refresh)),
            ),
            Err(error) => self.say(Tone::Bad, &format!("No shell could be started: {error}.")),
        }
        Ok(())
    }
}
