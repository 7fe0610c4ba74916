//! Every key an inventory may hold: the parser's list, and the one the example file is checked against.

/// The keys of one kind of table.
pub(crate) type Keys = &'static [&'static str];

/// At the top of the file.
pub(crate) const TOP: Keys = &["version", "defaults", "vault", "policy", "groups", "hosts", "clusters"];
/// In `[vault]`.
pub(crate) const VAULT: Keys = &["path", "id", "replicas", "recipients", "identities", "allow_plaintext"];
/// In every `policy` table.
pub(crate) const POLICY: Keys = &["max_age", "verify_every", "min_copies", "keep"];
/// In `keep`.
pub(crate) const KEEP: Keys = &["last", "daily", "weekly", "monthly"];
/// In `[groups.NAME]`.
pub(crate) const GROUP: Keys = &["policy"];
/// In `[clusters.NAME]`.
pub(crate) const CLUSTER: Keys = &["members", "groups", "services", "policy"];
/// In `[defaults]`: what makes sense for several hosts at once.
pub(crate) const DEFAULTS: Keys = &[
    "transport",
    "port",
    "user",
    "identity_file",
    "jump",
    "host_key",
    "become",
    "password",
    "passphrase",
    "become_password",
    "groups",
];
/// In `[hosts.NAME]` beside those of [`DEFAULTS`].
pub(crate) const HOST_ONLY: Keys = &["address", "formerly", "services", "policy"];
/// The ways to name a secret.
pub(crate) const SECRET: Keys = &["prompt", "command", "file", "env"];
/// What every service may hold; the rest belongs to its driver.
pub(crate) const SERVICE: Keys = &["kind", "policy"];

/// Every key the parser knows, with the kind of table it stands in.
pub fn known_keys() -> Vec<(&'static str, &'static str)> {
    let tables: [(&str, Keys); 11] = [
        ("", TOP),
        ("vault", VAULT),
        ("policy", POLICY),
        ("keep", KEEP),
        ("groups", GROUP),
        ("clusters", CLUSTER),
        ("defaults", DEFAULTS),
        ("hosts", DEFAULTS),
        ("hosts", HOST_ONLY),
        ("secret", SECRET),
        ("services", SERVICE),
    ];
    tables.iter().flat_map(|(table, keys)| keys.iter().map(move |key| (*table, *key))).collect()
}
