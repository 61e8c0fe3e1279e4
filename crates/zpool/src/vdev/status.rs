//! In which state the vdevs of a pool are, as `zpool` words it, and what is missing of a pool that cannot be opened.

use super::config::{VdevKind, VdevNode, VdevNodes};
use std::collections::BTreeMap;
use std::fmt;
use zferry_wire::u64_from_usize;

/// The state of a vdev.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum VdevState {
    /// All is there.
    Online,
    /// Something is not there, and redundancy makes up for it.
    Degraded,
    /// An administrator took it offline.
    Offline,
    /// It was pulled out.
    Removed,
    /// It was found faulty.
    Faulted,
    /// It is not there, or too much of it is not.
    Unavail,
}

/// `zpool`'s word.
impl fmt::Display for VdevState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Online => "ONLINE",
            Self::Degraded => "DEGRADED",
            Self::Offline => "OFFLINE",
            Self::Removed => "REMOVED",
            Self::Faulted => "FAULTED",
            Self::Unavail => "UNAVAIL",
        })
    }
}

/// Why a vdev is not online.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VdevReason {
    /// It is not there.
    CannotOpen,
    /// Too many of its children are not there.
    InsufficientReplicas,
    /// There are top-level vdevs of which no device is there.
    MissingDevice,
    /// It had too many errors.
    TooManyErrors,
    /// An administrator or the fault manager said so.
    ExternalFault,
}

/// `zpool status`' words.
impl fmt::Display for VdevReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::CannotOpen => "cannot open",
            Self::InsufficientReplicas => "insufficient replicas",
            Self::MissingDevice => "missing device",
            Self::TooManyErrors => "too many errors",
            Self::ExternalFault => "external device fault",
        })
    }
}

/// The state of a vdev, and what it is.
#[derive(Clone, Debug)]
pub struct VdevStatus {
    /// What it is called: `raidz1-0`, or the path of a leaf (the one at which it was found, or else the one in the
    /// configuration, or else its guid).
    pub name: String,
    /// How far below the root it lies; the root, the pool itself, is at 0.
    pub depth: usize,
    /// What the configuration says of it.
    pub node: VdevNode,
    /// Its state.
    pub state: VdevState,
    /// Why it is in that state.
    pub reason: Option<VdevReason>,
    /// Whether its bytes can be read, if need be by means of what is redundant.
    pub is_readable: bool,
}

/// The state of each vdev, each before its children. `found` has the names of the devices that were found, by guid.
pub(crate) fn status_of(nodes: &VdevNodes, pool: &str, found: &BTreeMap<u64, String>) -> Vec<VdevStatus> {
    let mut states: Vec<VdevStatus> = nodes
        .nodes()
        .iter()
        .enumerate()
        .map(|(index, node)| leaf_status(nodes, index, node, pool, found))
        .collect();
    // Children come after their parents: from the end, each parent finds its children done.
    for index in (0..states.len()).rev() {
        let Some(node) = nodes.get(index).filter(|node| !node.is_leaf()) else {
            continue;
        };
        let children = nodes.children(index).filter_map(|child| states.get(child));
        let outcome = inner_state(&node.kind, children);
        if let (Some((state, reason, is_readable)), Some(status)) = (outcome, states.get_mut(index)) {
            status.state = state;
            status.reason = reason;
            status.is_readable = is_readable;
        }
    }
    states
}

/// The status of a leaf, or of what has no children; what has some is filled in later.
fn leaf_status(
    nodes: &VdevNodes,
    index: usize,
    node: &VdevNode,
    pool: &str,
    found: &BTreeMap<u64, String>,
) -> VdevStatus {
    let device = found.get(&node.guid).filter(|_| node.guid != 0);
    let is_readable = match node.kind {
        VdevKind::File | VdevKind::Disk => device.is_some(),
        VdevKind::Missing | VdevKind::Other(_) => false,
        _ => true,
    };
    let marks = node.marks;
    let fault = if marks.is_external {
        VdevReason::ExternalFault
    } else {
        VdevReason::TooManyErrors
    };
    let (state, reason) = if marks.is_faulted {
        (VdevState::Faulted, Some(fault))
    } else if marks.is_offline {
        (VdevState::Offline, None)
    } else if !is_readable && marks.is_removed {
        (VdevState::Removed, None)
    } else if !is_readable {
        (VdevState::Unavail, Some(VdevReason::CannotOpen))
    } else if marks.is_degraded {
        (VdevState::Degraded, Some(VdevReason::TooManyErrors))
    } else {
        (VdevState::Online, None)
    };
    VdevStatus {
        name: name_of(nodes, index, node, pool, device),
        depth: node.depth,
        node: node.clone(),
        state,
        reason,
        is_readable,
    }
}

