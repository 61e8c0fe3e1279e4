//! The tree of vdevs as a configuration has it: `vdev_tree` in a label or in the pool's own configuration.
//!
//! ```text
//! root            guid of the pool; its children are the top-level vdevs, in the order of their numbers
//! ├ raidz         type, id, guid, nparity, ashift, [is_log], [raidz_expanding], [raidz_expand_txgs]
//! │ ├ file        type, id, guid, path, [offline, faulted, removed, DTL, resilver_txg, rebuild_txg]
//! │ └ replacing   and spare: what one child is made of while another takes its place
//! ├ draid         nparity, draid_ndata, draid_nspares, draid_ngroups; a child may be a dspare (top_guid, spareid)
//! ├ indirect      a vdev that was removed: com.delphix:indirect_object names the object with its mapping
//! └ hole, missing a number that no vdev has, or none that was found
//! ```

use crate::Corrupt;
use zferry_nvlist::NvList;

/// How deep vdevs may lie below the root: a disk in a spare in a replacing vdev in a raidz is at 4.
const DEPTH_MAX: usize = 8;
/// How many vdevs a pool may have.
const NODES_MAX: usize = 1 << 16;

/// What a vdev is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VdevKind {
    /// The pool itself: its children are the top-level vdevs.
    Root,
    /// A plain file.
    File,
    /// A block device.
    Disk,
    /// Every child has the same bytes.
    Mirror,
    /// A child that is being replaced, and what replaces it.
    Replacing,
    /// A child, and the hot spare that stands in for it.
    Spare,
    /// Single, double or triple parity over the children.
    Raidz(RaidzConfig),
    /// Parity groups that are spread over the children by permutations, with room for spares.
    Draid(DraidConfig),
    /// A spare made of the room that a dRAID vdev keeps free.
    DistributedSpare {
        /// Its number in the dRAID vdev.
        spare_id: u64,
    },
    /// A vdev that was removed, whose addresses lead elsewhere.
    Indirect {
        /// The object of the meta object set that has the mapping.
        mapping: u64,
    },
    /// A number that no vdev has.
    Hole,
    /// A vdev of which no device was found.
    Missing,
    /// A kind that is not known.
    Other(String),
}

/// How a raidz vdev is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaidzConfig {
    /// How many columns of a block are parity: 1–3.
    pub parity: u8,
    /// For each expansion that is complete, the first transaction group that writes at the width it led to.
    pub expand_txgs: Vec<u64>,
    /// Whether a disk is being added right now.
    pub is_expanding: bool,
}

/// How a dRAID vdev is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DraidConfig {
    /// How many columns of a group are parity: 1–3.
    pub parity: u8,
    /// How many columns of a group are data.
    pub data: u64,
    /// How many distributed spares there are.
    pub spares: u64,
    /// After how many groups the permutation changes.
    pub groups: u64,
}

/// A vdev in a configuration.
#[derive(Clone, Debug)]
pub struct VdevNode {
    /// How far below the root it lies; the root is at 0.
    pub depth: usize,
    /// Where its parent is in the list of nodes.
    pub parent: Option<usize>,
    /// What it is.
    pub kind: VdevKind,
    /// Its number among its parent's children.
    pub id: u64,
    /// Its guid; 0 where it is not known.
    pub guid: u64,
    /// Where a leaf was when the configuration was written.
    pub path: Option<String>,
    /// Whether a disk was given to the pool as a whole, and partitioned for it.
    pub is_whole_disk: bool,
    /// The sector size of a top-level vdev, as a power of two.
    pub ashift: Option<u32>,
    /// Whether it only holds the intent log.
    pub is_log: bool,
    /// What alone is allocated from it: `special`, `dedup`.
    pub allocation_bias: Option<String>,
    /// What an administrator or the fault manager did to it.
    pub marks: VdevMarks,
}

/// What a configuration says of the state of a leaf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VdevMarks {
    /// It was taken offline.
    pub is_offline: bool,
    /// It was found faulty, and is not used.
    pub is_faulted: bool,
    /// It was pulled out.
    pub is_removed: bool,
    /// It had too many errors.
    pub is_degraded: bool,
    /// An administrator or the fault manager found it faulty, not the pool itself.
    pub is_external: bool,
    /// It lacks writes of some transaction groups: it was away, or is being filled.
    pub is_stale: bool,
}

impl VdevKind {
    /// What configurations call it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Root => "root",
            Self::File => "file",
            Self::Disk => "disk",
            Self::Mirror => "mirror",
            Self::Replacing => "replacing",
            Self::Spare => "spare",
            Self::Raidz(_) => "raidz",
            Self::Draid(_) => "draid",
            Self::DistributedSpare { .. } => "dspare",
            Self::Indirect { .. } => "indirect",
            Self::Hole => "hole",
            Self::Missing => "missing",
            Self::Other(name) => name,
        }
    }
}

