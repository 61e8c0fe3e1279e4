//! What a walk through an object set checks, block by block and object by object, and what it adds up.

use super::Measure;
use super::claims::{Claims, spot_of};
use super::data::DataCheck;
use super::finding::{Findings, Spot};
use super::meta::MetaObjects;
use super::tally::Tally;
use super::tree_diff::{Changes, GROUP_USED, PROJECT_USED, USER_USED, Where};
use super::users::UserSums;
use crate::dmu::{Dnode, Object, ObjectType};
use crate::spa::BlockPointer;
use crate::{BlockId, Error, ObjectNumber, Place, Txg};
use std::collections::BTreeMap;

/// The transaction groups in which the blocks of a dataset may have been born.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetime {
    /// That of the snapshot before.
    pub(super) after: Txg,
    /// Its own or, of a head, the newest of the pool.
    pub(super) until: Txg,
    /// Of the snapshot that the directory was cloned from.
    pub(super) origin: Txg,
    /// Of the snapshot before the snapshot before.
    pub(super) before_previous: Txg,
}

/// What differs between a dataset and the snapshot before it.
#[derive(Clone, Debug, Default)]
pub(super) struct Change {
    /// What was born.
    pub(super) born: Tally,
    /// What is gone.
    pub(super) gone: Tally,
    /// What is gone and was born after the directory was cloned.
    pub(super) gone_after_origin: Tally,
    /// What is gone and was only in the snapshot before.
    pub(super) gone_unique: Tally,
    /// What is gone, by the keys of the deadlist.
    pub(super) gone_by_key: BTreeMap<u64, Tally>,
    /// Whether the walk came through: all could be read.
    pub(super) is_complete: bool,
}

/// Checks an object set while it is walked.
pub(super) struct TreeCheck<'c, 'a, 'o> {
    pub(super) name: &'c str,
    pub(super) measure: &'c Measure,
    pub(super) claims: &'c mut Claims<'a>,
    pub(super) findings: &'c mut Findings<'o>,
    pub(super) lifetime: Lifetime,
    pub(super) change: Change,
    /// Where the objects are noted, in the pool's own metadata.
    pub(super) meta: Option<&'c mut MetaObjects>,
    /// Who uses how much, where that is to be told.
    pub(super) users: Option<UserSums>,
    /// Reads the blocks of data, where that is wanted.
    pub(super) data: Option<&'c mut DataCheck<'a>>,
    /// Whether anything but the claims is to be checked.
    pub(super) is_first_pass: bool,
    /// How many blocks the walk may still come by.
    pub(super) blocks_left: u64,
    /// Space allocated in all, for the progress.
    pub(super) total: u64,
    /// Of the meta-dnode, whose blocks come between those of the objects in them, and of the object at hand.
    current: [Current; 2],
}

/// What was added up of the object at hand.
#[derive(Debug, Default)]
struct Current {
    born: u64,
    gone: u64,
    last_block: Option<u64>,
    types: Vec<(ObjectType, u8, BlockId)>,
    sizes: Vec<(u64, BlockId)>,
}

impl Current {
    fn born(&mut self, place: Place, pointer: &BlockPointer, used: u64) {
        self.born = self.born.wrapping_add(used);
        if place.block == BlockId::SPILL {
            return;
        }
        let kind = pointer.object_type();
        if !self.types.iter().any(|(known, ..)| *known == kind) {
            self.types.push((kind, place.level, place.block));
        }
        if place.level == 0 {
            self.last_block = self.last_block.max(Some(place.block.0));
            let size = pointer.logical_size();
            if !self.sizes.iter().any(|(known, _)| *known == size) {
                self.sizes.push((size, place.block));
            }
        }
    }
}

impl<'c, 'a, 'o> TreeCheck<'c, 'a, 'o> {
    pub(super) fn new(
        name: &'c str,
        measure: &'c Measure,
        claims: &'c mut Claims<'a>,
        findings: &'c mut Findings<'o>,
        lifetime: Lifetime,
        blocks_max: u64,
    ) -> Self {
        let is_first_pass = claims.is_first_pass;
        Self {
            name,
            measure,
            claims,
            findings,
            lifetime,
            change: Change {
                is_complete: true,
                ..Change::default()
            },
            meta: None,
            users: None,
            data: None,
            is_first_pass,
            blocks_left: blocks_max,
            total: 0,
            current: Default::default(),
        }
    }

    fn current(&mut self, object: ObjectNumber) -> &mut Current {
        let [meta, other] = &mut self.current;
        if object == ObjectNumber(0) { meta } else { other }
    }

    fn spot(&self, place: Where) -> Spot {
        spot_of(self.name, place)
    }

    /// Checks what a pointer says of itself and of where it stands.
    fn check_pointer(&mut self, place: Where, pointer: &BlockPointer) {
        let birth = pointer.logical_birth();
        let Lifetime { after, until, .. } = self.lifetime;
        if birth <= after || birth > until {
            let expected = format!("a group after {after} and up to {until}");
            self.findings
                .report(self.spot(place), "blk_birth", birth, expected);
        }
        let (level, fill) = match place {
            Where::Root => (0, None),
            Where::Block(place) => {
                let is_data = place.level == 0 && place.object != ObjectNumber(0);
                (place.level, is_data.then_some(1))
            }
        };
        let spot = || self.spot(place);
        if pointer.is_redacted() {
            return;
        }
        if pointer.level() != level {
            let spot = spot();
            self.findings
                .report(spot, "blk_prop level", pointer.level(), level);
        }
        if let Some(fill) = fill {
            let spot = self.spot(place);
            self.findings.compare(|| spot, "blk_fill", pointer.fill(), fill);
        }
        if place == Where::Root {
            let spot = self.spot(place);
            self.findings.compare(
                || spot,
                "blk_prop type",
                pointer.object_type().0,
                ObjectType::OBJSET.0,
            );
        }
        self.check_sizes(place, pointer);
    }

