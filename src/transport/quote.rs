//! The only place where strings become shell: everything else passes scripts and arguments as they are.

use std::fmt::Write;

/// `bytes` as one POSIX shell word.
pub fn word(bytes: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(bytes.len() + 2);
    quoted.push(b'\'');
    for &byte in bytes {
        match byte {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            byte => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// `words` as one command line.
pub fn line<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut line = Vec::new();
    for bytes in words {
        if !line.is_empty() {
            line.push(b' ');
        }
        line.extend(word(bytes));
    }
    line
}

/// `command`, any bytes, as a line of plain ASCII on which every login shell agrees.
///
/// An SSH command is read by the login shell, which may be `csh` or `fish`, and the SSH library takes only UTF-8.
/// So the command travels as octal escapes and is unfolded by a `sh` that the login shell becomes.
pub fn portable(command: &[u8]) -> String {
    let mut line = String::with_capacity(command.len() * 2 + 64);
    line.push_str("exec /bin/sh -c 'eval \"$(printf %b \"$0\")\"' '");
    for &byte in command {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b' ' | b'/' | b'.' | b'_' | b'-' | b'=' | b'"' | b'$' => {
                line.push(char::from(byte));
            }
            byte => {
                let _ = write!(line, "\\0{byte:03o}");
            }
        }
    }
    line.push('\'');
    line
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn through_sh(line: &[u8]) -> Vec<u8> {
        let out = Command::new("/bin/sh").arg("-c").arg(OsString::from_vec(line.to_vec())).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    }

    fn echo(args: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
        let mut words: Vec<&[u8]> = vec![b"printf", b"%s\\0"];
        words.extend(args.iter().map(Vec::as_slice));
        let expected = args.iter().flat_map(|a| a.iter().copied().chain([0])).collect();
        (line(words), expected)
    }

    #[test]
    fn hostile_words_come_through_a_real_sh_unchanged() {
        let hostile =
            ["", " ", "'", "''", "\n", "a\n", "$(id)", "`id`", "\\", "\\'", "*", "~", "-n", "!!", "%s", "\u{1b}[2J"];
        let args: Vec<Vec<u8>> =
            hostile.iter().map(|s| s.as_bytes().to_vec()).chain([b"\xff\xfe\x81\x88".to_vec()]).collect();
        let (line, expected) = echo(&args);
        assert_eq!(through_sh(&line), expected);
        assert_eq!(through_sh(portable(&line).as_bytes()), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_words_come_through_a_real_sh_unchanged(args in prop::collection::vec(prop::collection::vec(1..=255u8, 0..24), 1..6)) {
            let (line, expected) = echo(&args);
            prop_assert_eq!(through_sh(&line), expected.clone());
            let portable = portable(&line);
            prop_assert!(portable.is_ascii() && !portable.contains('\n'));
            prop_assert_eq!(through_sh(portable.as_bytes()), expected);
        }
    }
}