impl VdevNode {
    /// Whether bytes are kept in it itself, not in its children.
    #[must_use]
    pub const fn is_leaf(&self) -> bool {
        matches!(
            self.kind,
            VdevKind::File | VdevKind::Disk | VdevKind::DistributedSpare { .. }
        )
    }

    fn decode(list: &NvList, depth: usize, parent: Option<usize>) -> Result<Self, Corrupt> {
        let text = |name: &str| list.text(name).map(ToString::to_string);
        let is_set = |name: &str| list.u64(name).is_some_and(|flag| flag != 0);
        let ashift = list.u64("ashift").map(|ashift| {
            u32::try_from(ashift)
                .ok()
                .filter(|ashift| (ASHIFT_MIN..=ASHIFT_MAX).contains(ashift))
                .ok_or_else(|| Corrupt::new(format!("vdev with sectors of 2^{ashift} bytes")))
        });
        Ok(Self {
            depth,
            parent,
            kind: decode_kind(list)?,
            id: list.u64("id").unwrap_or(0),
            guid: list.u64("guid").unwrap_or(0),
            path: text("path"),
            is_whole_disk: is_set("whole_disk"),
            // A hole has the field, and 0 in it.
            ashift: match list.u64("ashift") {
                Some(0) | None => None,
                Some(_) => ashift.transpose()?,
            },
            is_log: is_set("is_log"),
            allocation_bias: text("alloc_bias"),
            marks: VdevMarks {
                is_offline: is_set("offline"),
                is_faulted: is_set("faulted"),
                is_removed: is_set("removed"),
                is_degraded: is_set("degraded"),
                is_external: list
                    .str("aux_state")
                    .is_some_and(|why| why.starts_with("external")),
                is_stale: ["DTL", "resilver_txg", "rebuild_txg"]
                    .iter()
                    .any(|name| is_set(name)),
            },
        })
    }
}

/// The sector sizes that OpenZFS allows, as powers of two.
const ASHIFT_MIN: u32 = 9;
const ASHIFT_MAX: u32 = 16;

fn decode_kind(list: &NvList) -> Result<VdevKind, Corrupt> {
    let number = |name: &str| {
        list.u64(name)
            .ok_or_else(|| Corrupt::new(format!("vdev without '{name}'")))
    };
    let parity = |parity: u64| {
        u8::try_from(parity)
            .ok()
            .filter(|parity| (1..=3).contains(parity))
            .ok_or_else(|| Corrupt::new(format!("vdev with {parity} parity columns")))
    };
    let kind = list
        .text("type")
        .ok_or_else(|| Corrupt::new("vdev without a type"))?;
    Ok(match kind.to_str().unwrap_or_default() {
        "root" => VdevKind::Root,
        "file" => VdevKind::File,
        "disk" => VdevKind::Disk,
        "mirror" => VdevKind::Mirror,
        "replacing" => VdevKind::Replacing,
        "spare" => VdevKind::Spare,
        "raidz" => VdevKind::Raidz(RaidzConfig {
            // The first raidz had one parity column and did not say so.
            parity: parity(list.u64("nparity").unwrap_or(1))?,
            expand_txgs: list.u64s("raidz_expand_txgs").unwrap_or_default().to_vec(),
            is_expanding: list.contains("raidz_expanding"),
        }),
        "draid" => VdevKind::Draid(DraidConfig {
            parity: parity(number("nparity")?)?,
            data: number("draid_ndata")?,
            spares: number("draid_nspares")?,
            groups: number("draid_ngroups")?,
        }),
        "dspare" => VdevKind::DistributedSpare {
            spare_id: number("spareid")?,
        },
        "indirect" => VdevKind::Indirect {
            mapping: list.u64("com.delphix:indirect_object").unwrap_or(0),
        },
        "hole" => VdevKind::Hole,
        "missing" => VdevKind::Missing,
        _ => VdevKind::Other(kind.to_string()),
    })
}

/// A tree of vdevs, each before its children.
#[derive(Clone, Debug, Default)]
pub struct VdevNodes(Vec<VdevNode>);

impl VdevNodes {
    /// Reads a `vdev_tree` of type `root`.
    ///
    /// # Errors
    /// [`Corrupt`] where a vdev lacks what its kind needs, or the tree is deeper or larger than any pool's.
    pub fn decode(root: &NvList) -> Result<Self, Corrupt> {
        let mut nodes = Self::default();
        nodes.graft(root, None)?;
        Ok(nodes)
    }

