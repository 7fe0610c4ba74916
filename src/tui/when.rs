//! Times as people say them: "2h ago", "in 3h"; and as they are compared: "2026-11-20 02:50Z".

use jiff::{SignedDuration, Timestamp};

pub use crate::engine::phrases::{age, ago, utc};

/// How long until [`age()`] says something else.
pub fn until_next(at: Timestamp, now: Timestamp) -> SignedDuration {
    let seconds = now.duration_since(at).as_secs();
    let unit = match seconds.unsigned_abs() {
        0..3_600 => 60,
        3_600..86_400 => 3_600,
        _ => 86_400,
    };
    SignedDuration::from_secs(unit - seconds.rem_euclid(unit))
}

/// Both: "2026-11-20 00:50Z, 2h ago".
pub fn utc_and_ago(at: Timestamp, now: Timestamp) -> String {
    format!("{}, {}", utc(at), ago(at, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_people_say_them_in_both_directions() {
        let now: Timestamp = "2026-11-20T02:50:00Z".parse().unwrap();
        let at = |seconds: i64| now - jiff::SignedDuration::from_secs(seconds);
        for (seconds, text) in [
            (0, "just now"),
            (59, "just now"),
            (-59, "just now"),
            (60, "1m ago"),
            (7_200, "2h ago"),
            (86_400 * 60, "60d ago"),
            (86_400 * 61, "2mo ago"),
            (86_400 * 731, "2y ago"),
            (-10_800, "in 3h"),
        ] {
            assert_eq!(ago(at(seconds), now), text);
        }
        for (seconds, left) in
            [(0, 60), (59, 1), (60, 60), (3_599, 1), (3_600, 3_600), (7_300, 3_500), (86_399, 1), (-90, 30)]
        {
            assert_eq!(until_next(at(seconds), now).as_secs(), left, "{seconds}");
        }
        assert_eq!(utc_and_ago(at(7_200), now), "2026-11-20 00:50Z, 2h ago");
    }
}
