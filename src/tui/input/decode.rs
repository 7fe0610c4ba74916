//! Bytes of a terminal into keys, pastes and wheel turns.
//!
//! The sequences are those of ECMA-48 and xterm's `ctlseqs`: CSI and SS3 keys with modifiers, bracketed paste, SGR
//! mouse reports, focus reports, the Linux console's function keys, and the `CSI u` keys of the kitty protocol, whose
//! releases are dropped. Whatever else arrives is swallowed whole, so that an answer of the terminal is no key.

use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

/// The longest paste that is taken; the rest of it is dropped.
const LONGEST_PASTE: usize = 1 << 20;

/// The longest sequence that may be one; after that its first byte is taken for rubbish.
const LONGEST_SEQUENCE: usize = 64;

const PASTE_ENDS: &[u8] = b"\x1b[201~";

/// How long a lone escape waits for more: then it is the key. Longer than a slow link's gap inside one sequence.
const ESCAPE: Duration = Duration::from_millis(30);

/// How long an answer of the terminal may pause. Then its end was lost, and the keyboard is the operator's again.
const STRING: Duration = Duration::from_secs(2);

/// How long a paste may pause. What of it comes later would be keys, so this is long.
const PASTE: Duration = Duration::from_secs(10);

/// Decodes bytes as they come; what is unfinished waits for the rest.
#[derive(Debug, Default)]
pub struct Decoder {
    waiting: Vec<u8>,
    /// What was pasted so far, while a paste goes on.
    paste: Option<Vec<u8>>,
    /// Inside a string meant for nobody: an answer of the terminal.
    in_string: bool,
}

/// How far the beginning of the bytes could be read.
enum Read {
    /// So many bytes mean this.
    Event(usize, Event),
    /// So many bytes mean nothing.
    Nothing(usize),
    /// The beginning of something.
    Unfinished,
}

impl Decoder {
    /// Takes bytes and gives the events they complete.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.waiting.extend_from_slice(bytes);
        let mut events = Vec::new();
        let mut at = 0;
        while at < self.waiting.len() {
            if self.paste.is_some() {
                match self.take_paste(at) {
                    Some((next, event)) => {
                        at = next;
                        events.extend(event);
                    }
                    None => break,
                }
                continue;
            }
            if self.in_string {
                let used = self.skip_string(at);
                if used == 0 {
                    break;
                }
                at += used;
                continue;
            }
            match self.read(at) {
                Read::Event(used, event) => {
                    at += used;
                    events.push(event);
                }
                Read::Nothing(used) => at += used.max(1),
                Read::Unfinished => break,
            }
        }
        self.waiting.drain(..at);
        events
    }

    /// How long to wait for more before [`Decoder::decide`]; for ever when nothing has begun.
    pub fn patience(&self) -> Option<Duration> {
        match (&self.paste, self.in_string, self.waiting.is_empty()) {
            (Some(_), ..) => Some(PASTE),
            (None, true, _) => Some(STRING),
            (None, false, false) => Some(ESCAPE),
            (None, false, true) => None,
        }
    }

    /// Nothing followed: what waits is the escape key, rubbish, or a paste whose end was lost.
    pub fn decide(&mut self) -> Vec<Event> {
        if self.patience().is_none() {
            return Vec::new();
        }
        let waiting = std::mem::take(&mut self.waiting);
        if let Some(mut paste) = self.paste.take() {
            paste.extend_from_slice(&waiting[..waiting.len().min(LONGEST_PASTE.saturating_sub(paste.len()))]);
            return vec![Event::Paste(String::from_utf8_lossy(&paste).into_owned())];
        }
        if std::mem::take(&mut self.in_string) {
            return Vec::new();
        }
        match waiting.as_slice() {
            [0x1b] => vec![key(KeyCode::Esc, KeyModifiers::NONE)],
            [0x1b, b'['] => vec![key(KeyCode::Char('['), KeyModifiers::ALT)],
            [0x1b, b'O'] => vec![key(KeyCode::Char('O'), KeyModifiers::ALT)],
            [0x1b, b']'] => vec![key(KeyCode::Char(']'), KeyModifiers::ALT)],
            _ => Vec::new(),
        }
    }

    fn take_paste(&mut self, at: usize) -> Option<(usize, Option<Event>)> {
        let rest = &self.waiting[at..];
        let end = rest.windows(PASTE_ENDS.len()).position(|window| window == PASTE_ENDS);
        let paste = self.paste.as_mut()?;
        // The last bytes may be the beginning of the end.
        let sure = end.unwrap_or(rest.len().saturating_sub(PASTE_ENDS.len() - 1));
        let room = LONGEST_PASTE.saturating_sub(paste.len());
        paste.extend_from_slice(&rest[..sure.min(room)]);
        if end.is_none() {
            self.waiting.drain(at..at + sure);
            return None;
        }
        let text = String::from_utf8_lossy(paste).into_owned();
        self.paste = None;
        Some((at + sure + PASTE_ENDS.len(), Some(Event::Paste(text))))
    }

    /// Skips to the end of a string: BEL, or ESC and a backslash. An escape at the very end waits for what follows.
    fn skip_string(&mut self, at: usize) -> usize {
        let rest = &self.waiting[at..];
        let Some(end) = rest.iter().position(|byte| matches!(byte, 0x07 | 0x1b | 0x18 | 0x1a)) else {
            return rest.len();
        };
        match (rest[end], rest.get(end + 1)) {
            (0x1b, None) => return end,
            (0x1b, Some(b'\\')) => {
                self.in_string = false;
                return end + 2;
            }
            _ => {}
        }
        self.in_string = false;
        end + 1
    }

    fn read(&mut self, at: usize) -> Read {
        let bytes = &self.waiting[at..];
        match bytes {
            [0x1b] | [0x1b, b'O' | b']' | b'P' | b'_' | b'^' | b'X'] => Read::Unfinished,
            [0x1b, b'[', ..] => {
                let read = read_csi(bytes);
                if matches!(read, Read::Nothing(6)) && bytes.starts_with(b"\x1b[200~") {
                    self.paste = Some(Vec::new());
                }
                read
            }
            [0x1b, b'O', letter, ..] => match key_of_letter(*letter) {
                Some(code) => Read::Event(3, key(code, KeyModifiers::NONE)),
                None => Read::Nothing(3),
            },
            [0x1b, b']' | b'P' | b'_' | b'^' | b'X', ..] => {
                self.in_string = true;
                Read::Nothing(2)
            }
            [0x1b, 0x1b, ..] => Read::Event(1, key(KeyCode::Esc, KeyModifiers::NONE)),
            [0x1b, rest @ ..] => match read_letter(rest) {
                Read::Event(used, Event::Key(one)) => {
                    Read::Event(used + 1, key(one.code, one.modifiers | KeyModifiers::ALT))
                }
                Read::Unfinished => Read::Unfinished,
                _ => Read::Nothing(2),
            },
            bytes => read_letter(bytes),
        }
    }
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
    Event::Key(KeyEvent::new(code, modifiers))
}

