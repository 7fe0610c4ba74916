//! What is said to the terminal itself, also over SSH: a copy by OSC 52, and the end of a long job by the bell and OSC 9.

use super::theme::Surroundings;

/// The longest text that is copied: many terminals drop a sequence past 100,000 bytes, and base64 makes it a third longer.
pub const LONGEST: usize = 72 * 1024;

/// What becomes of a copy.
#[derive(Debug, PartialEq, Eq)]
pub enum Clip {
    /// These bytes go to the terminal.
    Write(Vec<u8>),
    /// It is not possible, and why.
    Refuse(&'static str),
}

/// The sequence that puts a text on the clipboard. It is encoded, so that nothing in it drives the terminal.
pub fn clip(text: &str, surroundings: Surroundings) -> Clip {
    if text.len() > LONGEST {
        return Clip::Refuse("This is too long for the clipboard of a terminal (more than 72 KiB).");
    }
    if surroundings.is_bare {
        return Clip::Refuse("This terminal has no clipboard.");
    }
    let plain = format!("\x1b]52;c;{}\x07", openssl::base64::encode_block(text.as_bytes()));
    if !surroundings.in_tmux {
        return Clip::Write(plain.into_bytes());
    }
    // tmux takes the plain form with `set-clipboard on` and the wrapped one with `allow-passthrough on`.
    let wrapped = format!("\x1bPtmux;{}\x1b\\", plain.replace('\x1b', "\x1b\x1b"));
    Clip::Write([plain, wrapped].concat().into_bytes())
}

/// The longest notice; desktops show two lines of it.
const LONGEST_NOTICE: usize = 200;

/// The bell, and where the terminal is known to show one, a notice on the desktop.
pub fn ring(text: &str, surroundings: Surroundings) -> Vec<u8> {
    let mut bytes = b"\x07".to_vec();
    if surroundings.shows_notices {
        let clean: String = text.chars().filter(|letter| !letter.is_control()).take(LONGEST_NOTICE).collect();
        bytes.extend(format!("\x1b]9;Lifeboat: {clean}\x1b\\").into_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(pairs: &[(&str, &str)]) -> Surroundings {
        Surroundings::read(&|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_copy_is_encoded_and_passed_through_tmux() {
        let plain = clip("a\x1b]0;b", surroundings(&[("TERM", "xterm")]));
        assert_eq!(plain, Clip::Write(b"\x1b]52;c;YRtdMDti\x07".to_vec()));
        let Clip::Write(wrapped) = clip("a", surroundings(&[("TERM", "tmux"), ("TMUX", "/tmp/t,1,0")])) else {
            panic!()
        };
        assert_eq!(wrapped, b"\x1b]52;c;YQ==\x07\x1bPtmux;\x1b\x1b]52;c;YQ==\x07\x1b\\");
    }

    #[test]
    fn a_copy_has_a_limit_and_needs_a_terminal_with_a_clipboard() {
        assert!(matches!(clip(&"a".repeat(LONGEST + 1), surroundings(&[("TERM", "xterm")])), Clip::Refuse(_)));
        assert!(matches!(clip("a", surroundings(&[("TERM", "linux")])), Clip::Refuse(_)));
    }

    #[test]
    fn a_notice_goes_only_to_terminals_that_show_it_and_cannot_drive_them() {
        let text = "Back up val-1/files/tree: done.\x1b]0;x\x07\u{9c}";
        let kitty = ring(text, surroundings(&[("TERM", "xterm-kitty")]));
        assert_eq!(kitty, b"\x07\x1b]9;Lifeboat: Back up val-1/files/tree: done.]0;x\x1b\\");
        assert_eq!(ring(text, surroundings(&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "WezTerm")])), kitty);
        for silent in [
            &[("TERM", "xterm-256color")][..],
            &[("TERM", "xterm-kitty"), ("TMUX", "/tmp/t,1,0")],
            &[("TERM", "screen"), ("TERM_PROGRAM", "WezTerm"), ("STY", "1.pts")],
        ] {
            assert_eq!(ring(text, surroundings(silent)), b"\x07");
        }
    }
}
