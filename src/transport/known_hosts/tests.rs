use super::*;

fn key(kind: &str, seed: u8) -> HostKey {
    let mut blob = u32::try_from(kind.len()).unwrap().to_be_bytes().to_vec();
    blob.extend(kind.as_bytes());
    blob.extend([0, 0, 0, 32]);
    blob.extend([seed; 32]);
    HostKey::from_blob(&blob).unwrap()
}

fn known(text: &str) -> KnownHosts {
    let mut known = KnownHosts::default();
    known.add(Path::new("kh"), text);
    known
}

const ED: &str = "ssh-ed25519";

fn body(key: &HostKey) -> String {
    format!("{} {}", key.kind, encode_block(&key.blob))
}

fn place(line: usize, key: &HostKey) -> Place {
    Place { file: "kh".into(), line, fingerprint: key.fingerprint() }
}

/// Every row on which the library's own check was found wrong.
#[test]
fn the_rows_the_library_gets_wrong() {
    let (right, other, rsa) = (key(ED, 1), key(ED, 2), key("ssh-rsa", 3));
    let judge = |text: String| known(&text).judge("h", 2201, &right);
    assert_eq!(judge(format!("[h]:2201 {}", body(&right))), Verdict::Known(place(1, &right)));
    assert_eq!(judge(format!("[h]:2201 {}", body(&rsa))), Verdict::NewType(vec!["ssh-rsa".into()]));
    assert_eq!(judge(format!("h {}", body(&rsa))), Verdict::New);
    assert_eq!(judge(format!("h {}", body(&other))), Verdict::New);
    assert_eq!(judge(format!("h {}", body(&right))), Verdict::Known(place(1, &right)));
    assert_eq!(
        judge(format!("@revoked * {}\n[h]:2201 {}", body(&right), body(&right))),
        Verdict::Revoked(place(1, &right))
    );
    assert_eq!(
        known(&format!("127.0.0.* {}", body(&right))).judge("127.0.0.1", 2201, &right),
        Verdict::Known(place(1, &right))
    );
    let bad = known(&format!("[h]:2201 ssh-ed25519 nonsense!\n[h]:2201 {}", body(&right)));
    assert_eq!(bad.judge("h", 2201, &right), Verdict::Known(place(2, &right)));
    assert_eq!(bad.notes, ["kh:1: the key is not base64"]);
    assert_eq!(judge(format!("@cert-authority [h]:2201 {}", body(&other))), Verdict::Authority(place(1, &other)));
    assert_eq!(judge(format!("[h]:2201 {}", body(&other))), Verdict::Changed(place(1, &other)));
    assert_eq!(judge(String::new()), Verdict::New);
}

#[test]
fn hashed_names_as_ssh_keygen_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kh");
    let right = key(ED, 1);
    append(&file, "node.example", 2201, &right).unwrap();
    let done = std::process::Command::new("ssh-keygen").args(["-H", "-f"]).arg(&file).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("|1|"));
    let known = KnownHosts::read(std::slice::from_ref(&file));
    assert!(matches!(known.judge("Node.Example", 2201, &right), Verdict::Known(_)));
    assert_eq!(known.judge("node.example", 22, &right), Verdict::New);
    assert_eq!(known.types("node.example", 2201), [ED]);
}

#[test]
fn negation_beats_a_wildcard() {
    let right = key(ED, 1);
    let known = known(&format!("*.example,!bad.example,web? {}", body(&right)));
    assert!(matches!(known.judge("good.example", 22, &right), Verdict::Known(_)));
    assert_eq!(known.judge("bad.example", 22, &right), Verdict::New);
    assert!(matches!(known.judge("web1", 22, &right), Verdict::Known(_)));
    assert_eq!(known.judge("web10", 22, &right), Verdict::New);
}

#[test]
fn one_line_is_appended_and_nothing_rewritten() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sub/kh");
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(&file, "# mine, without a line feed").unwrap();
    append(&file, "a", 22, &key(ED, 1)).unwrap();
    append(&file, "b", 2, &key(ED, 2)).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(text.starts_with("# mine, without a line feed\na ssh-ed25519 ") && text.ends_with('\n'));
    assert!(text.lines().nth(2).unwrap().starts_with("[b]:2 "));
    assert!(append(&file, "a b", 22, &key(ED, 1)).is_err());
    assert!(append(&file, "a\n@revoked", 22, &key(ED, 1)).is_err());
}

#[test]
fn the_fingerprint_is_the_one_ssh_keygen_prints() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("k");
    let make =
        std::process::Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&file).status();
    assert!(make.unwrap().success());
    let public = std::fs::read_to_string(file.with_extension("pub")).unwrap();
    let blob = openssl::base64::decode_block(public.split(' ').nth(1).unwrap()).unwrap();
    let out = std::process::Command::new("ssh-keygen").arg("-lf").arg(&file).output().unwrap();
    let printed = String::from_utf8(out.stdout).unwrap();
    assert!(printed.contains(&HostKey::from_blob(&blob).unwrap().fingerprint()), "{printed}");
}
