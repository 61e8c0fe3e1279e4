//! The vdevs of a pool, and how an address in a top-level vdev becomes bytes of its leaves.

use super::Disk;
use super::config::{VdevKind, VdevNodes};
use super::draid::Draid;
use super::indirect::{self, Mapping, Piece};
use super::label::{DATA_OFFSET, data_bytes};
use super::raidz::Raidz;
use super::slot::{Leaf, Slot, read_device};
use super::stripe::{Children, Stripe};
use super::uberblock::Reflow;
use super::{WritableDisk, WriteTree};
use crate::{Attempt, Corrupt, Txg, Unsupported};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use zferry_nvlist::NvList;
use zferry_wire::{u64_from_usize, usize_from_u32, usize_from_u64};

/// The devices of a pool that were found, by their guids.
pub(crate) type Devices = BTreeMap<u64, Arc<dyn Disk>>;

/// How many ways are tried at most to put a block together whose pieces lie on mirrors.
const COMBINATIONS_MAX: usize = 4096;

/// All top-level vdevs of a pool, by their number.
#[derive(Debug)]
pub struct VdevTree {
    tops: Vec<TopVdev>,
    /// The devices that were found, by their guids.
    devices: Devices,
    /// How much room they have, in bytes.
    data_bytes: u64,
}

/// A top-level vdev: what a block pointer's address names.
#[derive(Debug)]
pub struct TopVdev {
    /// Its guid.
    pub guid: u64,
    /// The sector size, as a power of two.
    pub ashift: u32,
    layout: Layout,
}

/// How the bytes of a top-level vdev lie on its leaves.
#[derive(Debug)]
enum Layout {
    /// Every leaf has all bytes: a single disk, or a mirror.
    Copies(Slot),
    Raidz(Raidz),
    Draid(Draid),
    /// The vdev was removed; empty before its mapping has been read.
    Removed(OnceLock<Mapping>),
    /// There is nothing to read from.
    Absent(&'static str),
}

/// Where bytes are wanted from, as a block pointer says it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    /// The top-level vdev.
    pub vdev: u32,
    /// The offset in its data, in bytes.
    pub offset: u64,
    /// When they were written: on a raidz vdev that has grown, the layout depends on it.
    pub birth: Txg,
}

/// What says whether bytes are the right ones, and if not why.
pub(crate) type Accept<'a> = dyn FnMut(&mut [u8]) -> Result<(), String> + 'a;

impl VdevTree {
    /// Builds the tree of a pool from its configuration and the devices that were found.
    ///
    /// # Errors
    /// [`Unsupported`] where a vdev is of a kind that is not known, [`Corrupt`] where its numbers make no sense.
    pub(crate) fn build(nodes: &VdevNodes, devices: &Devices, reflow: Reflow) -> Result<Self, crate::Error> {
        let builder = Builder {
            nodes,
            devices,
            reflow,
        };
        let tops: Result<_, crate::Error> = nodes.tops().map(|top| builder.top(top)).collect();
        let sizes = devices.values().map(|disk| data_bytes(disk.size()));
        Ok(Self {
            tops: tops?,
            devices: devices.clone(),
            data_bytes: sizes.fold(0, u64::saturating_add),
        })
    }

    /// The tree of a pool whose disks are open for writing.
    pub(crate) fn for_writer(config: &NvList, vdevs: &WriteTree) -> Result<Self, crate::Error> {
        let tree = config
            .list("vdev_tree")
            .ok_or_else(|| Corrupt::new("configuration without a tree of vdevs"))?;
        let devices = vdevs.leaves().map(|(_, leaf)| -> (u64, Arc<dyn Disk>) {
            (leaf.guid, Arc::<dyn WritableDisk>::clone(&leaf.disk))
        });
        Self::build(&VdevNodes::decode(tree)?, &devices.collect(), Reflow::default())
    }