    /// Puts the tree of a pool together from what is known of its top-level vdevs; the others are missing, or holes.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub(crate) fn of_tops(guid: u64, tops: &[TopSource<'_>]) -> Result<Self, Corrupt> {
        let placeholder = |kind, id, parent, depth| VdevNode {
            depth,
            parent,
            kind,
            id,
            guid: 0,
            path: None,
            is_whole_disk: false,
            ashift: None,
            is_log: false,
            allocation_bias: None,
            marks: VdevMarks::default(),
        };
        let mut nodes = Self(vec![VdevNode {
            guid,
            ..placeholder(VdevKind::Root, 0, None, 0)
        }]);
        for (id, top) in (0..).zip(tops) {
            match top {
                TopSource::Known(list) => nodes.graft(list, Some(0))?,
                TopSource::Hole => nodes.0.push(placeholder(VdevKind::Hole, id, Some(0), 1)),
                TopSource::Unknown => nodes.0.push(placeholder(VdevKind::Missing, id, Some(0), 1)),
            }
        }
        Ok(nodes)
    }

    /// Adds a list and all lists below it.
    fn graft(&mut self, list: &NvList, parent: Option<usize>) -> Result<(), Corrupt> {
        let mut waiting = vec![(list, parent)];
        while let Some((list, parent)) = waiting.pop() {
            let above = parent.and_then(|parent| self.0.get(parent));
            let depth = above.map_or(0, |above| above.depth.saturating_add(1));
            if depth > DEPTH_MAX || self.0.len() >= NODES_MAX {
                return Err(Corrupt::new(format!(
                    "tree of vdevs with more than {DEPTH_MAX} levels or {NODES_MAX} vdevs"
                )));
            }
            let here = self.0.len();
            self.0.push(VdevNode::decode(list, depth, parent)?);
            let children = list.lists("children").unwrap_or_default();
            waiting.extend(children.iter().rev().map(|child| (child, Some(here))));
        }
        Ok(())
    }

    /// All vdevs, each before its children.
    #[must_use]
    pub fn nodes(&self) -> &[VdevNode] {
        &self.0
    }

    /// A vdev by its place in the list.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&VdevNode> {
        self.0.get(index)
    }

    /// The places of a vdev's children.
    pub fn children(&self, index: usize) -> impl Iterator<Item = usize> {
        self.below(index)
            .filter(move |&(_, node)| node.parent == Some(index))
            .map(|(child, _)| child)
    }

    /// A vdev's leaves, or the vdev itself where it is one, with their places.
    pub fn leaves(&self, index: usize) -> impl Iterator<Item = (usize, &VdevNode)> {
        let own = self.0.get(index).map(|node| (index, node));
        own.into_iter()
            .chain(self.below(index))
            .filter(|(_, node)| node.is_leaf())
    }

    /// The places of the top-level vdevs, in the order of their numbers.
    pub fn tops(&self) -> impl Iterator<Item = usize> {
        self.children(0)
    }

    /// The vdevs below one, with their places.
    fn below(&self, index: usize) -> impl Iterator<Item = (usize, &VdevNode)> {
        let depth = self.0.get(index).map_or(usize::MAX, |node| node.depth);
        let after = index.saturating_add(1);
        (after..)
            .zip(self.0.get(after..).unwrap_or_default())
            .take_while(move |(_, node)| node.depth > depth)
    }
}

/// What labels tell of a top-level vdev.
pub(crate) enum TopSource<'a> {
    /// Its part of the configuration.
    Known(&'a NvList),
    /// There is none with this number.
    Hole,
    /// No device of it was found.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use zferry_nvlist::Value;

    fn vdev(kind: &str, guid: u64, children: Vec<NvList>) -> NvList {
        let mut list = NvList::new();
        list.insert("type", kind).insert("guid", guid);
        if !children.is_empty() {
            list.insert("children", Value::NvListArray(children));
        }
        list
    }

    #[test]
    fn a_vdev_comes_before_its_children() {
        let spare = vdev("spare", 5, vec![vdev("disk", 6, vec![]), vdev("disk", 7, vec![])]);
        let raidz = vdev("raidz", 3, vec![vdev("file", 4, vec![]), spare]);
        let root = vdev("root", 1, vec![vdev("file", 2, vec![]), raidz]);
        let nodes = VdevNodes::decode(&root).unwrap();
        let guids: Vec<u64> = nodes.nodes().iter().map(|node| node.guid).collect();
        assert_eq!(guids, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(nodes.tops().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(nodes.children(2).collect::<Vec<_>>(), [3, 4]);
        let leaves = |index| nodes.leaves(index).map(|(_, leaf)| leaf.guid).collect::<Vec<_>>();
        assert_eq!((leaves(1), leaves(2)), (vec![2], vec![4, 6, 7]));
    }

    #[test]
    fn what_no_pool_can_be_is_refused() {
        let mut deep = vdev("file", 1, vec![]);
        for _ in 0..DEPTH_MAX + 1 {
            deep = vdev("mirror", 1, vec![deep]);
        }
        assert!(VdevNodes::decode(&deep).is_err());
        for parity in [0_u64, 4, 1 << 40] {
            let mut raidz = vdev("raidz", 1, vec![]);
            raidz.insert("nparity", parity);
            assert!(VdevNodes::decode(&raidz).is_err(), "{parity}");
        }
        let mut file = vdev("file", 1, vec![]);
        file.insert("ashift", 64_u64);
        assert!(VdevNodes::decode(&file).is_err());
        assert!(VdevNodes::decode(&NvList::new()).is_err());
        assert!(VdevNodes::decode(&vdev("draid", 1, vec![])).is_err());
    }
}
