//! A `tar` on the node that gives a sound archive of something else than it was asked for.

use super::bench::World;
use super::still::{laid, save};

/// Words that have the real one archive this instead.
const INSTEAD: [(&str, &str); 4] = [
    ("nothing", "--create --file=- --files-from=/dev/null"),
    ("other files", "--create --file=- --directory=/usr/bin tar"),
    ("other files where the right ones lie", "--create --file=- --transform=s,^,DIR/, --directory=/usr/bin tar"),
    ("the right files elsewhere", "--transform=s,DIR,old/DIR, \"$@\""),
];

#[test]
fn an_agent_s_archive_of_something_else_is_never_a_copy() {
    for (item, dir) in [("metrics", "var/cache/netdata"), ("identity", "var/lib/netdata"), ("config", "etc/netdata")] {
        for (what, instead) in INSTEAD {
            let (world, node) = (World::new(), laid(true));
            let instead = instead.replace("DIR", dir);
            node.instead_of(
                "tar",
                &format!(
                    "case \" $* \" in *' --create '*) exec /usr/bin/tar {instead};; esac\nexec /usr/bin/tar \"$@\""
                ),
            );
            let kept = save(&world, &node, item);
            let failure = kept.map(|snapshot| snapshot.manifest().clone()).expect_err(&format!("{what} as {item}"));
            println!("{what} as {item}: {failure}");
        }
    }
}