    /// Reads a range of a top-level vdev, in every way that the layout knows, until `accept` says that the bytes are
    /// the right ones.
    ///
    /// Returns whether a reading was accepted; what failed is added to `attempts`.
    pub(crate) fn read(
        &self,
        address: Address,
        buffer: &mut [u8],
        accept: &mut Accept<'_>,
        attempts: &mut Vec<Attempt>,
    ) -> bool {
        let mut failures = Vec::new();
        let is_read = match self.top(address.vdev) {
            Some(TopVdev {
                layout: Layout::Removed(mapping),
                ..
            }) => {
                let known = mapping.get().is_some();
                known && self.read_removed(address, buffer, accept, &mut failures)
            }
            Some(top) => top.read(address, buffer, accept, &mut failures),
            None => false,
        };
        if !is_read && failures.is_empty() {
            let why = match self.top(address.vdev) {
                None => "no such vdev",
                Some(TopVdev {
                    layout: Layout::Absent(why),
                    ..
                }) => why,
                Some(_) => "a removed vdev whose mapping is not known",
            };
            failures.push(why.to_owned());
        }
        let Address { vdev, offset, .. } = address;
        attempts.extend(
            failures
                .into_iter()
                .map(|reason| Attempt { vdev, offset, reason }),
        );
        is_read
    }

    /// How much room the devices have that were found, in bytes.
    pub(crate) const fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// The top-level vdevs, by their number.
    #[must_use]
    pub fn tops(&self) -> &[TopVdev] {
        &self.tops
    }

    /// The devices that were found, by their guids.
    pub(crate) const fn devices(&self) -> &Devices {
        &self.devices
    }

    fn top(&self, vdev: u32) -> Option<&TopVdev> {
        self.tops.get(usize_from_u32(vdev))
    }

    /// The numbers of the removed vdevs whose mappings have not been read.
    pub(crate) fn unmapped(&self) -> impl Iterator<Item = usize> {
        let tops = self.tops.iter().enumerate();
        tops.filter(|(_, top)| matches!(&top.layout, Layout::Removed(mapping) if mapping.get().is_none()))
            .map(|(number, _)| number)
    }

    /// Says where the bytes of a removed vdev are now.
    pub(crate) fn set_mapping(&self, vdev: usize, mapping: Mapping) {
        if let Some(top) = self.tops.get(vdev)
            && let Layout::Removed(empty) = &top.layout
        {
            // Only vdevs that have none are asked for.
            let _ = empty.set(mapping);
        }
    }

    /// Where a range of a vdev is now: vdevs, offsets and lengths in bytes. Only what lay on a removed vdev is elsewhere.
    ///
    /// # Errors
    /// A sentence where some of it is nowhere.
    pub(crate) fn pieces_of(&self, vdev: u32, offset: u64, len: u64) -> Result<Vec<(u32, u64, u64)>, String> {
        let whole = Piece {
            vdev,
            offset,
            at: 0,
            len,
        };
        let pieces = indirect::resolve(whole, self.tops.len(), |vdev| self.mapping_of(vdev))?;
        Ok(pieces
            .into_iter()
            .map(|piece| (piece.vdev, piece.offset, piece.len))
            .collect())
    }

    /// Where the bytes of a vdev are now, where it was removed.
    fn mapping_of(&self, vdev: u32) -> Option<&Mapping> {
        match self.top(vdev)?.layout {
            Layout::Removed(ref mapping) => mapping.get(),
            _ => None,
        }
    }

    /// Reads a range of a removed vdev from where it is now.
    fn read_removed(
        &self,
        address: Address,
        buffer: &mut [u8],
        accept: &mut Accept<'_>,
        failures: &mut Vec<String>,
    ) -> bool {
        let whole = Piece {
            vdev: address.vdev,
            offset: address.offset,
            at: 0,
            len: u64_from_usize(buffer.len()),
        };
        let pieces = match indirect::resolve(whole, self.tops.len(), |vdev| self.mapping_of(vdev)) {
            Ok(pieces) => pieces,
            Err(failure) => {
                failures.push(failure);
                return false;
            }
        };
        if let [piece] = pieces.as_slice() {
            let there = Address {
                vdev: piece.vdev,
                offset: piece.offset,
                birth: address.birth,
            };
            return self
                .top(piece.vdev)
                .is_some_and(|top| top.read(there, buffer, accept, failures));
        }
        let versions: Option<Vec<Vec<Vec<u8>>>> = pieces
            .iter()
            .map(|piece| self.versions_of(piece, address.birth, failures))
            .collect();
        versions.is_some_and(|versions| read_combined(&pieces, &versions, buffer, accept, failures))
    }

