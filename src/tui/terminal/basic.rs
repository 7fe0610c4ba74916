//! The sixteen colours as a terminal knows them that has no others.
//!
//! The backend writes each as one of the 256. Who does not know those reads such a sequence as three: a colour that is
//! none, blinking, and whatever the colour's number means.

/// The same bytes, with every colour of the sixteen by its own code: `38;5;1` is `31`, `48;5;12` is `104`.
pub fn with_basic_colours(drawn: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(drawn.len());
    let mut rest = drawn;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\x1b[") {
        let (before, sequence) = rest.split_at(at + 2);
        written.extend_from_slice(before);
        let length = sequence.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
        let (numbers, after) = sequence.split_at(length);
        if after.first() == Some(&b'm') {
            written.extend_from_slice(basic(&String::from_utf8_lossy(numbers)).as_bytes());
        } else {
            written.extend_from_slice(numbers);
        }
        rest = after;
    }
    written.extend_from_slice(rest);
    written
}

fn basic(numbers: &str) -> String {
    let numbers: Vec<&str> = numbers.split(';').collect();
    let mut told: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(number) = numbers.get(at) {
        let first = match *number {
            "38" => Some(30),
            "48" => Some(40),
            _ => None,
        };
        let is_indexed = numbers.get(at + 1) == Some(&"5");
        let colour = numbers.get(at + 2).and_then(|colour| colour.parse::<u8>().ok()).filter(|colour| *colour < 16);
        if let (Some(first), true, Some(colour)) = (first, is_indexed, colour) {
            told.push((if colour < 8 { first + colour } else { first + 52 + colour }).to_string());
            at += 3;
        } else {
            told.push((*number).to_owned());
            at += 1;
        }
    }
    told.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_the_sixteen_has_its_own_code_and_nothing_else_changes() {
        let told = |text: &str| String::from_utf8(with_basic_colours(text.as_bytes())).unwrap();
        assert_eq!(told("\x1b[38;5;1mred\x1b[39m"), "\x1b[31mred\x1b[39m");
        assert_eq!(told("\x1b[1;38;5;15;48;5;8;4m x"), "\x1b[1;97;100;4m x");
        for same in ["38;5;1m", "\x1b[38;5;16m", "\x1b[38;2;5;5;5m", "\x1b[5;1H日本", "\x1b[m\x1b[", "\x1b[38;5"] {
            assert_eq!(told(same), same);
        }
    }
}