/// A control byte or a letter of UTF-8.
fn read_letter(bytes: &[u8]) -> Read {
    let Some(&first) = bytes.first() else { return Read::Unfinished };
    let none = KeyModifiers::NONE;
    let control = |letter: u8| Read::Event(1, key(KeyCode::Char(char::from(letter)), KeyModifiers::CONTROL));
    match first {
        b'\r' => Read::Event(1, key(KeyCode::Enter, none)),
        b'\t' => Read::Event(1, key(KeyCode::Tab, none)),
        0x08 | 0x7f => Read::Event(1, key(KeyCode::Backspace, none)),
        0 => control(b' '),
        1..=0x1a => control(b'a' + first - 1),
        0x1b => Read::Unfinished,
        0x1c..=0x1f => control(b'4' + first - 0x1c),
        0x20..=0x7e => Read::Event(1, key(KeyCode::Char(char::from(first)), none)),
        _ => {
            let long = match first {
                0xc2..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf4 => 4,
                _ => return Read::Nothing(1),
            };
            if bytes.len() < long {
                let follows = bytes[1..].iter().all(|byte| byte & 0xc0 == 0x80);
                return if follows { Read::Unfinished } else { Read::Nothing(1) };
            }
            let letter = std::str::from_utf8(&bytes[..long]).ok().and_then(|text| text.chars().next());
            match letter {
                Some(letter) => Read::Event(long, key(KeyCode::Char(letter), none)),
                None => Read::Nothing(1),
            }
        }
    }
}

/// Keys that end in a letter, after `ESC [` or `ESC O`.
fn key_of_letter(letter: u8) -> Option<KeyCode> {
    Some(match letter {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'F' => KeyCode::End,
        b'H' => KeyCode::Home,
        b'M' => KeyCode::Enter,
        b'P' => KeyCode::F(1),
        b'Q' => KeyCode::F(2),
        b'R' => KeyCode::F(3),
        b'S' => KeyCode::F(4),
        _ => return None,
    })
}

/// Keys that are a number and a tilde.
fn key_of_number(number: u32) -> Option<KeyCode> {
    Some(match number {
        1 | 7 => KeyCode::Home,
        2 => KeyCode::Insert,
        3 => KeyCode::Delete,
        4 | 8 => KeyCode::End,
        5 => KeyCode::PageUp,
        6 => KeyCode::PageDown,
        11..=15 => KeyCode::F(u8::try_from(number - 10).ok()?),
        17..=21 => KeyCode::F(u8::try_from(number - 11).ok()?),
        23..=24 => KeyCode::F(u8::try_from(number - 12).ok()?),
        _ => return None,
    })
}