/// State, reason and readability of what has children. `None` for kinds that have none.
fn inner_state<'s>(
    kind: &VdevKind,
    children: impl Iterator<Item = &'s VdevStatus>,
) -> Option<(VdevState, Option<VdevReason>, bool)> {
    let (mut all, mut gone, mut unreadable, mut impaired) = (0_usize, 0_usize, 0_usize, 0_usize);
    let mut reason = VdevReason::InsufficientReplicas;
    for child in children {
        all = all.saturating_add(1);
        // A pool opens without the devices of its intent log.
        let needed = !child.node.is_log || *kind != VdevKind::Root;
        let is_gone = needed && child.state > VdevState::Degraded;
        gone = gone.saturating_add(usize::from(is_gone));
        unreadable = unreadable.saturating_add(usize::from(needed && !child.is_readable));
        impaired = impaired.saturating_add(usize::from(child.state != VdevState::Online));
        if child.node.kind == VdevKind::Missing {
            reason = VdevReason::MissingDevice;
        }
    }
    let redundant = match kind {
        VdevKind::Mirror | VdevKind::Replacing | VdevKind::Spare => all.saturating_sub(1),
        VdevKind::Raidz(config) => usize::from(config.parity),
        VdevKind::Draid(config) => usize::from(config.parity),
        VdevKind::Root => 0,
        _ => return None,
    };
    let is_readable = unreadable <= redundant && all > 0;
    let state = if gone > redundant || all == 0 {
        VdevState::Unavail
    } else if impaired > 0 {
        VdevState::Degraded
    } else {
        VdevState::Online
    };
    Some((
        state,
        (state == VdevState::Unavail).then_some(reason),
        is_readable,
    ))
}

/// What `zpool` calls a vdev.
fn name_of(nodes: &VdevNodes, index: usize, node: &VdevNode, pool: &str, device: Option<&String>) -> String {
    let children = nodes.children(index).count();
    let id = node.id;
    match &node.kind {
        VdevKind::Root => pool.to_owned(),
        VdevKind::Raidz(config) => format!("raidz{}-{id}", config.parity),
        VdevKind::Draid(config) => format!(
            "draid{}:{}d:{children}c:{}s-{id}",
            config.parity, config.data, config.spares
        ),
        VdevKind::Mirror => format!("mirror-{id}"),
        VdevKind::Replacing => format!("replacing-{id}"),
        VdevKind::Spare => format!("spare-{id}"),
        VdevKind::Indirect { .. } => format!("indirect-{id}"),
        VdevKind::Hole => format!("hole-{id}"),
        VdevKind::Missing => format!("missing-{id}"),
        VdevKind::Other(kind) => format!("{kind}-{id}"),
        VdevKind::File | VdevKind::Disk | VdevKind::DistributedSpare { .. } => device
            .or(node.path.as_ref())
            .cloned()
            .unwrap_or_else(|| node.guid.to_string()),
    }
}

/// A device that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingDevice {
    /// Where it was when the configuration was written.
    pub path: Option<String>,
    /// Its guid.
    pub guid: u64,
}

/// A top-level vdev that cannot be read, for too much of it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortVdev {
    /// Its number.
    pub id: u64,
    /// What `zpool` calls it.
    pub name: String,
    /// The devices that are missing; empty where no device was found that could have told which there are.
    pub missing: Vec<MissingDevice>,
    /// How many of them have to be found at least.
    pub needed: u64,
}

/// A pool, or what was found of it, lacks more devices than its redundancy makes up for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingDevices {
    /// The pool's name.
    pub pool: String,
    /// The top-level vdevs that cannot be read.
    pub vdevs: Vec<ShortVdev>,
}

/// The top-level vdevs that cannot be read, apart from those of the intent log, without which a pool opens.
pub(crate) fn short_vdevs(states: &[VdevStatus]) -> Vec<ShortVdev> {
    let mut short: Vec<ShortVdev> = Vec::new();
    let mut states = states.iter().skip(1).peekable();
    while let Some(top) = states.next() {
        let mut members = Vec::new();
        while let Some(member) = states.next_if(|member| member.depth > top.depth) {
            members.push(member);
        }
        if top.is_readable || top.node.is_log {
            continue;
        }
        let devices = members.iter().chain([&top]).filter(|member| !member.is_readable);
        let missing: Vec<MissingDevice> = devices
            .filter(|member| member.node.is_leaf())
            .map(|member| MissingDevice {
                path: member.node.path.clone(),
                guid: member.node.guid,
            })
            .collect();
        let child_depth = top.depth.saturating_add(1);
        let gone = members
            .iter()
            .filter(|member| member.depth == child_depth && !member.is_readable);
        let gone = u64_from_usize(gone.count());
        let parity = match &top.node.kind {
            VdevKind::Raidz(config) => u64::from(config.parity),
            VdevKind::Draid(config) => u64::from(config.parity),
            _ => gone.saturating_sub(1),
        };
        short.push(ShortVdev {
            id: top.node.id,
            name: top.name.clone(),
            missing,
            needed: gone.saturating_sub(parity).max(1),
        });
    }
    short
}

