//! Strings into shell words: the only place where that happens.

/// `arg` as one POSIX shell word. Bytes that are not UTF-8 are not expected in scripts we write; see `Script::arg`.
pub fn quote(arg: &[u8]) -> String {
    format!("'{}'", String::from_utf8_lossy(arg).replace('\'', "'\\''"))
}
