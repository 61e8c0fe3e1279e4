//! What a check found: a field somewhere in the pool that says something else than the trees do.

use crate::{BlockId, ObjectNumber, Place};
use std::collections::HashMap;
use std::fmt;

/// Where something was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// The dataset or directory by its name, or `MOS` for the pool's own metadata. None for what belongs to no object.
    pub dataset: Option<String>,
    /// The object in that dataset.
    pub object: Option<ObjectNumber>,
    /// The level and number of a block of the object.
    pub block: Option<(u8, BlockId)>,
    /// The top-level vdev, and there the offset and length of a range in bytes.
    pub range: Option<(u32, u64, u64)>,
}

/// The name under which the pool's own metadata is shown.
const META: &str = "MOS";

impl Spot {
    /// A dataset or directory.
    pub(super) fn dataset(name: &str) -> Self {
        Self {
            dataset: Some(name.to_owned()),
            ..Self::default()
        }
    }

    /// An object of the pool's own metadata.
    pub(super) fn meta(object: ObjectNumber) -> Self {
        Self {
            object: Some(object),
            ..Self::dataset(META)
        }
    }

    /// A range of a vdev, in bytes.
    pub(super) fn range(vdev: u32, offset: u64, len: u64) -> Self {
        Self {
            range: Some((vdev, offset, len)),
            ..Self::default()
        }
    }

    /// The same dataset, at an object.
    pub(super) fn object(mut self, object: ObjectNumber) -> Self {
        self.object = Some(object);
        self
    }

    /// The same dataset, at a block.
    pub(super) fn place(mut self, place: Place) -> Self {
        self.object = Some(place.object);
        self.block = Some((place.level, place.block));
        self
    }

    /// The same, at a range of a vdev.
    pub(super) fn at(mut self, vdev: u32, offset: u64, len: u64) -> Self {
        self.range = Some((vdev, offset, len));
        self
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(dataset) = &self.dataset {
            write!(f, "{dataset}")?;
            separator = ", ";
        }
        if let Some(object) = self.object {
            write!(f, "{separator}object {}", object.0.cast_signed())?;
            separator = ", ";
        }
        match self.block {
            Some((_, BlockId::SPILL)) => write!(f, ", spill block")?,
            Some((0, block)) => write!(f, ", block {block}")?,
            Some((level, block)) => write!(f, ", block {block} of level {level}")?,
            None => {}
        }
        if let Some((vdev, offset, len)) = self.range {
            write!(f, "{separator}vdev {vdev}, {len:#x} bytes at {offset:#x}")?;
        }
        Ok(())
    }
}

/// A disagreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub spot: Spot,
    /// What disagrees: a field as ZFS calls it, or a rule.
    pub field: &'static str,
    /// What is there.
    pub found: String,
    /// What should be there.
    pub expected: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            spot,
            field,
            found,
            expected,
        } = self;
        write!(f, "{spot}: {field}: found {found}, expected {expected}")
    }
}

/// Who is told what a check finds, and how far it is.
pub trait Observer {
    /// Something disagrees. Of one kind, only so many are told one by one.
    fn finding(&mut self, finding: &Finding);
    /// Space that has been looked at, and all that is allocated, in bytes. The first may pass the second.
    fn progress(&mut self, _done: u64, _total: u64) {}
    /// Something could not be checked: what, and why.
    fn unchecked(&mut self, _what: &str) {}
}

/// Keeps what is told, a line each.
impl Observer for Vec<String> {
    fn finding(&mut self, finding: &Finding) {
        self.push(finding.to_string());
    }

    fn unchecked(&mut self, what: &str) {
        self.push(format!("not checked: {what}"));
    }
}

/// Takes the findings, counts them, and tells the observer.
pub(super) struct Findings<'o> {
    observer: &'o mut dyn Observer,
    by_field: HashMap<&'static str, u64>,
    told_max: u64,
}

impl<'o> Findings<'o> {
    pub(super) fn new(observer: &'o mut dyn Observer, told_max: u64) -> Self {
        Self {
            observer,
            by_field: HashMap::new(),
            told_max,
        }
    }

    /// Tells that something disagrees.
    pub(super) fn report(
        &mut self,
        spot: Spot,
        field: &'static str,
        found: impl fmt::Display,
        expected: impl fmt::Display,
    ) {
        let count = self.by_field.entry(field).or_default();
        *count = count.saturating_add(1);
        if *count <= self.told_max {
            self.observer.finding(&Finding {
                spot,
                field,
                found: found.to_string(),
                expected: expected.to_string(),
            });
        }
    }

    /// Tells it where two values are not the same.
    pub(super) fn compare<T: PartialEq + fmt::Display>(
        &mut self,
        spot: impl FnOnce() -> Spot,
        field: &'static str,
        found: T,
        expected: T,
    ) {
        if found != expected {
            self.report(spot(), field, found, expected);
        }
    }

    /// Tells that something could not be read.
    pub(super) fn unreadable(&mut self, spot: Spot, error: &crate::Error) {
        self.report(spot, "unreadable", error, "what can be read");
    }

    /// Tells what could not be checked.
    pub(super) fn unchecked(&mut self, what: &str) {
        self.observer.unchecked(what);
    }

    /// How much has been looked at.
    pub(super) fn progress(&mut self, done: u64, total: u64) {
        self.observer.progress(done, total);
    }

    /// How many findings there were, and how many of them were not told one by one.
    pub(super) fn counts(&self) -> (u64, u64) {
        let all = self.by_field.values().copied();
        let untold = all.clone().map(|count| count.saturating_sub(self.told_max));
        (
            all.fold(0, u64::saturating_add),
            untold.fold(0, u64::saturating_add),
        )
    }
}
