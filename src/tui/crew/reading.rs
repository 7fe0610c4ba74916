//! What the crew reads for pages: snapshots whole, their insides, their differences, and what no entry names.

use std::sync::Arc;

use super::{Crew, Place};
use crate::engine::compare::compare;
use crate::engine::fleet::{Fleet, last_look};
use crate::engine::inside::{ROWS, View, look_inside};
use crate::engine::practice::Fault;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{HostId, ItemRef, SnapshotId};
use crate::tui::filter::Filter;
use crate::tui::message::{Compared, Named, Notice, Peek, Tone};
use crate::tui::model::PracticeView;
use crate::tui::shell::NodeShell;

impl Crew {
    /// Gets a shell on a node ready: the operator's own `ssh` is asked for the way there, and may take its time.
    pub(super) fn prepare_shell(&self, host: HostId, place: &Arc<Place>) {
        let ready = NodeShell::on(&place.desk, &host);
        self.tell_from(place, Notice::Shell(host, Box::new(ready)));
    }

    /// Writes the last look; that it could not be written is said in the log and nowhere else.
    pub(super) fn remember(&self, fleet: &Fleet, place: &Place) {
        let desk = &place.desk;
        let (about, now) = (desk.about(), desk.clock.now());
        if let Err(why) = last_look::write(&desk.paths.state_dir, &about, desk.vault_path(), fleet, now) {
            self.tell(Notice::Noted(Tone::Warn, why));
        }
    }

    /// Asks the practice fleet how it stands.
    pub(super) fn read_practice(&self, place: &Place) {
        let Some(practice) = place.desk.practice.clone() else { return };
        let exercise = practice.exercise().clone();
        let measured: Result<Vec<bool>> = exercise.steps.iter().map(|step| practice.is_done(&step.check)).collect();
        match measured {
            Ok(done) => {
                self.tell(Notice::Practice(Box::new(PracticeView { nodes: practice.nodes(), exercise, done })));
            }
            Err(failure) => self.tell(Notice::Noted(Tone::Bad, failure.message)),
        }
    }

    /// Puts a fault in force or takes it back, then looks again at what it happened to.
    pub(super) fn practise(&self, host: &HostId, fault: Fault, is_mended: bool, place: &Arc<Place>) {
        let Some(practice) = place.desk.practice.clone() else { return };
        let told = if is_mended { practice.mend(host, fault) } else { practice.break_it(host, fault) };
        match told {
            Ok(told) => self.tell(Notice::Practised(Tone::Plain, told)),
            Err(failure) => self.tell(Notice::Practised(Tone::Bad, failure.message)),
        }
        self.read_practice(place);
        self.look(&[host.into()], place);
        self.read_vault(place);
    }

    pub(super) fn discover(&self, host: HostId, place: &Arc<Place>) {
        let desk = &place.desk;
        let links = desk.links();
        let found = match desk.inventory.hosts.get(&host) {
            Some(entry) => place.prober(&links).discover(entry),
            None => Err(Failure::new(Exit::Nothing, format!("There is no host '{host}' in the inventory."))),
        };
        self.tell_from(place, Notice::Discovered(host, found));
    }

    // A copy is what it is in every inventory: what is read of it is told whatever happened meanwhile.

    pub(super) fn read_snapshot(&self, item: ItemRef, id: SnapshotId, place: &Place) {
        let read = place.store(self).and_then(|store| self.whole(&store, &item, &id)).map(Box::new);
        self.tell(Notice::Snapshot(item, id, read));
    }

    /// Reads rows of a file. Those that were asked for before are wanted no more.
    pub(super) fn look_inside(&self, peek: Box<Peek>, place: &Place) {
        let filter = Filter::new(&peek.pattern);
        let shows = |cells: &[String]| filter.shows(&cells.join("  "));
        let view = View {
            part: peek.part,
            rows: ROWS.into(),
            only: if filter.is_empty() { None } else { Some(&shows) },
            cancel: &peek.cancel,
        };
        let page = place.store(self).and_then(|store| {
            let snapshot = self.whole(&store, &peek.item, &peek.snapshot)?;
            look_inside(&store.vault, &store.keys, &snapshot, &peek.file, &view)
        });
        // Nobody waits for what was cancelled.
        if !peek.cancel.is_cancelled() {
            self.tell(Notice::Inside(peek, page));
        }
    }

    pub(super) fn compare(&self, old: Named, new: Named, place: &Place) {
        let found = place.store(self).and_then(|store| {
            let (before, after) = (self.whole(&store, &old.0, &old.1)?, self.whole(&store, &new.0, &new.1)?);
            compare(&store.vault, &store.keys, &before, &after, &place.desk.cancel)
        });
        self.tell(Notice::Compared(Box::new(Compared { old, new, found })));
    }

    /// A snapshot by its id, read from its own directory and not by walking the vault.
    fn whole(
        &self,
        store: &crate::engine::desk::Store,
        item: &ItemRef,
        id: &SnapshotId,
    ) -> Result<crate::vault::Snapshot> {
        let mut findings = Vec::new();
        let snapshot = store.vault.snapshot(item, id, &mut findings).map_err(Failure::from)?;
        for finding in findings {
            self.tell(Notice::Noted(Tone::Warn, finding.to_string()));
        }
        Ok(snapshot)
    }
}