impl fmt::Display for MissingDevices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot open '{}': devices are missing", self.pool)?;
        for (index, vdev) in self.vdevs.iter().enumerate() {
            let separator = if index == 0 { ": " } else { "; " };
            write!(f, "{separator}{vdev}")?;
        }
        Ok(())
    }
}

impl std::error::Error for MissingDevices {}

impl fmt::Display for ShortVdev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, .. } = self;
        match self.missing.as_slice() {
            [] => return write!(f, "no device of top-level vdev {id} was found"),
            [one] => return write!(f, "{name} needs {one}"),
            _ => write!(f, "{name} needs {} of these {}:", self.needed, self.missing.len())?,
        }
        for (index, device) in self.missing.iter().enumerate() {
            let separator = if index == 0 { " " } else { ", " };
            write!(f, "{separator}{device}")?;
        }
        Ok(())
    }
}

impl fmt::Display for MissingDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{path} (guid {})", self.guid),
            None => write!(f, "the device with guid {}", self.guid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zferry_nvlist::{NvList, Value};

    fn vdev(kind: &str, guid: u64, children: Vec<NvList>) -> NvList {
        let mut list = NvList::new();
        list.insert("type", kind).insert("guid", guid);
        list.insert("path", format!("/dev/{guid}").as_str());
        if kind == "raidz" {
            list.insert("nparity", 1_u64);
        }
        list.insert("children", Value::NvListArray(children));
        list
    }

    fn nodes() -> VdevNodes {
        let leaves = |guids: std::ops::Range<u64>| guids.map(|guid| vdev("file", guid, vec![])).collect();
        let mut log = vdev("mirror", 5, leaves(50..52));
        log.insert("is_log", 1_u64);
        let raidz = vdev("raidz", 3, leaves(30..33));
        let mirror = vdev("mirror", 4, leaves(40..42));
        VdevNodes::decode(&vdev("root", 1, vec![raidz, mirror, log])).unwrap()
    }

    fn without(missing: &[u64]) -> Vec<VdevStatus> {
        let all = [30, 31, 32, 40, 41, 50, 51];
        let found = all.iter().filter(|guid| !missing.contains(guid));
        let found = found.map(|guid| (*guid, format!("f{guid}"))).collect();
        status_of(&nodes(), "tank", &found)
    }

    #[test]
    fn states_follow_from_what_is_found() {
        let states = |missing| {
            without(missing)
                .iter()
                .map(|status| status.state)
                .collect::<Vec<_>>()
        };
        use VdevState::{Degraded, Online, Unavail};
        assert_eq!(states(&[]), [Online; 11]);
        let some = states(&[31, 40]);
        assert_eq!(some[..4], [Degraded, Degraded, Online, Unavail]);
        assert_eq!(some[5..8], [Degraded, Unavail, Online]);
        assert_eq!(states(&[31, 32])[..2], [Unavail, Unavail]);
        // Without its intent log a pool lacks something, but opens.
        let log = without(&[50, 51]);
        assert_eq!((log[0].state, log[8].state), (Degraded, Unavail));
        assert!(log[0].is_readable && log[0].reason.is_none());
        let names: Vec<String> = without(&[31]).into_iter().map(|status| status.name).collect();
        assert_eq!(names[..5], ["tank", "raidz1-0", "f30", "/dev/31", "f32"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(short_vdevs(&without(&[31, 40, 50, 51])).is_empty());
        let message = |missing| {
            MissingDevices {
                pool: "tank".to_owned(),
                vdevs: short_vdevs(&without(missing)),
            }
            .to_string()
        };
        assert_eq!(
            message(&[30, 32, 40, 41]),
            "cannot open 'tank': devices are missing: raidz1-0 needs 1 of these 2: /dev/30 (guid 30), \
             /dev/32 (guid 32); mirror-0 needs 1 of these 2: /dev/40 (guid 40), /dev/41 (guid 41)"
        );
    }
}
