//! What changes of space mean for datasets and for the directories above them.

use super::lists::Totals;
use super::{DatasetId, PoolWriter};
use crate::dmu::Ledger;
use crate::dsl::DirPhys;
use crate::{Corrupt, Error, ObjectNumber, Txg};

/// By what a directory's space is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsedBy {
    Head,
    Snapshots,
    Children,
    ChildReservations,
    RefReservation,
}

fn add(value: u64, change: i64) -> Result<u64, Error> {
    let sum = value.checked_add_signed(change);
    Ok(sum.ok_or_else(|| Corrupt::new(format!("an account of {value} bytes changes by {change}")))?)
}

fn part(phys: &mut DirPhys, kind: UsedBy) -> &mut u64 {
    match kind {
        UsedBy::Head => &mut phys.used_by.head,
        UsedBy::Snapshots => &mut phys.used_by.snapshots,
        UsedBy::Children => &mut phys.used_by.children,
        UsedBy::ChildReservations => &mut phys.used_by.child_reservations,
        UsedBy::RefReservation => &mut phys.used_by.ref_reservation,
    }
}

/// Adds to what a directory uses; nothing above it is touched.
pub(super) fn add_to_dir(phys: &mut DirPhys, kind: UsedBy, change: Totals) -> Result<(), Error> {
    phys.used = add(phys.used, change.used)?;
    phys.compressed = add(phys.compressed, change.compressed)?;
    phys.uncompressed = add(phys.uncompressed, change.uncompressed)?;
    let part = part(phys, kind);
    *part = add(*part, change.used)?;
    Ok(())
}

/// Moves bytes from one part of a directory's space to another.
pub(super) fn transfer(phys: &mut DirPhys, bytes: i64, from: UsedBy, to: UsedBy) -> Result<(), Error> {
    let source = part(phys, from);
    *source = add(*source, bytes.saturating_neg())?;
    let target = part(phys, to);
    *target = add(*target, bytes)?;
    Ok(())
}

impl PoolWriter {
    /// Adds to what a directory uses, and what that means to all above it: they count what is used below them, or what
    /// is reserved there, whichever is more.
    pub(super) fn use_space(&mut self, dir: ObjectNumber, kind: UsedBy, change: Totals) -> Result<(), Error> {
        let (mut number, mut kind, mut change) = (dir, kind, change);
        loop {
            let mut phys = self.dir(number)?;
            let before = phys.used.max(phys.reserved);
            add_to_dir(&mut phys, kind, change)?;
            let after = phys.used.max(phys.reserved);
            let parent = phys.parent;
            self.put_dir(number, &phys)?;
            let Some(above) = parent else { return Ok(()) };
            let counted = i64::try_from(after)
                .unwrap_or(i64::MAX)
                .saturating_sub(i64::try_from(before).unwrap_or(i64::MAX));
            // What was reserved and is used now stays within what the parent counts already.
            let reserved = change.used.saturating_sub(counted);
            change.used = counted;
            if reserved != 0 {
                let mut phys = self.dir(above)?;
                transfer(&mut phys, reserved, UsedBy::ChildReservations, UsedBy::Children)?;
                self.put_dir(above, &phys)?;
            }
            number = above;
            kind = UsedBy::Children;
        }
    }

    /// What a head is sure to get beside its snapshots counts as used, where it has not been written yet. This is due
    /// whenever what is unique to the head, or what is reserved for it, has changed.
    pub(super) fn keep_ref_reservation(&mut self, dir: ObjectNumber) -> Result<(), Error> {
        let phys = self.dir(dir)?;
        let (Some(head), Some(table)) = (phys.head, phys.properties) else {
            return Ok(());
        };
        let reserved = self.own_property(table, "refreservation")?.unwrap_or(0);
        if reserved == 0 && phys.used_by.ref_reservation == 0 {
            return Ok(());
        }
        let due = reserved.saturating_sub(self.dataset(head)?.unique);
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let change = Totals {
            used: signed(due).saturating_sub(signed(phys.used_by.ref_reservation)),
            ..Totals::default()
        };
        self.use_space(dir, UsedBy::RefReservation, change)
    }

    /// A number that was set for a directory itself: here, or by a stream that was received.
    pub(super) fn own_property(&mut self, table: ObjectNumber, name: &str) -> Result<Option<u64>, Error> {
        if let Some(value) = self.table_get(table, name)? {
            return Ok(Some(value));
        }
        if self.table_get_value(table, &format!("{name}$inherit"))?.is_some() {
            return Ok(None);
        }
        self.table_get(table, &format!("{name}$recvd"))
    }

    /// Settles what the open group did to a dataset's space.
    pub(super) fn settle(&mut self, id: DatasetId, ledger: &Ledger) -> Result<(), Error> {
        let mut phys = self.dataset(id.0)?;
        phys.referenced = add(phys.referenced, ledger.referenced)?;
        phys.compressed = add(phys.compressed, ledger.compressed)?;
        phys.uncompressed = add(phys.uncompressed, ledger.uncompressed)?;
        phys.unique = add(phys.unique, ledger.unique)?;
        self.put_dataset(id.0, &phys)?;

        // What died and is left to a snapshot is still used by the directory.
        let dead = ledger
            .dead
            .iter()
            .map(Totals::of)
            .fold(Totals::default(), Totals::plus);
        let change = Totals {
            used: ledger.unique,
            compressed: ledger.compressed.saturating_add(dead.compressed),
            uncompressed: ledger.uncompressed.saturating_add(dead.uncompressed),
        };
        self.use_space(phys.dir, UsedBy::Head, change)?;
        if !ledger.dead.is_empty() {
            self.leave_to_snapshot(id, ledger)?;
        }
        self.tell_bookmarks(id, ledger)?;
        self.keep_ref_reservation(phys.dir)?;
        self.use_features(id.0, &ledger.features)
    }

    fn leave_to_snapshot(&mut self, id: DatasetId, ledger: &Ledger) -> Result<(), Error> {
        let phys = self.dataset(id.0)?;
        let deadlist = phys
            .deadlist
            .ok_or_else(|| Corrupt::new(format!("dataset {} has no deadlist", id.0)))?;
        self.insert_dead(deadlist, &ledger.dead)?;
        let space_after = |txg: Txg| {
            let later = ledger.dead.iter().filter(|pointer| pointer.logical_birth() > txg);
            later.map(Totals::of).fold(Totals::default(), Totals::plus).used
        };
        if let Some(prev) = phys.prev_snapshot {
            let mut prev_phys = self.dataset(prev)?;
            if prev_phys.next_snapshot == Some(id.0) {
                prev_phys.unique = add(prev_phys.unique, space_after(prev_phys.prev_snapshot_txg))?;
                self.put_dataset(prev, &prev_phys)?;
            }
        }
        let mut dir = self.dir(phys.dir)?;
        let origin_txg = match dir.origin {
            Some(origin) => self.dataset(origin)?.creation_txg,
            None => Txg(0),
        };
        transfer(&mut dir, space_after(origin_txg), UsedBy::Head, UsedBy::Snapshots)?;
        self.put_dir(phys.dir, &dir)
    }
}