    /// All different bytes that there are of a piece. `None` where there are none.
    fn versions_of(&self, piece: &Piece, birth: Txg, failures: &mut Vec<String>) -> Option<Vec<Vec<u8>>> {
        let mut versions: Vec<Vec<u8>> = Vec::new();
        let mut bytes = vec![0; usize_from_u64(piece.len)];
        let there = Address {
            vdev: piece.vdev,
            offset: piece.offset,
            birth,
        };
        // Every version is refused, so that the next one is asked for.
        let mut collect = |bytes: &mut [u8]| {
            if !versions.iter().any(|version| version == bytes) {
                versions.push(bytes.to_vec());
            }
            Err(String::new())
        };
        let mut reasons = Vec::new();
        if let Some(top) = self.top(piece.vdev) {
            top.read_copies(there, &mut bytes, &mut collect, &mut reasons);
        }
        reasons.retain(|reason| !reason.is_empty());
        failures.extend(reasons);
        (!versions.is_empty()).then_some(versions)
    }
}

/// Puts the versions of the pieces of a block together in every way until one is accepted.
fn read_combined(
    pieces: &[Piece],
    versions: &[Vec<Vec<u8>>],
    buffer: &mut [u8],
    accept: &mut Accept<'_>,
    failures: &mut Vec<String>,
) -> bool {
    let mut choice = vec![0_usize; pieces.len()];
    for attempt in 0..COMBINATIONS_MAX {
        for ((piece, versions), chosen) in pieces.iter().zip(versions).zip(&choice) {
            let start = usize_from_u64(piece.at);
            let end = start.saturating_add(usize_from_u64(piece.len));
            if let (Some(target), Some(version)) = (buffer.get_mut(start..end), versions.get(*chosen)) {
                target.copy_from_slice(version);
            }
        }
        match accept(buffer) {
            Ok(()) => return true,
            Err(failure) if attempt == 0 => failures.push(failure),
            Err(_) => {}
        }
        // Counts up, the first piece as the lowest digit.
        let mut digits = choice.iter_mut().zip(versions);
        let is_counted = digits.any(|(digit, versions)| {
            *digit = digit.saturating_add(1);
            let fits = *digit < versions.len();
            if !fits {
                *digit = 0;
            }
            fits
        });
        if !is_counted {
            break;
        }
    }
    false
}

impl TopVdev {
    fn read(
        &self,
        address: Address,
        buffer: &mut [u8],
        accept: &mut Accept<'_>,
        failures: &mut Vec<String>,
    ) -> bool {
        let sector = 1_usize << self.ashift.min(usize::BITS.saturating_sub(1));
        let (stripe, children): (_, &dyn Children) = match &self.layout {
            Layout::Copies(_) | Layout::Removed(_) | Layout::Absent(_) => {
                return self.read_copies(address, buffer, accept, failures);
            }
            Layout::Raidz(raidz) => {
                let len = buffer.len().next_multiple_of(sector);
                (raidz.stripe(address.offset, len, address.birth), raidz)
            }
            Layout::Draid(draid) => {
                let len = buffer.len().next_multiple_of(sector);
                (draid.stripe(address.offset, len), draid)
            }
        };
        match stripe {
            Ok(stripe) => read_stripe(&stripe, children, sector, buffer, accept, failures),
            Err(failure) => {
                failures.push(failure);
                false
            }
        }
    }

