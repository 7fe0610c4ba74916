//! Whatever comes in, in whatever order and size: no panic, nothing drawn outside, nothing that drives a terminal.

use std::sync::mpsc::sync_channel;

use lifeboat::engine::doctor::{Aspect, Health};
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::ids::HostId;
use lifeboat::tui::action::ACTIONS;
use lifeboat::tui::message::{Effect, Msg, Notice, Order, Tone, Wish};
use lifeboat::tui::theme::{Depth, Shelf};
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::stage::{NOW, Stage};
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

const MANY: &str = r#"
version = 1
[vault]
path = "/vault"
[hosts.val-1]
address = "10.0.0.11"
groups = ["prod"]
[hosts.val-1.services.avalanchego]
[hosts.val-1.services.files]
paths = ["/etc"]
[hosts.a-host-with-a-name-that-is-as-long-as-names-of-hosts-may-be-ok]
[hosts.consul-1.services.consul]
[hosts.consul-2.services.files]
paths = ["/srv"]
[clusters.dc1]
members = ["consul-1", "consul-2"]
[clusters.dc1.services.consul]
"#;

/// How many cases a property is tried with: as many as a gate has time for, or as `PROPTEST_CASES` asks for.
pub fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").map_or(usual, |cases| cases.parse().unwrap())
}

/// Text as a hostile node would send it.
pub fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\x1b[2J\x1b]0;owned\x07\x1b[31m".to_owned()),
        Just("\u{202e}txt.exe\u{202c}\u{2066}x".to_owned()),
        Just("日本語テキスト한국어".repeat(30)),
        Just("e\u{301}\u{302}\u{303}".repeat(200)),
        Just("👨‍👩‍👧‍👦🏳️‍🌈".repeat(20)),
        Just("\u{9b}31m\u{85}\u{0}\u{7f}".to_owned()),
        Just("x".repeat(10_000)),
        Just(String::new()),
        any::<String>(),
    ]
}

/// What can happen to the console.
#[derive(Debug, Clone)]
pub enum Happening {
    Key(KeyCode, KeyModifiers, bool),
    Action(usize),
    Paste(String),
    Wheel(bool),
    Click(u16, u16),
    Time(i64),
    Note(String),
    Down(String),
    Secret(String),
    Edited,
    VaultLost(String),
    Looking(bool),
    Size(u16, u16),
    Theme(usize, u8, bool),
}

pub fn happening() -> impl Strategy<Value = Happening> {
    let code = prop_oneof![
        4 => prop::sample::select(('!'..='~').collect::<Vec<char>>()).prop_map(KeyCode::Char),
        1 => any::<char>().prop_map(KeyCode::Char),
        3 => prop::sample::select(vec![
            KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::BackTab, KeyCode::Backspace, KeyCode::Up, KeyCode::Down,
            KeyCode::Left, KeyCode::Right, KeyCode::Home, KeyCode::End, KeyCode::PageUp, KeyCode::PageDown,
            KeyCode::Delete, KeyCode::F(5), KeyCode::Null,
        ]),
    ];
    let modifiers = prop_oneof![
        6 => Just(KeyModifiers::NONE),
        1 => Just(KeyModifiers::CONTROL),
        1 => Just(KeyModifiers::ALT),
    ];
    prop_oneof![
        10 => (code, modifiers, prop::bool::weighted(0.1)).prop_map(|(c, m, r)| Happening::Key(c, m, r)),
        6 => (0..ACTIONS.len()).prop_map(Happening::Action),
        1 => hostile().prop_map(Happening::Paste),
        1 => any::<bool>().prop_map(Happening::Wheel),
        3 => (0u16..130, 0u16..45).prop_map(|(x, y)| Happening::Click(x, y)),
        2 => prop_oneof![Just(0), Just(i64::from(i32::MAX)), Just(-i64::from(i32::MAX)), -1_000_000i64..1_000_000].prop_map(Happening::Time),
        2 => hostile().prop_map(Happening::Note),
        2 => hostile().prop_map(Happening::Down),
        1 => hostile().prop_map(Happening::Secret),
        1 => Just(Happening::Edited),
        1 => hostile().prop_map(Happening::VaultLost),
        1 => any::<bool>().prop_map(Happening::Looking),
        4 => prop_oneof![
            (0u16..12, 0u16..6), (55u16..130, 12u16..45), (0u16..=200, 0u16..=60), Just((0, 0)), Just((500, 3)), Just((3, 300)), Just((60, 16)), Just((80, 24)),
        ].prop_map(|(w, h)| Happening::Size(w, h)),
        1 => (0usize..6, 0u8..4, any::<bool>()).prop_map(|(t, d, a)| Happening::Theme(t, d, a)),
    ]
}