    /// Checks the sizes of a block: without compression they are the same.
    fn check_sizes(&mut self, place: Where, pointer: &BlockPointer) {
        const COMPRESSION_OFF: u8 = 2;
        if pointer.is_embedded() {
            return;
        }
        let (stored, content) = (pointer.physical_size(), pointer.logical_size());
        if stored > content || (pointer.compression() == COMPRESSION_OFF && stored != content) {
            let spot = self.spot(place);
            self.findings.report(
                spot,
                "blk_prop psize",
                stored,
                format!("the logical size, {content}"),
            );
        }
    }
}

/// Whether the walk itself does not read a block.
fn is_data(place: Where) -> bool {
    match place {
        Where::Root => false,
        Where::Block(place) => place.level == 0 && place.object != ObjectNumber(0),
    }
}

/// Whether an object is one like others: not the meta-dnode, nor a table of users.
fn is_file(number: ObjectNumber) -> bool {
    number != ObjectNumber(0) && ![USER_USED, GROUP_USED, PROJECT_USED].contains(&number)
}

impl Changes for TreeCheck<'_, '_, '_> {
    fn born(&mut self, place: Where, pointer: &BlockPointer) {
        self.blocks_left = self.blocks_left.saturating_sub(1);
        let name = self.name;
        self.claims
            .claim(&|| spot_of(name, place), pointer, self.findings);
        if !self.is_first_pass {
            return;
        }
        self.change.born.add(pointer, self.measure);
        self.check_pointer(place, pointer);
        if let Where::Block(place) = place {
            let used = self.measure.used(pointer);
            self.current(place.object).born(place, pointer, used);
        }
        if let (Some(data), true) = (&mut self.data, is_data(place)) {
            data.add(spot_of(name, place), pointer, self.findings);
        }
        self.findings.progress(self.claims.claimed, self.total);
    }

    fn gone(&mut self, place: Where, pointer: &BlockPointer) {
        self.blocks_left = self.blocks_left.saturating_sub(1);
        if !self.is_first_pass {
            return;
        }
        let birth = pointer.logical_birth();
        let change = &mut self.change;
        change.gone.add(pointer, self.measure);
        if birth > self.lifetime.origin {
            change.gone_after_origin.add(pointer, self.measure);
        }
        if birth > self.lifetime.before_previous {
            change.gone_unique.add(pointer, self.measure);
        }
        if let Some((_, tally)) = change.gone_by_key.range_mut(..birth.0).next_back() {
            tally.add(pointer, self.measure);
        }
        if let Where::Block(place) = place {
            let used = self.measure.used(pointer);
            let current = self.current(place.object);
            current.gone = current.gone.wrapping_add(used);
        }
    }

    fn below(&mut self, place: Where, pointer: &BlockPointer, fill: u64, birth: Txg) {
        if !self.is_first_pass {
            return;
        }
        let spot = self.spot(place);
        self.findings
            .compare(|| spot.clone(), "blk_fill", pointer.fill(), fill);
        if birth > pointer.logical_birth() {
            let found = pointer.logical_birth();
            self.findings.report(
                spot,
                "blk_birth",
                found,
                format!("{birth} or later, the birth of a block below"),
            );
        }
    }

    fn object(&mut self, number: ObjectNumber, earlier: Option<&Dnode>, later: Option<&Dnode>) {
        let current = std::mem::take(self.current(number));
        if let (Some(users), true) = (&mut self.users, is_file(number)) {
            let sides = [(earlier, false), (later, true)];
            for (dnode, is_later) in sides.into_iter().filter_map(|(dnode, side)| Some((dnode?, side))) {
                users.add(dnode, is_later);
            }
        }
        let Some(dnode) = later else { return };
        let spot = || Spot::dataset(self.name).object(number);
        if let Some(meta) = self.meta.as_deref_mut() {
            let object = Object {
                number,
                dnode: dnode.clone(),
            };
            if let Err(error) = meta.note(&object) {
                self.findings.unreadable(spot(), &error);
            }
        }
        if !self.is_first_pass {
            return;
        }
        let used = earlier.map_or(0, |dnode| dnode.used);
        let used = used.wrapping_add(current.born).wrapping_sub(current.gone);
        // Without an earlier state that could be read, nothing is known of what was used before.
        if self.change.is_complete {
            self.findings.compare(spot, "dn_used", dnode.used, used);
        }
        if let Some(last) = current.last_block.filter(|last| *last > dnode.max_block.0) {
            self.findings
                .report(spot(), "dn_maxblkid", dnode.max_block, format!("at least {last}"));
        }
        for (kind, level, block) in current.types {
            if kind != dnode.object_type && kind.0 != 0 {
                let mut spot = spot();
                spot.block = Some((level, block));
                self.findings
                    .report(spot, "blk_prop type", kind, dnode.object_type);
            }
        }
        for (size, block) in current.sizes {
            if size != dnode.data_bytes() {
                let mut spot = spot();
                spot.block = Some((0, block));
                self.findings
                    .report(spot, "blk_prop lsize", size, dnode.data_bytes());
            }
        }
    }

    fn problem(&mut self, is_later: bool, place: Where, error: Error) {
        self.change.is_complete = false;
        // What cannot be read of the earlier set was told when that was walked.
        if is_later && self.is_first_pass {
            self.findings.unreadable(self.spot(place), &error);
        }
    }

    fn is_over(&self) -> bool {
        self.blocks_left == 0
    }
}
