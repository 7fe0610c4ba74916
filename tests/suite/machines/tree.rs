//! A directory of everything that is awkward to copy, and a small service that writes into it.

use super::machine::Machine;

/// Lays out the tree at `path` and starts `treeapp.service`, which appends a line to
/// `path/heartbeat` four times a second.
pub fn install_tree(machine: &Machine, path: &str) {
    let script = TREE.replace("@PATH@", path);
    machine.exec(&script).ok();
}

/// A listing of the tree that two equal trees share: kind, mode, owner, size, links, target, name,
/// attributes, access lists, content and times of change, in order. The heartbeat is left out, and with it the time of
/// the directory it is written in.
pub fn tree_listing(machine: &Machine, path: &str) -> String {
    machine
        .exec(&format!(
            "set -e; cd '{path}'
             find . ! -path ./heartbeat -printf '%y %m %U:%G %n %l %P\\0' | sort -z | tr '\\0' '\\n'
             find . -type f ! -path ./heartbeat -print0 | sort -z | xargs -0 sha256sum
             find . -mindepth 1 ! -path ./heartbeat -printf '%T@ %P\\0' | sort -z -k 2 | tr '\\0' '\\n'
             find . -print0 | sort -z | xargs -0 getfattr -h -d -e hex -m 'user[.]|system[.]posix_acl' 2>/dev/null || true"
        ))
        .ok()
}

const TREE: &str = r#"
set -eu
id treeapp >/dev/null 2>&1 || useradd --system --shell /usr/sbin/nologin treeapp
mkdir -p '@PATH@'
cd '@PATH@'
printf 'plain\n' >plain.txt
printf 'dash\n' >./-rf
printf 'space\n' >' two  spaces '
printf 'nl\n' >"$(printf 'new\nline')"
printf 'esc\n' >"$(printf 'esc\033[31mred\007')"
printf 'latin\n' >"$(printf 'not-utf8-\377\376')"
printf 'unicode\n' >'Ünïcödé-日本語-🛟'
printf 'bidi\n' >"$(printf 'bidi-\342\200\256txt.exe')"
printf 'quotes\n' >"quote'\"\$(id)\`id\`"
printf 'long\n' >"$(printf 'n%.0s' $(seq 255))"
mkdir -p empty/dir/inside deep/1/2/3/4/5/6/7/8/9
printf 'deep\n' >deep/1/2/3/4/5/6/7/8/9/leaf
: >zero
ln -sf plain.txt link
ln -sf /nonexistent/target dangling
ln -sf ../../../../etc/passwd outward
ln -f plain.txt hardlink
truncate -s 64M sparse
printf 'end' | dd of=sparse bs=1 seek=33554432 conv=notrunc status=none
cp /bin/true setuid; chmod 4755 setuid
printf 'private\n' >private; chmod 0600 private; chown treeapp:treeapp private
printf 'foreign\n' >foreign; chown 12345:54321 foreign
printf 'readonly\n' >readonly; chmod 0400 readonly
mkdir -p sticky; chmod 1777 sticky
setfattr -n user.lifeboat -v keep plain.txt 2>/dev/null || true
# For account 12345 to read, as setfacl would write it, which the machines do not have.
printf 'acl\n' >acl; chmod 0640 acl
setfattr -n system.posix_acl_access -v 0x0200000001000600ffffffff020004003930000004000400ffffffff10000400ffffffff20000000ffffffff acl
touch -d '2001-02-03 04:05:06.123456789' plain.txt deep/1
touch -h -d '2002-03-04 05:06:07' link
[ -p pipe ] || mkfifo pipe
chown treeapp:treeapp .
cat >/etc/systemd/system/treeapp.service <<'UNIT'
[Unit]
Description=Writes a heartbeat into a tree of files

[Service]
User=treeapp
ExecStart=/bin/sh -c 'while :; do date +%%s.%%N >>"$0"/heartbeat; sleep 0.25; done' "@PATH@"
Restart=on-failure

[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --quiet --now treeapp
"#;