/// Modifiers as xterm counts them: one more than their bits.
fn modifiers_of(number: u32) -> KeyModifiers {
    let bits = number.saturating_sub(1);
    let mut modifiers = KeyModifiers::NONE;
    for (bit, modifier) in [(1, KeyModifiers::SHIFT), (2, KeyModifiers::ALT), (4, KeyModifiers::CONTROL)] {
        if bits & bit != 0 {
            modifiers |= modifier;
        }
    }
    modifiers
}

fn read_csi(bytes: &[u8]) -> Read {
    // The Linux console's first function keys have a bracket more.
    if bytes.get(2) == Some(&b'[') {
        return match bytes.get(3) {
            None => Read::Unfinished,
            Some(letter @ b'A'..=b'E') => Read::Event(4, key(KeyCode::F(letter - b'A' + 1), KeyModifiers::NONE)),
            Some(_) => Read::Nothing(4),
        };
    }
    let is_body = |byte: &u8| (0x20..=0x3f).contains(byte);
    let body = bytes[2..].iter().take_while(|byte| is_body(byte)).count();
    if body > LONGEST_SEQUENCE {
        return Read::Nothing(1);
    }
    let Some(&last) = bytes.get(2 + body) else { return Read::Unfinished };
    let long = body + 3;
    if !(0x40..=0x7e).contains(&last) {
        return Read::Nothing(long - 1);
    }
    let text = std::str::from_utf8(&bytes[2..2 + body]).unwrap_or_default();
    // The old mouse report: three bytes follow.
    if last == b'M' && text.is_empty() {
        return if bytes.len() < 6 { Read::Unfinished } else { Read::Nothing(6) };
    }
    if let Some(report) = text.strip_prefix('<') {
        return match read_mouse(report, last) {
            Some(event) => Read::Event(long, event),
            None => Read::Nothing(long),
        };
    }
    let part = |at: usize| -> Option<(u32, u32)> {
        let part = text.split(';').nth(at)?;
        let mut numbers = part.split(':').map(|number| number.parse().unwrap_or(1));
        Some((numbers.next()?, numbers.next().unwrap_or(1)))
    };
    let (modifiers, kind) = part(1).map_or((KeyModifiers::NONE, 1), |(number, kind)| (modifiers_of(number), kind));
    let first = part(0).map_or(1, |(number, _)| number);
    let code = match last {
        b'~' => key_of_number(first),
        b'u' => key_of_code(first),
        b'Z' => Some(KeyCode::BackTab),
        b'I' if text.is_empty() => return Read::Event(long, Event::FocusGained),
        b'O' if text.is_empty() => return Read::Event(long, Event::FocusLost),
        b'M' => None,
        // A key with modifiers has a 1 first; any other number there is the terminal's answer to where its cursor is.
        b'R' if first != 1 => None,
        letter => key_of_letter(letter),
    };
    // A key that was let go is none.
    match code.filter(|_| kind != 3) {
        Some(code) => Read::Event(long, key(code, modifiers)),
        None => Read::Nothing(long),
    }
}

/// A key of the kitty protocol by its code point.
fn key_of_code(code: u32) -> Option<KeyCode> {
    Some(match code {
        13 => KeyCode::Enter,
        9 => KeyCode::Tab,
        27 => KeyCode::Esc,
        127 => KeyCode::Backspace,
        code => KeyCode::Char(char::from_u32(code).filter(|letter| !letter.is_control())?),
    })
}