pub fn failure(text: &str) -> Failure {
    Failure::new(Exit::Unreachable, text.to_owned()).hint(text.to_owned())
}

/// What a happening is to the console; nothing for one that is done to its looks.
pub fn msg_of(stage: &mut Stage, what: Happening, size: &mut (u16, u16)) -> Option<Msg> {
    Some(match what {
        Happening::Key(code, modifiers, released) => {
            let kind = if released { KeyEventKind::Release } else { KeyEventKind::Press };
            Msg::Key(KeyEvent::new_with_kind(code, modifiers, kind))
        }
        Happening::Action(at) => Msg::Asked(ACTIONS[at].action),
        Happening::Paste(text) => Msg::Paste(text),
        Happening::Wheel(up) => Msg::Wheel(up),
        Happening::Click(x, y) => Msg::Click(Position::new(x, y), Rect::new(0, 0, size.0, size.1)),
        Happening::Time(seconds) => {
            let now: jiff::Timestamp = NOW.parse().unwrap();
            Msg::Tick(now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap())
        }
        Happening::Note(text) => Msg::Notice(Notice::Noted(Tone::Warn, text)),
        Happening::Down(text) => {
            let host = HostId::new("val-1").unwrap();
            let aspect = Aspect::critical("reachable", text.clone(), text);
            let health = Health { host, exit: Exit::Unreachable, aspects: vec![aspect] };
            Msg::Notice(Notice::Health(health, NOW.parse().unwrap()))
        }
        Happening::Secret(purpose) => Msg::Notice(Notice::Secret(purpose, sync_channel(1).0)),
        Happening::Edited => Msg::Notice(Notice::InventoryChanged),
        Happening::VaultLost(text) => Msg::Notice(Notice::Vault(Err(failure(&text)))),
        Happening::Looking(begins) => {
            let owner = (&HostId::new("val-1").unwrap()).into();
            let at = NOW.parse().unwrap();
            Msg::Notice(if begins { Notice::Looking(owner) } else { Notice::Looked(owner, at) })
        }
        Happening::Size(width, height) => {
            *size = (width, height);
            Msg::Resize(width, height)
        }
        Happening::Theme(at, depth, ascii) => {
            let depth = [Depth::None, Depth::Sixteen, Depth::Many, Depth::True][usize::from(depth)];
            stage.app.dress(Shelf::built_in(), depth, ascii);
            let name = Shelf::built_in().themes()[at].name.clone();
            assert!(stage.app.wear(&name));
            return None;
        }
    })
}

/// Nothing on the page drives a terminal.
pub fn assert_tame(drawn: &Buffer) -> Result<(), TestCaseError> {
    for cell in &drawn.content {
        let symbol = cell.symbol();
        prop_assert!(
            !symbol.chars().any(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')),
            "{symbol:?} reached a cell"
        );
    }
    Ok(())
}

/// Does it; whatever the console asks for is dropped, but an order to plan or do fails at once, as a lost node's would.
fn happen(stage: &mut Stage, what: Happening, size: &mut (u16, u16)) {
    let Some(msg) = msg_of(stage, what, size) else { return };
    let mut asked = stage.app.update(msg);
    // Answers of the crew may ask for more; a few rounds are enough to see every page move on.
    for _ in 0..3 {
        let orders: Vec<Effect> = std::mem::take(&mut asked);
        for effect in orders {
            let notice = match effect {
                Effect::Order(Order::Plan(job, _)) => Notice::Planned(job, Box::new(Err(failure("no plan")))),
                Effect::Order(Order::Do(job, Wish::Verify(_), _) | Order::Run(job, ..)) => {
                    asked.extend(stage.app.update(Msg::Notice(Notice::Started(job))));
                    Notice::Ended(job, Err(failure("no luck")))
                }
                Effect::Order(Order::ReadRuns) => Notice::Runs(Err(failure("no runs"))),
                Effect::Order(Order::ReadRunsOn(host)) => Notice::RunsOn(host, Err(failure("no runs"))),
                // What is read again may be anything: mistakes, as here at an odd size, or another fleet at another vault.
                Effect::Order(Order::Reload) if size.0 % 2 == 1 => Notice::Reloaded(Err(failure("a mistake"))),
                Effect::Order(Order::Reload) => super::reload::reread(super::cast::FLEET, "/other"),
                _ => continue,
            };
            asked.extend(stage.app.update(Msg::Notice(notice)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(192), max_shrink_iters: 2_000, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_it_stands(happenings in prop::collection::vec(happening(), 1..60)) {
        let mut stage = Stage::of_inventory(MANY);
        let mut size = (80, 24);
        for what in happenings {
            happen(&mut stage, what, &mut size);
            assert_tame(&stage.draw(size))?;
        }
    }
}
