//! The loop: the only place of the console with a clock, a terminal and signals.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep_until};

use super::app::App;
use super::crew::Crew;
use super::message::{Effect, Msg, Notice, Order, Tone};
use super::model::{Model, Place};
use super::screens::fleet::FleetPage;
use super::terminal::{Screenful, give_back};
use crate::config::prompt::Prompter;
use crate::engine::desk::{Desk, Opening};
use crate::engine::fleet::last_look;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::secret::SecretString;

/// Reports that may wait unseen; then the crew waits.
const QUEUE: usize = 1024;

/// Reports taken in between two frames.
const TURN: usize = 64;

/// The shortest time between two frames.
const FRAME: Duration = Duration::from_millis(33);

/// How often time is told while something moves.
const TICK: Duration = Duration::from_millis(250);

/// Opens the console and stays until the operator leaves.
///
/// # Errors
/// [`Exit::Usage`] without a terminal; what opening the desk says.
pub fn run(opening: &Opening) -> Result<Exit> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::new(Exit::Usage, "The console needs a terminal.")
            .hint("Everything it can do, a command can: lifeboat --help"));
    }
    let (send, receive) = channel(QUEUE);
    let desk = Arc::new(Desk::open(opening, Some(Box::new(AskConsole(send.clone()))))?);
    let place = Place {
        inventory: desk.named.path.clone(),
        vault: desk.inventory.vault.path.clone(),
        read_only: opening.read_only,
        is_practice: false,
        flags: Vec::new(),
    };
    let now = Timestamp::now();
    let (fleet, left_aside) = last_look::read(&desk.paths.state_dir, &desk.inventory, now);
    let mut model = Model::new(place, fleet, now);
    if let Some(why) = left_aside {
        model.note(Tone::Warn, why);
    }
    let app = App::new(model, Box::new(FleetPage::default()));
    let crew = Crew::new(desk, send)?;
    let wrong = |error: std::io::Error| Failure::new(Exit::Failed, format!("The terminal failed: {error}."));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(wrong)?;
    let result = runtime.block_on(sit(app, &crew, receive));
    give_back();
    crew.dismiss();
    result.map_err(wrong)
}

/// Asks for secrets in the console itself.
struct AskConsole(Sender<Notice>);

impl Prompter for AskConsole {
    fn ask(&self, purpose: &str) -> std::result::Result<SecretString, String> {
        let (reply, answer) = sync_channel(1);
        let gone = |_| "The console is closing.".to_owned();
        self.0.blocking_send(Notice::Secret(purpose.to_owned(), reply)).map_err(gone)?;
        let declined = || "The question was declined.".to_owned();
        answer.recv().map_err(|_| declined())?.ok_or_else(declined)
    }
}

async fn sit(mut app: App, crew: &Crew, mut notices: Receiver<Notice>) -> std::io::Result<Exit> {
    let mut screen = Screenful::enter()?;
    let mut keys = EventStream::new();
    let mut ended = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let owners = app.model.fleet.owners.iter().map(|owner| owner.id.clone()).collect();
    let mut asked = vec![Effect::Order(Order::ReadVault), Effect::Order(Order::Look(owners))];
    let mut drawn = Instant::now() - FRAME;
    let mut is_dirty = true;
    loop {
        for effect in asked.drain(..) {
            if let Some(exit) = carry_out(effect, &app, crew, &mut screen)? {
                return Ok(exit);
            }
        }
        if is_dirty && drawn.elapsed() >= FRAME {
            screen.draw(|frame| app.view(frame.area(), frame.buffer_mut()))?;
            drawn = Instant::now();
            is_dirty = false;
        }
        let next_frame = drawn + FRAME;
        let is_moving = app.is_moving();
        tokio::select! {
            biased;
            _ = ended.recv() => return Ok(Exit::Cancelled),
            _ = hung_up.recv() => return Ok(Exit::Cancelled),
            event = keys.next() => match event {
                Some(Ok(event)) => {
                    asked = take_event(&mut app, event);
                    is_dirty = true;
                }
                // The terminal is gone; nobody can answer any more.
                Some(Err(_)) | None => return Ok(Exit::Cancelled),
            },
            notice = notices.recv() => {
                let mut next = notice;
                for _ in 0..TURN {
                    let Some(notice) = next else { break };
                    asked.extend(app.update(Msg::Notice(notice)));
                    next = notices.try_recv().ok();
                }
                if let Some(notice) = next {
                    asked.extend(app.update(Msg::Notice(notice)));
                }
                is_dirty = true;
            }
            () = sleep_until(next_frame), if is_dirty => {}
            () = tokio::time::sleep(TICK), if is_moving => {
                asked = app.update(Msg::Tick(Timestamp::now()));
                is_dirty = true;
            }
        }
    }
}

fn take_event(app: &mut App, event: Event) -> Vec<Effect> {
    app.model.now = Timestamp::now();
    match event {
        Event::Key(key) => app.update(Msg::Key(key)),
        Event::Paste(text) => app.update(Msg::Paste(text)),
        Event::Resize(width, height) => app.update(Msg::Resize(width, height)),
        Event::FocusGained | Event::FocusLost | Event::Mouse(_) => Vec::new(),
    }
}

/// Does what only the runtime can; an exit ends the loop.
fn carry_out(effect: Effect, app: &App, crew: &Crew, screen: &mut Screenful) -> std::io::Result<Option<Exit>> {
    match effect {
        Effect::Quit => return Ok(Some(Exit::Done)),
        Effect::Order(order) => {
            let job = match &order {
                Order::Run(job, ..) | Order::Do(job, _) => Some(*job),
                _ => None,
            };
            let board = job.and_then(|job| app.model.job(job)).map(|job| job.board.clone());
            crew.take(order, board);
        }
        Effect::Shell(_) | Effect::Suspend => screen.lend(|| ())?,
        Effect::Mouse(on) => Screenful::mouse(on)?,
        Effect::Bell(_) => Screenful::write(b"\x07")?,
        _ => {}
    }
    Ok(None)
}