fn read_mouse(report: &str, last: u8) -> Option<Event> {
    let mut numbers = report.split(';').map(|number| number.parse::<u16>().ok());
    let (button, column, row) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let kind = match (button & !0x1c, last) {
        (64, b'M') => MouseEventKind::ScrollUp,
        (65, b'M') => MouseEventKind::ScrollDown,
        (0, b'M') => MouseEventKind::Down(MouseButton::Left),
        _ => return None,
    };
    let (column, row) = (column.saturating_sub(1), row.saturating_sub(1));
    Some(Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tui::keymap::Key;

    /// What bytes mean, keys by their names.
    fn decoded(pieces: &[&[u8]]) -> Vec<String> {
        let mut decoder = Decoder::default();
        let mut events: Vec<Event> = pieces.iter().flat_map(|piece| decoder.take(piece)).collect();
        events.extend(decoder.decide());
        let name = |event: &Event| match event {
            Event::Key(key) => Key::from(*key).to_string(),
            Event::Paste(text) => format!("paste {text:?}"),
            other => format!("{other:?}"),
        };
        events.iter().map(name).collect()
    }

    #[test]
    fn keys_have_their_names() {
        assert_eq!(decoded(&[b"aG \r\t\x7f\x1b"]), ["a", "G", "space", "enter", "tab", "backspace", "esc"]);
        assert_eq!(decoded(&[b"\x03\x1a\x12"]), ["ctrl-c", "ctrl-z", "ctrl-r"]);
        assert_eq!(decoded(&[b"\x1b[A\x1bOB\x1b[1;5C\x1b[Z"]), ["up", "down", "ctrl-right", "shift-tab"]);
        assert_eq!(
            decoded(&[b"\x1b[5~\x1b[6~\x1b[1~\x1bOF\x1b[15~\x1b[24~\x1b[[A"]),
            ["pgup", "pgdn", "home", "end", "f5", "f12", "f1"]
        );
        assert_eq!(decoded(&[b"\x1bx\x1b\x1b[A"]), ["alt-x", "esc", "up"]);
        assert_eq!(decoded(&["é日".as_bytes()]), ["é", "日"]);
    }

    #[test]
    fn sequences_may_come_in_pieces() {
        assert_eq!(decoded(&[b"\x1b", b"[", b"1;", b"3C"]), ["alt-right"]);
        assert_eq!(decoded(&[b"\xe6\x97", b"\xa5"]), ["日"]);
        assert_eq!(decoded(&[b"\x1b[200~a\x1b[2", b"01~b"]), ["paste \"a\"", "b"]);
    }

    #[test]
    fn a_paste_is_text_whatever_is_in_it() {
        assert_eq!(decoded(&[b"\x1b[200~q\r\x1b[A:quit\x1b[201~"]), ["paste \"q\\r\\u{1b}[A:quit\""]);
    }

    #[test]
    fn what_never_ends_does_not_keep_the_keyboard() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.patience(), None);
        assert!(decoder.take(b"\x1b]11;rgb:00").is_empty());
        assert_eq!(decoder.patience(), Some(STRING));
        assert!(decoder.decide().is_empty());
        assert_eq!(decoder.take(b"q"), [key(KeyCode::Char('q'), KeyModifiers::NONE)]);
        assert!(decoder.take(b"\x1b[200~rm -rf").is_empty());
        assert_eq!(decoder.patience(), Some(PASTE));
        assert_eq!(decoder.decide(), [Event::Paste("rm -rf".to_owned())]);
        assert_eq!(decoder.take(b"q"), [key(KeyCode::Char('q'), KeyModifiers::NONE)]);
        assert!(decoder.take(b"\x1b").is_empty());
        assert_eq!(decoder.patience(), Some(ESCAPE));
        assert_eq!(decoder.decide(), [key(KeyCode::Esc, KeyModifiers::NONE)]);
    }

    #[test]
    fn a_paste_is_bounded() {
        let mut decoder = Decoder::default();
        decoder.take(b"\x1b[200~");
        for _ in 0..40 {
            assert!(decoder.take(&vec![b'a'; 100_000]).is_empty());
        }
        let Some(Event::Paste(text)) = decoder.take(b"\x1b[201~").pop() else { panic!("no paste") };
        assert_eq!(text.len(), LONGEST_PASTE);
        assert!(decoder.waiting.capacity() < 1 << 20);
    }

    #[test]
    fn releases_and_answers_of_the_terminal_are_no_keys() {
        assert_eq!(decoded(&[b"\x1b[97;1:1u\x1b[97;1:3u\x1b[98;5u"]), ["a", "ctrl-b"]);
        assert_eq!(
            decoded(&[b"\x1b]11;rgb:0000/0000/0000\x07a\x1bP1+r\x1b\\b\x1b[?62;22cc\x1b[24;80Rd"]),
            ["a", "b", "c", "d"]
        );
    }

    #[test]
    fn the_wheel_and_the_focus_are_told() {
        let mouse = decoded(&[b"\x1b[<64;10;5M\x1b[<0;10;5m\x1b[I"]);
        assert_eq!(mouse.len(), 2, "{mouse:?}");
        assert!(mouse[0].contains("ScrollUp"), "{mouse:?}");
        assert_eq!(mouse[1], "FocusGained");
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 1usize..20) {
            let mut whole = Decoder::default();
            let mut events = whole.take(&bytes);
            events.extend(whole.decide());
            let mut pieces = Decoder::default();
            let mut again: Vec<Event> = bytes.chunks(cut).flat_map(|piece| pieces.take(piece)).collect();
            again.extend(pieces.decide());
            prop_assert!(whole.waiting.len() <= LONGEST_SEQUENCE + PASTE_ENDS.len());
            prop_assert_eq!(events.len(), again.len());
        }
    }
}
