//! Where the files are, for every way a node can be told.

use super::super::probe::start;
use super::super::settings::{Settings, check};
use crate::services::common::Answers;

const SHOW: &str = "LoadState=loaded\nActiveState=active\nMainPID=7\nUser=avax\nFragmentPath=/etc/systemd/system/avalanchego.service\nDropInPaths=/a/x.conf /a/90-lifeboat-hold.conf\n";

fn settings(table: &str) -> Settings {
    Settings::of(&check(&table.parse().unwrap()).unwrap()).unwrap()
}

fn own_of(args: &str, env: &str, config: &str, table: &str) -> super::super::facts::Own {
    let args = format!("/opt/avalanchego\n{args}");
    let mut pairs = vec![
        ("show", SHOW),
        ("args", &args),
        ("env", env),
        ("user", "avax"),
        ("group", "avax"),
        ("pid", "7"),
        ("cwd", "/srv"),
    ];
    if !config.is_empty() {
        pairs.push(("config", config));
    }
    start(&Answers::fixed(&pairs), &settings(table)).0
}

#[test]
fn flag_beats_environment_beats_configuration_beats_default() {
    let home = "HOME=/home/avax\n";
    for (args, env, config, cert, from) in [
        ("", home, "", "/home/avax/.avalanchego/staking/staker.crt", "default"),
        ("--data-dir=/data", home, "", "/data/staking/staker.crt", "default"),
        ("--data-dir\n/data", home, "", "/data/staking/staker.crt", "default"),
        ("", "HOME=/h\nAVAGO_DATA_DIR=/env", r#"{"data-dir": "/conf"}"#, "/env/staking/staker.crt", "default"),
        ("", home, r#"{"data-dir": "/conf/"}"#, "/conf/staking/staker.crt", "default"),
        (
            "--staking-tls-cert-file=/f.crt",
            "AVAGO_STAKING_TLS_CERT_FILE=/e.crt",
            r#"{"staking-tls-cert-file": "/c.crt"}"#,
            "/f.crt",
            "flag",
        ),
        ("", "AVAGO_STAKING_TLS_CERT_FILE=/e.crt", r#"{"staking-tls-cert-file": "/c.crt"}"#, "/e.crt", "environment"),
        (
            "",
            "AVAGO_STAKING_TLS_CERT_FILE=\nHOME=/h",
            r#"{"Staking-TLS-cert-file": "/c.crt"}"#,
            "/c.crt",
            "config file",
        ),
        (
            "--data-dir=/data",
            home,
            r#"{"staking-tls-cert-file": "$AVALANCHEGO_DATA_DIR/own/a.crt"}"#,
            "/data/own/a.crt",
            "config file",
        ),
        (
            "",
            home,
            r#"{"staking-tls-cert-file": "${AVALANCHEGO_DATA_DIR}/a.crt"}"#,
            "/home/avax/.avalanchego/a.crt",
            "config file",
        ),
        ("--staking-tls-cert-file=keys/a.crt", home, "", "/srv/keys/a.crt", "flag"),
    ] {
        let own = own_of(args, env, config, "");
        let place = &own.paths["staking_cert"];
        assert_eq!((place.path.as_str(), place.from.as_str()), (cert, from), "{args} {env} {config}");
        assert_eq!(own.obstacle, None);
    }
}

#[test]
fn the_inventory_has_the_first_word() {
    let own = own_of("--data-dir=/data", "HOME=/h", "", "staking_dir = \"/keys\"\ndata_dir = \"/elsewhere/\"\n");
    assert_eq!(own.path("signer_key"), "/keys/signer.key");
    assert_eq!(own.path("staking_dir"), "/keys");
    assert_eq!(own.path("chain_configs"), "/elsewhere/configs/chains");
    assert_eq!(own.paths["staking_key"].from, "inventory");
}

#[test]
fn where_there_is_no_file_the_reason_is_told() {
    for (args, env, config, word) in [
        ("--staking-tls-key-file-content=MASKED", "HOME=/h", "", "a flag"),
        ("", "HOME=/h\nAVAGO_STAKING_SIGNER_KEY_FILE_CONTENT=MASKED", "", "the environment"),
        ("", "HOME=/h", r#"{"staking-tls-cert-file-content": "MASKED"}"#, "inline"),
        ("--staking-ephemeral-cert-enabled", "HOME=/h", "", "throw-away"),
        ("--staking-ephemeral-signer-enabled=true", "HOME=/h", "", "throw-away BLS"),
        ("", "HOME=/h", r#"{"staking-rpc-signer-endpoint": "10.0.0.9:50051"}"#, "remote signer"),
        ("--config-file-content=MASKED", "HOME=/h", "", "cannot be told"),
        ("", "HOME=/h", "staking: yaml", "staking_dir"),
        ("--staking-tls-key-file=$SOMEWHERE/x", "HOME=/h", "", "cannot be told"),
    ] {
        let obstacle = own_of(args, env, config, "").obstacle.unwrap_or_default();
        assert!(obstacle.contains(word), "{args} {env} {config}: {obstacle:?}");
    }
    assert_eq!(own_of("--staking-ephemeral-cert-enabled=false", "HOME=/h", "", "").obstacle, None);
}

#[test]
fn a_stopped_unit_has_its_account_s_home_and_none_without_an_account() {
    let at = |user: &str| {
        let show = format!("LoadState=loaded\nActiveState=inactive\nMainPID=0\nUser={user}\n");
        let answers = Answers::fixed(&[
            ("show", &show),
            ("args", "/usr/bin/avalanchego"),
            ("passwd", "avax:x:1:1::/srv/avax:/bin/sh"),
        ]);
        start(&answers, &settings("")).0.path("data_dir").to_owned()
    };
    assert_eq!(at("avax"), "/srv/avax/.avalanchego");
    assert_eq!(at(""), "/.avalanchego");
}

#[test]
fn the_api_is_asked_on_loopback_and_our_own_drop_ins_are_not_the_unit_s() {
    let own =
        own_of("--http-host=0.0.0.0\n--http-port=9999\n--public-ip=1.2.3.4\n--network-id=fuji", "HOME=/h", "", "");
    assert_eq!((own.api.host.as_str(), own.api.port), ("127.0.0.1", 9999));
    assert_eq!(own.public_ip.as_deref(), Some("1.2.3.4"));
    assert_eq!(own.network, "fuji");
    assert_eq!(own.drop_ins, ["/a/x.conf"]);
}

#[test]
fn a_process_under_another_unit_is_told_with_its_name() {
    let answers =
        Answers::fixed(&[("show", "LoadState=not-found\nMainPID=0\n"), ("other", "node.service"), ("env", "HOME=/h")]);
    let (own, notes) = start(&answers, &settings(""));
    assert_eq!((own.stray, own.running), (None, false));
    assert!(notes[0].contains("unit = \"node.service\""), "{notes:?}");
}

#[test]
fn the_certificate_of_the_api_is_one_in_a_file() {
    let certificate = |args: &str, config: &str, table: &str| {
        let own = own_of(args, "HOME=/h", config, table);
        assert!(own.api.tls, "{args} {config}");
        own.api.place().and_then(|place| place.certificate().map(str::to_owned))
    };
    let on = "--http-tls-enabled";
    let config = r#"{"http-tls-enabled": true, "http-tls-cert-file": "$AVALANCHEGO_DATA_DIR/http.pem"}"#;
    assert_eq!(certificate("", config, "").as_deref(), Some("/h/.avalanchego/http.pem"));
    assert_eq!(certificate(&format!("{on}\n--http-tls-cert-file=/f.pem"), config, "").as_deref(), Some("/f.pem"));
    assert_eq!(certificate("", config, "http_cert = '/i.pem'").as_deref(), Some("/i.pem"));
    assert_eq!(certificate(on, "", ""), None);
    assert_eq!(certificate(&format!("{on}\n--http-tls-cert-file=$NOBODY/f.pem"), "", ""), None);
    let inline =
        r#"{"http-tls-enabled": true, "http-tls-cert-file": "/f.pem", "http-tls-cert-file-content": "MASKED"}"#;
    assert_eq!(certificate("", inline, ""), None, "what stands inline goes before the file");
    assert_eq!(certificate("", inline, "http_cert = '/i.pem'").as_deref(), Some("/i.pem"));
    let plain = own_of("--http-tls-cert-file=/f.pem", "HOME=/h", "", "");
    assert!(!plain.api.tls && plain.api.place().is_some_and(|place| place.trust.is_none()), "a file alone is no TLS");
}