    /// Reads from the leaves one after another, where each has all bytes.
    fn read_copies(
        &self,
        address: Address,
        buffer: &mut [u8],
        accept: &mut Accept<'_>,
        failures: &mut Vec<String>,
    ) -> bool {
        let Layout::Copies(slot) = &self.layout else {
            return false;
        };
        let place = address.offset.saturating_add(DATA_OFFSET);
        for disk in slot.devices_at(place) {
            match read_device(&**disk, place, buffer) {
                Err(failure) => failures.push(failure),
                Ok(()) => match accept(buffer) {
                    Ok(()) => return true,
                    Err(failure) if failure.is_empty() => {}
                    Err(failure) => failures.push(format!("{}: {failure}", disk.name())),
                },
            }
        }
        failures.extend(slot.missing().map(|name| format!("{name} is missing")));
        false
    }
}

/// Reads a stripe, which has whole sectors, into a buffer, which may end within one.
fn read_stripe(
    stripe: &Stripe,
    children: &dyn Children,
    sector: usize,
    buffer: &mut [u8],
    accept: &mut Accept<'_>,
    failures: &mut Vec<String>,
) -> bool {
    let len = buffer.len();
    if len.checked_rem(sector) == Some(0) {
        return stripe.read(children, buffer, accept, failures);
    }
    let mut padded = vec![0; len.next_multiple_of(sector)];
    let mut accept = |padded: &mut [u8]| {
        let bytes = padded.get(..len).ok_or("short block")?;
        buffer.copy_from_slice(bytes);
        accept(buffer)
    };
    stripe.read(children, &mut padded, &mut accept, failures)
}

/// What a tree is built from.
struct Builder<'a> {
    nodes: &'a VdevNodes,
    devices: &'a Devices,
    reflow: Reflow,
}

impl Builder<'_> {
    fn top(&self, index: usize) -> Result<TopVdev, crate::Error> {
        let node = self
            .nodes
            .get(index)
            .ok_or_else(|| Corrupt::new("tree of vdevs without its nodes"))?;
        let ashift = || {
            node.ashift
                .ok_or_else(|| Corrupt::new("vdev without the size of its sectors"))
        };
        let children = || {
            let children = self.nodes.children(index);
            children.map(|child| self.slot(child)).collect::<Vec<_>>()
        };
        let layout = match &node.kind {
            VdevKind::File | VdevKind::Disk | VdevKind::Mirror | VdevKind::Replacing | VdevKind::Spare => {
                ashift()?;
                Layout::Copies(self.slot(index))
            }
            VdevKind::Raidz(config) => Layout::Raidz(Raidz::new(config, ashift()?, children(), self.reflow)?),
            VdevKind::Draid(config) => Layout::Draid(Draid::new(config, ashift()?, children())?),
            VdevKind::Indirect { .. } => Layout::Removed(OnceLock::new()),
            VdevKind::Hole => Layout::Absent("no vdev has this number any more"),
            VdevKind::Missing => Layout::Absent("no device of this vdev was found"),
            VdevKind::Root => return Err(Corrupt::new("a root among the vdevs").into()),
            VdevKind::DistributedSpare { .. } => {
                return Err(Corrupt::new("a distributed spare outside of dRAID").into());
            }
            VdevKind::Other(kind) => return Err(Unsupported::VdevType(kind.clone()).into()),
        };
        Ok(TopVdev {
            guid: node.guid,
            ashift: node.ashift.unwrap_or(SECTOR_SHIFT_MIN),
            layout,
        })
    }

    /// The leaves below a vdev, which all have the same bytes.
    fn slot(&self, index: usize) -> Slot {
        let leaf =
            |(_, node): (usize, &super::config::VdevNode)| match (&node.kind, self.devices.get(&node.guid)) {
                (VdevKind::DistributedSpare { spare_id }, _) => Leaf::DistributedSpare(*spare_id),
                (_, Some(disk)) => Leaf::Device {
                    disk: Arc::clone(disk),
                    is_stale: node.marks.is_stale || node.marks.is_faulted || node.marks.is_offline,
                },
                (_, None) => Leaf::Missing {
                    name: node.path.clone().unwrap_or_else(|| format!("vdev {}", node.guid)),
                },
            };
        Slot::new(self.nodes.leaves(index).map(leaf).collect())
    }
}

/// The sector size where none is known, as a power of two.
const SECTOR_SHIFT_MIN: u32 = 9;
