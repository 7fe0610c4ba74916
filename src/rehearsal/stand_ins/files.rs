//! A small site: a tree of files and a program that reads its configuration at start.

use sha2::{Digest, Sha256};

use super::{Part, StandIn};
use crate::model::exit::Result;
use crate::rehearsal::node::Image;

/// The stand-in of what the files driver saves.
#[derive(Debug)]
pub struct Files;

const UNIT: &str = "site.service";

impl StandIn for Files {
    fn kind(&self) -> &'static str {
        "files"
    }

    fn unit(&self) -> &'static str {
        UNIT
    }

    fn lay(&self, image: &Image, part: &Part) -> Result<()> {
        image.file("opt/site/serve", include_str!("files.sh"), 0o755)?;
        let unit = "[Unit]\nDescription=A small site (a stand-in)\n[Service]\nExecStart=/opt/site/serve\n[Install]\nWantedBy=multi-user.target\n";
        image.unit(UNIT, unit, part.runs)?;
        image.file("etc/site/site.conf", format!("name = {}\nroot = /srv/site\n", part.host), 0o640)?;
        for page in 1..=40 {
            // Lines that do not compress, so that what a copy holds shows in its size.
            let line = |line: u32| format!("<p>{:02x?}</p>\n", Sha256::digest(format!("{} {page} {line}", part.host)));
            let text = format!("<h1>{} page {page}</h1>\n{}", part.host, (1..=10).map(line).collect::<String>());
            image.file(&format!("srv/site/pages/{page:02}.html"), text, 0o644)?;
        }
        Ok(())
    }
}
